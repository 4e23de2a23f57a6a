"""tocsin as its users write it: subscribe a handler, run the bus, publish; everything else is left at its default."""

from __future__ import annotations

from itertools import islice

from benchmarks.baselines import EVERYWHERE, delivering
from benchmarks.cases import Case
from benchmarks.loads import Load, Shape
from tocsin import EventBus

SLICE = 500  # events published at a time where nobody waits for room: half of what a mailbox holds


def bus_of(load: Load) -> EventBus:
    """Make a bus that has the subscribers of *load*, each under a name of its own."""
    bus = EventBus("benchmark")
    for each in load.subscribers:
        bus.subscribe(each.handle, each.kind, name=each.name)
    return bus


async def publishing(load: Load) -> None:
    """Await each `publish`, which waits where a mailbox is full."""
    bus = bus_of(load)
    async with bus.running():
        load.begin()
        for event in load.events:
            await bus.publish(event)
        await load.handled()


async def publishing_nowait(load: Load) -> None:
    """Publish slices from synchronous code, and wait after each until its last event is settled."""
    bus = bus_of(load)
    events = iter(load.events)
    async with bus.running():
        load.begin()
        for first in events:
            receipt = bus.publish_nowait(first)
            for event in islice(events, SLICE - 1):
                receipt = bus.publish_nowait(event)
            await receipt.settled()
        await load.handled()


async def publishing_many(load: Load) -> None:
    """Hand over slices as a whole."""
    bus = bus_of(load)
    async with bus.running():
        load.begin()
        for start in range(0, len(load.events), SLICE):
            await bus.publish_many(load.events[start : start + SLICE])
        await load.handled()


def tocsin(shape: Shape, name: str = "tocsin") -> Case:
    """Give the case that the targets are about."""
    return Case(name=name, run=delivering(publishing, shape), backends=EVERYWHERE, kind="tocsin")


def tocsin_variants(shape: Shape) -> tuple[Case, ...]:
    """Give the other ways to publish."""
    nowait, many = delivering(publishing_nowait, shape), delivering(publishing_many, shape)
    return (
        Case(name="tocsin publish_nowait", run=nowait, backends=EVERYWHERE, kind="tocsin"),
        Case(name="tocsin publish_many", run=many, backends=EVERYWHERE, kind="tocsin"),
    )
