"""W10: handlers that really suspend, and what a time limit on each of them adds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal, final

import anyio
import anyio.lowlevel
from attrs import define, field

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Figures, Target, Workload
from benchmarks.loads import CAPACITY, Event
from benchmarks.loops import run
from benchmarks.targets import at_most, times_as_fast
from tocsin import EventBus

LIMIT = 30.0  # seconds: the time limit that tocsin has by default
ANSWERED = ", answered by another task"


@final
@define
class Work:
    """Handlers that suspend, and the task that answers those who wait for it."""

    left: int
    finished: anyio.Event = field(factory=anyio.Event)
    _asked: list[anyio.Event] = field(factory=list[anyio.Event])
    _somebody_asks: anyio.Event = field(factory=anyio.Event)

    async def yielding(self, event: Event) -> None:
        """Let others run once."""
        await anyio.lowlevel.checkpoint()
        self._done()

    async def asking(self, event: Event) -> None:
        """Wait for an answer of another task."""
        answer = anyio.Event()
        self._asked.append(answer)
        self._somebody_asks.set()
        await answer.wait()
        self._done()

    async def answer(self) -> None:
        """Answer, for as long as anybody may ask."""
        while True:
            await self._somebody_asks.wait()
            self._somebody_asks = anyio.Event()
            while self._asked:
                self._asked.pop().set()

    def _done(self) -> None:
        self.left -= 1
        if not self.left:
            self.finished.set()


Handler = Callable[[Event], Awaitable[None]]
Contender = Callable[[Work, Handler, list[Event]], Awaitable[float]]


def suspending(contender: Contender, answered: bool, backend: str, size: int) -> Figures:
    """Run *contender* with a handler that yields, or with one that is answered; raise if an event was not handled."""
    events = [Event(number) for number in range(size)]

    async def main() -> tuple[float, int]:
        work, seconds = Work(size), 0.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work.answer)
            seconds = await contender(work, work.asking if answered else work.yielding, events)
            tasks.cancel_scope.cancel()
        return seconds, work.left

    seconds, left = run(backend, main)
    if left:
        raise RuntimeError(f"{left} of {size} events were not handled, or more than those")
    return {"seconds": seconds, "operations": size}


async def bare(work: Work, handler: Handler, events: list[Event]) -> float:
    """The floor: the handler awaited, with nothing else."""
    began = time.perf_counter()
    for event in events:
        await handler(event)
    return time.perf_counter() - began


async def bare_in_time(work: Work, handler: Handler, events: list[Event]) -> float:
    """The same, each within anyio's own time limit."""
    began = time.perf_counter()
    for event in events:
        with anyio.fail_after(LIMIT):
            await handler(event)
    return time.perf_counter() - began


async def publishing(work: Work, handler: Handler, events: list[Event], *, capacity: int | None = None) -> float:
    """tocsin, whose time limit is on by default."""
    bus = EventBus("benchmark")
    bus.subscribe(handler, Event, name="suspending", mailbox=capacity or len(events))
    async with bus.running():
        began = time.perf_counter()
        for event in events:
            await bus.publish(event)
        await work.finished.wait()
        return time.perf_counter() - began


async def asyncio_queue(in_time: bool, work: Work, handler: Handler, events: list[Event]) -> float:
    """A worker task with an `asyncio.Queue`, and asyncio's own time limit if *in_time*."""
    queue = asyncio.Queue[Event](len(events))

    async def serve() -> None:
        while True:
            event = await queue.get()
            if in_time:
                async with asyncio.timeout(LIMIT):
                    await handler(event)
            else:
                await handler(event)

    task = asyncio.create_task(serve())
    began = time.perf_counter()
    for event in events:
        await queue.put(event)
    await work.finished.wait()
    seconds = time.perf_counter() - began
    task.cancel()
    return seconds


async def anyio_stream(in_time: bool, work: Work, handler: Handler, events: list[Event]) -> float:
    """A worker task with an anyio memory object stream, and anyio's time limit if *in_time*."""
    send, receive = anyio.create_memory_object_stream[Event](len(events))

    def limit() -> AbstractContextManager[object]:
        return anyio.fail_after(LIMIT) if in_time else nullcontext()

    async def serve() -> None:
        async with receive:
            async for event in receive:
                with limit():
                    await handler(event)

    began = ended = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        async with send:
            for event in events:
                await send.send(event)
        await work.finished.wait()
        ended = time.perf_counter()
    return ended - began


def both(
    name: str,
    contender: Contender,
    backends: tuple[str, ...] = EVERYWHERE,
    kind: Literal["floor", "baseline", "tocsin"] = "baseline",
) -> tuple[Case, Case]:
    """Give the case with handlers that yield, and the one with handlers that another task answers."""
    return (
        Case(name=name, run=partial(suspending, contender, False), backends=backends, kind=kind),
        Case(name=name + ANSWERED, run=partial(suspending, contender, True), backends=backends, kind=kind),
    )


def targets(suffix: str) -> tuple[Target, Target]:
    bare_one = "the handler alone" + suffix
    return (
        at_most(f"at most 2 x {bare_one}", 2.0, "tocsin" + suffix, f"x {bare_one}"),
        times_as_fast(2.0, f"under fail_after{suffix}", "tocsin" + suffix),
    )


WORKLOAD = Workload(
    key="W10",
    title="handlers that really suspend, with a time limit",
    what="A time limit costs a fraction of the suspension it guards. One operation is one event whose handler gives way"
    " once, or waits for an event that another task sets. All queues hold all events, so that nobody waits for room,"
    " but in the case with a mailbox of 1,000, which shows what that costs.",
    size=50_000,
    quick=5_000,
    cases=(
        *both("the handler alone", bare, kind="floor"),
        *both("under fail_after", bare_in_time),
        *both("tocsin", publishing, kind="tocsin"),
        *both("tocsin, waiting for room", partial(publishing, capacity=CAPACITY), kind="tocsin"),
        *both("asyncio.Queue", partial(asyncio_queue, False), ASYNCIO),
        *both("asyncio.Queue, asyncio.timeout", partial(asyncio_queue, True), ASYNCIO),
        *both("anyio memory stream", partial(anyio_stream, False)),
        *both("anyio memory stream, fail_after", partial(anyio_stream, True)),
    ),
    targets=(*targets(""), *targets(ANSWERED)),
)
