"""W8: publishing from another thread."""

from __future__ import annotations

import asyncio
import importlib
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, final

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from attrs import define, field

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Figures, Workload
from benchmarks.loads import Event
from benchmarks.loops import run
from benchmarks.targets import times_as_fast
from tocsin import EventBus

Post = Callable[[Event], object]
POST = "post_from_thread"  # by name: older versions, to which this one is compared, have no such method
CALL_SOON, RUN_SOON = "call_soon_threadsafe", "run_sync_soon"
WAITING = 20  # so many times fewer events where the thread waits until each of them is taken


@final
@define
class Arrivals:
    """The events, the handler that counts them, and the times of the thread that publishes them and of all."""

    events: list[Event]
    left: int = field(init=False)
    seconds: float = 0.0
    producer_seconds: float = 0.0
    _finished: anyio.Event = field(factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        self.left = len(self.events)

    async def handle(self, event: Event) -> None:
        self.left -= 1
        if not self.left:
            self._finished.set()

    async def produced_by(self, post: Post) -> None:
        """Have another thread post all events, and wait until the last one is handled."""
        began = time.perf_counter()
        self.producer_seconds = await anyio.to_thread.run_sync(self._produce, post)
        with anyio.fail_after(60):
            await self._finished.wait()
        self.seconds = time.perf_counter() - began

    def _produce(self, post: Post) -> float:
        began = time.perf_counter()
        for event in self.events:
            post(event)
        return time.perf_counter() - began

    def figures(self) -> Figures:
        """Give the figures; raise if an event was not handled, or handled twice."""
        if self.left:
            raise RuntimeError(f"{self.left} events were not handled, or more than there are")
        events = len(self.events)
        producer_us = self.producer_seconds / events * 1e6
        return {"seconds": self.seconds, "operations": events, "producer_us": producer_us}


Contender = Callable[[Arrivals], Awaitable[None]]


def from_thread(contender: Contender, fewer: int, backend: str, size: int) -> Figures:
    """Run *contender* with one *fewer*-th of the events."""

    async def main() -> Figures:
        arrivals = Arrivals([Event(number) for number in range(size // fewer)])
        await contender(arrivals)
        return arrivals.figures()

    return run(backend, main)


async def tocsin_posting(arrivals: Arrivals) -> None:
    """tocsin, and the thread does not wait."""
    await tocsin(arrivals, lambda bus: getattr(bus, POST))


async def tocsin_publishing(arrivals: Arrivals) -> None:
    """tocsin, and the thread waits until each event is taken, and has its receipt."""
    await tocsin(arrivals, lambda bus: bus.publish_from_thread)


async def tocsin(arrivals: Arrivals, way: Callable[[EventBus], Post]) -> None:
    bus = EventBus("benchmark")
    bus.subscribe(arrivals.handle, Event, name="counter")
    async with bus.running():
        await arrivals.produced_by(way(bus))


async def call_soon(arrivals: Arrivals) -> None:
    """One `call_soon_threadsafe` for each event, that puts it into an `asyncio.Queue`."""
    queue, loop = asyncio.Queue[Event](), asyncio.get_running_loop()

    async def work() -> None:
        while True:
            await arrivals.handle(await queue.get())

    task = asyncio.create_task(work())
    await arrivals.produced_by(lambda event: loop.call_soon_threadsafe(queue.put_nowait, event))
    task.cancel()


async def run_soon(arrivals: Arrivals) -> None:
    """One `run_sync_soon` for each event, that puts it into a trio memory channel."""
    trio = importlib.import_module("trio")
    send, receive = trio.open_memory_channel(math.inf)
    token = trio.lowlevel.current_trio_token()
    await through(receive, lambda event: token.run_sync_soon(send.send_nowait, event), arrivals)


async def run_sync(arrivals: Arrivals) -> None:
    """One `anyio.from_thread.run_sync` for each event, that puts it into an anyio memory object stream."""
    send, receive = anyio.create_memory_object_stream[Event](math.inf)
    with send, receive:
        await through(receive, lambda event: anyio.from_thread.run_sync(send.send_nowait, event), arrivals)


async def through(receive: Any, post: Post, arrivals: Arrivals) -> None:
    """Have a task take from one end what the thread posts into the other."""

    async def work() -> None:
        async for event in receive:
            await arrivals.handle(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await arrivals.produced_by(post)
        tasks.cancel_scope.cancel()


@final
class ThreadQueue:
    """A thread-safe queue by hand, as janus is one: a lock, a deque, and one wake-up for all events since the last."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._is_woken = False
        self._more = anyio.Event()

    def put(self, event: Event) -> None:
        """Called by any thread."""
        with self._lock:
            self._events.append(event)
            wake, self._is_woken = not self._is_woken, True
        if wake:
            self._soon(self._wake)

    def _wake(self) -> None:
        self._more.set()

    async def take_all(self) -> deque[Event]:
        """Wait for events, and take all there are; called in the loop."""
        await self._more.wait()
        self._more = anyio.Event()
        with self._lock:
            taken, self._events = self._events, deque()
            self._is_woken = False
        return taken


async def by_hand(arrivals: Arrivals) -> None:
    """A thread-safe queue by hand, without a bound."""
    native: Any = anyio.lowlevel.current_token().native_token
    queue = ThreadQueue(getattr(native, CALL_SOON, None) or native.run_sync_soon)

    async def work() -> None:
        while True:
            for event in await queue.take_all():
                await arrivals.handle(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await arrivals.produced_by(queue.put)
        tasks.cancel_scope.cancel()


def posting() -> tuple[Case, ...]:
    """Give the case in which the thread does not wait, if this version of tocsin can do that."""
    if not hasattr(EventBus, POST):
        return ()
    return (Case(name="tocsin", run=partial(from_thread, tocsin_posting, 1), backends=EVERYWHERE, kind="tocsin"),)


WORKLOAD = Workload(
    key="W8",
    title="publishing from another thread",
    what="Wake-ups of the loop are shared, so an event from a thread costs far less than a `call_soon_threadsafe`."
    " One operation is one event, from its thread to the end of its handler; producer_us is what the thread spends.",
    size=100_000,
    quick=20_000,
    cases=(
        *posting(),
        Case(
            name="tocsin publish_from_thread",
            run=partial(from_thread, tocsin_publishing, WAITING),
            backends=EVERYWHERE,
            kind="tocsin",
        ),
        Case(name=CALL_SOON, run=partial(from_thread, call_soon, 1), backends=ASYNCIO),
        Case(name=RUN_SOON, run=partial(from_thread, run_soon, 1), backends=("trio",), needs=("trio",)),
        Case(name="from_thread.run_sync", run=partial(from_thread, run_sync, WAITING), backends=EVERYWHERE),
        Case(name="thread-safe queue by hand", run=partial(from_thread, by_hand, 1), backends=EVERYWHERE),
    ),
    targets=(times_as_fast(5, CALL_SOON), times_as_fast(5, RUN_SOON)),
)
