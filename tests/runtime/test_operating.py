"""Stopping and restarting one actor of a bus that runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.runtime.helpers import Gated, quiet
from tocsin import (
    ActorStopped,
    Backoff,
    BusNotRunning,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    Receipt,
    Report,
    RestartIntensity,
    RestartPolicy,
    RestartRequested,
    RetryPolicy,
    Returned,
    StopRequested,
    Strategy,
    Subscription,
    UnknownSubscription,
    handles,
)
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    ChildNotFound,
    ChildRestarting,
    ChildStarted,
    ChildStartError,
    ChildStopped,
    SupervisorNotRunning,
)

MakeBus = Callable[..., EventBus]
# Of a task of its own, in its own context; and served by the pool.
KINDS: dict[str, dict[str, Any]] = {"pooled": {}, "pinned": {"context": "delivery"}, "several": {"concurrency": 3}}
of_each_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


async def take(event: object) -> None: ...


def state(subscription: Subscription) -> str:
    return subscription.statistics().state


# ── restarting ──


@of_each_kind
async def test_a_restart_replaces_an_actor_that_is_up_and_keeps_its_mailbox(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, **options)
    async with bus.running():
        subscription.pause()
        receipts = await bus.publish_many([1, 2])
        await subscription.restart()
        statistics = subscription.statistics()
        assert (statistics.state, statistics.incarnation, statistics.depth) == ("running", 2, 2)
        assert (statistics.restarts, statistics.is_paused) == (0, True)
        subscription.resume()
        for receipt in receipts:
            assert await receipt.settled() == {"take": Handled()}


@of_each_kind
async def test_a_restart_lets_a_handler_finish_within_its_grace_period(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=5.0, **options)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subscription.restart)
            await anyio.sleep(3.0)
            assert state(subscription) == "stopping"
            handler.open()
        assert (handler.done, subscription.statistics().incarnation) == ([1], 2)


@of_each_kind
async def test_what_does_not_finish_in_time_is_cut_and_is_first_in_line_again_uncounted(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus, attempts = make_bus(), list[tuple[int, int]]()

    async def handler(number: int, delivery: Delivery[int]) -> None:
        attempts.append((number, delivery.attempt))
        if len(attempts) == 1:
            await anyio.sleep_forever()

    subscription = bus.subscribe(handler, int, grace_period=5.0, **options)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        before = anyio.current_time()
        await subscription.restart()
        assert anyio.current_time() - before == 5.0
    assert attempts == [(1, 1), (1, 1)]


async def test_an_actor_has_fresh_state_and_its_hooks_run(make_bus: MakeBus) -> None:
    bus, lives = make_bus(), list[str]()

    @bus.actor()
    class Count:
        def __init__(self) -> None:
            self.total = 0

        async def started(self) -> None:
            lives.append("started")

        async def stopping(self) -> None:
            lives.append(f"stopping at {self.total}")

        @handles(int)
        async def add(self, number: int) -> int:
            self.total += number
            return self.total

    async with bus.running():
        await bus.ask(5)
        await bus.subscriptions["Count"].restart()
        assert lives == ["started", "stopping at 5", "started"]
        assert await bus.ask(2) == 2


async def test_events_published_meanwhile_wait_for_the_new_incarnation(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor()
    class Slow:
        async def started(self) -> None:
            await anyio.sleep(1.0)

        @handles(int)
        async def use(self, number: int) -> None: ...

    async with bus.running():
        receipt = Receipt()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.subscriptions["Slow"].restart)
            await anyio.sleep(0.5)
            await bus.publish(1, receipt=receipt)
            assert receipt.outcomes == {}
        assert await receipt.settled() == {"Slow": Handled()}


async def test_a_restart_is_not_charged_and_reported_like_others(make_bus: MakeBus) -> None:
    reports: list[type[Report]] = []

    async def observer(report: Report) -> None:
        if isinstance(report, ChildStarted | ChildStopped) and report.child == "take":
            reports.append(type(report))

    bus = make_bus(observer=observer)
    subscription = bus.subscribe(take, int, intensity=RestartIntensity.never())
    async with bus.running():
        for _ in range(3):
            await subscription.restart()
        assert subscription.statistics().incarnation == 4
        await quiet()
        assert reports == [ChildStarted, *([ChildStopped, ChildStarted] * 3)]


async def test_one_that_waits_for_its_restart_does_not_wait_any_longer(make_bus: MakeBus) -> None:
    bus = make_bus()
    long = Backoff(initial=1000.0, maximum=1000.0, jitter=0.0)

    async def fail(number: int) -> None:
        if number < 0:
            raise ConnectionError

    subscription = bus.subscribe(fail, int, sick_after=1, suspension=long, retry=RetryPolicy(max_attempts=1))
    async with bus.running():
        await bus.publish(-1)
        await anyio.sleep(1.0)
        assert state(subscription) == "suspended"
        before = anyio.current_time()
        await subscription.restart()
        assert (subscription.statistics().incarnation, anyio.current_time()) == (2, before)


async def test_the_rest_of_its_group_stays_up(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("pair", strategy=Strategy.ONE_FOR_ALL)
    first = group.subscribe(take, int, name="first")
    second = group.subscribe(take, int, name="second")
    async with bus.running():
        await first.restart()
        assert [each.statistics().incarnation for each in (first, second)] == [2, 1]


@pytest.mark.parametrize("policy", RestartPolicy)
async def test_it_is_restarted_whatever_its_policy(make_bus: MakeBus, policy: RestartPolicy) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, restart=policy)
    async with bus.running():
        await subscription.restart()
        receipt = await bus.publish(1)
        assert await receipt.settled() == {"take": Handled()}
        assert subscription.statistics().incarnation == 2


async def test_one_that_does_not_start_stays_down_and_keeps_what_it_has(make_bus: MakeBus) -> None:
    bus, is_broken = make_bus(), False

    @bus.actor()
    class Fragile:
        async def started(self) -> None:
            if is_broken:
                raise ConnectionError

        @handles(int)
        async def use(self, number: int) -> None: ...

    async with bus.running():
        fragile = bus.subscriptions["Fragile"]
        fragile.pause()
        kept = await bus.publish(1)
        is_broken = True
        with pytest.raises(ChildStartError):
            await fragile.restart()
        assert (state(fragile), fragile.statistics().depth) == ("stopped", 1)
        late = await bus.publish(2)
        assert isinstance(late.outcomes["Fragile"], DeadLettered)
        is_broken = False
        await fragile.restart()
        fragile.resume()
        assert await kept.settled() == {"Fragile": Handled()}


async def test_what_operators_do_is_told_to_the_log_and_the_observer(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Report] = []

    async def observer(report: Report) -> None:
        if isinstance(report, StopRequested | RestartRequested):
            told.append(report)

    bus = make_bus(observer=observer)
    subscription = bus.subscribe(take, int)
    with caplog.at_level(logging.INFO, "tocsin"):
        async with bus.running():
            subscription.pause()
            subscription.resume()
            await subscription.stop()
            await anyio.sleep(1.0)
            at = anyio.current_time()
            await subscription.restart()
    assert [type(report) for report in told] == [StopRequested, RestartRequested]
    assert told[-1] == RestartRequested(subscription="take", at=at)
    assert [record.getMessage() for record in caplog.records] == [
        "take is paused: it begins nothing until it is resumed",
        "take is resumed",
        "take is being stopped by request",
        "take is being restarted by request",
    ]


# ── stopping ──


@of_each_kind
async def test_one_that_was_stopped_keeps_what_it_has_and_takes_nothing_until_it_is_restarted(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, **options)
    async with bus.running():
        subscription.pause()
        kept = await bus.publish(1)
        await subscription.stop()
        subscription.resume()
        assert (state(subscription), subscription.statistics().depth) == ("stopped", 1)
        late = await bus.publish(2)
        (letter,) = bus.dead_letters.list()
        assert letter.reason is DeadLetterReason.ACTOR_STOPPED
        assert late.outcomes == {"take": DeadLettered(letter.reason, letter.id)}
        with pytest.raises(ActorStopped):
            await bus.ask(3)
        await subscription.restart()
        assert await kept.settled() == {"take": Handled()}
        assert (await bus.replay()).replayed == (letter.id,)
        assert subscription.statistics().incarnation == 2


async def test_a_stop_gives_a_handler_its_grace_period_then_puts_its_delivery_back(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        receipt = await bus.publish(1)
        await quiet()
        before = anyio.current_time()
        await subscription.stop()
        assert anyio.current_time() - before == 3.0
        assert (receipt.outcomes, subscription.statistics().depth) == ({}, 1)
    assert receipt.outcomes == {"Gated": Returned()}
    assert bus.stop_report is not None
    assert [each.was_in_flight for each in bus.stop_report.returned] == [True]


async def test_who_asks_one_that_is_being_stopped_is_told_that_it_is_gone(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=1.0)
    async with bus.running(), anyio.create_task_group() as tasks:
        await bus.publish(1)
        await quiet()
        tasks.start_soon(subscription.stop)
        with pytest.raises(ActorStopped):
            await bus.ask(2)


async def test_a_publisher_that_waits_for_room_is_not_kept_waiting_by_a_stop(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, mailbox=1)
    async with bus.running():
        subscription.pause()
        await bus.publish(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, 2)
            await quiet()
            await subscription.stop()
        assert subscription.statistics().dead_lettered == 1


async def test_a_drain_does_not_wait_for_what_one_that_was_stopped_has(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=1.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        before = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await subscription.stop()
        assert anyio.current_time() - before == 1.0


async def test_a_restart_of_the_whole_group_starts_it_too(make_bus: MakeBus) -> None:
    bus = make_bus()
    group = bus.group("pair", strategy=Strategy.ONE_FOR_ALL)
    stopped = group.subscribe(take, int)

    @group.subscriber(str, backoff=Backoff.none())
    async def crash(_text: str) -> None:
        await cancel_as_a_stranger()

    async with bus.running():
        await stopped.stop()
        await bus.publish("crash")
        await anyio.sleep(1.0)
        receipt = await bus.publish(1)
        assert await receipt.settled() == {"take": Handled()}


async def test_one_that_is_restarted_by_its_supervisor_stays_down_when_it_is_stopped(make_bus: MakeBus) -> None:
    bus = make_bus()
    long = Backoff(initial=10.0, maximum=10.0, jitter=0.0)

    async def fail(number: int) -> None:
        raise ConnectionError

    subscription = bus.subscribe(fail, int, sick_after=1, suspension=long)
    async with bus.running():
        await bus.publish(1)
        await anyio.sleep(1.0)
        await subscription.stop()
        await anyio.sleep(100.0)
        assert (state(subscription), subscription.statistics().depth) == ("stopped", 1)
        assert isinstance((await bus.publish(2)).outcomes["fail"], DeadLettered)


async def test_a_parked_one_that_is_stopped_does_not_come_back_by_itself(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(number: int) -> None:
        raise ConnectionError

    options: dict[str, Any] = {"intensity": RestartIntensity.never(), "on_exhausted": "park", "unpark_after": 10.0}
    subscription = bus.subscribe(fail, int, sick_after=1, **options)
    async with bus.running():
        await bus.publish(1)
        await anyio.sleep(1.0)
        assert state(subscription) == "parked"
        await subscription.stop()
        await anyio.sleep(100.0)
        assert state(subscription) == "stopped"


async def test_a_temporary_one_is_gone_for_good(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, restart=RestartPolicy.TEMPORARY)
    async with bus.running():
        await subscription.stop()
        await subscription.stop()
        assert (await bus.publish(1)).matched == ()
        with pytest.raises(ChildNotFound):
            await subscription.restart()


# ── several calls, and calls at odd moments ──


async def test_a_stop_is_idempotent_and_the_second_one_waits_too(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        before = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(subscription.stop)
        assert anyio.current_time() - before == 3.0
        await subscription.stop()
        assert state(subscription) == "stopped"


async def test_a_restart_joins_one_that_is_not_done(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(subscription.restart)
        assert subscription.statistics().incarnation == 2


@pytest.mark.parametrize("last", ["stop", "restart"])
async def test_the_last_call_wins(make_bus: MakeBus, last: str) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    others = {"stop": "restart", "restart": "stop"}
    errors: list[Exception] = []

    async def call(name: str) -> None:
        try:
            await getattr(subscription, name)()
        except ChildStartError as error:
            errors.append(error)

    async with bus.running():
        await bus.publish(1)
        await quiet()
        async with anyio.create_task_group() as tasks:
            for name in (last, others[last], last):
                tasks.start_soon(call, name)
                await anyio.sleep(0.5)
        assert state(subscription) == {"stop": "stopped", "restart": "running"}[last]
        assert len(errors) == 1
        assert "terminated before it was up" in str(errors[0])


async def test_the_last_call_of_a_handler_of_its_own_wins(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def handler(number: int) -> None:
        calls: list[Callable[[], Awaitable[None]]] = [subscription.stop, subscription.restart]
        for call in calls if number else reversed(calls):
            await call()

    subscription = bus.subscribe(handler, int)
    async with bus.running():
        receipt = await bus.publish(1)
        await anyio.sleep(1.0)
        assert receipt.outcomes == {"handler": Handled()}
        assert (state(subscription), subscription.statistics().incarnation) == ("running", 2)
        await bus.publish(0)
        await anyio.sleep(1.0)
        assert state(subscription) == "stopped"


@pytest.mark.parametrize("name", ["stop", "restart"])
async def test_cancelled_the_request_goes_on_by_itself(make_bus: MakeBus, name: str) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        with anyio.move_on_after(1.0) as patience:
            await getattr(subscription, name)()
        assert patience.cancelled_caught
        assert state(subscription) == "stopping"
        await anyio.sleep(3.0)
        assert state(subscription) == {"stop": "stopped", "restart": "running"}[name]
        handler.open()


async def test_a_subscription_that_ends_meanwhile_is_not_restarted(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def restart() -> None:  # pyright: ignore[reportUnusedFunction]
                with pytest.raises(ChildStartError):
                    await subscription.restart()

            await anyio.sleep(1.0)
            await subscription.unsubscribe()
        with pytest.raises(UnknownSubscription):
            await subscription.restart()
        with pytest.raises(UnknownSubscription):
            await subscription.stop()


@pytest.mark.parametrize("name", ["stop", "restart"])
async def test_one_whose_first_start_is_waited_for_is_left_alone(make_bus: MakeBus, name: str) -> None:
    bus = make_bus()

    class Slow:
        async def started(self) -> None:
            await anyio.sleep(1.0)

        @handles(int)
        async def use(self, number: int) -> None: ...

    async with bus.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(bus.subscribe_actor_now, Slow)
        await anyio.sleep(0.5)
        with pytest.raises(ChildRestarting):
            await getattr(bus.subscriptions["Slow"], name)()


@pytest.mark.parametrize("name", ["stop", "restart"])
async def test_the_actor_of_a_group_that_is_down_cannot_be_asked(make_bus: MakeBus, name: str) -> None:
    bus = make_bus(intensity=RestartIntensity(10_000, 1.0, max_consecutive=None))
    group = bus.group("fragile", intensity=RestartIntensity.never())
    subject = group.subscribe(take, int)

    @group.subscriber(str, intensity=RestartIntensity.never())
    async def crash(_text: str) -> None:
        await cancel_as_a_stranger()

    async with bus.running():
        await bus.publish("crash")
        await quiet()
        assert subject.statistics().state == "stopped"
        with pytest.raises(SupervisorNotRunning):
            await getattr(subject, name)()


@pytest.mark.parametrize("is_restart", [False, True])
async def test_while_the_bus_stops_a_stop_waits_and_a_restart_is_refused(make_bus: MakeBus, is_restart: bool) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        bus.request_stop(drain_timeout=0.0)
        await anyio.sleep(1.0)
        assert bus.phase == "stopping"
        if is_restart:
            with pytest.raises(BusNotRunning, match="ends, so 'Gated' was not restarted"):
                await subscription.restart()
        else:
            before = anyio.current_time()
            await subscription.stop()
            assert anyio.current_time() - before == 2.0
    with pytest.raises(BusNotRunning):
        await subscription.stop()


async def test_an_actor_whose_group_has_stopped_with_the_bus_is_down_for_good(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, int, grace_period=3.0)
    subject = bus.group("stopped first").subscribe(take, str)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        bus.request_stop(drain_timeout=0.0)
        await anyio.sleep(1.0)
        before = anyio.current_time()
        await subject.stop()
        with pytest.raises(BusNotRunning, match="ends, so 'take' was not restarted"):
            await subject.restart()
        assert anyio.current_time() == before


async def test_who_waits_for_a_restart_that_the_end_of_the_bus_overtakes_is_told(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, grace_period=3.0)
    errors: list[BusNotRunning] = []

    async def restart() -> None:
        try:
            await subscription.restart()
        except BusNotRunning as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        async with bus.running():
            await bus.publish(1)
            await quiet()
            tasks.start_soon(restart)
            await anyio.sleep(1.0)
            bus.request_stop(drain_timeout=0.0)
            await bus.wait_stopped()
        await quiet()
    assert len(errors) == 1


async def test_during_a_drain_a_restart_brings_up_who_handles_the_rest(make_bus: MakeBus) -> None:
    bus, attempts = make_bus(), list[int]()

    async def handler(number: int) -> None:
        attempts.append(number)
        if len(attempts) == 1:
            await anyio.sleep_forever()

    subscription = bus.subscribe(handler, int, grace_period=1.0)
    async with bus.running():
        await bus.publish_many([1, 2])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(1.0)
            await subscription.restart()
        assert attempts == [1, 1, 2]
