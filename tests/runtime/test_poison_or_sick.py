"""Poison or sick: a message that always fails is buried, an actor that always fails is suspended and loses nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from tests.runtime.failing import EVERY_SECOND, MakeBus, outcome_of, publish_all, until
from tocsin import (
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    Receipt,
    RetryPolicy,
)

MINUTES = 60.0


class Outage:
    """A handler that fails at once, or after *slowness* seconds, until its dependency is back."""

    def __init__(self, *, slowness: float = 0.0) -> None:
        self.is_over = False
        self.slowness = slowness
        self.handled: list[Any] = []
        self.attempts: list[int] = []

    async def __call__(self, event: Any, delivery: Delivery[Any]) -> None:
        self.attempts.append(delivery.attempt)
        if not self.is_over:
            await anyio.sleep(self.slowness)
            raise ConnectionError("nobody listens")
        self.handled.append(event)


async def _end_after(outage: Outage, seconds: float) -> None:
    await anyio.sleep(seconds)
    outage.is_over = True


async def _all_settled(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        await receipt.settled()


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_outage_buries_nothing_and_everything_is_handled_after_it(make_bus: MakeBus, concurrency: int) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject", concurrency=concurrency)
    async with bus.running():
        receipts = await publish_all(bus, *range(200))
        await anyio.sleep(10 * MINUTES)
        statistics = bus.statistics().subscriptions["subject"]
        assert statistics.state in ("suspended", "running")
        assert (statistics.handled, statistics.dead_lettered) == (0, 0)
        outage.is_over = True
        ended = anyio.current_time()
        await _all_settled(receipts)
        assert anyio.current_time() - ended <= 31.0
    assert sorted(outage.handled) == list(range(200))
    assert bus.ledger().handled == 200
    assert len(bus.dead_letters) == 0


async def test_an_outage_is_probed_seldom(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject")
    async with bus.running():
        await publish_all(bus, *range(200))
        await anyio.sleep(10 * MINUTES)
        probes = len(outage.attempts)
        outage.is_over = True
        await bus.drain()
    # 5 until it is found to be sick, then after 1, 2, 4, 8, 16 and each 30 seconds, less a quarter of jitter at most.
    assert 20 <= probes <= 40
    assert max(outage.attempts) == 2  # attempts made while the actor is sick do not count


async def test_an_outage_that_fails_slowly_buries_fewer_than_make_an_actor_sick(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage(slowness=20.0)
    bus.subscribe(outage, int, name="subject")
    async with bus.running():
        receipts = await publish_all(bus, *range(200))
        await _end_after(outage, 10 * MINUTES)
        await _all_settled(receipts)
    assert len(bus.dead_letters) < 5
    assert bus.ledger().handled == 200 - len(bus.dead_letters)


async def test_an_outage_that_many_subscribers_share_gives_up_none_of_them(make_bus: MakeBus) -> None:
    bus = make_bus()
    outages = [Outage() for _ in range(20)]
    for number, outage in enumerate(outages):
        bus.subscribe(outage, int, name=f"subject {number}")
    async with bus.running():
        receipts = await publish_all(bus, *range(10))
        await anyio.sleep(10 * MINUTES)
        for outage in outages:
            outage.is_over = True
        await _all_settled(receipts)
    assert bus.ledger().handled == 20 * 10


async def test_after_a_success_the_actor_is_well_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject", retry=RetryPolicy(max_attempts=2, backoff=EVERY_SECOND))
    async with bus.running():
        receipts = await publish_all(bus, *range(10))
        await _end_after(outage, 1 * MINUTES)
        await _all_settled(receipts)
        restarts = bus.statistics().subscriptions["subject"].restarts
        outage.is_over = False
        await outcome_of(bus, 11)
        assert bus.statistics().subscriptions["subject"].restarts == restarts
    (letter,) = bus.dead_letters.list()
    assert (letter.event, letter.attempts, letter.reason) == (11, 2, DeadLetterReason.HANDLER_ERROR)


async def test_while_on_probation_one_server_alone_probes(make_bus: MakeBus) -> None:
    bus = make_bus()
    at_once: list[int] = []
    running = 0
    is_over = False

    @bus.subscriber(int, name="subject", concurrency=4)
    async def subject(number: int) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await anyio.sleep(0.01)
        running -= 1
        if not is_over:
            raise ConnectionError("nobody listens")

    async with bus.running():
        receipts = await publish_all(bus, *range(20))
        await until(lambda: bus.statistics().subscriptions["subject"].restarts > 0)
        await until(lambda: bus.statistics().subscriptions["subject"].state == "suspended")
        at_once.clear()
        await anyio.sleep(5 * MINUTES)
        assert set(at_once) == {1}
        is_over = True
        await _all_settled(receipts)
        assert max(at_once) == 4


@pytest.mark.parametrize("share", [0.01, 0.15])
async def test_poison_among_others_is_buried_and_the_actor_is_not_blamed(make_bus: MakeBus, share: float) -> None:
    bus = make_bus()
    random = Random(7)
    events = [random.random() for _ in range(2000)]

    @bus.subscriber(float, name="subject", retry=RetryPolicy(max_attempts=3, backoff=EVERY_SECOND), mailbox=100)
    async def subject(number: float) -> None:
        await anyio.sleep(0.001)
        if number < share:
            raise ValueError("poison")

    async with bus.running():
        receipts = await publish_all(bus, *events)
        await _all_settled(receipts)
        statistics = bus.statistics().subscriptions["subject"]
    poison = sum(number < share for number in events)
    assert (statistics.dead_lettered, statistics.handled) == (poison, 2000 - poison)
    assert (statistics.restarts, statistics.incarnation) == (0, 1)
    assert {letter.attempts for letter in bus.dead_letters.list()} == {3}


async def test_messages_that_say_themselves_that_they_are_at_fault_never_make_an_actor_sick(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(bytes, name="subject", sick_after=2)
    async def subject(text: bytes) -> None:
        text.decode()

    async with bus.running():
        await _all_settled(await publish_all(bus, *[b"\xff"] * 50))
        assert bus.statistics().subscriptions["subject"].restarts == 0
    assert bus.ledger().dead_lettered == 50


async def test_a_poison_message_alone_is_buried_after_its_attempts(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject", sick_after=2, retry=RetryPolicy(max_attempts=3, backoff=EVERY_SECOND))
    async with bus.running():
        await outcome_of(bus, 1)
        assert bus.statistics().subscriptions["subject"].restarts == 0
    assert outage.attempts == [1, 2, 3]


async def test_a_sick_actor_takes_publishers_back_to_its_pace(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject", mailbox=10)
    async with bus.running(), anyio.create_task_group() as group:
        group.start_soon(_end_after, outage, 10 * MINUTES)
        began = anyio.current_time()
        receipts = await publish_all(bus, *range(50))
        assert anyio.current_time() - began >= 10 * MINUTES
        await _all_settled(receipts)
    assert sorted(outage.handled) == list(range(50))


async def test_under_strict_order_an_outage_keeps_the_order_of_what_is_handled(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject", strict_order=True)
    async with bus.running():
        receipts = await publish_all(bus, *range(50))
        await _end_after(outage, 10 * MINUTES)
        await _all_settled(receipts)
    assert outage.handled == sorted(outage.handled)
    # There is nothing else to probe with, so its attempts count: else a poison message would block for ever.
    assert len(outage.handled) + len(bus.dead_letters) == 50


async def test_a_stop_during_a_suspension_is_over_at_once_and_returns_the_mailbox(make_bus: MakeBus) -> None:
    bus: EventBus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject")
    async with bus.running():
        await publish_all(bus, *range(20))
        await until(lambda: bus.statistics().subscriptions["subject"].state == "suspended")
        began = anyio.current_time()
        report = await bus.stop(drain_timeout=0.0)
        assert anyio.current_time() == pytest.approx(began, abs=0.5)
    assert report is not None
    assert [returned.event for returned in report.returned] == list(range(20))
    assert bus.ledger().live == 0


async def test_a_drain_waits_for_an_actor_that_is_suspended(make_bus: MakeBus) -> None:
    bus = make_bus()
    outage = Outage()
    bus.subscribe(outage, int, name="subject")
    async with bus.running(), anyio.create_task_group() as group:
        receipts = await publish_all(bus, *range(20))
        await until(lambda: bus.statistics().subscriptions["subject"].state == "suspended")
        group.start_soon(_end_after, outage, 20.0)
        assert await bus.drain(timeout=100.0)
        assert all(receipt.outcomes == {"subject": Handled()} for receipt in receipts)
