"""The end of a run: asked for, cancelled, given up; in order, within its limits, and with a report."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.virtual_time import run_on_asyncio
from tocsin import (
    ActorStopped,
    Backoff,
    BusClosed,
    Delivery,
    Envelope,
    EventBus,
    FinishActor,
    Handled,
    PhaseChanged,
    Receipt,
    Rejected,
    RejectReason,
    RetryPolicy,
    Returned,
    StopReport,
    handles,
)
from tocsin._envelope import IdSource

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


async def slow(event: object) -> None:
    await anyio.sleep(1)


async def forever(event: object) -> None:
    await anyio.sleep_forever()


def recording(name: str, stopped: list[str], seconds: float = 0.0) -> type:
    """An actor class that notes when it is stopped."""

    class Actor:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep(seconds)
            stopped.append(name)

    return Actor


def declare_tree(bus: EventBus, stopped: list[str]) -> None:
    bus.subscribe_actor(recording("1", stopped), name="1")
    group = bus.group("group")
    group.subscribe_actor(recording("2", stopped), name="2")
    group.subscribe_actor(recording("3", stopped), name="3")
    bus.subscribe_actor(recording("4", stopped), name="4")


IN_REVERSE = ["4", "3", "2", "1"]


# ── the ways to end ──


async def test_leaving_the_block_drains_then_stops_last_child_first(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    declare_tree(bus, stopped)
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(3))
    assert stopped == IN_REVERSE
    assert bus.ledger().handled == 3
    assert bus.stop_report == StopReport()
    assert str(bus.stop_report) == "stopped: 0 deliveries returned, 0 actors not stopped"


async def test_a_drain_that_takes_too_long_leaves_the_rest_to_the_report(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running(drain_timeout=2.5):
        receipts = await bus.publish_many(range(5))
    assert bus.stop_report is not None
    assert [each.event for each in bus.stop_report.returned] == [3, 4]  # the third ended within its grace period
    assert str(bus.stop_report) == "stopped: 2 deliveries returned, 0 actors not stopped"
    assert [receipt.outcomes["slow"] for receipt in receipts] == [Handled()] * 3 + [Returned()] * 2


async def test_left_by_an_error_there_is_no_drain(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    declare_tree(bus, stopped)
    bus.subscribe(slow, int)

    async def run() -> None:
        async with bus.running():
            await bus.publish_many(range(3))
            await anyio.wait_all_tasks_blocked()
            raise LookupError

    with pytest.raises(LookupError):
        await run()
    assert stopped == IN_REVERSE
    assert (bus.ledger().handled, bus.ledger().returned) == (1, 2)


async def test_left_by_a_cancellation_there_is_the_same_ordered_stop(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    declare_tree(bus, stopped)
    bus.subscribe(slow, int)
    with anyio.CancelScope() as scope:
        async with bus.running():
            await bus.publish_many(range(3))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert stopped == IN_REVERSE
    assert (bus.ledger().handled, bus.ledger().returned) == (1, 2)
    assert bus.statistics().phase == "stopped"


async def test_a_cancellation_during_the_last_drain_ends_it(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    declare_tree(bus, stopped)
    bus.subscribe(slow, int)
    with anyio.move_on_after(2.5) as scope:
        async with bus.running():
            await bus.publish_many(range(10))
    assert scope.cancelled_caught
    assert stopped == IN_REVERSE
    assert (bus.ledger().handled, bus.ledger().returned) == (3, 7)


async def test_a_cancellation_while_the_bus_starts_stops_what_has_started(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()

    class Slow:
        @handles(int)
        async def on(self, event: int) -> None: ...

        async def started(self) -> None:
            await anyio.sleep_forever()

    bus.subscribe_actor(recording("1", stopped), name="1")
    bus.subscribe_actor(Slow, grace_period=0)
    with anyio.move_on_after(1):
        async with bus.running():
            pytest.fail("the body was entered")
    assert stopped == ["1"]
    assert bus.statistics().phase == "stopped"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_fault_B9_cancelled_natively_on_asyncio_the_stop_is_in_order_and_the_cancellation_comes_out(
    make_bus: MakeBus, times: int
) -> None:
    bus, stopped = make_bus(), list[str]()
    bus.subscribe_actor(recording("1", stopped, 0.02), name="1")
    bus.subscribe_actor(recording("2", stopped, 0.02), name="2")

    async def host() -> None:
        async with bus.running():
            bus.publish_nowait("a")
            await anyio.sleep_forever()

    async def main() -> None:
        task = asyncio.create_task(host())
        await asyncio.sleep(0.01)  # of virtual time
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.005)  # of virtual time: each finds it at another place
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert task.cancelling() == times
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_on_asyncio(main)
    assert stopped == ["2", "1"]
    assert bus.statistics().phase == "stopped"
    assert bus.ledger().live == 0


@pytest.mark.parametrize("how", ["timeout", "wait_for"])
def test_fault_B9_the_time_limits_of_asyncio_give_timeout_error_after_an_ordered_stop(
    make_bus: MakeBus, how: str
) -> None:
    bus, stopped = make_bus(), list[str]()
    bus.subscribe_actor(recording("1", stopped, 0.02), name="1")

    async def host() -> None:
        async with bus.running():
            await anyio.sleep_forever()

    async def main() -> None:
        async def run() -> None:
            if how == "wait_for":
                await asyncio.wait_for(host(), 0.01)
            else:
                async with asyncio.timeout(0.01):
                    await host()

        with pytest.raises(TimeoutError):
            await run()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_on_asyncio(main)
    assert stopped == ["1"]


def test_fault_B9_a_sibling_in_a_task_group_of_asyncio_ends_the_bus_in_order(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    bus.subscribe_actor(recording("1", stopped, 0.02), name="1")

    async def host() -> None:
        async with bus.running():
            await anyio.sleep_forever()

    async def fail() -> None:
        await asyncio.sleep(0.01)  # of virtual time
        raise LookupError

    async def main() -> None:
        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(host())
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await run()
        assert [type(error) for error in caught.value.exceptions] == [LookupError]

    run_on_asyncio(main)
    assert stopped == ["1"]


# ── being asked to stop ──


async def test_stop_drains_and_gives_the_report(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()
    declare_tree(bus, stopped)
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(3))
        report = await bus.stop()
        assert report == bus.stop_report == StopReport()
        assert stopped == IN_REVERSE
        assert bus.statistics().phase == "stopped"
        with pytest.raises(BusClosed):
            await bus.publish(1)
    assert bus.ledger().handled == 3


async def test_any_number_may_stop_it_at_once_and_all_get_the_same_report(make_bus: MakeBus) -> None:
    bus, reports = make_bus(), list[object]()
    bus.subscribe(slow, int)

    async def stop() -> None:
        reports.append(await bus.stop())

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish_many(range(3))
        group.start_soon(stop)
        group.start_soon(stop)
        await anyio.sleep(1.5)  # it drains
        group.start_soon(stop)
    assert len(reports) == 3
    assert all(report is bus.stop_report for report in reports)
    assert bus.ledger().handled == 3


async def test_a_stop_in_the_middle_of_a_drain_lets_it_be_drained(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(5))
        assert not await bus.drain(timeout=1.5)
        report = await bus.stop()
    assert report == StopReport()
    assert bus.ledger().handled == 5


async def test_a_shorter_limit_makes_the_stop_quicker(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        before = anyio.current_time()
        await bus.publish_many(range(20))
        bus.request_stop(drain_timeout=100)
        await anyio.sleep(1)
        bus.request_stop(drain_timeout=1.5)
        bus.request_stop(drain_timeout=50)
        await bus.wait_stopped()
        assert anyio.current_time() - before == pytest.approx(3, abs=0.1)
    assert bus.ledger().handled == 3


async def test_asked_from_inside_of_a_handler_it_stops_after_that_handler(make_bus: MakeBus) -> None:
    bus, results = make_bus(), list[object]()

    @bus.subscriber(str)
    async def stop(event: str) -> None:
        results.append(await bus.stop())
        await anyio.sleep(1)
        results.append("done")

    async with bus.running():
        receipt = await bus.publish("now")
        await bus.wait_stopped()
    assert results == [None, "done"]
    assert receipt.outcomes == {"stop": Handled()}


async def test_asked_while_it_starts_the_bus_stops(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()

    class Refusing:
        @handles(int)
        async def on(self, event: int) -> None: ...

        async def started(self) -> None:
            bus.request_stop()

    bus.subscribe_actor(recording("1", stopped), name="1")
    bus.subscribe_actor(Refusing)
    with anyio.fail_after(10):
        async with bus.running():
            await bus.wait_stopped()
    assert stopped == ["1"]


async def test_the_body_is_not_cancelled_by_a_stop(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        bus.request_stop()
        await anyio.sleep(100)
        assert bus.statistics().phase == "stopped"


async def test_cancelled_the_stop_goes_on(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(3))
        with anyio.move_on_after(0.5) as scope:
            await bus.stop()
        assert scope.cancelled_caught
        await anyio.sleep(3)
        assert bus.stop_report == StopReport()
    assert bus.ledger().handled == 3


async def test_the_phases_come_in_order(make_bus: MakeBus) -> None:
    phases: list[str] = []

    async def observe(report: object) -> None:
        if isinstance(report, PhaseChanged):
            phases.append(report.phase)

    bus = make_bus(observer=observe)
    async with bus.running():
        pass
    with pytest.raises(LookupError):
        async with bus.running():
            raise LookupError
    assert phases == ["running", "draining", "stopping", "stopped", "running", "stopping", "stopped"]


# ── what is refused meanwhile ──


async def test_fault_E9_publishers_that_wait_for_room_get_bus_closed(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(forever, int, mailbox=1, grace_period=0, timeout=None)
    bus.subscribe(ignore, int)
    receipt = Receipt()

    async def publish() -> None:
        with pytest.raises(BusClosed, match="bus 'test' is stopping and accepts no new events") as caught:
            await bus.publish(3, receipt=receipt)
        assert caught.value.receipt is receipt

    async def run() -> None:
        async with bus.running():
            await bus.publish(1)
            await anyio.wait_all_tasks_blocked()
            await bus.publish(2)
            group.start_soon(publish)
            await anyio.wait_all_tasks_blocked()
            raise LookupError

    async with anyio.create_task_group() as group:
        with pytest.raises(LookupError):
            await run()
    assert receipt.accepted == ("ignore",)
    assert receipt.outcomes["forever"] == Rejected(RejectReason.CLOSED)
    assert bus.ledger().rejected == 1


async def test_fault_E17_a_publish_in_stopping_is_refused(make_bus: MakeBus) -> None:
    bus, refused = make_bus(), list[BusClosed]()

    class Farewell:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            with pytest.raises(BusClosed, match="is stopping") as caught:
                await bus.publish(1)
            refused.append(caught.value)
            with pytest.raises(BusClosed):
                bus.publish_nowait(1)
            with pytest.raises(BusClosed):
                await bus.ask(1)

    bus.subscribe_actor(Farewell)
    bus.subscribe(ignore, int)
    async with bus.running():
        pass
    with pytest.raises(LookupError):
        async with bus.running():
            raise LookupError
    assert len(refused) == 2
    assert bus.ledger().matched == 0


async def test_a_publisher_cancelled_in_the_step_of_the_stop_has_one_outcome(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(forever, int, mailbox=1, grace_period=0, timeout=None)
    receipt = Receipt()
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(2)
        async with anyio.create_task_group() as group:
            group.start_soon(functools.partial(bus.publish, 3, receipt=receipt))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            bus.request_stop(drain_timeout=0)
        assert receipt.outcomes["forever"] in (Rejected(RejectReason.CANCELLED), Rejected(RejectReason.CLOSED))
    assert bus.ledger().rejected == 1
    assert bus.ledger().returned == 2


# ── what is left behind ──


async def test_fault_E8_everything_accepted_is_handled_or_returned_in_the_order_of_acceptance(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    bus.subscribe(forever, int, name="a", grace_period=0, timeout=None)
    bus.subscribe(forever, int, name="b", grace_period=0, timeout=None, concurrency=2)
    async with bus.running(drain_timeout=0):
        await bus.publish_many(range(4))
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().in_flight == 3
    assert bus.stop_report is not None
    returned = bus.stop_report.returned
    assert [(each.event, each.subscription) for each in returned] == [(n, s) for n in range(4) for s in "ab"]
    assert [each.was_in_flight for each in returned] == [True, True, False, True, False, False, False, False]
    assert {each.attempts for each in returned} == {0}
    assert bus.ledger().live == 0


async def test_fault_E8_a_full_mailbox_is_drained_before_the_stop(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int, mailbox=5)
    async with bus.running():
        await bus.publish(0)
        await anyio.wait_all_tasks_blocked()
        await bus.publish_many(range(1, 6))
    assert bus.ledger().handled == 6


async def test_what_waits_for_its_retry_is_returned_with_the_attempts_it_had(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        raise ConnectionError

    bus.subscribe(fail, int, retry=RetryPolicy(max_attempts=5, backoff=Backoff(initial=100.0, maximum=100.0)))
    async with bus.running(drain_timeout=1):
        await bus.publish(1)
    assert bus.stop_report is not None
    (returned,) = bus.stop_report.returned
    assert (returned.event, returned.attempts, returned.was_in_flight) == (1, 1, False)
    assert returned.envelope.event == 1


async def test_who_asked_is_told_of_the_stop(make_bus: MakeBus) -> None:
    from tocsin import ActorRestarting, ActorStopped

    bus, errors = make_bus(), list[type]()
    bus.subscribe(forever, int, grace_period=0, timeout=None)

    async def ask(number: int) -> None:
        with pytest.raises((ActorStopped, ActorRestarting)) as caught:
            await bus.ask(number, timeout=100)
        errors.append(type(caught.value))

    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        group.start_soon(ask, 1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(ask, 2)
        await anyio.wait_all_tasks_blocked()
    assert len(errors) == 2
    assert bus.ledger().rejected == 2


async def test_fault_B2_a_handler_that_swallows_the_cancellation_has_not_handled_its_delivery(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()

    async def swallow(event: int) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return

    bus.subscribe(swallow, int, grace_period=1, timeout=None)
    async with bus.running(drain_timeout=0):
        receipt = await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
    assert receipt.outcomes == {"swallow": Returned()}


async def test_what_does_not_stop_is_named_with_the_line_it_is_stuck_at(make_bus: MakeBus) -> None:
    bus = make_bus()
    release = anyio.Event()
    reports: list[StopReport] = []
    receipt = Receipt()

    async def stubborn(event: int) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    async def wait() -> None:
        reports.append(await bus.wait_stopped())
        release.set()

    bus.group("inner").subscribe(stubborn, int, grace_period=2, timeout=None)
    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        await bus.publish(1, receipt=receipt)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait)
    (report,) = reports
    (unstopped,) = report.unstopped
    assert unstopped.child == "test/inner/stubborn"
    line = stubborn.__code__.co_firstlineno + 2
    assert f"test_stopping.py:{line}" in unstopped.line, unstopped.line
    assert [(each.event, each.was_in_flight) for each in report.returned] == [(1, True)]
    assert receipt.outcomes == {"stubborn": Returned()}
    assert bus.ledger().handled == 0
    assert bus.stop_report is report


async def test_no_stop_takes_longer_than_its_deadline_for_who_can_be_cancelled(make_bus: MakeBus) -> None:
    bus = make_bus()
    for number in range(5):
        bus.subscribe(forever, int, name=str(number), grace_period=100, timeout=None)
    before = anyio.current_time()
    async with bus.running(drain_timeout=0, shutdown_deadline=7):
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
    assert anyio.current_time() - before == pytest.approx(7, abs=0.2)
    assert bus.ledger().returned == 5


async def test_a_cooperative_bus_stops_in_the_instant_its_last_handler_ends(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    before = anyio.current_time()
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
    assert anyio.current_time() - before == pytest.approx(1, abs=0.05)


async def test_fault_G7_a_leap_of_the_clock_fires_what_is_due_once(make_bus: MakeBus) -> None:
    """A suspended laptop: eight hours pass in no time, for everything at once."""
    bus, attempts = make_bus(), list[int]()

    async def fail_once(event: int, delivery: Any) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise ConnectionError

    retry = RetryPolicy(backoff=Backoff(initial=3600.0, maximum=3600.0), max_attempts=2)
    bus.subscribe(fail_once, int, retry=retry)
    async with bus.running():
        receipts = await bus.publish_many(range(3))
        await anyio.sleep(8 * 3600)
        for receipt in receipts:
            await receipt.settled()
        (child,) = tree_of(bus)
        assert child.restarts == 0
    assert sorted(attempts) == [1, 1, 1, 2, 2, 2]


@pytest.mark.slow
@pytest.mark.real_time
async def test_fault_C2_a_thread_that_does_not_end_is_named_and_waited_for(make_bus: MakeBus) -> None:
    bus = make_bus()
    begun, release = threading.Event(), threading.Event()
    reports: list[StopReport] = []

    def block(event: int) -> None:
        begun.set()
        release.wait(10)

    async def wait() -> None:
        reports.append(await bus.wait_stopped())
        release.set()

    bus.subscribe(block, int, grace_period=0.05)
    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.to_thread.run_sync(begun.wait)
        group.start_soon(wait)
    assert [each.child for each in reports[0].unstopped] == ["test/block"]
    assert bus.ledger().returned == 1


async def test_no_body_has_to_wait_for_the_stop(make_bus: MakeBus) -> None:
    bus = make_bus()
    uses: list[Callable[[], Awaitable[object]]] = [bus.stop, bus.stop, bus.wait_stopped]
    async with bus.running():
        for use in uses:
            assert await use() is bus.stop_report


def tree_of(bus: EventBus) -> tuple[Any, ...]:
    tree = bus.statistics().tree
    assert tree is not None
    return tree.children


async def test_who_asked_a_handler_that_does_not_stop_is_told_when_the_report_is_written(make_bus: MakeBus) -> None:
    bus, release, errors = make_bus(), anyio.Event(), list[Exception]()

    async def stubborn(event: int) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    async def ask() -> None:
        with pytest.raises(ActorStopped) as caught:
            await bus.ask(1, timeout=1000)
        errors.append(caught.value)
        release.set()

    bus.subscribe(stubborn, int, grace_period=0, timeout=None)
    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
    assert len(errors) == 1


async def test_a_handler_that_finishes_its_actor_after_the_report_changes_nothing_in_the_ledger(
    make_bus: MakeBus,
) -> None:
    bus, release = make_bus(), anyio.Event()

    async def stubborn(event: int) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()
        raise FinishActor

    bus.subscribe(stubborn, int, grace_period=0, timeout=None)
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        report = await bus.stop(drain_timeout=0)
        release.set()
    assert report is not None
    assert [each.event for each in report.returned] == [1]
    assert (bus.ledger().returned, bus.ledger().handled) == (1, 0)


async def test_a_handler_that_ends_after_the_report_changes_nothing_in_its_receipt(make_bus: MakeBus) -> None:
    bus, release = make_bus(), anyio.Event()

    async def stubborn(event: int) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()
        raise FinishActor

    bus.subscribe(stubborn, int, name="stubborn", grace_period=0, timeout=None)
    async with bus.running(drain_timeout=0):
        receipt = await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.stop(drain_timeout=0)
        told = receipt.outcomes
        assert isinstance(told["stubborn"], Returned)
        release.set()
    assert (receipt.is_settled, receipt.outcomes) == (True, told)


class FailsOnce(Random):
    """Chance that breaks the first time it is asked: an error of ours, in the middle of settling a delivery."""

    has_failed = False

    def random(self) -> float:
        if not self.has_failed:
            self.has_failed = True
            raise OSError("no chance")
        return super().random()


async def test_a_delivery_whose_settling_breaks_is_not_lost(make_bus: MakeBus) -> None:
    bus, seen = make_bus(random=FailsOnce()), list[int]()

    async def fail_once(event: int) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise ConnectionError

    bus.subscribe(fail_once, int)
    async with bus.running():
        receipt = await bus.publish(1)
        assert dict(await receipt.settled()) == {"fail_once": Handled()}
    assert seen == [1, 1]


def test_a_delivery_says_for_whom_it_is_and_which_attempt_it_is() -> None:
    ids = IdSource(lambda: 0.0, lambda bits: 0)
    delivery: Delivery[int] = Delivery(Envelope(1, ids), "audit", Receipt(), 1)
    assert repr(delivery).endswith("to audit, attempt 0>")
