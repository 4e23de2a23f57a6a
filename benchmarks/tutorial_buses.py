"""Two event buses as tutorials have them: handlers gathered by the publisher, and a priority queue that is polled."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import defaultdict
from typing import final

from benchmarks.loads import Handler, Load

POLL = 0.01  # seconds between two looks at an empty queue


@final
class GatherBus:
    """Publishing runs all handlers at once and waits for them."""

    def __init__(self) -> None:
        self._handlers: dict[type, list[Handler]] = defaultdict(list)

    def subscribe(self, kind: type, handler: Handler) -> None:
        self._handlers[kind].append(handler)

    async def publish(self, event: object) -> None:
        handlers = self._handlers[type(event)]
        await asyncio.gather(*(handler(event) for handler in handlers), return_exceptions=True)


@final
class PolledBus:
    """Publishing pushes onto a heap without a bound; one task takes from it, and sleeps when it finds nothing."""

    def __init__(self) -> None:
        self._handlers: dict[type, list[Handler]] = defaultdict(list)
        self._heap: list[tuple[int, int, object]] = []
        self._numbers = itertools.count()

    def subscribe(self, kind: type, handler: Handler) -> None:
        self._handlers[kind].append(handler)

    async def publish(self, event: object, priority: int = 1) -> None:
        heapq.heappush(self._heap, (priority, next(self._numbers), event))

    async def work(self) -> None:
        while True:
            if not self._heap:
                await asyncio.sleep(POLL)
                continue
            _, _, event = heapq.heappop(self._heap)
            for handler in self._handlers[type(event)]:
                try:
                    await handler(event)
                except Exception as error:
                    print(f"handler failed: {error}")


async def gather_bus(load: Load) -> None:
    bus = GatherBus()
    for each in load.subscribers:
        bus.subscribe(each.kind, each.handle)
    load.begin()
    for event in load.events:
        await bus.publish(event)
    await load.handled()


async def polled_heap(load: Load) -> None:
    bus = PolledBus()
    for each in load.subscribers:
        bus.subscribe(each.kind, each.handle)
    worker = asyncio.create_task(bus.work())
    load.begin()
    for event in load.events:
        await bus.publish(event)
    await load.handled()
    worker.cancel()
