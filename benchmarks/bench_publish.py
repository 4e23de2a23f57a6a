"""What it costs to have one subscriber handle an event, beside the plain ways to hand an object to a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

from tocsin import EventBus

CAPACITY = 1000  # of every queue, so that all of them push back equally early


class Event:
    """Something that happened, of no content."""

    __slots__ = ()


class Counter:
    """A handler that does next to nothing, so that what is measured is the way to it."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.finished = anyio.Event()

    async def handle(self, event: Event) -> None:
        self._left -= 1
        if not self._left:
            self.finished.set()


async def bare_await_loop(events: int) -> None:
    """The floor: no queue, no other task."""
    counter = Counter(events)
    for _ in range(events):
        await counter.handle(Event())


async def asyncio_queue_worker(events: int) -> None:
    """One task taking from an `asyncio.Queue`; asyncio only."""
    counter = Counter(events)
    queue: asyncio.Queue[Event] = asyncio.Queue(CAPACITY)

    async def work() -> None:
        while True:
            await counter.handle(await queue.get())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        for _ in range(events):
            await queue.put(Event())
        await counter.finished.wait()
        tasks.cancel_scope.cancel()


async def anyio_memory_stream(events: int) -> None:
    """One task taking from an anyio memory object stream."""
    counter = Counter(events)
    send, receive = anyio.create_memory_object_stream[Event](CAPACITY)

    async def work() -> None:
        async with receive:
            async for event in receive:
                await counter.handle(event)

    async with anyio.create_task_group() as tasks, send:
        tasks.start_soon(work)
        for _ in range(events):
            await send.send(Event())
        await counter.finished.wait()
        send.close()


async def tocsin_one_subscriber(events: int) -> None:
    """A supervised subscriber with everything at its default: mailbox, retries, time limit, ledger."""
    counter = Counter(events)
    bus = EventBus("benchmark")
    bus.subscribe(counter.handle, Event, mailbox=CAPACITY)
    async with bus.running():
        for _ in range(events):
            await bus.publish(Event())
        await counter.finished.wait()


Contender = Callable[[int], Awaitable[None]]
BASELINE: Contender = bare_await_loop


def contenders(backend: str) -> list[Contender]:
    """Give what can run on *backend*, the baseline first."""
    everywhere: list[Contender] = [bare_await_loop, anyio_memory_stream, tocsin_one_subscriber]
    return [*everywhere, asyncio_queue_worker] if backend == "asyncio" else everywhere
