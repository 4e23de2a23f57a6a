"""The handle of a subscription: what it tells, and how it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable

import anyio
import pytest

from tocsin import (
    Backoff,
    BusNotRunning,
    EventBus,
    Handled,
    MailboxFull,
    Receipt,
    Rejected,
    RejectReason,
    RestartIntensity,
    RestartPolicy,
    RetryPolicy,
    Returned,
    Subscription,
    WrongThread,
    handles,
)
from tocsin.exceptions import FinishActor

MakeBus = Callable[..., EventBus]


class Parked:
    """A handler that notes its events and waits for the test to open the gate."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.done: list[int] = []
        self.gate = anyio.Event()

    async def __call__(self, event: int) -> None:
        self.started.append(event)
        await self.gate.wait()
        self.done.append(event)


async def ignore(event: object) -> None: ...


# ── what it tells ──


def test_a_subscription_tells_who_wants_what(make_bus: MakeBus) -> None:
    subscription = make_bus().subscribe(ignore, int, "order.*", name="all")
    assert repr(subscription) == "<Subscription all: handler for int, order.*>"
    assert subscription.interests == (int, "order.*")
    assert not subscription.is_stateful


def test_an_actor_class_is_told_from_a_handler(make_bus: MakeBus) -> None:
    class Actor:
        @handles(int)
        async def on(self, event: int) -> None: ...

    subscription = make_bus().subscribe_actor(Actor)
    assert repr(subscription) == "<Subscription Actor: actor for int>"
    assert subscription.is_stateful


