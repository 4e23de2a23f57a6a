"""Events offered at a fixed rate, whoever listens, and how late each of them is handled."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field

from benchmarks.cases import Figures
from benchmarks.loops import run
from benchmarks.samples import percentiles

RATE = 10_000  # events a second
FLOOD, GREATER_FLOOD = 2_000, 10_000  # events that a stuck subscriber gets: twice, and ten times, what it has room for


@final
@define
class Offered:
    """An event that knows when it should have been published, and when it was; in seconds of `time.perf_counter`."""

    due: float
    published: float


Handler: TypeAlias = Callable[[Offered], Awaitable[None]]
Publish: TypeAlias = Callable[[Offered], Awaitable[object]]
Outlet: TypeAlias = Callable[[Handler, bool], AbstractAsyncContextManager[Publish]]
"""Opens something that hands what is published to a fast handler and, if asked to, to one that is stuck, too."""


async def stuck(event: Offered) -> None:
    """The handler of the stuck subscriber: begins, and never ends."""
    await anyio.sleep_forever()


@final
@define
class Delays:
    """What the fast subscriber notes of each event."""

    expected: int
    from_due: list[float] = field(factory=list[float])
    from_publish: list[float] = field(factory=list[float])
    complete: anyio.Event = field(factory=anyio.Event)

    async def note(self, event: Offered) -> None:
        """Handle an event."""
        now = time.perf_counter()
        self.from_due.append(now - event.due)
        self.from_publish.append(now - event.published)
        if len(self.from_due) == self.expected:
            self.complete.set()


async def offer(publish: Publish, events: int) -> None:
    """Publish each event when it is due, or as soon as possible after that; none is left out."""
    clock = time.perf_counter
    began = clock()
    for number in range(events):
        due = began + number / RATE
        # Timers of event loops count milliseconds, so events come in bursts of ten, with every contender.
        while (now := clock()) < due:  # noqa: ASYNC110  # time is what this waits for, and no event tells of it
            await anyio.sleep(due - now)
        await publish(Offered(due, now))


def measure(outlet: Outlet, with_stuck: bool, backend: str, size: int) -> Figures:
    """Offer *size* events, and say how late the fast subscriber had them and what the stuck one cost."""
    return run(backend, lambda: _measure(outlet, with_stuck, size))


async def _measure(outlet: Outlet, with_stuck: bool, size: int) -> Figures:
    delays = Delays(size)
    async with outlet(delays.note, with_stuck) as publish:
        began = time.perf_counter()
        await offer(publish, size)
        with anyio.fail_after(30):
            await delays.complete.wait()
        seconds = time.perf_counter() - began
    found = percentiles(delays.from_publish) | percentiles(delays.from_due, "due_")
    kept = await _kept_by_stuck(outlet) if with_stuck else {}
    return {"seconds": seconds, "operations": size, **found, **kept}


async def _kept_by_stuck(outlet: Outlet) -> Figures:
    """Count the bytes that are there because a stuck subscriber was flooded, and after it was flooded more."""
    async with outlet(_forget, True) as publish:
        await _flood(publish, 10)  # what is allocated once, is by now
        tracemalloc.start()
        try:
            await _flood(publish, FLOOD)
            early = tracemalloc.get_traced_memory()[0]
            await _flood(publish, GREATER_FLOOD - FLOOD)
            return {"stuck_bytes_early": early, "stuck_bytes": tracemalloc.get_traced_memory()[0]}
        finally:
            tracemalloc.stop()


async def _flood(publish: Publish, events: int) -> None:
    """Publish *events*, none faster than the fast subscriber takes them, and let go of what nobody needs any more."""
    for _ in range(0, events, 10):
        for _ in range(10):
            await publish(Offered(0.0, 0.0))
        await anyio.lowlevel.checkpoint()
    await anyio.sleep(0.05)
    gc.collect()


async def _forget(event: Offered) -> None:
    """The fast handler of a flood."""
