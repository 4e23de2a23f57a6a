"""W3: a thousand event types with a subscriber each, in turn."""

from __future__ import annotations

from benchmarks.baselines import baselines
from benchmarks.cases import Workload
from benchmarks.contestants import tocsin
from benchmarks.erlang import erlang_case
from benchmarks.loads import Shape
from benchmarks.peers import peers
from benchmarks.targets import at_most, times_as_fast

SHAPE = Shape(kinds=1000, subscribers=1)
ONE_TYPE = "tocsin, one type"

WORKLOAD = Workload(
    key="W3",
    title="1,000 event types, one subscriber each",
    what="The number of types costs what the processor's caches cost, and nothing that the router would add. "
    "One operation: an event handled by the subscriber of its type, the types taking turns.",
    size=200_000,
    quick=20_000,
    cases=(*baselines(SHAPE), tocsin(SHAPE), tocsin(Shape(), ONE_TYPE), erlang_case("w03_many_types"), *peers(SHAPE)),
    targets=(
        at_most("at most 2 x W1 (tocsin, one type)", 2, "tocsin", f"x {ONE_TYPE}"),
        times_as_fast(1.5, "asyncio.Queue"),
    ),
)
