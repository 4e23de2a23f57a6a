"""W2: one publisher, a hundred subscribers of the same type."""

from __future__ import annotations

from benchmarks.baselines import baselines
from benchmarks.cases import Workload
from benchmarks.contestants import tocsin
from benchmarks.erlang import erlang_case
from benchmarks.loads import Shape
from benchmarks.peers import peers
from benchmarks.targets import at_most_bare, times_as_fast

SHAPE = Shape(kinds=1, subscribers=100)

WORKLOAD = Workload(
    key="W2",
    title="one publisher, 100 subscribers",
    what="Publishing to many costs less for each of them than publishing to one. "
    "One operation: one event handled by one subscriber.",
    size=200_000,
    quick=20_000,
    cases=(*baselines(SHAPE), tocsin(SHAPE), erlang_case("w02_fan_out"), *peers(SHAPE)),
    targets=(
        at_most_bare(3, what=" per delivery"),
        times_as_fast(3, "asyncio.Queue"),
        times_as_fast(1, "Erlang"),
    ),
)
