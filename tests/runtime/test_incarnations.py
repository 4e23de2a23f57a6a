"""One life after the other: what ends an incarnation, who is restarted with it, and what comes out of `running()`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.runtime.failing import (
    ONCE,
    MakeBus,
    cancelled_by,
    outcome_of,
    publish_all,
    run_until_it_ends,
    stop_now,
    strangers,
    until,
)
from tests.runtime.helpers import Gated
from tests.virtual_time import backend_options
from tocsin import (
    Backoff,
    ChildStartError,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    EventBus,
    FinishActor,
    Handled,
    MailboxFull,
    Receipt,
    Rejected,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RetryPolicy,
    Returned,
    Strategy,
    handles,
)
from tocsin.testing import cancel_as_a_stranger

FIXED = Backoff(initial=1.0, maximum=1.0, factor=1.0, jitter=0.0)
OPTIONS: list[dict[str, Any]] = [{}, {"timeout": None}, {"concurrency": 3}, {"context": "delivery"}]


class Fussy:
    """An actor whose start succeeds only as often as it is told to; shared by all its lives."""

    def __init__(self, *, good_starts: float = 1) -> None:
        self.good_starts = good_starts
        self.started_at: list[float] = []

    def begin(self) -> None:
        self.started_at.append(anyio.current_time())
        if len(self.started_at) > self.good_starts:
            raise OSError("cannot start")


def subscribe_fussy(bus: EventBus, fussy: Fussy, **options: Any) -> None:
    """Subscribe an actor that crashes whenever it is sent "crash"."""

    class Actor:
        async def started(self) -> None:
            fussy.begin()

        @handles(str)
        async def handle(self, text: str) -> None:
            if text == "crash":
                await cancelled_by("a cancellation raised by hand")

    bus.subscribe_actor(Actor, name="subject", retry=ONCE, **options)


# ── what ends programs ──


class Ending(BaseException):
    """Neither an error nor a cancellation."""


FATAL: list[Callable[[], BaseException]] = [KeyboardInterrupt, lambda: SystemExit(3), GeneratorExit, Ending]


@pytest.mark.parametrize("make", FATAL, ids=["KeyboardInterrupt", "SystemExit", "GeneratorExit", "own"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_fault_A4_A5_A7_A8_what_ends_programs_comes_out_of_running_as_itself_after_an_ordered_stop(
    make_bus: MakeBus, make: Callable[[], BaseException], options: dict[str, Any]
) -> None:
    bus = make_bus()
    fatal = make()
    cleaned: list[str] = []

    @bus.actor(name="neighbour")
    class Neighbour:
        @handles(int)
        async def handle(self, number: int) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep(1.0)
            cleaned.append("neighbour")

    @bus.subscriber(str, name="subject", **options)
    async def subject(text: str) -> None:
        raise fatal

    with pytest.raises(type(fatal)) as caught:
        await run_until_it_ends(bus, "text")
    assert caught.value is fatal
    assert cleaned == ["neighbour"]
    assert len(bus.dead_letters) == 0
    assert bus.stop_report is not None
    (returned,) = bus.stop_report.returned
    assert (returned.event, returned.attempts, returned.was_in_flight) == ("text", 0, True)
    assert bus.ledger().live == 0


async def test_a_failure_of_pytest_in_a_handler_fails_the_test(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str)
    async def subject(text: str) -> None:
        pytest.fail("as it should")

    with pytest.raises(pytest.fail.Exception, match="as it should"):
        await run_until_it_ends(bus, "text")


async def test_what_ends_programs_ends_them_from_started_and_stopping_too(make_bus: MakeBus) -> None:
    for where in ("started", "stopping"):
        bus = make_bus()

        async def end(self: object) -> None:
            sys.exit(3)

        async def handle(self: object, text: str) -> None: ...

        bus.subscribe_actor(type("Subject", (), {where: end, "handle": handles(str)(handle)}))
        with pytest.raises(SystemExit):
            async with bus.running():
                pass


async def test_what_ends_programs_is_not_lost_to_a_stop_that_cancels(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", concurrency=2, grace_period=1.0)
    async def subject(text: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    async def stop_while_it_runs() -> None:
        async with bus.running():
            await bus.publish("text")
            await anyio.wait_all_tasks_blocked()
            await stop_now(bus)

    with pytest.raises(KeyboardInterrupt):
        await stop_while_it_runs()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_fault_A6_a_system_exit_in_a_task_of_the_handlers_own_ends_the_program(backend: str) -> None:
    bus = EventBus()

    @bus.subscriber(str)
    async def subject(text: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(leave)

    async def leave() -> None:
        sys.exit(3)

    async def main() -> None:
        await run_until_it_ends(bus, "text")

    with pytest.raises(SystemExit) as caught:
        anyio.run(main, backend=backend, backend_options=backend_options(backend, real_time=False))
    assert caught.value.code == 3


# ── cancelled by a stranger ──


@strangers
@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_fault_A11_a_handler_cancelled_by_a_stranger_is_restarted_and_nobody_else_notices(
    make_bus: MakeBus, stranger: str, options: dict[str, Any]
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE, **options)
    async def subject(text: str) -> None:
        if text == "bad":
            await cancelled_by(stranger)

    neighbour = Gated()
    bus.subscribe(neighbour, str, name="neighbour")
    async with bus.running():
        receipt = await bus.publish("bad")
        await until(lambda: bus.statistics().subscriptions["subject"].incarnation == 2)
        assert await outcome_at_subject(bus, "good") == Handled()
        neighbour.open()
        outcomes = await receipt.settled()
        statistics = bus.statistics().subscriptions
    (letter,) = bus.dead_letters.list()
    assert outcomes == {"subject": DeadLettered(DeadLetterReason.FOREIGN_CANCEL, letter.id), "neighbour": Handled()}
    assert (statistics["subject"].restarts, statistics["neighbour"].restarts) == (1, 0)
    assert statistics["neighbour"].incarnation == 1


async def outcome_at_subject(bus: EventBus, event: object) -> object:
    receipt = await bus.publish(event)
    await until(lambda: "subject" in receipt.outcomes)
    return receipt.outcomes["subject"]


async def test_an_attempt_cancelled_by_a_stranger_is_retried(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[int] = []

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts=2))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        seen.append(delivery.attempt)
        if delivery.attempt == 1:
            await cancelled_by("fault B7: its own task cancelled")

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert bus.statistics().subscriptions["subject"].incarnation == 2
    assert seen == [1, 2]


# ── restarts, limits, giving up ──


async def test_a_crash_is_restarted_after_its_backoff_and_the_mailbox_is_kept(make_bus: MakeBus) -> None:
    bus = make_bus()
    fussy = Fussy(good_starts=2)
    subscribe_fussy(bus, fussy, backoff=FIXED)
    async with bus.running():
        receipts = await publish_all(bus, "crash", "one", "two")
        for receipt in receipts[1:]:
            assert await receipt.settled() == {"subject": Handled()}
    first, second = fussy.started_at
    assert second - first == pytest.approx(1.0, abs=0.5)


async def test_fault_D7_D8_a_start_that_fails_again_and_again_gives_up_after_exactly_the_allowed_restarts(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    fussy = Fussy()
    subscribe_fussy(bus, fussy, intensity=RestartIntensity(3, 60.0), backoff=FIXED)
    with pytest.raises(RestartIntensityExceeded) as caught:
        await run_until_it_ends(bus, "crash", "left")
    assert len(fussy.started_at) == 1 + 3
    error = caught.value
    assert (error.supervisor, error.child, error.restarts, error.limit) == ("test", "subject", 4, 3)
    assert error.failure is not None
    assert error.failure.message == "cannot start"
    assert isinstance(error.__cause__, OSError)
    assert bus.stop_report is not None
    assert [returned.event for returned in bus.stop_report.returned] == ["left"]


async def test_fault_D9_with_an_intensity_of_none_the_first_crash_gives_up(make_bus: MakeBus) -> None:
    bus = make_bus()
    fussy = Fussy()
    subscribe_fussy(bus, fussy, intensity=RestartIntensity.never())
    with pytest.raises(RestartIntensityExceeded):
        await run_until_it_ends(bus, "crash")
    assert len(fussy.started_at) == 1


async def test_a_body_that_has_an_error_of_its_own_raises_that(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(Gated(), str, name="subject")
    with pytest.raises(LookupError, match="the body's"):
        async with bus.running():
            raise LookupError("the body's")


async def test_fault_D13_a_group_that_gives_up_is_restarted_whole_and_gives_up_the_bus_in_the_end(
    make_bus: MakeBus,
) -> None:
    bus = make_bus(intensity=RestartIntensity(1, 1000.0))
    group = bus.group("inner", intensity=RestartIntensity(1, 1000.0))
    group.subscribe(Gated(is_open=True), int, name="neighbour")
    neighbours: list[int] = []

    @group.subscriber(str, name="subject", retry=ONCE, intensity=RestartIntensity(100, 1000.0), backoff=FIXED)
    async def subject(text: str) -> None:
        await cancelled_by("a cancellation raised by hand")

    async def crash_again_and_again() -> None:
        async with bus.running():
            for number in range(9):
                await outcome_of(bus, "crash")
                await anyio.sleep(100.0)
                await outcome_of(bus, number, "neighbour")
                neighbours.append(bus.statistics().subscriptions["neighbour"].incarnation)

    with pytest.raises(RestartIntensityExceeded) as caught:
        await crash_again_and_again()
    # One restart within the group, then the group itself once, one more within it, then the bus.
    assert neighbours == [1, 2, 2]
    assert (caught.value.supervisor, caught.value.child) == ("test", "inner")
    assert isinstance(caught.value.__cause__, RestartIntensityExceeded)
    assert (caught.value.__cause__.supervisor, caught.value.__cause__.child) == ("test/inner", "subject")


async def test_fault_D1_a_first_start_that_fails_comes_out_of_running_and_stops_those_before_it(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    stopped: list[str] = []

    @bus.actor(name="before")
    class Before:
        @handles(int)
        async def handle(self, number: int) -> None: ...

        async def stopping(self) -> None:
            stopped.append("before")

    subscribe_fussy(bus, Fussy(good_starts=0))
    with pytest.raises(ChildStartError, match="cannot start") as caught:
        async with bus.running():
            raise AssertionError("entered")
    assert isinstance(caught.value.__cause__, OSError)
    assert stopped == ["before"]


@strangers
async def test_fault_D4_a_start_cancelled_by_a_stranger_is_a_failed_start(make_bus: MakeBus, stranger: str) -> None:
    bus = make_bus()

    @bus.actor(name="subject")
    class Subject:
        async def started(self) -> None:
            await cancelled_by(stranger)

        @handles(str)
        async def handle(self, text: str) -> None: ...

    with pytest.raises(ChildStartError):
        async with bus.running():
            raise AssertionError("entered")


async def test_fault_D2_a_start_that_hangs_is_a_failed_start_after_its_time(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor(name="subject", start_timeout=7.0, grace_period=0.0)
    class Subject:
        async def started(self) -> None:
            await anyio.sleep_forever()

        @handles(str)
        async def handle(self, text: str) -> None: ...

    began = anyio.current_time()
    with pytest.raises(ChildStartError, match=r"start_timeout=7"):
        async with bus.running():
            raise AssertionError("entered")
    assert anyio.current_time() - began == pytest.approx(7.0, abs=0.5)


async def test_nothing_is_handled_before_the_start_has_succeeded(make_bus: MakeBus) -> None:
    bus = make_bus()
    trace: list[str] = []

    @bus.actor(name="subject")
    class Subject:
        async def started(self) -> None:
            trace.append("starting")
            await bus.publish("from started()")
            await anyio.sleep(1.0)
            trace.append("started")

        @handles(str)
        async def handle(self, text: str) -> None:
            trace.append(text)

    async with bus.running():
        await bus.drain()
    assert trace == ["starting", "started", "from started()"]


# ── parked ──


async def test_a_parked_actor_keeps_its_mailbox_and_handles_it_after_a_restart(make_bus: MakeBus) -> None:
    bus = make_bus()
    fussy = Fussy(good_starts=2)
    subscribe_fussy(bus, fussy, intensity=RestartIntensity.never(), on_exhausted="park")
    neighbour = Gated(is_open=True)
    bus.subscribe(neighbour, str, name="neighbour")
    async with bus.running():
        kept = (await publish_all(bus, "crash", "kept"))[1]
        await until(lambda: bus.statistics().subscriptions["subject"].state == "parked")
        assert bus.statistics().subscriptions["subject"].depth == 1
        late = await bus.publish("late")
        assert late.outcomes["subject"] == DeadLettered(DeadLetterReason.ACTOR_STOPPED, bus.dead_letters.list()[-1].id)
        await bus.subscriptions["subject"].restart()
        assert (await kept.settled())["subject"] == Handled()
        assert await outcome_of(bus, "again") == Handled()
    assert "late" in neighbour.done


async def test_a_parked_actor_whose_restart_fails_stays_down(make_bus: MakeBus) -> None:
    bus = make_bus()
    fussy = Fussy()
    subscribe_fussy(bus, fussy, intensity=RestartIntensity.never(), on_exhausted="park")
    async with bus.running():
        await publish_all(bus, "crash", "kept")
        await until(lambda: bus.statistics().subscriptions["subject"].state == "parked")
        with pytest.raises(ChildStartError, match="cannot start"):
            await bus.subscriptions["subject"].restart()
        assert bus.statistics().subscriptions["subject"].depth == 1
        late = await bus.publish("late")
        assert isinstance(late.outcomes["subject"], DeadLettered)
        assert await bus.drain(timeout=1.0)
    assert bus.stop_report is not None
    assert [returned.event for returned in bus.stop_report.returned] == ["kept"]


async def test_publishers_that_wait_for_an_actor_that_is_parked_wait_no_longer(make_bus: MakeBus) -> None:
    bus = make_bus()
    let_go = anyio.Event()

    @bus.subscriber(str, name="subject", mailbox=1, retry=ONCE, intensity=RestartIntensity.never(), on_exhausted="park")
    async def subject(text: str) -> None:
        await let_go.wait()
        await cancelled_by("a cancellation raised by hand")

    waiting = Receipt()
    async with bus.running():
        await bus.publish("crash")
        await anyio.wait_all_tasks_blocked()
        await bus.publish("kept")
        async with anyio.create_task_group() as group:
            group.start_soon(partial(bus.publish, "waits", receipt=waiting))
            await anyio.wait_all_tasks_blocked()
            let_go.set()
        outcome = waiting.outcomes["subject"]
        assert isinstance(outcome, DeadLettered)
        assert outcome.reason is DeadLetterReason.ACTOR_STOPPED
        assert bus.statistics().subscriptions["subject"].depth == 1


# ── ended by itself ──


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("policy", [RestartPolicy.TRANSIENT, RestartPolicy.TEMPORARY])
async def test_an_actor_that_finishes_is_not_started_again_and_its_queue_is_buried(
    make_bus: MakeBus, policy: RestartPolicy, concurrency: int
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", restart=policy, concurrency=concurrency)
    async def subject(text: str) -> None:
        await anyio.sleep(1.0)
        raise FinishActor

    async with bus.running():
        receipts = await publish_all(bus, "last", *["left"] * 5)
        outcomes = [(await receipt.settled())["subject"] for receipt in receipts]
        assert await bus.publish("later") is not None
    assert outcomes[:concurrency] == [Handled()] * concurrency
    assert all(
        isinstance(outcome, DeadLettered) and outcome.reason is DeadLetterReason.ACTOR_STOPPED
        for outcome in outcomes[concurrency:]
    )
    assert bus.statistics().undeliverable == 1


async def test_a_permanent_actor_that_finishes_is_started_again(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        if text == "last":
            raise FinishActor

    async with bus.running():
        assert await outcome_of(bus, "last") == Handled()
        assert await outcome_of(bus, "next") == Handled()
        assert bus.statistics().subscriptions["subject"].incarnation == 2


async def test_a_temporary_actor_that_crashes_is_gone(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscribe_fussy(bus, Fussy(), restart=RestartPolicy.TEMPORARY)
    async with bus.running():
        left = (await publish_all(bus, "crash", "left"))[1]
        outcome = (await left.settled())["subject"]
    assert isinstance(outcome, DeadLettered)
    assert outcome.reason is DeadLetterReason.ACTOR_STOPPED


# ── groups ──


async def test_under_one_for_all_siblings_are_stopped_and_started_in_order_and_lose_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("payments", strategy=Strategy.ONE_FOR_ALL)
    trace: list[str] = []

    def member(name: str) -> None:
        class Member:
            async def started(self) -> None:
                trace.append(f"{name} started")

            @handles(str)
            async def handle(self, text: str, delivery: Delivery[str]) -> None:
                if text == name:
                    await cancelled_by("a cancellation raised by hand")
                await anyio.sleep(100.0)

            async def stopping(self) -> None:
                trace.append(f"{name} stopped")

        group.subscribe_actor(Member, name=name, retry=ONCE, grace_period=1.0, backoff=FIXED, timeout=None)

    for name in ("a", "b", "c"):
        member(name)
    async with bus.running():
        trace.clear()
        receipt = await bus.publish("b")
        await until(lambda: len(trace) == 6)
        assert trace == ["b stopped", "c stopped", "a stopped", "a started", "b started", "c started"]
        outcomes = await receipt.settled()
        statistics = bus.statistics().subscriptions
    assert (outcomes["a"], outcomes["c"]) == (Handled(), Handled())
    assert isinstance(outcomes["b"], DeadLettered)
    assert [statistics[name].incarnation for name in "abc"] == [2, 2, 2]


async def test_an_attempt_interrupted_by_a_restart_of_the_group_does_not_count(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("payments", strategy=Strategy.ONE_FOR_ALL)
    attempts: list[int] = []

    @group.subscriber(int, name="sibling", grace_period=1.0, timeout=None)
    async def sibling(number: int, delivery: Delivery[int]) -> None:
        attempts.append(delivery.attempt)
        await anyio.sleep(10.0)

    @group.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        await cancelled_by("a cancellation raised by hand")

    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.publish("crash")
        assert await receipt.settled() == {"sibling": Handled()}
    assert attempts == [1, 1]


async def test_fault_D14_a_sibling_that_refuses_to_stop_is_waited_for_so_that_no_two_lives_overlap(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    group = bus.group("payments", strategy=Strategy.ONE_FOR_ALL)
    alive = 0
    most = 0
    release = anyio.Event()

    @group.subscriber(int, name="sibling", grace_period=1.0, timeout=None)
    async def sibling(number: int) -> None:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        with anyio.CancelScope(shield=True):
            await release.wait()
        alive -= 1

    @group.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        await cancelled_by("a cancellation raised by hand")

    async with bus.running():
        receipts = await publish_all(bus, 1, 2)
        await anyio.wait_all_tasks_blocked()
        await bus.publish("crash")
        await anyio.sleep(100.0)
        assert bus.statistics().subscriptions["sibling"].incarnation == 1
        release.set()
        for receipt in receipts:
            assert await receipt.settled() == {"sibling": Handled()}
        assert bus.statistics().subscriptions["sibling"].incarnation == 2
    assert most == 1


async def test_fault_D15_rest_for_one_leaves_those_before_alone(make_bus: MakeBus) -> None:
    bus = make_bus(strategy=Strategy.REST_FOR_ONE)
    for name in ("before", "after"):
        bus.subscribe(Gated(is_open=True), int, name=name)
        if name == "before":
            subscribe_fussy(bus, Fussy(good_starts=2))
    async with bus.running():
        await bus.publish("crash")
        await until(lambda: bus.statistics().subscriptions["after"].incarnation == 2)
        assert {name: each.incarnation for name, each in bus.statistics().subscriptions.items()} == {
            "before": 1,
            "subject": 2,
            "after": 2,
        }


# ── after the end ──


async def test_fault_E1_nothing_is_handled_after_unsubscribe_has_returned(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = Gated()
    subscription = bus.subscribe(subject, str, name="subject", grace_period=1.0)
    async with bus.running():
        receipts = await publish_all(bus, "running", "queued")
        await anyio.wait_all_tasks_blocked()
        await subscription.unsubscribe()
        subject.open()
        await anyio.sleep(100.0)
        assert [receipt.outcomes for receipt in receipts] == [{"subject": Returned()}] * 2
    assert subject.started == ["running"]
    assert subject.done == []


async def test_incarnations_are_numbered_from_one_without_a_gap(make_bus: MakeBus) -> None:
    bus = make_bus()
    incarnations: list[int] = []

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        incarnations.append(bus.statistics().subscriptions["subject"].incarnation)
        await cancelled_by("a cancellation raised by hand")

    async with bus.running():
        for _ in range(3):
            await outcome_of(bus, "text")
    assert incarnations == [1, 2, 3]


async def test_a_refused_publisher_is_told_while_the_actor_is_down(make_bus: MakeBus) -> None:
    bus = make_bus()
    fussy = Fussy(good_starts=2)
    subscribe_fussy(bus, fussy, mailbox=1, backoff=Backoff(initial=30.0, maximum=30.0, factor=1.0, jitter=0.0))
    async with bus.running():
        await outcome_of(bus, "crash")
        await until(lambda: bus.statistics().subscriptions["subject"].state == "waiting")
        kept = bus.publish_nowait("kept")
        with pytest.raises(MailboxFull) as caught:
            bus.publish_nowait("too much")
        assert isinstance(caught.value.receipt.outcomes["subject"], Rejected)
        assert await kept.settled() == {"subject": Handled()}


async def test_an_actor_that_had_finished_and_comes_back_with_its_group_gets_events_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("payments", strategy=Strategy.ONE_FOR_ALL)

    @group.subscriber(int, name="subject", restart=RestartPolicy.TRANSIENT)
    async def subject(number: int) -> None:
        if number == 0:
            raise FinishActor

    @group.subscriber(str, name="sibling", retry=ONCE)
    async def sibling(text: str) -> None:
        await cancelled_by("a cancellation raised by hand")

    async with bus.running():
        assert await outcome_of(bus, 0) == Handled()
        await until(lambda: bus.statistics().subscriptions["subject"].state == "finished")
        await outcome_of(bus, "crash", "sibling")
        await until(lambda: bus.statistics().subscriptions["subject"].state == "running")
        assert await outcome_of(bus, 1) == Handled()


async def test_an_actor_that_had_finished_can_be_restarted_by_hand(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject", restart=RestartPolicy.TRANSIENT)
    async def subject(number: int) -> None:
        if number == 0:
            raise FinishActor

    async with bus.running():
        await outcome_of(bus, 0)
        await until(lambda: bus.statistics().subscriptions["subject"].state == "finished")
        assert (await bus.publish(1)).matched == ()
        await bus.subscriptions["subject"].restart()
        assert await outcome_of(bus, 1) == Handled()


@pytest.mark.parametrize("error", [RestartIntensityExceeded, SystemExit])
async def test_a_body_that_publishes_while_the_tree_ends_raises_why_it_ends(
    make_bus: MakeBus, error: type[BaseException]
) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="slow to stop")
    async def slow(number: int) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2.0)

    @bus.subscriber(str, name="subject", retry=ONCE, intensity=RestartIntensity.never())
    async def subject(text: str) -> None:
        if error is SystemExit:
            raise SystemExit(3)
        await cancel_as_a_stranger()

    async def scene() -> None:
        async with bus.running():
            await bus.publish(1)
            while True:
                await bus.publish("text")
                await anyio.sleep(0.1)

    with pytest.raises(error):
        await scene()


async def test_a_body_that_fails_by_itself_while_the_tree_ends_is_raised_along_with_why_it_ends(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE, intensity=RestartIntensity.never())
    async def subject(text: str) -> None:
        await cancel_as_a_stranger()

    async def scene() -> None:
        async with bus.running():
            await bus.publish("text")
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("of the body")

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene()
    assert {type(each) for each in caught.value.exceptions} == {ValueError, RestartIntensityExceeded}
