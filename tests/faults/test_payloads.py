"""What events and handlers may be, however odd, and what becomes of them."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import anyio
import pytest

from tests.runtime.failing import MakeBus
from tocsin import EventBus, Handled, InvalidHandler
from tocsin.testing import leak_task


class Loud:
    """An event that publishes another one when it is deleted, or raises."""

    def __init__(self, bus: EventBus, *, raises: bool) -> None:
        self.bus = bus
        self.raises = raises

    def __del__(self) -> None:
        if self.raises:
            raise RuntimeError("deleted")
        self.bus.publish_nowait("deleted")


@pytest.mark.slow
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_fault_C10_an_event_that_publishes_or_raises_when_it_is_deleted_harms_nobody(
    make_bus: MakeBus, raises: bool
) -> None:
    bus, texts = make_bus(), list[str]()

    @bus.subscriber(Loud)
    async def take(_event: Loud) -> None: ...

    @bus.subscriber(str)
    async def note(text: str) -> None:
        texts.append(text)

    async with bus.running():
        for _ in range(5):
            receipt = await bus.publish(Loud(bus, raises=raises))
            await receipt.settled()
            del receipt
        gc.collect()
    assert texts == [] if raises else ["deleted"] * 5
    assert bus.ledger().balanced


class Subscriber:
    """Somebody who holds on to nothing but the bus."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def take(self, text: str) -> None:
        self.taken.append(text)


@pytest.mark.slow
async def test_fault_C11_a_handler_that_nobody_else_holds_goes_on_being_called(make_bus: MakeBus) -> None:
    bus, subscriber = make_bus(), Subscriber()
    subscription = bus.subscribe(subscriber.take, str)
    taken, alive = subscriber.taken, weakref.ref(subscriber)
    del subscriber
    gc.collect()
    async with bus.running():
        await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        assert taken == ["text"]
        await subscription.unsubscribe()
    del subscription
    gc.collect()
    assert alive() is None


async def test_fault_C4_a_task_that_a_handler_leaves_behind_holds_up_nobody(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="s")
    async def leave(text: str) -> None:
        leak_task(5.0)

    before = anyio.current_time()
    async with bus.running():
        assert (await (await bus.publish("text")).settled())["s"] == Handled()
    assert anyio.current_time() == before
    await anyio.sleep(6.0)  # it goes on by itself, and ends


@pytest.mark.parametrize("interest", [re.compile("a.*"), re.compile(b"a")])
async def test_fault_H9_a_regular_expression_is_no_pattern(make_bus: MakeBus, interest: Any) -> None:
    async def take(_event: object) -> None: ...

    with pytest.raises(InvalidHandler):
        make_bus().subscribe(take, interest)
