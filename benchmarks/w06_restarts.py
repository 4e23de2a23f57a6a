"""W6: how soon a crashed actor is at work again, and how many restarts a second that makes."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Literal

import anyio

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Figures, Medians, Workload
from benchmarks.crashing import Record
from benchmarks.erlang import erlang_case
from benchmarks.loops import run
from benchmarks.restarters import (
    Restarter,
    anyio_loop,
    asyncio_loop,
    mode_supervisor,
    pykka_actors,
    task_and_group,
    tocsin_actor,
)
from benchmarks.targets import figure
from benchmarks.verdicts import at_least, at_most, figures

UNIT = "task in a fresh task group"
PEERS = ("mode", "pykka")


def restarting(restarter: Restarter, backend: str, size: int) -> Figures:
    """Have *restarter* overcome *size* crashes."""
    logging.disable()  # a traceback in the log costs more than all the rest, with every contender alike

    async def main() -> Figures:
        finished = anyio.Event()
        record = Record(size, finished.set)
        with anyio.fail_after(60):
            await restarter(record, finished)
        return record.figures()

    return run(backend, main)


def pykka(backend: str, size: int) -> Figures:
    """Measure pykka, which has threads and no event loop."""
    logging.disable()
    finished = threading.Event()
    record = Record(size, finished.set)
    pykka_actors(record, finished)
    return record.figures()


def case(
    name: str,
    restarter: Restarter,
    backends: tuple[str, ...] = EVERYWHERE,
    kind: Literal["floor", "baseline", "peer", "tocsin"] = "baseline",
    needs: tuple[str, ...] = (),
) -> Case:
    return Case(name=name, run=partial(restarting, restarter), backends=backends, kind=kind, needs=needs)


def ahead_of_peers(medians: Medians) -> float | None:
    """Give how many times as long the quickest peer takes to recover as tocsin."""
    ours = figure(medians, "tocsin", "p50_us")
    theirs = [delay for name in PEERS if (delay := figure(medians, name, "p50_us")) is not None]
    return min(theirs) / ours if theirs and ours else None


WORKLOAD = Workload(
    key="W6",
    title="an actor that crashes at every second event",
    what="A crash costs little more than the task that replaces it. One operation is one crash overcome, with an event"
    " handled before and one after it; p50 and p99 are from the raise to the begin of the next event in a new"
    " incarnation. No delay before a restart, no limit, no logging. pykka and Erlang lose the mailbox.",
    size=10_000,
    quick=1_000,
    cases=(
        case(UNIT, task_and_group, kind="floor"),
        case("tocsin", tocsin_actor, kind="tocsin"),
        case("asyncio tasks by hand", asyncio_loop, ASYNCIO),
        case("anyio task groups by hand", anyio_loop),
        case("mode", mode_supervisor, ASYNCIO, "peer", ("mode",)),
        Case(name="pykka", run=pykka, needs=("pykka",), kind="peer"),
        erlang_case("w06_restarts", "100"),
        erlang_case("w06_restarts", "1000000", name="Erlang, one supervisor throughout"),
    ),
    targets=(
        at_most(f"from crash to next event: at most 1.5 x a {UNIT}", 1.5, figures("tocsin", UNIT, "p50_us", "us")),
        at_most(
            f"restarts sustained: each at most 1.5 x a {UNIT}",
            1.5,
            lambda medians: figure(medians, "tocsin", f"x {UNIT}"),
        ),
        at_least("ahead of every Python peer (how far ahead of the quickest)", 1.0, ahead_of_peers),
        at_most("stretch: from crash to next event no later than Erlang", 1.0, figures("tocsin", "Erlang", "p50_us")),
    ),
)
