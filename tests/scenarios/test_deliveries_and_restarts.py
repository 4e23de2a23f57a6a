"""Events beside restarts: none is lost or settled twice, their order is kept, and poison is not the actor's fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import anyio
import attrs
import pytest

from tests.runtime.failing import EVERY_SECOND, only_letter, outcome_of, publish_all
from tests.virtual_time import block_the_loop
from tocsin import (
    Backoff,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    RetryPolicy,
    Returned,
    Strategy,
    handles,
)
from tocsin.testing import cancel_as_a_stranger

MakeBus: TypeAlias = Callable[..., EventBus]
TWO_SECONDS = Backoff(2.0, 2.0, jitter=0.0)
ONCE = RetryPolicy(max_attempts=1)


# ── N10: publishing in the middle of a restart ──


@attrs.frozen
class Crash:
    """An event that its handler does not survive."""


class Book:
    """What the lives of one actor have handled: number of the life and event, in order."""

    def __init__(self) -> None:
        self.lives = 0
        self.handled: list[tuple[int, str]] = []

    def actor(self, *, crashes: bool) -> type:
        """Give a class whose instances take a second to start."""
        book = self

        class Steady:
            async def started(self) -> None:
                book.lives += 1
                self.number = book.lives
                await anyio.sleep(1.0)

            @handles(str)
            async def handle(self, text: str) -> None:
                book.handled.append((self.number, text))

        class Crashing(Steady):
            @handles(Crash)
            async def crash(self, event: Crash) -> None:
                await cancel_as_a_stranger()

        return Crashing if crashes else Steady


@pytest.mark.parametrize("strategy", Strategy)
async def test_N10_what_is_published_during_a_restart_is_handled_by_the_new_incarnation_in_order(
    make_bus: MakeBus, strategy: Strategy
) -> None:
    bus, subject, sibling = make_bus(), Book(), Book()
    group = bus.group("group", strategy=strategy)
    group.subscribe_actor(subject.actor(crashes=True), name="subject", retry=ONCE, backoff=TWO_SECONDS)
    group.subscribe_actor(sibling.actor(crashes=False), name="sibling", retry=ONCE, backoff=TWO_SECONDS)
    async with bus.running():
        receipts = await publish_all(bus, "before")
        outcome = await outcome_of(bus, Crash())
        assert isinstance(outcome, DeadLettered)
        assert outcome.reason is DeadLetterReason.FOREIGN_CANCEL
        for pause, text in ((0.5, "in the backoff"), (0.0, "and another"), (2.0, "in the start"), (2.0, "after")):
            await anyio.sleep(pause)
            receipts += await publish_all(bus, text)
        for receipt in receipts:
            assert await receipt.settled() == {"subject": Handled(), "sibling": Handled()}
    then = ["in the backoff", "and another", "in the start", "after"]
    life_of_sibling = 1 if strategy is Strategy.ONE_FOR_ONE else 2
    assert subject.handled == [(1, "before"), *((2, text) for text in then)]
    assert sibling.handled == [(1, "before"), *((life_of_sibling, text) for text in then)]


async def test_N10_what_waits_behind_the_one_that_crashed_is_not_attempted_by_the_old_incarnation(
    make_bus: MakeBus,
) -> None:
    bus, book = make_bus(), Book()
    bus.subscribe_actor(book.actor(crashes=True), name="subject", retry=ONCE, backoff=TWO_SECONDS)
    async with bus.running():
        receipts = await publish_all(bus, "before", Crash(), "behind", "it")
        for receipt in receipts:
            await receipt.settled()
    assert book.handled == [(1, "before"), (2, "behind"), (2, "it")]


# ── N11 ──


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_N11_a_handler_that_never_returns_is_attempted_again_after_its_time_limit_and_settled_once(
    make_bus: MakeBus, attempts: int
) -> None:
    bus, numbers, times = make_bus(), list[int](), list[float]()
    retry = RetryPolicy(max_attempts=attempts, backoff=EVERY_SECOND)

    @bus.subscriber(str, name="subject", timeout=7.0, retry=retry)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        numbers.append(delivery.attempt)
        times.append(anyio.current_time())
        await anyio.sleep_forever()

    async with bus.running():
        began = anyio.current_time()
        outcome = await outcome_of(bus, "event")
        assert anyio.current_time() - began == pytest.approx(8.0 * attempts - 1.0)
        assert times == pytest.approx([began + 8.0 * number for number in range(attempts)])
    assert numbers == [number + 1 for number in range(attempts)]
    assert outcome == DeadLettered(DeadLetterReason.TIMEOUT, 1)
    assert (only_letter(bus).attempts, bus.ledger().dead_lettered) == (attempts, 1)


async def test_N11_what_a_handler_returns_after_the_stop_has_interrupted_it_settles_nothing_a_second_time(
    make_bus: MakeBus,
) -> None:
    bus, returned = make_bus(), list[str]()

    @bus.subscriber(str, name="subject", grace_period=1.0)
    async def subject(text: str) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3.0)
        returned.append(text)

    async with bus.running():
        receipt = await bus.publish("event")
        await anyio.sleep(0.5)
        await bus.stop(drain_timeout=0.0)
    assert returned == ["event"]
    assert receipt.outcomes in ({"subject": Returned()}, {"subject": Handled()})
    assert (bus.ledger().handled + bus.ledger().returned, bus.ledger().live) == (1, 0)


async def test_N11_a_letter_is_replayed_once_however_many_ask_for_it_at_once(make_bus: MakeBus) -> None:
    bus, is_broken, handled = make_bus(), True, list[str]()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        await anyio.sleep(0.1)
        if is_broken:
            raise ConnectionError
        handled.append(text)

    async with bus.running():
        await outcome_of(bus, "event")
        is_broken = False
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(bus.replay)
        await bus.drain()
    assert handled == ["event"]
    assert len(bus.dead_letters) == 0


# ── N12 ──


async def test_N12_an_event_that_crashes_each_incarnation_does_not_alone_exhaust_the_default_budget(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=RetryPolicy(backoff=EVERY_SECOND))
    async def subject(text: str) -> None:
        if text == "poison":
            await cancel_as_a_stranger()

    async with bus.running():
        outcome = await outcome_of(bus, "poison")
        assert await outcome_of(bus, "good") == Handled()
        assert bus.statistics().subscriptions["subject"].incarnation == 4
    assert outcome == DeadLettered(DeadLetterReason.FOREIGN_CANCEL, 1)
    assert only_letter(bus).attempts == RetryPolicy().max_attempts == 3


async def test_N12_the_history_of_a_letter_goes_on_over_its_replays(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        raise LookupError(text)

    async with bus.running():
        await outcome_of(bus, "poison")
        for number in (1, 2):
            report = await bus.replay()
            assert report.replayed == (number,)
            await report.receipts[0].settled()
    letter = only_letter(bus)
    assert (letter.id, letter.replay_count, letter.replayed_from) == (3, 2, 2)
    assert [(each.reason, each.count) for each in letter.history] == [(DeadLetterReason.HANDLER_ERROR, 3)]
    assert letter.first_death.at == letter.history[0].first


# ── N4 ──


async def test_N4_a_blocked_loop_does_not_restart_an_actor_that_is_being_started(make_bus: MakeBus) -> None:
    bus, lives = make_bus(), 0

    class Subject:
        async def started(self) -> None:
            nonlocal lives
            lives += 1
            for _ in range(8):
                await anyio.sleep(0.1)

        @handles(str)
        async def handle(self, text: str) -> None: ...

    @bus.subscriber(int)
    async def blocker(number: int) -> None:
        block_the_loop(5.0)

    async with bus.running():
        async with anyio.create_task_group() as group:
            group.start_soon(bus.publish, 1)
            await bus.subscribe_actor_now(Subject, name="subject", start_timeout=1.0)
        assert await outcome_of(bus, "event") == Handled()
    assert lives == 1
