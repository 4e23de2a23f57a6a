%% One publisher, one process that counts. A mailbox of Erlang has no bound, so the publisher spends credit: it is never
%% more than ?MAILBOX events ahead, and gets half of that back for each half that was handled.
-module(w01_one_to_one).
-export([main/1]).
-define(MAILBOX, 1000).
-define(HALF, 500).

main([Size]) ->
    Events = list_to_integer(Size),
    Publisher = self(),
    Subscriber = spawn_link(fun() -> subscriber(Publisher, Events, 0) end),
    Started = figures:clock(),
    publish(Subscriber, Events, ?MAILBOX),
    receive {finished, Events} -> ok end,
    figures:report([{seconds, figures:seconds_since(Started)}, {operations, Events}]).

publish(_Subscriber, 0, _Credit) ->
    ok;
publish(Subscriber, Events, 0) ->
    receive credit -> publish(Subscriber, Events, ?HALF) end;
publish(Subscriber, Events, Credit) ->
    Subscriber ! {event, Events},
    publish(Subscriber, Events - 1, Credit - 1).

subscriber(Publisher, Events, Events) ->
    Publisher ! {finished, Events};
subscriber(Publisher, Events, Handled) when Handled rem ?HALF =:= 0, Handled > 0 ->
    Publisher ! credit,
    take(Publisher, Events, Handled);
subscriber(Publisher, Events, Handled) ->
    take(Publisher, Events, Handled).

take(Publisher, Events, Handled) ->
    receive {event, _} = Event -> subscriber(Publisher, Events, handle(Event, Handled)) end.

handle({event, _}, Handled) ->
    Handled + 1.
