"""Actor classes: state that is built anew, hooks around it, one method for each event."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

import anyio
import pytest

from tests.runtime.failing import (
    EVERY_SECOND,
    ONCE,
    MakeBus,
    cancelled_by,
    only_letter,
    outcome_of,
    publish_all,
    run_until_it_ends,
    stop_now,
    strangers,
    until,
)
from tests.runtime.helpers import Note, Other
from tocsin import (
    Backoff,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    Event,
    Handled,
    Report,
    RestartIntensity,
    RestartIntensityExceeded,
    RetryPolicy,
    handles,
)
from tocsin_supervisors import ChildRenewed, ChildStopped, StopFailed


class Counting:
    """Counts the events of its life; fails at "bad"."""

    def __init__(self, lives: list[Counting], prefix: str = "") -> None:
        lives.append(self)
        self.prefix = prefix
        self.seen: list[str] = []

    @handles(str)
    async def count(self, text: str) -> int:
        self.seen.append(self.prefix + text)
        if text == "bad":
            raise ValueError(text)
        return len(self.seen)


async def test_the_state_lives_from_delivery_to_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives: list[Counting] = []
    bus.subscribe_actor(partial(Counting, lives), name="subject")
    async with bus.running():
        await outcome_of(bus, "a")
        assert await bus.ask("b") == 2
    (only,) = lives
    assert only.seen == ["a", "b"]


async def test_a_failed_attempt_has_the_state_built_anew_at_once_and_free_of_charge(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives: list[Counting] = []
    bus.subscribe_actor(
        partial(Counting, lives),
        name="subject",
        retry=ONCE,
        intensity=RestartIntensity.never(),
        backoff=Backoff(initial=30.0),
        sick_after=1000,
    )
    async with bus.running():
        began = anyio.current_time()
        for _ in range(100):
            await publish_all(bus, "good")
            await outcome_of(bus, "bad")
        assert await outcome_of(bus, "good") == Handled()
        assert anyio.current_time() - began < 20.0
        assert bus.statistics().subscriptions["subject"].incarnation == 101
    assert [life.seen for life in lives] == [["good", "bad"]] * 100 + [["good"]]


async def test_with_resume_the_state_is_kept_over_a_failure(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives: list[Counting] = []
    bus.subscribe_actor(partial(Counting, lives), name="subject", retry=ONCE, on_failure="resume")
    async with bus.running():
        await publish_all(bus, "a", "bad")
        await outcome_of(bus, "b")
        assert bus.statistics().subscriptions["subject"].incarnation == 1
    (only,) = lives
    assert only.seen == ["a", "bad", "b"]


async def test_with_resume_a_stranger_that_cancels_still_costs_the_state(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor(name="subject", retry=ONCE, on_failure="resume")
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None:
            if text == "bad":
                await cancelled_by("fault B7: its own task cancelled")

    async with bus.running():
        await publish_all(bus, "bad")
        await outcome_of(bus, "good")
        assert bus.statistics().subscriptions["subject"].incarnation == 2


async def test_a_retry_is_made_by_a_new_state(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives: list[int] = []

    @bus.actor(name="subject", retry=RetryPolicy(max_attempts=3, backoff=EVERY_SECOND))
    class Subject:
        @handles(str)
        async def handle(self, text: str, delivery: Delivery[str]) -> None:
            lives.append(id(self))
            if delivery.attempt < 3:
                raise ValueError(text)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert bus.statistics().subscriptions["subject"].incarnation == 3


async def test_a_renewal_waits_for_the_deliveries_that_run_beside_the_failed_one(make_bus: MakeBus) -> None:
    bus = make_bus()
    trace: list[str] = []

    @bus.actor(name="subject", concurrency=2, retry=ONCE)
    class Subject:
        def __init__(self) -> None:
            trace.append("built")

        @handles(str)
        async def handle(self, text: str) -> None:
            await anyio.sleep(1.0 if text == "bad" else 5.0)
            trace.append(text)
            if text == "bad":
                raise ValueError(text)

        async def stopping(self) -> None:
            trace.append("stopping")

    async with bus.running():
        receipts = await publish_all(bus, "slow", "bad", "next")
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
    assert trace == ["built", "bad", "slow", "stopping", "built", "next", "stopping"]
    assert (outcomes[0], outcomes[2]) == (Handled(), Handled())
    assert isinstance(outcomes[1], DeadLettered)


async def test_a_sick_actor_class_is_suspended_and_not_only_renewed(make_bus: MakeBus) -> None:
    bus = make_bus()
    is_over = False

    @bus.actor(name="subject")
    class Subject:
        @handles(int)
        async def handle(self, number: int) -> None:
            if not is_over:
                raise ConnectionError("nobody listens")

    async with bus.running():
        receipts = await publish_all(bus, *range(50))
        await anyio.sleep(600.0)
        assert bus.ledger().dead_lettered == 0
        is_over = True
        for receipt in receipts:
            assert await receipt.settled() == {"subject": Handled()}


async def test_the_methods_share_the_events_by_class_and_topic(make_bus: MakeBus) -> None:
    bus = make_bus()
    trace: list[str] = []

    @bus.actor(name="subject")
    class Subject:
        @handles(Note)
        async def note(self, event: Note) -> None:
            trace.append(f"note {event.text}")

        @handles("order.*")
        async def order(self, event: Event, delivery: Delivery[Event]) -> None:
            trace.append(f"order {delivery.envelope.topic}")

        @handles(object)
        async def rest(self, event: object) -> None:
            trace.append(f"rest {type(event).__name__}")

    async with bus.running():
        await publish_all(bus, Note("a"), Event("order.placed"), Other(), Note("b"))
        await bus.drain()
    assert trace == ["note a", "order order.placed", "rest Other", "note b"]


async def test_topics_without_number_do_not_make_an_actor_grow(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []

    @bus.actor(name="subject", mailbox=5000)
    class Subject:
        @handles("order.#")
        async def order(self, event: Event) -> None:
            seen.append(event.type)

    async with bus.running():
        for number in range(2100):
            await bus.publish(Event(f"order.{number}"))
        await bus.drain()
    assert seen == [f"order.{number}" for number in range(2100)]


# ── hooks ──


async def test_a_life_goes_from_started_over_handling_to_stopping(make_bus: MakeBus) -> None:
    bus = make_bus()
    trace: list[str] = []

    @bus.actor(name="subject", retry=ONCE)
    class Subject:
        def __init__(self) -> None:
            trace.append("built")

        async def started(self) -> None:
            trace.append("started")

        @handles(str)
        async def handle(self, text: str) -> None:
            trace.append(text)
            if text == "bad":
                raise ValueError(text)

        async def stopping(self) -> None:
            await anyio.sleep(1.0)
            trace.append("stopping")

    async with bus.running():
        await publish_all(bus, "bad", "good")
    life = ["built", "started"]
    assert trace == [*life, "bad", "stopping", *life, "good", "stopping"]


async def test_a_factory_that_raises_is_a_failed_start(make_bus: MakeBus) -> None:
    bus = make_bus()
    built = 0

    class Subject:
        def __init__(self) -> None:
            nonlocal built
            built += 1
            if built > 1:
                raise OSError("no more of these")

        @handles(str)
        async def handle(self, text: str) -> None:
            raise ValueError(text)

    bus.subscribe_actor(Subject, name="subject", retry=ONCE, intensity=RestartIntensity(2, 60.0))
    with pytest.raises(RestartIntensityExceeded) as caught:
        await run_until_it_ends(bus, "text")
    assert built == 1 + 1 + 2  # the renewal is free, its failed start is a crash
    assert caught.value.failure is not None
    assert caught.value.failure.message == "no more of these"


def _stop_reports(reports: list[Report]) -> list[type[Report]]:
    return [type(report) for report in reports if isinstance(report, StopFailed | ChildStopped)]


async def test_fault_D5_an_error_in_stopping_is_logged_and_reported_and_the_stop_goes_on(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    reports: list[Report] = []

    async def observe(report: Report) -> None:
        reports.append(report)

    bus = make_bus(observer=observe)

    @bus.actor(name="subject")
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None: ...

        async def stopping(self) -> None:
            raise OSError("cannot close")

    with caplog.at_level(logging.ERROR, "tocsin"):
        async with bus.running():
            assert await outcome_of(bus, "text") == Handled()
    assert "subject raised while stopping: builtins.OSError: cannot close" in caplog.messages
    assert _stop_reports(reports) == [StopFailed]


async def test_an_error_in_stopping_does_not_hide_why_the_life_ended(make_bus: MakeBus) -> None:
    reports: list[Report] = []

    async def observe(report: Report) -> None:
        reports.append(report)

    bus = make_bus(observer=observe)

    @bus.actor(name="subject", retry=ONCE, intensity=RestartIntensity.never())
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None:
            raise ValueError(text)

        async def stopping(self) -> None:
            raise OSError("cannot close")

    async with bus.running():
        await outcome_of(bus, "text")
        await until(lambda: bus.statistics().subscriptions["subject"].incarnation == 2)
    assert sum(isinstance(report, ChildRenewed) for report in reports) == 1


@strangers
async def test_a_stranger_that_cancels_stopping_does_not_hide_why_the_life_ended(
    make_bus: MakeBus, stranger: str
) -> None:
    bus = make_bus()

    @bus.actor(name="subject", retry=ONCE, intensity=RestartIntensity.never())
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None:
            if text == "bad":
                raise ValueError(text)

        async def stopping(self) -> None:
            await cancelled_by(stranger)

    async with bus.running():
        await outcome_of(bus, "bad")
        assert await outcome_of(bus, "good") == Handled()


async def test_fault_D6_stopping_may_take_its_grace_period_and_no_longer(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()

    @bus.actor(name="subject", grace_period=4.0)
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep_forever()

    with caplog.at_level(logging.ERROR, "tocsin"):
        async with bus.running():
            began = anyio.current_time()
            await stop_now(bus)
            assert anyio.current_time() - began == pytest.approx(4.0, abs=0.5)
    assert any("stopping() of 'subject' took longer than its grace_period=4.0 s" in each for each in caplog.messages)


@pytest.mark.parametrize("grace_period", [5.0, float("inf")])
async def test_stopping_is_not_cut_short_by_the_stop(make_bus: MakeBus, grace_period: float) -> None:
    bus = make_bus()
    closed: list[str] = []

    @bus.actor(name="subject", grace_period=grace_period)
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep(4.5)
            closed.append("closed")

    async with bus.running():
        await stop_now(bus)
    assert closed == ["closed"]


async def test_stopping_has_its_time_also_after_a_delivery_that_used_up_the_grace_period(make_bus: MakeBus) -> None:
    bus = make_bus()
    closed: list[str] = []

    @bus.actor(name="subject", grace_period=5.0)
    class Subject:
        @handles(str)
        async def handle(self, text: str) -> None:
            await anyio.sleep_forever()

        async def stopping(self) -> None:
            await anyio.sleep(4.0)
            closed.append("closed")

    async with bus.running():
        await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        report = await bus.stop(drain_timeout=0.0)
    assert closed == ["closed"]
    assert report is not None
    assert report.unstopped == ()


@pytest.mark.real_time
async def test_plain_hooks_and_methods_run_in_threads(make_bus: MakeBus) -> None:
    bus = make_bus()
    threads: dict[str, int] = {}

    @bus.actor(name="subject")
    class Subject:
        def started(self) -> None:
            threads["started"] = threading.get_ident()

        @handles(str)
        def handle(self, text: str, delivery: Delivery[str]) -> int:
            threads["handle"] = threading.get_ident()
            return delivery.attempt

        def stopping(self) -> None:
            threads["stopping"] = threading.get_ident()

    async with bus.running():
        assert await bus.ask("text") == 1
    assert set(threads) == {"started", "handle", "stopping"}
    assert threading.get_ident() not in threads.values()


async def test_a_bad_result_of_a_method_is_a_bad_handler_and_keeps_the_state(make_bus: MakeBus) -> None:
    bus = make_bus()
    lives: list[Any] = []

    @bus.actor(name="subject")
    class Subject:
        def __init__(self) -> None:
            lives.append(self)

        @handles(str)
        async def handle(self, text: str) -> object:
            return anyio.sleep(1.0)

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.BAD_HANDLER
    assert len(lives) == 1
