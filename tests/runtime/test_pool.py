"""Actors without a task of their own: idle they have none, each has its own surroundings, and what one leaves behind in
the worker that served it strikes nobody else.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from tests.runtime.failing import (
    EVERY_SECOND,
    ONCE,
    MakeBus,
    group_around,
    leave_behind,
    outcome_of,
    publish_all,
    skip_where_no_group_can_be_reached,
    skip_where_tasks_cannot_be_cancelled,
    stop_now,
    until,
)
from tests.runtime.helpers import Gated, quiet
from tocsin import Delivery, EventBus, FinishActor, Handled, RestartPolicy, RetryPolicy, handles
from tocsin.testing import Simulation, simulated

MANY = 300  # more than the workers that are kept


def count_tasks() -> int:
    return len(anyio.get_running_tasks())


def task_here() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


# ── how many tasks there are ──


async def test_an_idle_actor_has_no_task(make_bus: MakeBus) -> None:
    tasks: list[int] = []
    for number in (1, 100):
        bus = make_bus()
        for each in range(number):
            bus.subscribe(Gated(is_open=True), str, name=f"actor {each}")
        async with bus.running():
            await (await bus.publish("text")).settled()
            await quiet()
            tasks.append(count_tasks())
    assert tasks[0] == tasks[1]


async def test_handlers_that_wait_one_after_the_other_need_one_worker(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject")
    async def subject(number: int) -> None:
        await anyio.sleep(1.0)

    async with bus.running():
        await outcome_of(bus, 0)
        before = count_tasks()
        for number in range(20):
            await outcome_of(bus, number)
        assert count_tasks() == before


async def test_a_handler_that_waits_holds_up_no_other_actor(make_bus: MakeBus) -> None:
    bus, slow, quick = make_bus(), Gated(), Gated(is_open=True)
    bus.subscribe(slow, str, name="slow", timeout=None)
    bus.subscribe(quick, str, name="quick")
    async with bus.running():
        await publish_all(bus, "one", "two")
        await quiet()
        assert (slow.started, quick.done) == (["one"], ["one", "two"])
        slow.open()


async def test_workers_that_many_handlers_have_needed_at_once_are_not_kept_for_ever(make_bus: MakeBus) -> None:
    bus = make_bus()
    handlers = [Gated() for _ in range(MANY)]
    for number, handler in enumerate(handlers):
        bus.subscribe(handler, str, name=f"actor {number}")
    async with bus.running():
        before = count_tasks()
        receipt = await bus.publish("text")
        await quiet()
        assert all(handler.started for handler in handlers)
        assert count_tasks() - before >= MANY
        for handler in handlers:
            handler.open()
        await receipt.settled()
        await quiet()
        assert count_tasks() - before < 2 * MANY - 50


# ── each has its own surroundings ──

seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def test_what_a_handler_sets_in_the_context_stays_with_its_actor(make_bus: MakeBus) -> None:
    bus = make_bus()
    found: list[tuple[str, str]] = []

    def handler_called(name: str) -> Any:
        async def handler(number: int) -> None:
            found.append((name, seen.get()))
            seen.set(f"{name} {number}")
            await anyio.lowlevel.checkpoint()
            assert seen.get() == f"{name} {number}"

        return handler

    for name in ("a", "b"):
        bus.subscribe(handler_called(name), int, name=name)
    async with bus.running():
        for number in (1, 2):
            await (await bus.publish(number)).settled()
    assert sorted(found) == [("a", "a 1"), ("a", "nothing"), ("b", "b 1"), ("b", "nothing")]
    assert seen.get() == "nothing"


async def test_a_new_life_begins_with_the_context_of_the_bus(make_bus: MakeBus) -> None:
    bus = make_bus()
    found: list[str] = []

    @bus.actor(name="subject", retry=RetryPolicy(max_attempts=2, backoff=EVERY_SECOND))
    class Subject:  # pyright: ignore[reportUnusedClass]  # the decorator has it
        def __init__(self) -> None:
            found.append(seen.get())
            seen.set("set by the factory")

        @handles(str)
        async def handle(self, text: str, delivery: Delivery[str]) -> None:
            found.append(seen.get())
            if delivery.attempt == 1:
                raise ValueError(text)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
    assert found == ["nothing", "set by the factory"] * 2


# ── what is left behind ──


async def test_a_scope_left_open_does_not_cancel_another_actor(make_bus: MakeBus) -> None:
    bus, neighbour = make_bus(), Gated()
    scopes: list[anyio.CancelScope] = []

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        scope = anyio.CancelScope()
        scope.__enter__()
        scopes.append(scope)

    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        await outcome_of(bus, "text")
        receipt = await bus.publish(1)
        await quiet()
        scopes[0].cancel()
        await quiet()
        neighbour.open()
        assert await receipt.settled() == {"neighbour": Handled()}
        assert bus.statistics().subscriptions["neighbour"].restarts == 0
        await stop_now(bus)


async def test_a_cancellation_that_a_handler_has_swallowed_is_not_another_actors(make_bus: MakeBus) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    tasks: list[asyncio.Task[Any]] = []
    cancelling: list[int] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        tasks.append(task_here())
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            return

    @bus.subscriber(int, name="neighbour")
    async def neighbour(number: int) -> None:
        cancelling.append(task_here().cancelling())

    async with bus.running():
        receipt = await bus.publish("text")
        await until(lambda: bool(tasks))
        tasks[0].cancel()
        await receipt.settled()
        await outcome_of(bus, 1, "neighbour")
        await stop_now(bus)
    assert cancelling == [0]


async def test_a_task_left_in_the_group_of_a_worker_that_fails_while_the_actor_is_idle_crashes_it(
    make_bus: MakeBus,
) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()

    async def stray() -> None:
        await trio.sleep(1.0)  # of virtual time
        raise ValueError("astray")

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        if text == "bad":
            group_around().start_soon(stray)

    neighbour = Gated(is_open=True)
    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        assert await outcome_of(bus, "bad") == Handled()
        await until(lambda: bus.statistics().subscriptions["subject"].incarnation == 2)
        assert await outcome_of(bus, "good") == Handled()
        assert await outcome_of(bus, 1, "neighbour") == Handled()
        assert bus.statistics().subscriptions["neighbour"].restarts == 0


async def test_an_actor_tied_to_its_worker_goes_on_being_served_in_slices(make_bus: MakeBus) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()
    numbers: list[int] = []

    @bus.subscriber(int, name="subject")
    async def subject(number: int) -> None:
        numbers.append(number)
        if not number:
            group_around().start_soon(trio.sleep_forever)

    async with bus.running():
        turns = 0
        for receipt in [bus.publish_nowait(number) for number in range(500)]:
            while not receipt.is_settled:  # the turns are what is counted
                turns += 1
                await anyio.lowlevel.checkpoint()
        assert turns >= 5
        assert numbers == list(range(500))
        await stop_now(bus)


async def test_an_actor_tied_to_its_worker_may_finish(make_bus: MakeBus) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()
    trace: list[str] = []

    @bus.subscriber(str, name="subject", restart=RestartPolicy.TRANSIENT)
    async def subject(text: str) -> None:
        if text == "last":
            raise FinishActor
        leave_behind(trace)

    async with bus.running():
        await publish_all(bus, "first", "last")
        await until(lambda: bool(trace))
        await until(lambda: bus.statistics().subscriptions["subject"].state == "finished")


async def test_a_worker_that_was_tied_to_an_actor_ends_with_it_though_what_was_left_behind_is_over(
    make_bus: MakeBus,
) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()

    @bus.subscriber(str, name="subject", restart=RestartPolicy.TRANSIENT)
    async def subject(text: str) -> None:
        if text == "last":
            raise FinishActor
        group_around().start_soon(trio.lowlevel.checkpoint)

    bus.subscribe(Gated(is_open=True), int, name="neighbour")
    async with bus.running():
        await publish_all(bus, 1)
        await quiet()
        before = count_tasks()
        for event in ("first", "last"):
            await publish_all(bus, event)
            await quiet()
        await publish_all(bus, 2)
        await quiet()
        assert bus.statistics().subscriptions["subject"].state == "finished"
        assert count_tasks() == before


async def test_an_actor_that_finishes_with_a_task_left_behind_takes_that_with_it(make_bus: MakeBus) -> None:
    skip_where_no_group_can_be_reached()
    bus, neighbour = make_bus(), Gated(is_open=True)
    trace: list[str] = []

    @bus.subscriber(str, name="subject", restart=RestartPolicy.TRANSIENT)
    async def subject(text: str) -> None:
        leave_behind(trace)
        await trio.lowlevel.checkpoint()
        raise FinishActor

    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        await publish_all(bus, "text", 1)
        await until(lambda: bus.statistics().subscriptions["subject"].state == "finished")
        assert trace == ["stray ended"]
        assert neighbour.done == [1]


@pytest.mark.parametrize("grace_period", [0.0, 5.0])
async def test_a_task_left_behind_by_an_attempt_that_times_out_stays_until_the_actor_ends(
    make_bus: MakeBus, grace_period: float
) -> None:
    skip_where_no_group_can_be_reached()
    bus, neighbour = make_bus(), Gated(is_open=True)
    trace: list[str] = []

    options: Any = {"timeout": 1.0, "retry": RetryPolicy(backoff=EVERY_SECOND), "grace_period": grace_period}

    @bus.subscriber(str, name="subject", **options)
    async def subject(text: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1:
            leave_behind(trace)
            await trio.sleep_forever()

    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert await outcome_of(bus, 1, "neighbour") == Handled()
        assert trace == []
        assert bus.statistics().subscriptions["subject"].restarts == 0
        await stop_now(bus)
        assert trace == ["stray ended"]


async def test_a_handler_that_swallows_a_cancellation_and_then_times_out_is_attempted_again_in_a_clean_task(
    make_bus: MakeBus,
) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    cancelling: list[int] = []

    @bus.subscriber(str, name="subject", timeout=1.0, retry=RetryPolicy(backoff=EVERY_SECOND))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        cancelling.append(task_here().cancelling())
        if delivery.attempt == 1:
            task_here().cancel()
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                await anyio.sleep_forever()

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
    assert cancelling == [0, 0]


# ── strangers ──


async def test_when_a_stranger_cancels_an_idle_worker_it_is_who_was_served_last_that_crashes(make_bus: MakeBus) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    tasks: list[asyncio.Task[Any]] = []

    for name in ("first", "last"):

        async def handler(event: object) -> None:
            tasks.append(task_here())

        bus.subscribe(handler, str if name == "first" else int, name=name)
    async with bus.running():
        await outcome_of(bus, "text", "first")
        await outcome_of(bus, 1, "last")
        assert tasks[0] is tasks[1]
        tasks[0].cancel()
        await quiet()
        assert await outcome_of(bus, "text", "first") == Handled()
        assert await outcome_of(bus, 1, "last") == Handled()
        found = bus.statistics().subscriptions
        assert (found["first"].incarnation, found["last"].incarnation) == (1, 2)


async def test_a_worker_cancelled_in_the_step_in_which_it_is_woken_leaves_its_work_to_another(
    make_bus: MakeBus,
) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    tasks: list[asyncio.Task[Any]] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        tasks.append(task_here())

    async with bus.running():
        await outcome_of(bus, "first")
        await quiet()
        receipt = bus.publish_nowait("second")
        tasks[0].cancel()
        assert await receipt.settled() == {"subject": Handled()}


async def test_a_stranger_who_cancels_the_pool_itself_ends_no_service(make_bus: MakeBus) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, str, name="subject")
    async with bus.running():
        await outcome_of(bus, "first")
        (pool,) = [task for task in asyncio.all_tasks() if task.get_name().endswith(": workers")]
        pool.cancel()
        await quiet()
        assert await outcome_of(bus, "second") == Handled()
    assert handler.done == ["first", "second"]


# ── stops ──


async def test_actors_that_are_idle_or_have_never_been_served_stop_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    for number in range(50):
        bus.subscribe(Gated(is_open=True), str if number % 2 else int, name=f"actor {number}")
    async with bus.running():
        await (await bus.publish("text")).settled()
        before = anyio.current_time()
    assert anyio.current_time() - before < 0.5


async def test_a_handler_that_waits_is_cut_when_its_grace_period_is_over(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, str, name="subject", grace_period=2.0)
    async with bus.running():
        await bus.publish("text")
        await quiet()
        before = anyio.current_time()
        report = await bus.stop(drain_timeout=0.0)
        assert anyio.current_time() - before == pytest.approx(2.0, abs=0.1)
    assert report is not None
    assert [(each.event, each.attempts, each.was_in_flight) for each in report.returned] == [("text", 0, True)]
    assert report.unstopped == ()


# The worker may be at its actor before it is cut, or not: it must make no difference, and both must be tried.
# On trio alone, as the group around a task cannot be reached on asyncio.
@simulated(seeds=20, backends=["trio"], schedules=["random"])
async def test_an_idle_actor_tied_to_its_worker_is_cut_at_once_when_it_has_no_grace_period(
    make_bus: MakeBus, simulation: Simulation
) -> None:
    bus = make_bus()
    trace: list[str] = []

    @bus.subscriber(str, name="subject", grace_period=0.0)
    async def subject(text: str) -> None:
        leave_behind(trace)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        await simulation.settle(bus)
        await anyio.sleep(1.0)  # of virtual time: by then it is idle
        report = await bus.stop(drain_timeout=0.0)
    assert trace == ["stray ended"]
    assert report is not None
    assert report.unstopped == ()


async def test_a_handler_may_unsubscribe_its_own_actor(make_bus: MakeBus) -> None:
    bus: EventBus = make_bus()
    handled: list[str] = []

    async def once(text: str) -> None:
        handled.append(text)
        await subscription.unsubscribe()

    subscription = bus.subscribe(once, str, name="once")
    async with bus.running():
        await bus.publish("first")
        await until(lambda: not bus.subscriptions)
        await bus.publish("second")
    assert handled == ["first"]