async def test_a_subscription_gives_its_own_statistics(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(ignore, int)
    async with bus.running():
        await (await bus.publish(1)).settled()
        assert subscription.statistics().handled == 1
    assert subscription.statistics().state == "stopped"


async def test_a_subscription_that_no_run_knows_has_no_statistics(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(ignore, int)
    with pytest.raises(BusNotRunning, match=r"'ignore' has no statistics.*has not run with it"):
        subscription.statistics()
    async with bus.running():
        await subscription.unsubscribe()
        with pytest.raises(BusNotRunning, match="'ignore' has no statistics"):
            subscription.statistics()


# ── how it ends ──


async def test_a_subscription_that_has_ended_matches_nothing_more(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(ignore, int)
    async with bus.running():
        await subscription.unsubscribe()
        assert (await bus.publish(1)).matched == ()
    assert bus.subscriptions == {}


async def test_before_the_bus_runs_a_subscription_ends_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    await bus.subscribe(ignore, int).unsubscribe()
    assert bus.subscriptions == {}


async def test_the_delivery_in_hand_is_finished_and_those_behind_it_are_returned(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int)
    async with bus.running(), anyio.create_task_group() as group:
        receipts = [await bus.publish(number) for number in range(3)]
        await anyio.wait_all_tasks_blocked()
        group.start_soon(subscription.unsubscribe)
        await anyio.sleep(1)
        handler.gate.set()
        outcomes = [(await receipt.settled())["Parked"] for receipt in receipts]
        assert outcomes == [Handled(), Returned(), Returned()]
    assert handler.done == [0]
    assert bus.ledger().returned == 2


async def test_the_delivery_in_hand_has_the_grace_period_to_end(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, grace_period=3)
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
        await subscription.unsubscribe()
        assert anyio.current_time() - before == pytest.approx(3, abs=0.1)
        assert receipt.outcomes == {"Parked": Returned()}
        assert handler.done == []


async def test_once_it_has_returned_the_handler_does_not_run_any_more(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    async def note(event: int) -> None:
        seen.append(event)
        await anyio.sleep(0.5)

    subscription = bus.subscribe(note, int, concurrency=3)
    async with bus.running():
        await bus.publish_many(range(10))
        await anyio.sleep(0.6)
        await subscription.unsubscribe()
        started = len(seen)
        await anyio.sleep(100)
        assert len(seen) == started
    assert bus.ledger().live == 0


async def test_retries_that_wait_are_returned(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        raise ConnectionError

    retry = RetryPolicy(backoff=Backoff(initial=100.0, maximum=100.0))
    subscription = bus.subscribe(fail, int, retry=retry)
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.sleep(1)
        assert bus.ledger().waiting_retry == 1
        await subscription.unsubscribe()
        assert receipt.outcomes == {"fail": Returned()}


async def test_a_publisher_that_waits_for_room_goes_on_without_it(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    other = Parked()
    subscription = bus.subscribe(handler, int, mailbox=1)
    bus.subscribe(other, int, name="other", mailbox=1)
    receipt = Receipt()
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(0)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(1)
        group.start_soon(functools.partial(bus.publish, 2, receipt=receipt))
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().blocked == 2
        await subscription.unsubscribe()
        assert receipt.outcomes == {"Parked": Rejected(RejectReason.UNSUBSCRIBED)}
        assert bus.ledger().blocked == 1
        other.gate.set()
        await receipt.settled()
    assert receipt.accepted == ("other",)
    assert other.done == [0, 1, 2]


async def test_a_handler_may_end_its_own_subscription(make_bus: MakeBus) -> None:
    bus = make_bus()
    done: list[int] = []

    async def once(event: int) -> None:
        await subscription.unsubscribe()
        await anyio.sleep(1)
        done.append(event)

    subscription = bus.subscribe(once, int)
    async with bus.running():
        first, second = [await bus.publish(number) for number in range(2)]
        assert await first.settled() == {"once": Handled()}
        assert await second.settled() == {"once": Returned()}
    assert done == [0]


async def test_a_handler_may_end_the_subscription_of_another(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def reaper(event: str) -> None:
        await subscription.unsubscribe()

    subscription = bus.subscribe(ignore, int)
    bus.subscribe(reaper, str)
    async with bus.running():
        assert await (await bus.publish("now")).settled() == {"reaper": Handled()}
        assert list(bus.subscriptions) == ["reaper"]


async def test_ending_it_is_idempotent_however_many_do_it_at_once(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, grace_period=1)
    async with bus.running():
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(subscription.unsubscribe)
        await subscription.unsubscribe()
        assert bus.ledger().returned == 1
    await subscription.unsubscribe()


async def test_whoever_ends_it_second_waits_for_the_end_too(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, grace_period=3)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(subscription.unsubscribe)
        await anyio.sleep(1)
        await subscription.unsubscribe()
        assert list(bus.subscriptions) == []
        assert bus.ledger().returned == 1


async def test_cancelled_the_end_goes_on_by_itself(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, grace_period=3)
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1) as scope:
            await subscription.unsubscribe()
        assert scope.cancelled_caught
        await anyio.sleep(2.1)
        assert receipt.outcomes == {"Parked": Returned()}
        assert bus.subscriptions == {}


async def test_the_end_of_a_subscription_comes_with_the_end_of_the_bus(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, grace_period=3)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        bus.request_stop(drain_timeout=0.0)
        await anyio.sleep(1)
        group.start_soon(subscription.unsubscribe)
        with anyio.fail_after(3):
            await bus.wait_stopped()
    assert bus.subscriptions == {}


async def test_a_parked_actor_can_be_unsubscribed(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        raise ConnectionError

    subscription = bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.sleep(1)
        assert subscription.statistics().state == "parked"
        await subscription.unsubscribe()
        assert receipt.outcomes == {"fail": Returned()}
        assert await bus.drain(timeout=0)
    assert bus.ledger().live == 0


async def test_a_parked_actor_can_be_started_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    is_broken = True

    async def fail(event: int) -> None:
        if is_broken:
            raise ConnectionError

    subscription = bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    with pytest.raises(BusNotRunning, match="is not running: its actors start with it"):
        await subscription.restart()
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.sleep(1)
        is_broken = False
        await subscription.restart()
        assert await receipt.settled() == {"fail": Handled()}
        assert subscription.statistics().state == "running"


async def test_a_temporary_actor_that_has_ended_by_itself_can_be_unsubscribed(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def once(event: int) -> None:
        raise FinishActor

    subscription = bus.subscribe(once, int, restart=RestartPolicy.TEMPORARY)
    async with bus.running():
        await (await bus.publish(1)).settled()
        await anyio.wait_all_tasks_blocked()
        await subscription.unsubscribe()
    assert bus.subscriptions == {}
    assert bus.ledger().handled == 1


async def test_what_an_unsubscribed_actor_did_stays_in_the_ledger(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        for _ in range(3):
            subscription = await bus.subscribe_now(ignore, int)
            await (await bus.publish(1)).settled()
            await subscription.unsubscribe()
        assert bus.ledger().handled == 3


async def test_a_full_mailbox_of_one_that_has_ended_holds_nobody_up(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Parked()
    subscription = bus.subscribe(handler, int, mailbox=1)
    async with bus.running():
        await bus.publish(0)
        await anyio.wait_all_tasks_blocked()
        bus.publish_nowait(1)
        with pytest.raises(MailboxFull):
            bus.publish_nowait(2)
        await subscription.unsubscribe()
        bus.publish_nowait(3)


@pytest.mark.real_time
async def test_only_the_thread_of_the_bus_may_end_a_subscription(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(ignore, int)

    def elsewhere(subscription: Subscription) -> None:
        coroutine = subscription.unsubscribe()
        try:
            coroutine.send(None)
        finally:
            coroutine.close()

    async with bus.running():
        with pytest.raises(WrongThread, match="only publish_from_thread"):
            await anyio.to_thread.run_sync(elsewhere, subscription)
        assert (await bus.publish(1)).matched == ("ignore",)
