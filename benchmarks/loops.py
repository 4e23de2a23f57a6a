"""The event loops, and the unit of all ratios: what `await handler(event)` costs on each of them, with nothing else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from benchmarks.loads import Event, counting

BARE_EVENTS = 200_000
T = TypeVar("T")


def run(backend: str, main: Callable[[], Awaitable[T]]) -> T:
    """Run *main* on "asyncio", "trio" or "uvloop"."""
    options: dict[str, Any] = {"use_uvloop": True} if backend == "uvloop" else {}
    return anyio.run(main, backend="asyncio" if backend == "uvloop" else backend, backend_options=options)


def bare(backend: str) -> float:
    """Give the seconds that one turn of `for event in events: await handler(event)` takes; the handler counts."""
    events = [Event(number) for number in range(1000)]
    turns = BARE_EVENTS // len(events)
    handler, left = counting(BARE_EVENTS, lambda: None)

    async def main() -> float:
        began = time.perf_counter()
        for _ in range(turns):
            for event in events:
                await handler(event)
        return time.perf_counter() - began

    seconds = run(backend, main)
    if left():
        raise RuntimeError(f"{left()} events were not handled")
    return seconds / BARE_EVENTS
