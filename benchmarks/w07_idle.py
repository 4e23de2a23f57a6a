"""W7: what a subscriber costs that has nothing to do."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, final

import anyio
from attrs import define

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Figures, Medians, Target, Workload
from benchmarks.erlang import erlang_case
from benchmarks.loads import Event
from benchmarks.loops import run
from benchmarks.targets import at_most, figure
from benchmarks.verdicts import at_least
from benchmarks.waiting_room import LIMIT, Contender, Guests, anyio_streams, asyncio_queues, tocsin

MEMORY = Path("/proc/self/statm")
TRACED = 1_000  # subscribers whose memory is counted object by object, which slows everything down
TENTH = ", a tenth"
DORMANT = "tocsin, activation=first_event"


@final
@define
class Stage:
    """How far a contender has come."""

    name: str


def idle(contender: Contender, share: int, backend: str, size: int) -> Figures:
    """Measure one *share*-th of *size* subscribers, with the growth of the process; then a few again, by objects."""
    count = size // share
    found = run(backend, lambda: _within_limit(contender, count, resident))
    tracemalloc.start()
    try:
        traced = run(backend, lambda: _within_limit(contender, min(TRACED, count), allocated))
    finally:
        tracemalloc.stop()
    return found | {"traced_bytes_each": traced["bytes_each"]}


def resident() -> int:
    """Give the bytes of memory that the process holds; 0 where the system does not say."""
    return int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if MEMORY.exists() else 0


def allocated() -> int:
    """Give the bytes that Python has allocated since it is traced."""
    return tracemalloc.get_traced_memory()[0]


async def _within_limit(contender: Contender, count: int, memory: Callable[[], int]) -> Figures:
    """Measure *contender*; raise TimeoutError, saying how far it came, when it takes too long."""
    stage = Stage("starting")
    try:
        with anyio.fail_after(LIMIT):
            return await _measure(contender, count, memory, stage)
    except TimeoutError as late:
        raise TimeoutError(f"{count:,} subscribers: still {stage.name} after {LIMIT:g} s") from late


async def _measure(contender: Contender, count: int, memory: Callable[[], int], stage: Stage) -> Figures:
    async with contender(Guests([]), lambda _declared: None):
        pass  # what the first run loads is no matter of how many subscribers there are
    guests = Guests([f"subscriber-{number}" for number in range(count)])
    gc.collect()
    before, began = memory(), time.perf_counter()
    room = contender(guests, partial(_not_too_slow, stage, began))
    declared = time.perf_counter()
    stage.name = "starting"
    async with room as send:
        started = time.perf_counter()
        gc.collect()
        held, waking = memory() - before, time.perf_counter()
        stage.name = "waking"
        await send(Event(0))
        await guests.all_woken.wait()
        woken = time.perf_counter()
        stage.name = "stopping"
    if guests.woken != count:
        raise RuntimeError(f"{guests.woken} of {count} subscribers got the event")
    return {
        "seconds": started - declared,
        "operations": count,
        "starts_per_s": count / (started - declared),
        "bytes_each": held / count,
        "declare_us": (declared - began) / count * 1e6,
        "wake_us": (woken - waking) / count * 1e6,
    }


def _not_too_slow(stage: Stage, began: float, declared: int) -> None:
    """Raise TimeoutError if declaring takes too long: it is synchronous, so nobody else would."""
    stage.name = f"declaring number {declared:,}"
    if time.perf_counter() - began > LIMIT:
        raise TimeoutError


def sizes(
    name: str,
    contender: Contender,
    backends: tuple[str, ...] = EVERYWHERE,
    kind: Literal["baseline", "tocsin"] = "baseline",
) -> tuple[Case, Case]:
    """Give the case with all subscribers, and the one with a tenth of them."""
    return (
        Case(name=name, run=partial(idle, contender, 1), backends=backends, kind=kind),
        Case(name=name + TENTH, run=partial(idle, contender, 10), backends=backends, kind=kind),
    )


def targets(name: str, suffix: str) -> tuple[Target, ...]:
    """Give what tocsin, in the case called *name*, must reach with all of them, and with a tenth."""
    ours = name + suffix

    def starts(medians: Medians) -> float | None:
        return figure(medians, ours, "starts_per_s")

    return (
        at_most(f"{ours}: at most 1,000 bytes each", 1000, ours, "bytes_each"),
        at_least(f"{ours}: started at 250,000 a second", 250_000, starts),
        at_most(f"{ours}: started no slower than Erlang", 1.0, ours, f"x Erlang{suffix}"),
    )


WORKLOAD = Workload(
    key="W7",
    title="idle subscribers",
    what="A subscriber with nothing to do is a small object, and no task. One operation is one subscriber started:"
    " `bus.running()` until it is entered; declaring it is apart (declare_us), and so is one event for each (wake_us),"
    " which makes the actor of those that are dormant."
    " bytes_each is the growth of the process, names and handler of the user apart; traced_bytes_each is what"
    f" tracemalloc counts, in a second run with {TRACED:,} of them at most. Full size 100,000, and a tenth of it.",
    size=100_000,
    quick=10_000,
    cases=(
        *sizes("tocsin", tocsin, kind="tocsin"),
        *sizes(DORMANT, partial(tocsin, activation="first_event"), kind="tocsin"),
        *sizes("asyncio.Queue and task", asyncio_queues, ASYNCIO),
        *sizes("anyio memory stream and task", anyio_streams),
        erlang_case("w07_idle", "plain", "1"),
        erlang_case("w07_idle", "plain", "10", name="Erlang" + TENTH),
        erlang_case("w07_idle", "hibernating", "1", name="Erlang, hibernating"),
        erlang_case("w07_idle", "hibernating", "10", name="Erlang, hibernating" + TENTH),
    ),
    targets=tuple(each for name in ("tocsin", DORMANT) for suffix in ("", TENTH) for each in targets(name, suffix)),
)
