%% One publisher, 100 processes that count, each event to each of them; one operation is one delivery. Credit as in
%% w01_one_to_one, and the publisher waits for the slowest: no process has more than ?MAILBOX events waiting.
-module(w02_fan_out).
-export([main/1]).
-define(SUBSCRIBERS, 100).
-define(MAILBOX, 1000).
-define(HALF, 500).

main([Size]) ->
    Events = list_to_integer(Size) div ?SUBSCRIBERS,
    Publisher = self(),
    Subscribers = [spawn_link(fun() -> subscriber(Publisher, Events, 0) end) || _ <- lists:seq(1, ?SUBSCRIBERS)],
    Started = figures:clock(),
    publish(Subscribers, Events, ?MAILBOX),
    [receive {finished, Subscriber, Events} -> ok end || Subscriber <- Subscribers],
    figures:report([{seconds, figures:seconds_since(Started)}, {operations, Events * ?SUBSCRIBERS}]).

publish(_Subscribers, 0, _Credit) ->
    ok;
publish(Subscribers, Events, 0) ->
    [receive {credit, Subscriber} -> ok end || Subscriber <- Subscribers],
    publish(Subscribers, Events, ?HALF);
publish(Subscribers, Events, Credit) ->
    send(Subscribers, {event, Events}),
    publish(Subscribers, Events - 1, Credit - 1).

send([], _Event) ->
    ok;
send([Subscriber | Others], Event) ->
    Subscriber ! Event,
    send(Others, Event).

subscriber(Publisher, Events, Events) ->
    Publisher ! {finished, self(), Events};
subscriber(Publisher, Events, Handled) when Handled rem ?HALF =:= 0, Handled > 0 ->
    Publisher ! {credit, self()},
    take(Publisher, Events, Handled);
subscriber(Publisher, Events, Handled) ->
    take(Publisher, Events, Handled).

take(Publisher, Events, Handled) ->
    receive {event, _} = Event -> subscriber(Publisher, Events, handle(Event, Handled)) end.

handle({event, _}, Handled) ->
    Handled + 1.
