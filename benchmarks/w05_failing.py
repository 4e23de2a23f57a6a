"""W5: what it costs when one event in a hundred makes its handler raise."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, final

import anyio
from attrs import define, field

from benchmarks.baselines import ASYNCIO, EVERYWHERE
from benchmarks.cases import Case, Figures, Workload
from benchmarks.loads import CAPACITY, Event
from benchmarks.loops import run
from benchmarks.targets import at_most, figure
from benchmarks.verdicts import at_least
from tocsin import Backoff, EventBus, RetryPolicy

NEVER_FAILS = 0
ONE_IN = 100
LETTERS = 1000  # that are kept, as in tocsin's office of dead letters
ONCE = RetryPolicy(max_attempts=1)
THRICE_AT_ONCE = RetryPolicy(max_attempts=3, backoff=Backoff.none())


class OutOfStock(Exception):
    """What goes wrong."""


@final
@define
class Shop:
    """The handler: raises for each event whose number *one_in* divides, and counts the others."""

    events: int
    one_in: int
    attempts: int = 1
    """How often each event that fails is attempted."""
    handled: int = 0
    left: int = field(init=False)
    finished: anyio.Event = field(factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        self.left = self.events + self.failing * (self.attempts - 1)

    @property
    def failing(self) -> int:
        """How many events fail."""
        return self.events // self.one_in if self.one_in else 0

    async def handle(self, event: Event) -> None:
        self.left -= 1
        if not self.left:
            self.finished.set()
        if self.one_in and event.number % self.one_in == 0:
            raise OutOfStock(event.number)
        self.handled += 1


@final
@define
class Sold:
    """What came of a run: the seconds until the last attempt, and how many events were given up."""

    seconds: float
    buried: int
    restarts: int = 0


Contender = Callable[[Shop, list[Event]], Awaitable[Sold]]


def failing(contender: Contender, one_in: int, attempts: int, backend: str, size: int) -> Figures:
    """Run *contender*, and raise if an event was neither handled nor given up, or given up too early or too late."""
    logging.disable()  # a line for each failure is what somebody asked for, or not; here nobody did
    events = [Event(number) for number in range(1, size + 1)]

    async def main() -> tuple[Shop, Sold]:
        shop = Shop(size, one_in, attempts)
        with anyio.fail_after(60):
            return shop, await contender(shop, events)

    shop, sold = run(backend, main)
    if (shop.left, shop.handled, sold.buried) != (0, size - shop.failing, shop.failing):
        raise RuntimeError(f"{shop!r} and {sold!r} do not fit: {shop.failing} events should have been given up")
    return {"seconds": sold.seconds, "operations": size, "buried": sold.buried, "restarts": sold.restarts}


async def publishing(retry: RetryPolicy, shop: Shop, events: list[Event]) -> Sold:
    """tocsin, with the mailbox, office of dead letters and supervision that everybody has."""
    bus = EventBus("benchmark")
    bus.subscribe(shop.handle, Event, name="shop", retry=retry)
    async with bus.running():
        began = time.perf_counter()
        for event in events:
            await bus.publish(event)
        await shop.finished.wait()
        seconds = time.perf_counter() - began
    statistics = bus.statistics()
    kept = statistics.dead_letters + statistics.dead_letters_evicted
    if not statistics.ledger.balanced or kept != statistics.ledger.dead_lettered:
        raise RuntimeError(f"events got lost: {statistics.ledger}, {kept} dead letters")
    return Sold(seconds, kept, statistics.subscriptions["shop"].restarts)


async def bare(shop: Shop, events: list[Event]) -> Sold:
    """The floor: no queue, no other task."""
    office = deque[tuple[Event, Exception]](maxlen=LETTERS)
    began, buried = time.perf_counter(), 0
    for event in events:
        buried += await attempt(shop, event, office)
    return Sold(time.perf_counter() - began, buried)


async def attempt(shop: Shop, event: Event, office: deque[tuple[Event, Exception]]) -> bool:
    """Handle *event*, or keep it with what went wrong; what a worker does who must not die of it."""
    try:
        await shop.handle(event)
    except Exception as error:
        office.append((event, error.with_traceback(None)))
        return True
    return False


async def asyncio_queue(shop: Shop, events: list[Event]) -> Sold:
    """A worker task with an `asyncio.Queue`."""
    queue = asyncio.Queue[Event](CAPACITY)
    office = deque[tuple[Event, Exception]](maxlen=LETTERS)
    buried = 0

    async def work() -> None:
        nonlocal buried
        while True:
            buried += await attempt(shop, await queue.get(), office)
            queue.task_done()

    task = asyncio.create_task(work())
    began = time.perf_counter()
    for event in events:
        await queue.put(event)
    await queue.join()
    seconds = time.perf_counter() - began
    task.cancel()
    return Sold(seconds, buried)


async def anyio_stream(shop: Shop, events: list[Event]) -> Sold:
    """A worker task with an anyio memory object stream."""
    send, receive = anyio.create_memory_object_stream[Event](CAPACITY)
    return await through(send, receive, shop, events)


async def trio_channel(shop: Shop, events: list[Event]) -> Sold:
    """A worker task with a trio memory channel."""
    send, receive = importlib.import_module("trio").open_memory_channel(CAPACITY)
    return await through(send, receive, shop, events)


async def through(send: Any, receive: Any, shop: Shop, events: list[Event]) -> Sold:
    """Publish into one end, and have a task take from the other."""
    office = deque[tuple[Event, Exception]](maxlen=LETTERS)
    buried, seconds = 0, 0.0

    async def work() -> None:
        nonlocal buried
        async with receive:
            async for event in receive:
                buried += await attempt(shop, event, office)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        began = time.perf_counter()
        async with send:
            for event in events:
                await send.send(event)
        await shop.finished.wait()
        seconds = time.perf_counter() - began
    return Sold(seconds, buried)


def case(name: str, contender: Contender, backends: tuple[str, ...] = EVERYWHERE, **options: Any) -> Case:
    """Give a case in which one event in a hundred fails, once."""
    return Case(name=name, run=partial(failing, contender, ONE_IN, 1), backends=backends, **options)


def tocsin(name: str, retry: RetryPolicy, one_in: int = ONE_IN) -> Case:
    run_it = partial(failing, partial(publishing, retry), one_in, retry.max_attempts)
    return Case(name=name, run=run_it, backends=EVERYWHERE, kind="tocsin")


WORKLOAD = Workload(
    key="W5",
    title="one event in a hundred raises",
    what="Failures cost what failures cost, and all other events stay quick: every failing one is a dead letter after"
    " its attempts, none is lost, nobody is restarted. One operation is one event, handled or given up. No logging.",
    size=100_000,
    quick=10_000,
    cases=(
        case("bare", bare, kind="floor"),
        tocsin("tocsin, none raises", RetryPolicy(), NEVER_FAILS),
        tocsin("tocsin", ONCE),
        tocsin("tocsin, 3 attempts at once", THRICE_AT_ONCE),
        case("asyncio.Queue", asyncio_queue, ASYNCIO),
        case("anyio memory stream", anyio_stream),
        case("trio channel", trio_channel, ("trio",), needs=("trio",)),
    ),
    targets=(
        at_least(
            "at least 0.5 x the rate at which none raises, which is W1",
            0.5,
            lambda medians: figure(medians, "tocsin, none raises", "x tocsin"),
        ),
        at_most("nobody is restarted", 0, "tocsin", "restarts"),
    ),
)
