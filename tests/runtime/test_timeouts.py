"""The time limit of an attempt: whose time-out it was, at which instant it ends, and what came too late."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import pytest

from tests.runtime.failing import (
    EVERY_SECOND,
    ONCE,
    MakeBus,
    only_letter,
    outcome_of,
    skip_where_tasks_cannot_be_cancelled,
)
from tests.runtime.helpers import Gated
from tocsin import DeadLettered, DeadLetterReason, Delivery, Handled, RetryPolicy

EITHER_CONTEXT = pytest.mark.parametrize("context", ["actor", "delivery"])


@EITHER_CONTEXT
async def test_the_time_limit_ends_an_attempt_to_the_instant(make_bus: MakeBus, context: Any) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", timeout=7.0, retry=ONCE, context=context)
    async def subject(text: str) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        began = anyio.current_time()
        outcome = await outcome_of(bus, "text")
        assert anyio.current_time() - began == pytest.approx(7.0, abs=0.5)
        assert bus.statistics().subscriptions["subject"].restarts == 0
    letter = only_letter(bus)
    assert outcome == DeadLettered(DeadLetterReason.TIMEOUT, letter.id)
    assert letter.failure is not None
    assert letter.failure.message == "no result within 7.0 s"


async def test_fault_A13_a_time_out_of_the_handlers_own_is_an_ordinary_error(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", timeout=7.0, retry=ONCE)
    async def subject(text: str) -> None:
        with anyio.fail_after(1.0):
            await anyio.sleep_forever()

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.HANDLER_ERROR


async def test_what_a_handler_raises_when_its_time_is_up_is_kept_in_a_letter_of_a_time_out(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", timeout=7.0, retry=ONCE)
    async def subject(text: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    async with bus.running():
        await outcome_of(bus, "text")
    letter = only_letter(bus)
    assert letter.reason is DeadLetterReason.TIMEOUT
    assert letter.failure is not None
    assert letter.failure.message == "while cleaning up"


async def test_fault_A14_a_handler_that_catches_its_time_limit_and_returns_has_handled(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", timeout=7.0, retry=ONCE)
    async def subject(text: str) -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "in part"
        raise AssertionError

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()


async def test_fault_B14_an_attempt_that_ends_at_its_deadline_has_exactly_one_outcome(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject", timeout=7.0, retry=ONCE, sick_after=1000)
    async def subject(number: int, delivery: Delivery[int]) -> None:
        await anyio.sleep_until(delivery.deadline)

    async with bus.running():
        outcomes = [await outcome_of(bus, number) for number in range(20)]
    ledger = bus.ledger()
    assert ledger.handled + ledger.dead_lettered == 20
    assert len({type(outcome) for outcome in outcomes}) == 1
    assert {letter.reason for letter in bus.dead_letters.list()} <= {DeadLetterReason.TIMEOUT}


async def test_each_attempt_has_the_whole_time(make_bus: MakeBus) -> None:
    bus = make_bus()
    left: list[float] = []

    @bus.subscriber(str, name="subject", timeout=7.0, retry=RetryPolicy(max_attempts=3, backoff=EVERY_SECOND))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        left.append(delivery.deadline - anyio.current_time())
        await anyio.sleep_forever()

    async with bus.running():
        began = anyio.current_time()
        await outcome_of(bus, "text")
        assert anyio.current_time() - began == pytest.approx(3 * 7.0 + 2 * 1.0, abs=0.5)
    assert left == pytest.approx([7.0, 7.0, 7.0], abs=0.5)


async def test_without_a_limit_the_deadline_is_never(make_bus: MakeBus) -> None:
    bus = make_bus()
    deadlines: list[float] = []

    @bus.subscriber(str, name="subject", timeout=None)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        deadlines.append(delivery.deadline)
        await anyio.sleep(80_000)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
    assert deadlines == [math.inf]


async def test_the_time_limit_holds_although_a_stranger_cancelled_whoever_watches_over_it(make_bus: MakeBus) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()

    @bus.subscriber(str, name="subject", timeout=7.0, retry=ONCE)
    async def subject(text: str) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        for number in range(2):
            (watcher,) = [task for task in asyncio.all_tasks() if task.get_name() == "test: time limits"]
            watcher.cancel()
            began = anyio.current_time()
            await outcome_of(bus, "text")
            assert anyio.current_time() - began == pytest.approx(7.0)
            assert len(bus.dead_letters) == number + 1


async def test_the_time_in_the_mailbox_is_not_part_of_the_limit(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject", timeout=7.0)
    async def subject(number: int) -> None:
        await anyio.sleep(6.0)

    async with bus.running():
        receipts = [await bus.publish(number) for number in range(5)]
        for receipt in receipts:
            assert await receipt.settled() == {"subject": Handled()}


async def test_a_time_out_is_not_repeated_when_the_policy_forbids_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    policy = RetryPolicy(max_attempts=3, never_retry=(TimeoutError,))
    subject = Gated()
    bus.subscribe(subject, str, name="subject", timeout=7.0, retry=policy)
    async with bus.running():
        await outcome_of(bus, "text")
    letter = only_letter(bus)
    assert (letter.reason, letter.attempts) == (DeadLetterReason.TIMEOUT, 1)
