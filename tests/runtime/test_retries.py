"""Retries: when the next attempt is made, what passes meanwhile, and what is written on the letter in the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NoReturn

import anyio
import pytest

from tests.runtime.failing import EVERY_SECOND, MakeBus, only_letter, outcome_of, publish_all, until
from tests.runtime.helpers import Note
from tocsin import (
    Backoff,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    DeliveryDeadLettered,
    DeliveryRetried,
    Dropped,
    DropReason,
    Handled,
    Priority,
    Report,
    RetryPolicy,
)

THREE = RetryPolicy(max_attempts=3, backoff=EVERY_SECOND)


def refuse(text: str) -> NoReturn:
    raise ValueError(text)


async def test_attempts_come_exactly_after_their_backoff(make_bus: MakeBus) -> None:
    bus = make_bus()
    times: list[float] = []
    backoff = Backoff(initial=1.0, maximum=5.0, factor=2.0, jitter=0.0)

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts=6, backoff=backoff))
    async def subject(text: str) -> None:
        times.append(anyio.current_time())
        raise ValueError(text)

    async with bus.running():
        await outcome_of(bus, "text")
    gaps = [second - first for first, second in pairwise(times)]
    assert gaps == pytest.approx([1.0, 2.0, 4.0, 5.0, 5.0], abs=0.5)


async def test_a_success_after_failures_is_handled_and_its_retries_are_counted(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=THREE)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        if delivery.attempt < 3:
            raise ValueError(text)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        statistics = bus.statistics().subscriptions["subject"]
    assert (statistics.handled, statistics.retried, statistics.dead_lettered) == (1, 2, 0)
    assert statistics.last_error == "builtins.ValueError: text"


async def test_a_delivery_that_waits_for_its_retry_lets_others_pass(make_bus: MakeBus) -> None:
    bus = make_bus()
    order: list[str] = []

    @bus.subscriber(str, name="subject", retry=THREE)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        order.append(f"{text} {delivery.attempt}")
        if text == "bad":
            raise ValueError(text)

    async with bus.running():
        bad = await bus.publish("bad")
        await outcome_of(bus, "good")
        assert bus.statistics().subscriptions["subject"].waiting_retry == 1
        await bad.settled()
    assert order == ["bad 1", "good 1", "bad 2", "bad 3"]


async def test_under_strict_order_a_waiting_retry_holds_back_the_others(make_bus: MakeBus) -> None:
    bus = make_bus()
    order: list[str] = []

    @bus.subscriber(str, name="subject", retry=THREE, strict_order=True)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        order.append(f"{text} {delivery.attempt}")
        if text == "bad":
            raise ValueError(text)

    async with bus.running():
        await bus.publish("bad")
        await outcome_of(bus, "good")
    assert order == ["bad 1", "bad 2", "bad 3", "good 1"]


async def test_fault_F6_under_strict_order_a_more_urgent_one_does_not_overtake_a_waiting_retry(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    order: list[str] = []

    @bus.subscriber(str, name="subject", retry=THREE, strict_order=True)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        order.append(f"{text} {delivery.attempt}")
        if text == "bad" and delivery.attempt < 2:
            raise ValueError(text)

    async with bus.running():
        await bus.publish("bad")
        await anyio.wait_all_tasks_blocked()
        receipt = await bus.publish("urgent", priority=Priority.CRITICAL)
        await receipt.settled()
    assert order == ["bad 1", "bad 2", "urgent 1"]


async def test_with_keys_strict_order_holds_back_only_those_of_the_key(make_bus: MakeBus) -> None:
    bus = make_bus()
    order: list[str] = []

    @bus.subscriber(Note, name="subject", retry=THREE, strict_order=True, key=lambda note: note.key, concurrency=2)
    async def subject(note: Note, delivery: Delivery[Note]) -> None:
        order.append(f"{note.text} {delivery.attempt}")
        if note.text == "bad" and delivery.attempt < 2:
            raise ValueError(note.text)

    async with bus.running():
        await bus.publish(Note("bad", key=1))
        await bus.publish(Note("same key", key=1))
        await outcome_of(bus, Note("other key", key=2))
        assert order == ["bad 1", "other key 1"]
        await until(lambda: len(order) == 4)
    assert order == ["bad 1", "other key 1", "bad 2", "same key 1"]


async def test_waiting_retries_take_up_room_in_the_mailbox(make_bus: MakeBus) -> None:
    bus = make_bus()
    backoff = Backoff(initial=10.0, maximum=10.0, factor=1.0, jitter=0.0)

    @bus.subscriber(str, name="subject", mailbox=2, retry=RetryPolicy(max_attempts=2, backoff=backoff))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1 and text != "third":
            raise ValueError(text)

    async with bus.running():
        began = anyio.current_time()
        await bus.publish("first")
        await anyio.wait_all_tasks_blocked()
        await bus.publish("second")
        await anyio.wait_all_tasks_blocked()
        statistics = bus.statistics().subscriptions["subject"]
        assert (statistics.waiting_retry, statistics.depth) == (2, 0)
        await bus.publish("third")
        assert anyio.current_time() - began == pytest.approx(10.0, abs=0.5)


async def test_an_error_that_the_policy_never_retries_is_buried_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=THREE)
    async def subject(text: str) -> None:
        json.loads(text)

    async with bus.running():
        outcome = await outcome_of(bus, "{")
    letter = only_letter(bus)
    assert outcome == DeadLettered(DeadLetterReason.NON_RETRYABLE, letter.id)
    assert letter.attempts == 1


async def test_only_what_the_policy_names_is_retried(make_bus: MakeBus) -> None:
    bus = make_bus()
    policy = RetryPolicy(max_attempts=3, backoff=EVERY_SECOND, retry_on=(ConnectionError,))

    @bus.subscriber(object, name="subject", retry=policy)
    async def subject(error: Exception) -> None:
        raise error

    async with bus.running():
        await outcome_of(bus, ConnectionResetError("again"))
        await outcome_of(bus, ValueError("not again"))
    assert [(letter.reason, letter.attempts) for letter in bus.dead_letters.list()] == [
        (DeadLetterReason.HANDLER_ERROR, 3),
        (DeadLetterReason.NON_RETRYABLE, 1),
    ]


async def test_a_letter_holds_what_is_needed_to_understand_and_to_replay(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=THREE)
    async def subject(text: str) -> None:
        refuse(text)

    async with bus.running():
        receipt = await bus.publish(
            "text", priority=Priority.HIGH, headers={"tenant": "one"}, correlation_id="c-1", topic="order.placed"
        )
        await receipt.settled()
    letter = only_letter(bus)
    assert letter.event == "text"
    assert letter.event_id == receipt.event_id
    assert letter.event_type == "builtins.str"
    assert (letter.subscription, letter.incarnation, letter.attempts) == ("subject", 1, 3)
    assert (letter.priority, letter.topic, letter.correlation_id) == (Priority.HIGH, "order.placed", "c-1")
    assert dict(letter.headers) == {"tenant": "one"}
    assert letter.published_at <= letter.first_failed_at <= letter.last_failed_at
    assert letter.last_failed_at - datetime.now(UTC) < timedelta(minutes=1)
    assert letter.failure is not None
    assert (letter.failure.type, letter.failure.message) == ("builtins.ValueError", "text")
    assert "in refuse" in letter.failure.traceback
    assert letter.failure.fingerprint.startswith("builtins.ValueError at test_retries.py:refuse:")


async def test_each_dead_letter_that_is_counted_is_in_the_office_or_was_evicted(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject", retry=RetryPolicy(max_attempts=1), sick_after=10_000, mailbox=5000)
    async def subject(number: int) -> None:
        raise ValueError(number)

    async with bus.running():
        receipts = [await bus.publish(number) for number in range(1200)]
        for receipt in receipts:
            await receipt.settled()
    assert bus.ledger().dead_lettered == 1200
    assert len(bus.dead_letters) == 1000
    assert [letter.event for letter in bus.dead_letters.list()] == list(range(200, 1200))


async def test_the_observer_is_told_of_each_retry_and_of_the_end(make_bus: MakeBus) -> None:
    reports: list[Report] = []

    async def observe(report: Report) -> None:
        reports.append(report)

    bus = make_bus(observer=observe)

    @bus.subscriber(str, name="subject", retry=THREE)
    async def subject(text: str) -> None:
        raise ValueError(text)

    async with bus.running():
        receipt = await bus.publish("text")
        await receipt.settled()
    retried = [report for report in reports if isinstance(report, DeliveryRetried)]
    (buried,) = [report for report in reports if isinstance(report, DeliveryDeadLettered)]
    assert [(report.attempt, report.delay) for report in retried] == [(1, 1.0), (2, 1.0)]
    assert [report.event_id for report in retried] == [receipt.event_id] * 2
    assert buried.event_id == receipt.event_id
    assert retried[1].at - retried[0].at == pytest.approx(1.0, abs=0.5)
    assert (buried.reason, buried.attempts, buried.letter) == (DeadLetterReason.HANDLER_ERROR, 3, only_letter(bus).id)
    assert buried.failure is not None


# ── the way into the office ──


async def test_a_letter_about_a_letter_is_refused_and_counted_as_dropped(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()

    @bus.subscriber(object, name="subject", retry=RetryPolicy(max_attempts=1))
    async def subject(event: object) -> None:
        refuse("whatever it is")

    async with bus.running():
        await outcome_of(bus, "text")
        outcome = await outcome_of(bus, only_letter(bus))
    assert outcome == Dropped(DropReason.DEAD_LETTER)
    assert (bus.ledger().dead_lettered, bus.ledger().dropped) == (1, 1)
    assert len(bus.dead_letters) == 1


async def test_an_event_that_matched_nobody_is_kept_if_wished(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        receipt = await bus.publish("text", headers={"tenant": "one"})
        letter = only_letter(bus)
        await bus.publish(letter)
    assert (letter.reason, letter.subscription, letter.attempts) == (
        DeadLetterReason.UNDELIVERABLE,
        "undeliverable",
        0,
    )
    assert (letter.event, letter.event_id, dict(letter.headers)) == ("text", receipt.event_id, {"tenant": "one"})
    assert letter.failure is None
    assert len(bus.dead_letters) == 1  # a letter that nobody wants is no reason for another one


async def test_a_replay_that_fails_again_carries_the_history_on(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts=2, backoff=EVERY_SECOND))
    async def subject(text: str) -> None:
        refuse(text)

    async with bus.running():
        await outcome_of(bus, "text")
        first = only_letter(bus)
        report = await bus.replay()
        await report.receipts[0].settled()
    second = only_letter(bus)
    assert second.id != first.id
    assert (second.event_id, second.attempts) == (first.event_id, 2)
    assert second.first_failed_at >= first.first_failed_at


async def test_a_retry_that_is_due_goes_before_what_waits(make_bus: MakeBus) -> None:
    bus, started = make_bus(), list[int]()

    @bus.subscriber(int, retry=RetryPolicy(2, Backoff(1.5, 1.5, jitter=0.0)))
    async def handle(number: int) -> None:
        started.append(number)
        if started == [0, 1]:
            raise ConnectionError
        await anyio.sleep(1)

    async with bus.running():
        await publish_all(bus, 0, 1, 2, 3, 4, 5)
        await until(lambda: len(started) == 7)
    assert started == [0, 1, 2, 3, 1, 4, 5]
