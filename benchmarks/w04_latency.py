"""W4: how late an event reaches a fast subscriber, and whether a stuck neighbour changes that."""

from __future__ import annotations

from functools import partial
from typing import Literal

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Target, Workload
from benchmarks.erlang import erlang_case
from benchmarks.offering import Outlet, measure
from benchmarks.outlets import anyio_streams, asyncio_queues, tocsin_bus, trio_channels
from benchmarks.verdicts import at_most, figures

STUCK = ", one stuck"
QUEUE = "asyncio.Queue"


def pair(
    name: str, outlet: Outlet, backends: tuple[str, ...], kind: Literal["baseline", "tocsin"] = "baseline"
) -> tuple[Case, Case]:
    """Give the case with the fast subscriber alone, and the one in which another subscriber is stuck."""
    return (
        Case(name=name, run=partial(measure, outlet, False), backends=backends, kind=kind),
        Case(name=name + STUCK, run=partial(measure, outlet, True), backends=backends, kind=kind),
    )


def beside_queues(key: str) -> Target:
    """Compare a delay with a stuck neighbour to that of two queues that have one."""
    said = key.replace("_us", "").replace("due_", "from due, ")
    return at_most(f"{said}: at most 1.5 x two {QUEUE}", 1.5, figures("tocsin" + STUCK, QUEUE + STUCK, key))


def unmoved(key: str) -> Target:
    """Compare a delay with a stuck neighbour to the one without."""
    value = figures("tocsin" + STUCK, "tocsin", key)
    return at_most(f"{key[:3]}: at most 1.2 x that without the stuck one", 1.2, value)


WORKLOAD = Workload(
    key="W4",
    title="delay of a delivery at 10,000 events a second, with a stuck neighbour",
    what="A subscriber gets its events as soon as two plain queues would bring them, however stuck another one is."
    " One operation is one event offered on schedule; p50 and p99 are counted from its publish, `due_` from the time it"
    " was due. A publisher sleeps until the next event is due, and timers count milliseconds: hence bursts of ten."
    " stuck_bytes is what the stuck one keeps after 10,000 events (Erlang: after all), stuck_bytes_early after 2,000.",
    size=50_000,
    quick=10_000,
    cases=(
        *pair("tocsin", tocsin_bus, EVERYWHERE, "tocsin"),
        *pair(QUEUE, asyncio_queues, ASYNCIO),
        *pair("anyio memory stream", anyio_streams, EVERYWHERE),
        *pair("trio channel", trio_channels, ("trio",)),
        erlang_case("w04_latency"),
        erlang_case("w04_latency", "stuck", name="Erlang" + STUCK),
    ),
    targets=(
        beside_queues("p50_us"),
        beside_queues("p99_us"),
        beside_queues("due_p50_us"),
        beside_queues("due_p99_us"),
        unmoved("p50_us"),
        unmoved("p99_us"),
        at_most(
            "what the stuck one keeps is bounded: at most 1.1 x after 5 x the events",
            1.1,
            figures("tocsin" + STUCK, "tocsin" + STUCK, "stuck_bytes", "stuck_bytes_early"),
        ),
    ),
)
