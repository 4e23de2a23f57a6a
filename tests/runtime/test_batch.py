"""Many events in a row: `publish_many`, and the order in which they are handled."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.runtime.helpers import CRITICAL, HIGH, LOW, NORMAL, Gated, Note, quiet
from tocsin import Backoff, Delivery, EventBus, MailboxFull, Priority, Reject, RetryPolicy

MakeBus = Callable[..., EventBus]


async def test_it_gives_a_receipt_for_each_event_in_order(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        receipts = await bus.publish_many([Note("0"), Note("1")], correlation_id="batch", priority=HIGH)
        assert await bus.publish_many([]) == []
    assert [delivery.envelope.id for delivery in handler.deliveries] == [receipt.event_id for receipt in receipts]
    assert {delivery.envelope.correlation_id for delivery in handler.deliveries} == {"batch"}
    assert {delivery.priority for delivery in handler.deliveries} == {HIGH}


async def test_refused_in_the_middle_those_before_are_published(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=2, overflow=Reject())
    async with bus.running():
        with pytest.raises(MailboxFull):
            await bus.publish_many([Note(str(number)) for number in range(9)])
        handler.open()
    assert handler.done == ["0", "1"]


async def test_cancelled_in_the_middle_those_before_are_published(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=2)
    async with bus.running():
        with anyio.move_on_after(1.0) as scope:
            await bus.publish_many([Note(str(number)) for number in range(9)])
        assert scope.cancelled_caught
        handler.open()
    assert handler.done == ["0", "1", "2"]


async def test_a_publisher_in_a_loop_does_not_starve_its_subscribers(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick", mailbox=1000)
    async with bus.running():
        for number in range(320):
            await bus.publish(Note(str(number)))
        assert len(handler.done) >= 320 - 2 * 32


async def test_publishing_is_a_checkpoint_at_least_once_in_32_calls(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with anyio.CancelScope() as scope:
            scope.cancel()
            for _ in range(32):
                await bus.publish(Note("nobody"))
    assert scope.cancelled_caught
    assert bus.statistics().published == bus.statistics().undeliverable == 31


async def test_a_handler_that_never_waits_lets_others_have_their_turn(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        for number in range(1000):
            bus.publish_nowait(Note(str(number)))
        most = 0
        before = 0
        while len(handler.done) < 1000:
            await anyio.lowlevel.checkpoint()
            most = max(most, len(handler.done) - before)
            before = len(handler.done)
    assert most <= 64


async def test_deliveries_of_one_publisher_and_priority_start_in_the_order_of_publishing(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick", mailbox=4)
    chance = random.Random(3)
    order: dict[Priority, list[str]] = {priority: [] for priority in Priority}
    async with bus.running():
        for number in range(300):
            priority = chance.choice(list(Priority))
            order[priority].append(str(number))
            await bus.publish(Note(str(number)), priority=priority)
    for priority, texts in order.items():
        assert [each.event.text for each in handler.deliveries if each.priority is priority] == texts


async def test_fault_F4_the_most_urgent_delivery_is_next_and_nothing_is_interrupted_for_it(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow")
    async with bus.running():
        await bus.publish(Note("at work"), priority=LOW)
        await quiet()
        for text, priority in (("l", LOW), ("n", NORMAL), ("h", HIGH), ("c", CRITICAL)):
            await bus.publish(Note(text), priority=priority)
        await quiet()
        assert handler.started == ["at work"]
        handler.open()
    assert handler.done == ["at work", "c", "h", "n", "l"]


async def test_fault_F5_a_waiting_lane_is_served_at_least_once_in_35(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.subscriber(Note)
    async def handle(note: Note, delivery: Delivery[Note]) -> None:
        seen.append(note.text)
        if delivery.priority is CRITICAL and len(seen) < 300:
            bus.publish_nowait(Note("flood"), priority=CRITICAL)

    async with bus.running():
        bus.publish_nowait(Note("flood"), priority=CRITICAL)
        for priority in (HIGH, NORMAL, LOW):
            bus.publish_nowait(Note(priority.name), priority=priority)
    assert max(seen.index(name) for name in ("HIGH", "NORMAL", "LOW")) < 35


# ── keys and strict order ──


@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
async def test_equal_keys_are_handled_one_at_a_time_and_in_order(
    make_bus: MakeBus, concurrency: int, seed: int
) -> None:
    bus, chance = make_bus(), random.Random(seed)
    at_work: list[Any] = []
    most = 0
    started: dict[Any, list[int]] = {}

    def key_of(note: Note) -> Any:
        return note.key

    @bus.subscriber(Note, key=key_of, concurrency=concurrency, mailbox=20)
    async def handle(note: Note) -> None:
        nonlocal most
        assert note.key not in at_work
        at_work.append(note.key)
        most = max(most, len(at_work))
        started.setdefault(note.key, []).append(int(note.text))
        await anyio.sleep(chance.choice([0.0, 0.1, 1.0]))
        at_work.remove(note.key)

    async with bus.running(drain_timeout=1e6):
        for number in range(200):
            await bus.publish(Note(str(number), key=chance.choice("aaabbc")))
    assert all(numbers == sorted(numbers) for numbers in started.values())
    assert sum(map(len, started.values())) == 200
    assert most == min(concurrency, 3)


async def test_one_busy_key_leaves_the_other_servers_idle_not_spinning(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="keyed", key=lambda note: note.key, concurrency=4, timeout=None)
    async with bus.running():
        await bus.publish_many([Note(str(number), key="hot") for number in range(5)])
        await quiet()
        assert handler.started == ["0"]
        await anyio.sleep(3600.0)  # on a clock that moves only while every task waits
        await bus.publish(Note("cold", key="cold"))
        await quiet()
        assert handler.started == ["0", "cold"]
        handler.open()
    assert sorted(handler.done) == ["0", "1", "2", "3", "4", "cold"]
    assert [text for text in handler.started if text != "cold"] == ["0", "1", "2", "3", "4"]


def failing_once(failing: str, seen: list[str]) -> Callable[[Note, Delivery[Note]], Any]:
    """Make a handler whose first attempt at the note *failing* fails."""

    async def handle(note: Note, delivery: Delivery[Note]) -> None:
        seen.append(note.text)
        if note.text == failing and delivery.attempt == 1:
            raise ConnectionError

    return handle


RETRY = RetryPolicy(backoff=Backoff(initial=10.0))


async def test_a_delivery_that_waits_for_its_retry_holds_up_nobody(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()
    bus.subscribe(failing_once("1", seen), Note, name="flaky", retry=RETRY)
    async with bus.running(drain_timeout=100.0):
        await bus.publish_many([Note(str(number)) for number in range(4)])
    assert seen == ["0", "1", "2", "3", "1"]


async def test_under_strict_order_it_holds_back_those_behind_it(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()
    bus.subscribe(failing_once("1", seen), Note, name="flaky", retry=RETRY, strict_order=True)
    async with bus.running(drain_timeout=100.0):
        await bus.publish_many([Note(str(number)) for number in range(4)])
    assert seen == ["0", "1", "1", "2", "3"]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_under_strict_order_with_keys_it_holds_back_those_of_its_key(make_bus: MakeBus, concurrency: int) -> None:
    bus, seen = make_bus(), list[str]()
    handler = failing_once("a1", seen)
    bus.subscribe(
        handler,
        Note,
        name="flaky",
        retry=RETRY,
        strict_order=True,
        key=lambda note: note.text[0],
        concurrency=concurrency,
    )
    async with bus.running(drain_timeout=100.0):
        await bus.publish_many([Note(text) for text in ("a1", "a2", "b1", "a3", "b2")])
    assert seen == ["a1", "b1", "b2", "a1", "a2", "a3"]


async def test_under_strict_order_publishers_wait_for_the_retry_and_go_on_with_it(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()
    gate = anyio.Event()
    fail = failing_once("1", seen)

    async def handle(note: Note, delivery: Delivery[Note]) -> None:
        await fail(note, delivery)
        if note.text == "1":
            await gate.wait()

    bus.subscribe(handle, Note, name="flaky", retry=RETRY, strict_order=True, mailbox=1, timeout=None)
    async with bus.running(drain_timeout=100.0), anyio.create_task_group() as group:
        group.start_soon(bus.publish_many, [Note(str(number)) for number in range(1, 4)])
        await quiet()
        assert bus.statistics().subscriptions["flaky"].waiting_retry == 1
        await anyio.sleep(30.0)
        statistics = bus.statistics().subscriptions["flaky"]
        assert (statistics.in_flight, statistics.depth, statistics.blocked_publishers) == (1, 1, 1)
        gate.set()
    assert seen == ["1", "1", "2", "3"]
