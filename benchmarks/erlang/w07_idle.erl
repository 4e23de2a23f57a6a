%% Processes that wait for their first event, "plain" ones or "hibernating" ones; a given share of the size.
-module(w07_idle).
-export([main/1, serve/1]).

main([Size, Kind, Share]) ->
    Subscribers = list_to_integer(Size) div list_to_integer(Share),
    Up = counters:new(1, []),
    Body = body(Kind, Up),
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Started = figures:clock(),
    Processes = [spawn(Body) || _ <- lists:seq(1, Subscribers)],
    wait_for(Up, Subscribers),
    Seconds = figures:seconds_since(Started),
    erlang:garbage_collect(),
    After = erlang:memory(total),
    wake(Processes, Up, Subscribers),
    figures:report([
        {seconds, Seconds},
        {operations, Subscribers},
        {starts_per_s, Subscribers / Seconds},
        {bytes_each, (After - Before) / Subscribers}
    ]).

body("plain", Up) ->
    fun() -> counters:add(Up, 1, 1), serve(Up) end;
body("hibernating", Up) ->
    fun() -> counters:add(Up, 1, 1), erlang:hibernate(?MODULE, serve, [Up]) end.

serve(Up) ->
    receive event -> counters:add(Up, 1, 1), serve(Up) end.

%% Every process is there and has run: the started ones count themselves.
wait_for(Up, Number) ->
    case counters:get(Up, 1) of
        Number -> ok;
        _ -> erlang:yield(), wait_for(Up, Number)
    end.

%% One event for each, to show that they take them.
wake(Processes, Up, Subscribers) ->
    [Process ! event || Process <- Processes],
    wait_for(Up, 2 * Subscribers).
