"""Who starts a crashed actor again in W6: tocsin, loops by hand, and the supervisors of others."""

from __future__ import annotations

import asyncio
import importlib
import queue
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from benchmarks.crashing import Crash, Record
from benchmarks.loads import CAPACITY, Event
from tocsin import Backoff, EventBus, RestartIntensity, RetryPolicy, SupervisionWarning, handles

Restarter = Callable[[Record, anyio.Event], Awaitable[None]]
"""Overcomes the crashes of the record, whose last event sets the other one."""

# So short a window never holds so many restarts, and remembering them costs nothing.
NEVER_TRIPS = RestartIntensity(10**9, 0.001, max_consecutive=None)


class Frail:
    """An actor class: whatever state it had is gone after a failed attempt."""

    def __init__(self, record: Record) -> None:
        self.record = record
        record.lives += 1

    @handles(Event)
    async def take(self, event: Event) -> None:
        self.record.take()


async def tocsin_actor(record: Record, finished: anyio.Event) -> None:
    """A failing event becomes a dead letter at once, and the actor is built anew without a delay."""
    warnings.simplefilter("ignore", SupervisionWarning)  # restarts without delay or limit are what is measured here
    bus = EventBus("benchmark", intensity=NEVER_TRIPS)
    bus.subscribe_actor(
        partial(Frail, record),
        of=Frail,
        name="frail",
        retry=RetryPolicy(max_attempts=1),
        on_failure="restart",
        backoff=Backoff.none(),
        intensity=NEVER_TRIPS,
    )
    async with bus.running():
        record.begin()
        for number in range(record.events_needed):
            await bus.publish(Event(number))
        await finished.wait()
    ledger = bus.ledger()
    if not ledger.balanced or ledger.dead_lettered != record.expected:
        raise RuntimeError(f"events got lost: {ledger}")


async def task_and_group(record: Record, finished: anyio.Event) -> None:
    """The unit of the target: a fresh task group, and one task started in it and joined. Nothing crashes."""

    async def nothing() -> None: ...

    record.begin()
    for _ in range(record.expected):
        before = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nothing)
        record.delays.append(time.perf_counter() - before)
    record.ended = time.perf_counter()
    record.crashes, record.lives = record.expected, record.expected + 1


async def asyncio_loop(record: Record, finished: anyio.Event) -> None:
    """A loop by hand: a new asyncio task for each life, and the queue survives."""
    events = asyncio.Queue[Event](CAPACITY)

    async def life() -> None:
        record.lives += 1
        while True:
            await events.get()
            record.take()

    async def supervise() -> None:
        while True:
            try:
                await asyncio.create_task(life())
            except Crash:
                continue

    supervisor = asyncio.create_task(supervise())
    record.begin()
    for number in range(record.events_needed):
        await events.put(Event(number))
    await finished.wait()
    supervisor.cancel()


async def anyio_loop(record: Record, finished: anyio.Event) -> None:
    """A loop by hand: a fresh task group with one task for each life, and the stream survives."""
    send, receive = anyio.create_memory_object_stream[Event](CAPACITY)

    async def life() -> None:
        record.lives += 1
        while True:
            await receive.receive()
            record.take()

    async def supervise() -> None:
        while True:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(life)
            except* Crash:
                pass

    with send, receive:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervise)
            record.begin()
            for number in range(record.events_needed):
                await send.send(Event(number))
            await finished.wait()
            tasks.cancel_scope.cancel()


async def mode_supervisor(record: Record, finished: anyio.Event) -> None:
    """mode's supervisor with a service that takes from a queue; its limit is lifted."""
    mode = importlib.import_module("mode")
    events = asyncio.Queue[Event](CAPACITY)

    async def life(service: Any) -> None:
        record.lives += 1
        while not service.should_stop:
            await events.get()
            record.take()

    service = type("Frail", (mode.Service,), {"life": mode.Service.task(life)})()
    supervisor = mode.OneForOneSupervisor(max_restarts=1e9)
    supervisor.add(service)
    await supervisor.start()
    await asyncio.sleep(0.001)  # a crash before its own task has begun would be noticed five seconds later
    record.begin()
    for number in range(record.events_needed):
        await events.put(Event(number))
    await finished.wait()
    await supervisor.stop()


def pykka_actors(record: Record, finished: threading.Event) -> None:
    """pykka by hand: the failing actor starts its successor. Its inbox is lost, so each life is sent its own events."""
    pykka = importlib.import_module("pykka")
    started: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def on_receive(self: Any, event: Event) -> None:
        record.take()

    def on_failure(self: Any, *error: object) -> None:
        start()

    kind: Any = type("Frail", (pykka.ThreadingActor,), {"on_receive": on_receive, "on_failure": on_failure})

    def start() -> None:
        record.lives += 1
        started.put(kind.start())

    start()
    record.begin()
    for number in range(record.expected):
        actor = started.get(timeout=10)
        actor.tell(Event(2 * number))
        actor.tell(Event(2 * number + 1))
    started.get(timeout=10).tell(Event(record.events_needed))
    finished.wait()
    pykka.ActorRegistry.stop_all()
