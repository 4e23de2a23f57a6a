"""Storms: crashes by the thousand, and a count of what they leave behind. For `leaks.py` and for the tests."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import anyio.lowlevel

from tocsin_supervisors import RestartIntensity

# No supervisor can restart so often within a millisecond; and what is remembered of the restarts stays small.
NEVER_TRIPS = RestartIntensity(10**9, 0.001, max_consecutive=None)
CALM = 1.1  # seconds after which no failure counts as a recent one any more
STEPS = 200  # turns of the event loop; giving up a nested supervisor and restarting it takes some forty


class Storm:
    """Has children crash a given number of times, all of them together, and wait in between.

    Each child awaits `turn` and then crashes, or whatever it is to do.
    """

    def __init__(self) -> None:
        self._left = 0  # crashes, until the storm is over
        self._begins = anyio.Event()
        self._ends = anyio.Event()

    async def turn(self) -> None:
        """Wait until it is the caller's turn to crash."""
        while not self._left:
            await self._begins.wait()
        self._left -= 1
        if not self._left:
            self._ends.set()

    async def rage(self, crashes: int) -> None:
        """Have *crashes* crashes happen. The last child to crash may be down yet."""
        self._left = crashes
        self._begins.set()
        self._begins, self._ends = anyio.Event(), anyio.Event()
        await self._ends.wait()

    async def calm(self) -> None:
        """Bring about the same state each time: all children wait, and one failure is a recent one."""
        await _settle()
        await anyio.sleep(CALM)
        await self.rage(1)
        await _settle()


async def _settle() -> None:
    """Let the last restart come to its end, by steps: on a busy machine any time may be too short."""
    for _ in range(STEPS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()  # trio forgets the deadlines of what is over when it has nothing else to do


@contextmanager
def uncollected() -> Generator[None]:
    """Switch the garbage collector off: then all that only it would find counts as left behind."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def count_kinds(into: Counter[type]) -> None:
    """Count the objects there are now by their types. *into* is made by the caller, so that it counts as itself."""
    for each in gc.get_objects():
        into[type(each)] += 1  # by hand: Counter.update() itself leaves caches behind when it is first called


def growth(before: Counter[type], after: Counter[type]) -> dict[str, int]:
    """Give of which types there are more now, or fewer, those that changed most first."""
    changes = {kind: after[kind] - before[kind] for kind in {*before, *after}}
    ordered = sorted(changes.items(), key=lambda change: -abs(change[1]))
    return {f"{kind.__module__}.{kind.__qualname__}": change for kind, change in ordered if change}


async def left_behind(storm: Storm, crashes: int) -> dict[str, int]:
    """Give of which types there are more objects, or fewer, after *crashes* crashes than before them."""
    before: Counter[type] = Counter()
    after: Counter[type] = Counter()
    with uncollected():
        await storm.rage(crashes // 10)  # whatever grows once, has grown then
        await storm.calm()
        count_kinds(before)
        await storm.rage(crashes)
        await storm.calm()
        count_kinds(after)
    return growth(before, after)
