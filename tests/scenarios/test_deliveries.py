"""What becomes of deliveries when actors are restarted, and when their letters fail too: N10 to N14."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.runtime.failing import EVERY_SECOND, ONCE, outcome_of, publish_all
from tocsin import (
    Backoff,
    DeadLetter,
    DeadLettered,
    DeadLetterOffice,
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    RestartIntensity,
    RetryPolicy,
    Strategy,
    handles,
)

MakeBus = Callable[..., EventBus]
TWICE = RetryPolicy(max_attempts=2, backoff=EVERY_SECOND)


class Poison(Exception):
    """What only poison raises."""


# ── N10 ──


@pytest.mark.parametrize("strategy", Strategy)
async def test_N10_what_is_published_in_the_middle_of_a_restart_goes_to_the_next_incarnation_in_order(
    make_bus: MakeBus, strategy: Strategy
) -> None:
    bus = make_bus(strategy=strategy)
    handled: list[tuple[int, int]] = []
    incarnation = 0

    @bus.actor(name="subject", sick_after=1, retry=TWICE, suspension=Backoff(initial=10.0, jitter=0.0))
    class Subject:
        async def started(self) -> None:
            nonlocal incarnation
            incarnation += 1
            await anyio.sleep(5.0)  # the middle of the restart

        @handles(int)
        async def on(self, number: int) -> None:
            if number == 0 and incarnation == 1:
                raise ConnectionError
            handled.append((incarnation, number))

    async with bus.running():
        await bus.publish(0)
        await anyio.sleep(12.0)
        assert bus.subscriptions["subject"].statistics().state == "starting"
        await publish_all(bus, 1, 2, 3)
    assert sorted(handled) == handled == [(2, 0), (2, 1), (2, 2), (2, 3)]


# ── N11 ──


async def test_N11_a_handler_that_returns_settles_its_delivery_exactly_once(make_bus: MakeBus) -> None:
    """There is no acknowledgement to be forgotten or given twice: the return of the handler is it."""
    bus = make_bus()
    bus.subscribe(_ignore, int, name="subject")
    async with bus.running():
        receipt = await bus.publish(1)
        for _ in range(2):
            assert await receipt.settled() == {"subject": Handled()}
        assert bus.ledger().handled == 1


async def test_N11_a_handler_that_raises_after_its_work_was_done_is_attempted_again(make_bus: MakeBus) -> None:
    """At least once: what it did is done twice, and the delivery is settled once all the same."""
    bus = make_bus()
    done: list[int] = []

    async def subject(number: int, delivery: Delivery[int]) -> None:
        done.append(delivery.attempt)
        if delivery.attempt == 1:
            raise ConnectionError("after the work")

    bus.subscribe(subject, int, retry=TWICE)
    async with bus.running():
        assert await outcome_of(bus, 1) == Handled()
        assert done == [1, 2]
        assert (bus.ledger().handled, bus.ledger().dead_lettered) == (1, 0)


async def test_N11_a_handler_that_never_returns_is_attempted_again_after_its_time_limit(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def subject(number: int, delivery: Delivery[int]) -> None:
        if delivery.attempt == 1:
            await anyio.sleep_forever()

    bus.subscribe(subject, int, retry=TWICE, timeout=30.0)
    async with bus.running():
        began = anyio.current_time()
        assert await outcome_of(bus, 1) == Handled()
        assert anyio.current_time() - began == pytest.approx(31.0)


# ── N12 ──


async def test_N12_poison_is_buried_with_its_history_and_its_actor_has_all_its_restarts_left(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives = 0

    @bus.actor(name="subject", intensity=RestartIntensity.never(), retry=TWICE)
    class Subject:
        def __init__(self) -> None:
            nonlocal lives
            lives += 1

        @handles(int)
        async def on(self, number: int) -> None:
            if number == 13:
                raise Poison(f"the {number}")

    async with bus.running():
        for _ in range(3):
            receipts = await publish_all(bus, 1, 13, 2)
            outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
            assert [type(outcome) for outcome in outcomes] == [Handled, DeadLettered, Handled]
        letters = bus.dead_letters.list()
        assert [(letter.event, letter.attempts, letter.reason) for letter in letters] == [
            (13, 2, DeadLetterReason.HANDLER_ERROR)
        ] * 3
        assert all(letter.failure is not None and letter.failure.message == "the 13" for letter in letters)
        await anyio.sleep(1.0)
        assert lives == 7  # each of the six failed attempts had its state built anew
        assert bus.subscriptions["subject"].statistics().state == "running"


# ── N13 ──


class Sink:
    """Takes letters, and fails or takes its time."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.offered: list[Any] = []

    def take(self, letter: DeadLetter[Any]) -> None:
        self.offered.append(letter.event)
        if self.fails:
            raise OSError("the disk is full")
        time.sleep(0.01)  # for real: a sink may not await, so slow means that it blocks


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "slow"])
async def test_N13_a_dead_letter_sink_that_fails_or_is_slow_loses_no_letter_and_harms_nobody(
    make_bus: MakeBus, fails: bool
) -> None:
    sink = Sink(fails)
    bus = make_bus(dead_letters=DeadLetterOffice[Any](sink=sink))

    async def subject(number: int) -> None:
        if number < 0:
            raise Poison

    bus.subscribe(subject, int, retry=ONCE)
    async with bus.running():
        receipts = await publish_all(bus, -1, 1, -2, 2)
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
        assert [type(outcome) for outcome in outcomes] == [DeadLettered, Handled, DeadLettered, Handled]
    assert sink.offered == [-1, -2]
    assert [letter.event for letter in bus.dead_letters.list()] == [-1, -2]
    assert bus.dead_letters.sink_errors == (2 if fails else 0)


async def test_N13_the_log_tells_of_a_letter_whose_sink_failed(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus(dead_letters=DeadLetterOffice[Any](sink=Sink(fails=True)))

    async def subject(number: int) -> None:
        raise Poison("it was not kept")

    bus.subscribe(subject, int, retry=ONCE)
    with caplog.at_level(logging.WARNING, "tocsin"):
        async with bus.running():
            await outcome_of(bus, 1)
    letter, sink = [record.getMessage() for record in caplog.records if "dead letter" in record.getMessage()]
    assert "it was not kept" in letter
    assert "the sink of dead letters failed" in sink


# ── N14 ──


async def test_N14_a_dead_letter_of_a_dead_letter_is_refused_and_counted(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()

    async def subject(event: object) -> None:
        raise Poison

    bus.subscribe(subject, object, retry=ONCE)
    with caplog.at_level(logging.ERROR, "tocsin"):
        async with bus.running():
            await outcome_of(bus, "event")
            (letter,) = bus.dead_letters.list()
            await outcome_of(bus, letter)
    assert [each.event for each in bus.dead_letters.list()] == ["event"]
    assert bus.dead_letters.refused == 1
    assert any("a dead letter of a dead letter is refused" in record.getMessage() for record in caplog.records)


async def _ignore(number: int) -> None: ...
