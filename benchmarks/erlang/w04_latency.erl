%% Events are due at a fixed rate; one process notes how late each is, and with "stuck" another one never takes any.
%%
%% A mailbox of Erlang has no bound and drops nothing: what the stuck process is left with is everything offered.
-module(w04_latency).
-export([main/1]).
-define(INTERVAL, 100000). % nanoseconds: 10,000 events a second

main([Size]) ->
    measure(list_to_integer(Size), []);
main([Size, "stuck"]) ->
    measure(list_to_integer(Size), [spawn_link(fun stuck/0)]).

measure(Events, Stuck) ->
    Publisher = self(),
    % Room for all the samples from the start: collecting them as garbage is nothing that a subscriber does.
    Fast = spawn_opt(fun() -> fast(Publisher, Events, [], []) end, [link, {min_heap_size, Events * 12}]),
    Started = figures:clock(),
    offer(Started, 0, Events, [Fast | Stuck]),
    receive {delays, FromDue, FromPublish} -> ok end,
    figures:report([
        {seconds, figures:seconds_since(Started)},
        {operations, Events},
        {p50_us, figures:percentile_us(50, FromPublish)},
        {p99_us, figures:percentile_us(99, FromPublish)},
        {due_p50_us, figures:percentile_us(50, FromDue)},
        {due_p99_us, figures:percentile_us(99, FromDue)}
        | [{stuck_bytes, memory(Process)} || Process <- Stuck]
    ]).

offer(_Started, Events, Events, _Subscribers) ->
    ok;
offer(Started, Number, Events, Subscribers) ->
    Due = Started + Number * ?INTERVAL,
    case figures:clock() of
        Now when Now >= Due ->
            [Subscriber ! {event, Due, Now} || Subscriber <- Subscribers],
            offer(Started, Number + 1, Events, Subscribers);
        Now ->
            receive after (Due - Now) div 1000000 + 1 -> ok end, % timers of Erlang count milliseconds
            offer(Started, Number, Events, Subscribers)
    end.

fast(Publisher, 0, FromDue, FromPublish) ->
    Publisher ! {delays, FromDue, FromPublish};
fast(Publisher, Left, FromDue, FromPublish) ->
    receive
        {event, Due, Published} ->
            Now = figures:clock(),
            fast(Publisher, Left - 1, [Now - Due | FromDue], [Now - Published | FromPublish])
    end.

stuck() ->
    receive never -> ok end.

memory(Process) ->
    {memory, Bytes} = process_info(Process, memory),
    Bytes.
