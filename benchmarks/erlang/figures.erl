%% What all programs here share: the clock, sorted samples, and the one line of JSON that is their result.
-module(figures).
-export([clock/0, seconds_since/1, percentile_us/2, report/1]).

%% Nanoseconds of a clock that never goes back.
clock() ->
    erlang:monotonic_time(nanosecond).

seconds_since(Started) ->
    (clock() - Started) / 1.0e9.

%% The sample, of nanoseconds, below which that percentage of them lies; in microseconds.
percentile_us(Percent, Samples) ->
    Sorted = lists:sort(Samples),
    lists:nth(max(1, ceil(length(Sorted) * Percent / 100)), Sorted) / 1000.

%% Print [{name, number}] as JSON, with the memory of the virtual machine in MB, and end the program.
report(Figures) ->
    All = Figures ++ [{vm_mb, erlang:memory(total) / 1048576}],
    Pairs = [io_lib:format("\"~s\": ~w", [Name, Number]) || {Name, Number} <- All],
    io:format("{~s}~n", [lists:join(", ", Pairs)]),
    halt(0).
