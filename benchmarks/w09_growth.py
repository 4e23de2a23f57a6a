"""W9: the cost of a delivery as subscribers, event types and waiting events become more, beside bare deques."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.baselines import EVERYWHERE, delivering
from benchmarks.cases import Case, Figures, Medians, Target, Workload
from benchmarks.contestants import publishing
from benchmarks.loads import CAPACITY, Contender, Event, Handler, Load, Shape
from benchmarks.targets import figure
from tocsin import EventBus

NUMBERS = (1, 10, 100, 1_000, 10_000)  # of subscribers, or of types
DEPTHS = (1, 100, 10_000, 1_000_000)  # of a mailbox
DELIVERIES = 100_000  # for each number; for a depth at least once so many as it is deep
FLAT = 1.5
Lane = tuple[deque[Event], Handler]
Point = Callable[[int], Callable[[str, int], Figures]]  # number → a case's run


async def deques(load: Load) -> None:
    """The least that delivers later: a deque each, a list of those that hold something, and nobody who watches."""
    lanes: dict[type, list[Lane]] = defaultdict(list)
    for each in load.subscribers:
        lanes[each.kind].append((deque(), each.handle))
    load.begin()
    for start in range(0, len(load.events), CAPACITY):
        ready: list[Lane] = []
        for event in load.events[start : start + CAPACITY]:
            for lane in lanes[type(event)]:
                if not lane[0]:
                    ready.append(lane)
                lane[0].append(event)
        for waiting, handle in ready:
            while waiting:
                await handle(waiting.popleft())


async def deep_deque(depth: int, load: Load) -> None:
    """Fill one deque as deep as that, and empty it."""
    (subscriber,) = load.subscribers
    waiting: deque[Event] = deque()
    load.begin()
    for start in range(0, len(load.events), depth):
        for event in load.events[start : start + depth]:
            waiting.append(event)
        while waiting:
            await subscriber.handle(waiting.popleft())


async def deep_mailbox(depth: int, load: Load) -> None:
    """Fill one mailbox as deep as that from synchronous code, and wait until its last event is settled."""
    (subscriber,) = load.subscribers
    bus = EventBus("benchmark")
    bus.subscribe(subscriber.handle, subscriber.kind, mailbox=depth)
    async with bus.running():
        load.begin()
        for start in range(0, len(load.events), depth):
            receipts = map(bus.publish_nowait, load.events[start : start + depth])
            (last,) = deque(receipts, maxlen=1)
            await last.settled()
        await load.handled()


def fanned_out(contender: Contender, number: int) -> Callable[[str, int], Figures]:
    return delivering(contender, Shape(subscribers=number), DELIVERIES)


def of_many_types(contender: Contender, number: int) -> Callable[[str, int], Figures]:
    return delivering(contender, Shape(kinds=number), DELIVERIES)


def as_deep(contender: Callable[[int, Load], Awaitable[None]], depth: int) -> Callable[[str, int], Figures]:
    return delivering(partial(contender, depth), Shape(), max(DELIVERIES, depth))


def growing(point: Point, numbers: tuple[int, ...]) -> Callable[[str, int], Figures]:
    """Make a case's `run` that measures each number in turn, as far as the size goes."""

    def run(backend: str, size: int) -> Figures:
        whole: Figures = {"seconds": 0.0, "operations": 0.0}
        costs: list[float] = []
        for number in numbers:
            if number > size:
                break
            part = point(number)(backend, size)
            whole["seconds"] += part["seconds"]
            whole["operations"] += part["operations"]
            costs.append(part["seconds"] / part["operations"] * 1e6)
            whole[f"us_{number}"] = costs[-1]
        return {**whole, "growth": costs[-1] / min(costs)}

    return run


def pair_of_cases(axis: str, ours: Point, plain: Point, numbers: tuple[int, ...]) -> tuple[Case, Case]:
    """Give tocsin and the bare deques for one way to grow."""
    return (
        Case(name=f"tocsin, {axis}", run=growing(ours, numbers), backends=EVERYWHERE, kind="tocsin"),
        Case(name=f"deques, {axis}", run=growing(plain, numbers), backends=EVERYWHERE),
    )


def flat(axis: str, most: int) -> Target:
    """tocsin's growth must be at most that of the deques, times what is allowed beyond the processor's caches."""

    def value(medians: Medians) -> float | None:
        ours, plain = (figure(medians, f"{who}, {axis}", "growth") for who in ("tocsin", "deques"))
        return None if ours is None or plain is None else ours / plain

    def holds(medians: Medians) -> bool | None:
        measured = value(medians)
        went_so_far = figure(medians, f"tocsin, {axis}", f"us_{most}") is not None
        return None if measured is None or not went_so_far else measured <= FLAT

    return Target(
        text=f"{axis} 1 to {most:,}: grows at most {FLAT:g} x as much as bare deques", holds=holds, value=value
    )


WORKLOAD = Workload(
    key="W9",
    title="growth",
    what="A delivery costs the same however many subscribers, types and waiting events there are. One operation: a "
    "delivery; us_N is its cost with N of them, growth that with the most of them divided by the lowest of all.",
    size=1_000_000,
    quick=10_000,
    cases=(
        *pair_of_cases("subscribers", partial(fanned_out, publishing), partial(fanned_out, deques), NUMBERS),
        *pair_of_cases("types", partial(of_many_types, publishing), partial(of_many_types, deques), NUMBERS),
        *pair_of_cases("depth", partial(as_deep, deep_mailbox), partial(as_deep, deep_deque), DEPTHS),
    ),
    targets=(flat("subscribers", 10_000), flat("types", 10_000), flat("depth", 1_000_000)),
)
