"""W1: one publisher, one subscriber."""

from __future__ import annotations

from benchmarks.baselines import ASYNCIO, asyncio_queue_alone, baselines, delivering
from benchmarks.cases import Case, Workload
from benchmarks.contestants import tocsin, tocsin_variants
from benchmarks.erlang import erlang_case
from benchmarks.loads import Shape
from benchmarks.peers import PEERS, peers
from benchmarks.targets import ahead_of_all, at_most_bare, times_as_fast

SHAPE = Shape(kinds=1, subscribers=1)

WORKLOAD = Workload(
    key="W1",
    title="one publisher, one subscriber",
    what="A supervised delivery costs a few times a bare await, and less than a queue with nothing at all. "
    "One operation: an event published by awaiting, and handled.",
    size=200_000,
    quick=20_000,
    cases=(
        *baselines(SHAPE),
        Case(name="asyncio.Queue, bare", run=delivering(asyncio_queue_alone, SHAPE), backends=ASYNCIO),
        tocsin(SHAPE),
        *tocsin_variants(SHAPE),
        erlang_case("w01_one_to_one"),
        *peers(SHAPE),
    ),
    targets=(
        at_most_bare(5.5),
        times_as_fast(1.5, "asyncio.Queue"),
        times_as_fast(10, "anyio memory stream"),
        ahead_of_all(PEERS),
    ),
)
