%% One publisher, 1,000 types of events with one process each, found in an ETS table by the type, round robin. Credit as
%% in w02_fan_out, in rounds over all types: no process has more than ?MAILBOX events waiting.
-module(w03_many_types).
-export([main/1]).
-define(TYPES, 1000).
-define(MAILBOX, 1000).
-define(HALF, 500).

main([Size]) ->
    Rounds = list_to_integer(Size) div ?TYPES,
    Publisher = self(),
    Types = [list_to_atom("type_" ++ integer_to_list(Number)) || Number <- lists:seq(1, ?TYPES)],
    ets:new(subscriptions, [named_table, {read_concurrency, true}]),
    [ets:insert(subscriptions, {Type, spawn_link(fun() -> subscriber(Publisher, Type, Rounds, 0) end)}) || Type <- Types],
    Started = figures:clock(),
    publish(Types, Rounds, ?MAILBOX),
    [receive {finished, Rounds} -> ok end || _ <- Types],
    figures:report([{seconds, figures:seconds_since(Started)}, {operations, Rounds * ?TYPES}]).

publish(_Types, 0, _Credit) ->
    ok;
publish(Types, Rounds, 0) ->
    [receive {credit, Type} -> ok end || Type <- Types],
    publish(Types, Rounds, ?HALF);
publish(Types, Rounds, Credit) ->
    send(Types, Rounds),
    publish(Types, Rounds - 1, Credit - 1).

send([], _Round) ->
    ok;
send([Type | Others], Round) ->
    [{_, Subscriber}] = ets:lookup(subscriptions, Type),
    Subscriber ! {Type, Round},
    send(Others, Round).

subscriber(Publisher, _Type, Rounds, Rounds) ->
    Publisher ! {finished, Rounds};
subscriber(Publisher, Type, Rounds, Handled) when Handled rem ?HALF =:= 0, Handled > 0 ->
    Publisher ! {credit, Type},
    take(Publisher, Type, Rounds, Handled);
subscriber(Publisher, Type, Rounds, Handled) ->
    take(Publisher, Type, Rounds, Handled).

take(Publisher, Type, Rounds, Handled) ->
    receive {Type, _} = Event -> subscriber(Publisher, Type, Rounds, handle(Event, Handled)) end.

handle({_Type, _}, Handled) ->
    Handled + 1.
