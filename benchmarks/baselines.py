"""The plain ways to hand events over: a loop, queues, streams and channels, with one task for each subscriber."""

from __future__ import annotations

import asyncio
import importlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio

from benchmarks.cases import Case, Figures
from benchmarks.loads import CAPACITY, Contender, Event, Load, Shape
from benchmarks.loops import run

ASYNCIO = ("asyncio", "uvloop")
EVERYWHERE = ("asyncio", "trio", "uvloop")
Put = Callable[[Any], Awaitable[object]]


def delivering(contender: Contender, shape: Shape, most: int | None = None) -> Callable[[str, int], Figures]:
    """Make a case's `run` of a contender, with at most *most* deliveries for those that would take all day."""

    def run_it(backend: str, size: int) -> Figures:
        load = Load.of(size if most is None else min(size, most), shape)

        async def main() -> None:
            await contender(load)

        run(backend, main)
        load.check()
        return {"seconds": load.seconds, "operations": load.deliveries}

    return run_it


async def publish(load: Load, ways: Sequence[tuple[type[Event], Put]]) -> None:
    """Start the clock and put each event into every way that its type has."""
    routes: Mapping[type[Event], list[Put]] = defaultdict(list)
    for kind, put in ways:
        routes[kind].append(put)
    load.begin()
    if len(ways) == 1:  # nobody who has one queue looks it up
        ((_, put),) = ways
        for event in load.events:
            await put(event)
    else:
        for event in load.events:
            for put in routes[type(event)]:
                await put(event)


async def bare(load: Load) -> None:
    """The floor: no queue, no other task."""
    await publish(load, [(each.kind, each.handle) for each in load.subscribers])


async def asyncio_queue(load: Load) -> None:
    """A worker task with an `asyncio.Queue` for each subscriber, as the documentation of asyncio has it."""
    queues: list[asyncio.Queue[Event]] = [asyncio.Queue(CAPACITY) for _ in load.subscribers]

    async def work(queue: asyncio.Queue[Event], handle: Put) -> None:
        while True:
            await handle(await queue.get())
            queue.task_done()

    works = zip(queues, load.subscribers, strict=True)
    tasks = [asyncio.create_task(work(queue, each.handle)) for queue, each in works]
    await publish(load, [(each.kind, queue.put) for queue, each in zip(queues, load.subscribers, strict=True)])
    for queue in queues:
        await queue.join()
    for task in tasks:
        task.cancel()


async def asyncio_queue_alone(load: Load) -> None:
    """The least that a queue and a worker task can be: `put` and `get`, and nobody who asks whether all is done."""
    queue: asyncio.Queue[Event] = asyncio.Queue(CAPACITY)
    (subscriber,) = load.subscribers

    async def work() -> None:
        while True:
            await subscriber.handle(await queue.get())

    task = asyncio.create_task(work())
    await publish(load, [(subscriber.kind, queue.put)])
    await load.handled()
    task.cancel()


async def anyio_stream(load: Load) -> None:
    """A task with an anyio memory object stream for each subscriber."""

    async def work(receive: Any, handle: Put) -> None:
        async with receive:
            async for event in receive:
                await handle(event)

    async with anyio.create_task_group() as tasks:
        ways: list[tuple[type[Event], Any]] = []
        for each in load.subscribers:
            send, receive = anyio.create_memory_object_stream[Event](CAPACITY)
            ways.append((each.kind, send))
            tasks.start_soon(work, receive, each.handle)
        await publish(load, [(kind, send.send) for kind, send in ways])
        for _, send in ways:
            send.close()


async def trio_channel(load: Load) -> None:
    """A task with a trio memory channel for each subscriber."""
    trio = importlib.import_module("trio")

    async def work(receive: Any, handle: Put) -> None:
        async with receive:
            async for event in receive:
                await handle(event)

    async with trio.open_nursery() as nursery:
        ways: list[tuple[type[Event], Any]] = []
        for each in load.subscribers:
            send, receive = trio.open_memory_channel(CAPACITY)
            ways.append((each.kind, send))
            nursery.start_soon(work, receive, each.handle)
        await publish(load, [(kind, send.send) for kind, send in ways])
        for _, send in ways:
            send.close()


def baselines(shape: Shape) -> tuple[Case, ...]:
    """Give the cases that every workload of this shape is measured beside."""
    return (
        Case(name="bare", run=delivering(bare, shape), backends=EVERYWHERE, kind="floor"),
        Case(name="asyncio.Queue", run=delivering(asyncio_queue, shape), backends=ASYNCIO),
        Case(name="anyio memory stream", run=delivering(anyio_stream, shape), backends=EVERYWHERE),
        Case(name="trio channel", run=delivering(trio_channel, shape), backends=("trio",), needs=("trio",)),
    )
