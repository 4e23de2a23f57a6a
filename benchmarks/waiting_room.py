"""Subscribers by the thousand that wait for their first event: how they are made, in W7, and then woken once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field

from benchmarks.loads import CAPACITY, Event
from tocsin import EventBus

LIMIT = 60.0  # seconds that a contender may take in all


@final
@define
class Guests:
    """The user's own objects: a name for each subscriber, and one handler for all of them."""

    names: list[str]
    waiting: int = 0
    """Tasks that have come to wait; tocsin needs none."""
    woken: int = 0
    all_woken: anyio.Event = field(factory=anyio.Event)

    async def handle(self, event: Event) -> None:
        self.woken += 1
        if self.woken == len(self.names):
            self.all_woken.set()

    async def all_waiting(self) -> None:
        """Let the tasks run until each has come to wait."""
        while self.waiting < len(self.names):
            await anyio.lowlevel.checkpoint()


Send: TypeAlias = Callable[[Event], Awaitable[None]]
Room: TypeAlias = AbstractAsyncContextManager[Send]
"""Entered, all guests wait for events; it gives the way to send one to each of them."""
Contender: TypeAlias = Callable[[Guests, Callable[[int], None]], Room]
"""Declares the guests, and calls back with the number of those declared now and then: who is too slow is stopped."""


def tocsin(
    guests: Guests, declared: Callable[[int], None], activation: Literal["start", "first_event"] = "start"
) -> Room:
    """Declare subscribers on a bus; their actors start with it, or with the first event."""
    bus = EventBus("benchmark")
    for number, name in enumerate(guests.names):
        if number % 100 == 0:
            declared(number)
        bus.subscribe(guests.handle, Event, name=name, activation=activation)

    @asynccontextmanager
    async def started() -> AsyncGenerator[Send]:
        async def send(event: Event) -> None:
            await bus.publish(event)

        async with bus.running():
            yield send

    return started()


def asyncio_queues(guests: Guests, declared: Callable[[int], None]) -> Room:
    """Make a task with an `asyncio.Queue` for each; nothing is there before it is started."""

    async def work(queue: asyncio.Queue[Event]) -> None:
        guests.waiting += 1
        while True:
            await guests.handle(await queue.get())

    @asynccontextmanager
    async def started() -> AsyncGenerator[Send]:
        queues = [asyncio.Queue[Event](CAPACITY) for _ in guests.names]
        tasks = [asyncio.create_task(work(queue)) for queue in queues]

        async def send(event: Event) -> None:
            for queue in queues:
                await queue.put(event)

        await guests.all_waiting()
        yield send
        for task in tasks:
            task.cancel()

    return started()


def anyio_streams(guests: Guests, declared: Callable[[int], None]) -> Room:
    """Make a task with an anyio memory object stream for each."""

    async def work(receive: Any) -> None:
        guests.waiting += 1
        async for event in receive:
            await guests.handle(event)

    @asynccontextmanager
    async def started() -> AsyncGenerator[Send]:
        pairs = [anyio.create_memory_object_stream[Event](CAPACITY) for _ in guests.names]

        async def send(event: Event) -> None:
            for sender, _ in pairs:
                sender.send_nowait(event)

        async with anyio.create_task_group() as tasks:
            for _, receive in pairs:
                tasks.start_soon(work, receive)
            await guests.all_waiting()
            yield send
            tasks.cancel_scope.cancel()
        for sender, receive in pairs:
            sender.close()
            receive.close()

    return started()
