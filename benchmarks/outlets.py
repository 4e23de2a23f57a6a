"""What events are offered to in W4: a bus, and the plain ways to hand an event to two tasks.

A stuck subscriber must not block the publisher, so what is full loses something: the oldest event with tocsin, the
newest one where a queue cannot do better.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from benchmarks.loads import CAPACITY
from benchmarks.offering import Handler, Offered, Publish, stuck
from tocsin import DropOldest, EventBus


@asynccontextmanager
async def tocsin_bus(handler: Handler, with_stuck: bool) -> AsyncGenerator[Publish]:
    """A bus with two subscribers of the same events."""
    bus = EventBus("benchmark")
    bus.subscribe(handler, Offered, name="fast")
    if with_stuck:
        bus.subscribe(stuck, Offered, name="stuck", overflow=DropOldest(), grace_period=0.1)
    async with bus.running(drain_timeout=0):  # what the stuck one has will never be handled
        yield bus.publish
        ledger = bus.ledger()
        if not ledger.balanced:
            raise RuntimeError(f"deliveries got lost: {ledger}")


@asynccontextmanager
async def asyncio_queues(handler: Handler, with_stuck: bool) -> AsyncGenerator[Publish]:
    """A queue and a worker task for each."""
    fast, other = asyncio.Queue[Offered](CAPACITY), asyncio.Queue[Offered](CAPACITY)

    async def work(queue: asyncio.Queue[Offered], handle: Handler) -> None:
        while True:
            await handle(await queue.get())

    async def to_both(event: Offered) -> None:
        await fast.put(event)
        with suppress(asyncio.QueueFull):
            other.put_nowait(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, fast, handler)
        if with_stuck:
            tasks.start_soon(work, other, stuck)
        yield to_both if with_stuck else fast.put
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def anyio_streams(handler: Handler, with_stuck: bool) -> AsyncGenerator[Publish]:
    """An anyio memory object stream and a task for each."""
    fast, fast_end = anyio.create_memory_object_stream[Offered](CAPACITY)
    other, other_end = anyio.create_memory_object_stream[Offered](CAPACITY)

    async def to_both(event: Offered) -> None:
        await fast.send(event)
        with suppress(anyio.WouldBlock):
            other.send_nowait(event)

    with fast, other, fast_end, other_end:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_receive, fast_end, handler)
            if with_stuck:
                tasks.start_soon(_receive, other_end, stuck)
            yield to_both if with_stuck else fast.send
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def trio_channels(handler: Handler, with_stuck: bool) -> AsyncGenerator[Publish]:
    """A trio memory channel and a task for each."""
    trio = importlib.import_module("trio")
    fast, fast_end = trio.open_memory_channel(CAPACITY)
    other, other_end = trio.open_memory_channel(CAPACITY)

    async def to_both(event: Offered) -> None:
        await fast.send(event)
        with suppress(trio.WouldBlock):
            other.send_nowait(event)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_receive, fast_end, handler)
        if with_stuck:
            nursery.start_soon(_receive, other_end, stuck)
        yield to_both if with_stuck else fast.send
        nursery.cancel_scope.cancel()


async def _receive(receiver: Any, handle: Handler) -> None:
    async for event in receiver:
        await handle(event)
