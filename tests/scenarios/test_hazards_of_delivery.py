"""What went wrong with messages in other runtimes, kept from going wrong on the bus: attempts counted off by one,
messages lost with a consumer, dropped without a word, or delivered for ever."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.failing import ONCE, MakeBus, only_letter, outcome_of, publish_all, until
from tests.runtime.helpers import Gated
from tocsin import (
    ActorRestarting,
    ActorStopped,
    AskError,
    Backoff,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    DeliveryDropped,
    DropOldest,
    Dropped,
    DropReason,
    EventBus,
    FinishActor,
    Handled,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RetryPolicy,
    Returned,
    handles,
)
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import Bury, Retry, decide

AT_ONCE = Backoff.none()
PLENTY = RestartIntensity(10**6, 1.0, max_consecutive=None)


# ── taskiq, Spring, dramatiq: `max_retries` means one more run here than there ──


@given(st.integers(1, 100), st.booleans())
def test_max_attempts_counts_the_first_attempt(max_attempts: int, timed_out: bool) -> None:
    policy, error = RetryPolicy(max_attempts), TimeoutError() if timed_out else ValueError()
    runs = 1
    while isinstance(decide(policy, runs, error, timed_out=timed_out, random=Random(0)), Retry):
        runs += 1
    assert runs == max_attempts
    reason = DeadLetterReason.TIMEOUT if timed_out else DeadLetterReason.HANDLER_ERROR
    assert decide(policy, runs, error, timed_out=timed_out, random=Random(0)) == Bury(reason)


@pytest.mark.parametrize("max_attempts", [1, 2, 3, 7])
async def test_a_handler_that_always_fails_runs_exactly_max_attempts_times(
    make_bus: MakeBus, max_attempts: int
) -> None:
    bus, attempts = make_bus(), list[int]()

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts, AT_ONCE))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        attempts.append(delivery.attempt)
        raise ValueError

    async with bus.running():
        await outcome_of(bus, "text")
    assert attempts == list(range(1, max_attempts + 1))
    assert only_letter(bus).attempts == max_attempts


# ── GenStage: with a consumer that crashes, all that it had taken is lost ──


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_crash_consumes_no_event(make_bus: MakeBus, concurrency: int) -> None:
    bus, handled = make_bus(), list[int]()
    # Many attempts, as on trio the stranger hits all that the actor does at the time.
    retry = RetryPolicy(20, AT_ONCE)

    @bus.subscriber(int, name="subject", concurrency=concurrency, retry=retry, backoff=AT_ONCE, intensity=PLENTY)
    async def subject(number: int, delivery: Delivery[int]) -> None:
        await anyio.sleep(0.001 * (number % 3))
        if number % 5 == 0 and delivery.attempt == 1:
            await cancel_as_a_stranger()
        handled.append(number)

    async with bus.running():
        for receipt in await publish_all(bus, *range(20)):
            assert await receipt.settled() == {"subject": Handled()}
        assert bus.statistics().subscriptions["subject"].restarts > 0
    assert sorted(handled) == list(range(20))


async def test_a_crash_without_another_attempt_buries_what_was_in_hand_and_nothing_else(make_bus: MakeBus) -> None:
    bus, handled = make_bus(), list[int]()

    @bus.subscriber(int, name="subject", retry=ONCE, backoff=AT_ONCE, intensity=PLENTY)
    async def subject(number: int) -> None:
        if number % 5 == 0:
            await cancel_as_a_stranger()
        handled.append(number)

    async with bus.running():
        for receipt in await publish_all(bus, *range(20)):
            await receipt.settled()
        assert bus.statistics().subscriptions["subject"].incarnation == 5
    assert handled == [number for number in range(20) if number % 5]
    assert [letter.event for letter in bus.dead_letters.list()] == [0, 5, 10, 15]


# ── RabbitMQ: giving back a whole prefetched batch counts as a delivery of each of its messages ──


async def test_a_crash_is_charged_to_the_delivery_in_hand_alone(make_bus: MakeBus) -> None:
    bus, attempts = make_bus(), list[tuple[str, int]]()

    @bus.subscriber(str, name="subject", retry=RetryPolicy(3, AT_ONCE), backoff=AT_ONCE, intensity=PLENTY)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        attempts.append((text, delivery.attempt))
        if text == "bad":
            await cancel_as_a_stranger()

    async with bus.running():
        receipts = await publish_all(bus, "bad", "one", "two", "three")
        for receipt in receipts[1:]:
            assert await receipt.settled() == {"subject": Handled()}
        await receipts[0].settled()
    assert sorted(attempts) == [("bad", 1), ("bad", 2), ("bad", 3), ("one", 1), ("three", 1), ("two", 1)]


# ── Celery: a message that takes its worker down is given to the next one, for ever ──


@pytest.mark.parametrize("max_attempts", [1, 3])
async def test_a_message_that_takes_its_actor_down_each_time_is_not_delivered_for_ever(
    make_bus: MakeBus, max_attempts: int
) -> None:
    bus, lives = make_bus(), list[int]()
    retry = RetryPolicy(max_attempts, AT_ONCE)

    @bus.subscriber(str, name="subject", retry=retry, backoff=AT_ONCE, intensity=PLENTY)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        lives.append(delivery.attempt)
        if text == "deadly":
            await cancel_as_a_stranger()

    async with bus.running():
        outcome = await outcome_of(bus, "deadly")
        assert await outcome_of(bus, "harmless") == Handled()
    letter = only_letter(bus)
    assert outcome == DeadLettered(DeadLetterReason.FOREIGN_CANCEL, letter.id)
    assert (letter.event, letter.attempts) == ("deadly", max_attempts)
    assert lives == [*range(1, max_attempts + 1), 1]


# ── pykka: what is left in the mailbox of an actor that ends is dropped without a word ──


def _leaving(bus: EventBus, how: str) -> anyio.Event:
    """Subscribe an actor that ends with what it does first, as soon as the event is set."""
    let_go = anyio.Event()
    options: dict[str, Any] = {
        "it finishes": {"restart": RestartPolicy.TRANSIENT},
        "it crashes": {"restart": RestartPolicy.TEMPORARY},
        "it is parked": {"intensity": RestartIntensity.never(), "on_exhausted": "park"},
    }

    async def subject(text: str) -> None:
        await let_go.wait()
        if how == "it finishes":
            raise FinishActor
        await cancel_as_a_stranger()

    bus.subscribe(subject, str, name="subject", retry=ONCE, **options[how])
    return let_go


@pytest.mark.parametrize("how", ["it finishes", "it crashes"])
async def test_what_is_left_in_the_mailbox_of_an_actor_that_ends_is_not_dropped_silently(
    make_bus: MakeBus, how: str
) -> None:
    bus = make_bus()
    let_go = _leaving(bus, how)
    async with bus.running():
        receipts = await publish_all(bus, "last", "left 1", "left 2", "left 3")
        let_go.set()
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts[1:]]
    letters = bus.dead_letters.list(reason=DeadLetterReason.ACTOR_STOPPED)
    assert [letter.event for letter in letters] == ["left 1", "left 2", "left 3"]
    assert outcomes == [DeadLettered(DeadLetterReason.ACTOR_STOPPED, letter.id) for letter in letters]


async def test_what_is_left_in_the_mailbox_of_an_actor_that_is_parked_is_kept_for_its_restart(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    let_go = _leaving(bus, "it is parked")
    async with bus.running():
        await publish_all(bus, "last", "left 1", "left 2", "left 3")
        let_go.set()
        await until(lambda: bus.statistics().subscriptions["subject"].state == "parked")
        assert bus.statistics().subscriptions["subject"].depth == bus.ledger().live == 3
    assert bus.stop_report is not None
    assert [each.event for each in bus.stop_report.returned] == ["left 1", "left 2", "left 3"]


async def test_what_is_left_in_the_mailbox_of_who_unsubscribes_is_returned_and_counted(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(Gated(), str, name="subject")
    async with bus.running():
        receipts = await publish_all(bus, "last", "left 1", "left 2", "left 3")
        await anyio.wait_all_tasks_blocked()
        await subscription.unsubscribe()
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
        assert outcomes == [Returned()] * 4
        assert (bus.ledger().returned, bus.ledger().live) == (4, 0)


async def test_who_asked_an_actor_that_ends_is_told_so_with_the_question(make_bus: MakeBus) -> None:
    bus, unanswered = make_bus(), list[object]()

    @bus.actor(name="subject", restart=RestartPolicy.TRANSIENT)
    class Subject:
        @handles(str)
        async def answer(self, text: str) -> None:
            await anyio.sleep(1.0)
            raise FinishActor

    async def ask(number: int) -> None:
        with pytest.raises(AskError) as caught:
            await bus.ask(f"question {number}", timeout=100.0)
        assert isinstance(caught.value, ActorStopped | ActorRestarting)
        unanswered.append(caught.value.event)

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish("last")
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            group.start_soon(ask, number)
        with anyio.fail_after(2.0):  # at its end, not after their time is over
            await until(lambda: len(unanswered) == 3)
    assert {*unanswered} == {"question 0", "question 1", "question 2"}


async def test_what_a_full_mailbox_drops_is_counted_and_told(make_bus: MakeBus) -> None:
    """kameo and ractor drop without a word; here the publisher, the observer and the ledger know."""
    reports = list[DeliveryDropped]()

    async def observe(report: object) -> None:
        if isinstance(report, DeliveryDropped):
            reports.append(report)

    bus, gated = make_bus(observer=observe), Gated()
    bus.subscribe(gated, int, name="subject", mailbox=2, overflow=DropOldest())
    async with bus.running():
        receipts = await publish_all(bus, 0)
        await anyio.wait_all_tasks_blocked()
        receipts += await publish_all(bus, *range(1, 6))
        gated.open()
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
    assert outcomes == [Handled(), *[Dropped(DropReason.OLDEST)] * 3, Handled(), Handled()]
    assert len(reports) == bus.ledger().dropped == 3


# ── pykka: a BaseException in one actor stops all of them; Spring: one kills its consumer silently ──


class Odd(BaseException):
    """Neither an error nor a request to end."""


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, Odd])
async def test_a_base_exception_in_a_handler_is_raised_and_loses_no_event(
    make_bus: MakeBus, fatal: type[BaseException]
) -> None:
    bus, problem, neighbour = make_bus(), fatal(3), Gated()
    bus.subscribe(neighbour, int, name="neighbour")

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        await anyio.sleep(1.0)
        raise problem

    async def scene() -> None:
        async with bus.running():
            await publish_all(bus, "fatal", "after it", 1, 2)
            await anyio.sleep_forever()

    with pytest.raises(fatal) as caught:
        await scene()
    assert caught.value is problem
    report = bus.stop_report
    assert report is not None
    assert {each.event for each in report.returned} == {"fatal", "after it", 1, 2}
    assert bus.ledger().live == 0


# ── anyio on asyncio: a task cancelled by a stranger ends its whole group, and the daemon with exit code 0 ──


async def _publish_for_ever(bus: EventBus) -> None:
    async with bus.running():
        while True:
            await bus.publish("text")
            await anyio.sleep(0.1)


async def test_a_bus_whose_handler_strangers_cancel_ever_again_ends_with_an_error_never_in_silence(
    make_bus: MakeBus,
) -> None:
    bus, neighbour = make_bus(), Gated(is_open=True)
    bus.subscribe(neighbour, str, name="neighbour")

    @bus.subscriber(str, name="subject", retry=ONCE, backoff=AT_ONCE)
    async def subject(text: str) -> None:
        await cancel_as_a_stranger()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await _publish_for_ever(bus)
    assert (caught.value.child, caught.value.limit) == ("subject", 3)
    assert len(neighbour.done) >= 4  # it went on until the last
