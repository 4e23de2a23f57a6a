%% OTP's supervisor restarting a process that handles one event and crashes at the next. A mailbox dies with its process,
%% so each incarnation is sent two events when it says that it is up. Nothing is logged.
-module(w06_restarts).
-behaviour(supervisor).
-export([main/1, init/1, start_actor/1, start_life/1]).

%% At each restart a supervisor walks the list of those within its period. With a limit that never trips that list grows
%% to all restarts of the last second, which is most of the cost; so a fresh supervisor takes over after each batch.
main([Size, Batch]) ->
    logger:set_primary_config(level, none),
    Restarts = list_to_integer(Size),
    {Nanoseconds, Delays} = batches(Restarts, list_to_integer(Batch), 0, []),
    figures:report([
        {seconds, Nanoseconds / 1.0e9},
        {operations, Restarts},
        {restarts_per_s, Restarts / (Nanoseconds / 1.0e9)},
        {p50_us, figures:percentile_us(50, Delays)},
        {p99_us, figures:percentile_us(99, Delays)}
    ]).

batches(0, _Batch, Nanoseconds, Delays) ->
    {Nanoseconds, Delays};
batches(Restarts, Batch, Nanoseconds, Delays) ->
    Now = min(Restarts, Batch),
    {ok, Supervisor} = supervisor:start_link(?MODULE, self()),
    send_one(),
    Started = figures:clock(),
    Found = lives(Now, Delays),
    Ended = figures:clock(),
    unlink(Supervisor),
    exit(Supervisor, shutdown),
    batches(Restarts - Now, Batch, Nanoseconds + Ended - Started, Found).

%% The first life of a batch has nothing to recover from: it is only made to crash.
send_one() ->
    receive {up, Actor} -> Actor ! crash end.

lives(0, Delays) ->
    receive {up, _} -> Delays end;
lives(1, Delays) ->
    [life([ok]) | Delays];
lives(Left, Delays) ->
    Delay = life([ok, crash]),
    lives(Left - 1, [Delay | Delays]).

%% From the crash of one life to the first event of the next one.
life(Events) ->
    Crashed = receive {crashed, At} -> At end,
    receive {up, Actor} -> [Actor ! Event || Event <- Events] end,
    receive {handled, Now} -> Now - Crashed end.

init(Publisher) ->
    Child = #{id => actor, start => {?MODULE, start_actor, [Publisher]}},
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, [Child]}}.

start_actor(Publisher) ->
    proc_lib:start_link(?MODULE, start_life, [Publisher]).

start_life(Publisher) ->
    proc_lib:init_ack({ok, self()}),
    Publisher ! {up, self()},
    serve(Publisher).

serve(Publisher) ->
    receive
        crash ->
            Publisher ! {crashed, figures:clock()},
            error(crash);
        ok ->
            Publisher ! {handled, figures:clock()},
            serve(Publisher)
    end.
