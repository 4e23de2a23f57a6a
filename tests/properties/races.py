"""Small races: a bus with one or two subscribers, and a few tasks at odds with one another.

What is promised is checked by the watch over the bus, however the race ends; a few things more are said here, for those
that nobody cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel

from tests.simulating import PLENTY, Work, twice
from tocsin import (
    AskError,
    BusClosed,
    BusNotRunning,
    Coalesce,
    Delivery,
    DropOldest,
    EventBus,
    Handled,
    MailboxFull,
    Priority,
    Reject,
    Strategy,
    TocsinError,
)
from tocsin.testing import Simulation, cancel_as_a_stranger
from tocsin_supervisors import ChildNotFound, ChildStartError

AT_ONCE = twice(restart=0.0, retry=0.0, grace_period=1.0)


_running: ContextVar[Simulation] = ContextVar("the simulation that runs")


def new_bus(simulation: Simulation) -> EventBus:
    _running.set(simulation)
    bus = EventBus("small", intensity=PLENTY)
    simulation.watch(bus)
    simulation.offer_task("host")
    return bus


def is_cancelled() -> bool:
    """Tell whether somebody was cancelled, so that less is sure about the outcome."""
    return bool(_running.get().cancelled)


async def turn(_event: Work) -> None:
    """Take one turn of the loop, in a task that a stranger may cancel."""
    _running.get().offer_task("handler")
    await anyio.lowlevel.checkpoint()


async def at_once(*calls: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Have all of them run at the same time."""
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


async def publishing(bus: EventBus, *events: Work, **options: Any) -> None:
    with _running.get().cancellable("publisher"), suppress(BusClosed, MailboxFull):
        for event in events:
            await bus.publish(event, **options)


# ── the races ──


async def two_publishers_and_one_place(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2)), lambda: publishing(bus, Work(3), Work(4)))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 4


async def an_urgent_publisher_among_others(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1)
    async with bus.running():
        await at_once(
            lambda: publishing(bus, Work(1), Work(2)),
            lambda: publishing(bus, Work(3), priority=Priority.CRITICAL),
        )


async def a_publisher_and_the_stop(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2), Work(3)), lambda: bus.stop(drain_timeout=0.0))


async def a_publisher_and_the_end_of_its_subscription(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=1)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2), Work(3)), subscription.unsubscribe)


async def a_publisher_that_is_cancelled_as_it_gets_room(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1)

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(publishing, bus, Work(1), Work(2), Work(3))
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                scope.cancel()

    async with bus.running():
        await at_once(cancelled, lambda: publishing(bus, Work(4)))
        await simulation.settle(bus)


async def a_retry_and_a_new_event(simulation: Simulation) -> None:
    bus = new_bus(simulation)

    async def fails_once(event: Work, delivery: Delivery[Work]) -> None:
        await anyio.lowlevel.checkpoint()
        if delivery.attempt == 1 and event.number == 1:
            raise ConnectionError

    bus.subscribe(fails_once, Work, mailbox=2, **AT_ONCE)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1)), lambda: publishing(bus, Work(2)))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 2


async def a_retry_in_strict_order(simulation: Simulation) -> None:
    bus, begun = new_bus(simulation), list[int]()

    async def fails_once(event: Work, delivery: Delivery[Work]) -> None:
        begun.append(event.number)
        await anyio.lowlevel.checkpoint()
        if delivery.attempt == 1:
            raise ConnectionError

    bus.subscribe(fails_once, Work, mailbox=2, strict_order=True, **AT_ONCE)
    async with bus.running():
        await publishing(bus, Work(1), Work(2))
        await simulation.settle(bus)
    assert is_cancelled() or begun == [1, 1, 2, 2]


async def two_servers_and_one_key(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=3, concurrency=2, key=lambda work: work.number % 2)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(3)), lambda: publishing(bus, Work(2)))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 3


async def two_servers_of_one_mailbox(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1, concurrency=2)
    async with bus.running():
        await publishing(bus, Work(1), Work(2), Work(3))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 3


async def a_crash_and_a_publisher(simulation: Simulation) -> None:
    bus = new_bus(simulation)

    async def crashes(event: Work, delivery: Delivery[Work]) -> None:
        await anyio.lowlevel.checkpoint()
        if delivery.attempt == 1 and event.number == 1:
            raise BaseExceptionGroup("of a task group", [ConnectionError()])

    bus.subscribe(crashes, Work, mailbox=1, **AT_ONCE)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2)), lambda: publishing(bus, Work(3)))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 3


async def a_group_that_restarts_and_a_publisher(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    group = bus.group("group", strategy=Strategy.ONE_FOR_ALL, intensity=PLENTY)

    async def is_struck(_event: Work, delivery: Delivery[Work]) -> None:
        if delivery.attempt == 1:
            await cancel_as_a_stranger()

    group.subscribe(is_struck, Work, name="first", **AT_ONCE)
    group.subscribe(turn, Work, name="second", **AT_ONCE)
    async with bus.running():
        await publishing(bus, Work(1), Work(2))
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 4


async def a_question_and_the_stop(simulation: Simulation) -> None:
    bus = new_bus(simulation)

    async def answer(event: Work) -> int:
        await anyio.lowlevel.checkpoint()
        return event.number

    async def ask() -> None:
        with suppress(AskError, TocsinError):
            assert await bus.ask(Work(3)) == 3 or is_cancelled()

    bus.subscribe(answer, Work)
    async with bus.running():
        await at_once(ask, lambda: bus.stop(drain_timeout=0.0))


async def a_drain_and_a_handler_that_publishes(simulation: Simulation) -> None:
    bus = new_bus(simulation)

    async def follows(event: Work) -> None:
        await anyio.lowlevel.checkpoint()
        if event.number:
            await bus.publish(Work(event.number - 1))

    bus.subscribe(follows, Work, mailbox=2)
    async with bus.running():
        await publishing(bus, Work(2))
        assert await bus.drain() or is_cancelled()
    assert is_cancelled() or bus.ledger().handled == 3


async def a_subscriber_that_comes_while_others_publish(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, name="first", mailbox=1)

    async def come() -> None:
        await bus.subscribe_now(turn, Work, name="second")
        receipt = await bus.publish(Work(9))
        assert (await receipt.settled())["second"] == Handled() or is_cancelled()

    async with bus.running():
        await at_once(come, lambda: publishing(bus, Work(1), Work(2)))
        await simulation.settle(bus)


async def two_who_stop_at_once(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work)
    async with bus.running():
        await publishing(bus, Work(1), Work(2))
        await at_once(bus.stop, lambda: bus.stop(drain_timeout=0.0))


async def newer_states_of_one_thing(simulation: Simulation) -> None:
    bus, seen = new_bus(simulation), list[int]()

    async def note(event: Work) -> None:
        seen.append(event.number)
        await anyio.lowlevel.checkpoint()

    bus.subscribe(note, Work, mailbox=2, overflow=Coalesce(lambda _event: "one"))
    async with bus.running():
        await publishing(bus, Work(1), Work(2), Work(3))
        await simulation.settle(bus)
    assert is_cancelled() or seen == sorted(seen)
    assert is_cancelled() or seen[-1] == 3


async def the_oldest_is_dropped_while_it_is_taken(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, mailbox=1, overflow=DropOldest())
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2)), lambda: publishing(bus, Work(3)))
        await simulation.settle(bus)


async def a_full_mailbox_refuses(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work, name="refuses", mailbox=1, overflow=Reject())
    bus.subscribe(turn, Work, name="waits", mailbox=1)
    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2)), lambda: publishing(bus, Work(3)))
        await simulation.settle(bus)


async def a_publisher_before_the_start(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    bus.subscribe(turn, Work)

    async def early() -> None:
        with suppress(BusNotRunning, BusClosed):
            await bus.publish(Work(1))

    async def run() -> None:
        async with bus.running():
            await anyio.lowlevel.checkpoint()

    await at_once(early, run, early)


async def a_pause_and_a_delivery_that_is_being_taken(simulation: Simulation) -> None:
    bus, begun = new_bus(simulation), list[int]()
    told = False

    async def note(event: Work) -> None:
        assert not told, "it begins although it was paused"
        begun.append(event.number)
        await turn(event)

    subscription = bus.subscribe(note, Work, mailbox=4, concurrency=2)

    async def pause() -> None:
        nonlocal told
        await anyio.lowlevel.checkpoint()
        subscription.pause()
        told = True

    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2), Work(3)), pause)
        await simulation.settle(bus)
        held = subscription.statistics().depth
        told = False
        subscription.resume()
        await simulation.settle(bus)
    assert is_cancelled() or (len(begun), bus.ledger().handled) == (3, 3), held


async def a_pause_of_the_fast_way(simulation: Simulation) -> None:
    bus, begun = new_bus(simulation), list[int]()

    async def note(event: Work) -> None:
        begun.append(event.number)

    subscription = bus.subscribe(note, Work)

    async def pause() -> None:
        for _ in range(2):
            subscription.pause()
            before = list(begun)
            await anyio.lowlevel.checkpoint()
            assert begun == before, "it begins although it is paused"
            subscription.resume()
            await anyio.lowlevel.checkpoint()

    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2)), lambda: publishing(bus, Work(3)), pause)
        await simulation.settle(bus)
    assert is_cancelled() or sorted(begun) == [1, 2, 3]


async def a_resume_and_the_stop(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=3)

    async def resume() -> None:
        with suppress(BusNotRunning):
            subscription.resume()
        await anyio.lowlevel.checkpoint()
        with suppress(BusNotRunning):
            subscription.pause()

    async with bus.running():
        subscription.pause()
        await publishing(bus, Work(1), Work(2))
        await at_once(resume, lambda: bus.stop(drain_timeout=1.0))


async def a_pause_and_a_drain(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=3)

    async def pause() -> None:
        subscription.pause()
        await anyio.lowlevel.checkpoint()

    async with bus.running():
        await publishing(bus, Work(1), Work(2))
        before = anyio.current_time()
        await at_once(lambda: bus.drain(100.0), pause)
        assert anyio.current_time() - before < 1.0 or is_cancelled()


async def a_restart_and_a_publisher(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=1, **AT_ONCE)

    async def restart() -> None:
        with _running.get().cancellable("operator"):
            await subscription.restart()

    async with bus.running():
        await at_once(lambda: publishing(bus, Work(1), Work(2), Work(3)), restart, restart)
        await simulation.settle(bus)
    assert is_cancelled() or bus.ledger().handled == 3


async def a_stop_of_an_actor_and_its_restart(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=2, **AT_ONCE)

    async def operate(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with _running.get().cancellable("operator"), suppress(ChildStartError):
            await call()

    async with bus.running():
        await at_once(
            lambda: publishing(bus, Work(1), Work(2)),
            lambda: operate(subscription.stop),
            lambda: operate(subscription.restart),
        )
        await subscription.restart()
        await simulation.settle(bus)
    ledger = bus.ledger()
    assert is_cancelled() or ledger.handled + ledger.dead_lettered == 2


async def a_restart_and_the_end_of_everything(simulation: Simulation) -> None:
    bus = new_bus(simulation)
    subscription = bus.subscribe(turn, Work, mailbox=2, **AT_ONCE)

    async def operate(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with _running.get().cancellable("operator"), suppress(TocsinError, ChildStartError, ChildNotFound):
            await call()

    async with bus.running():
        await publishing(bus, Work(1), Work(2))
        await at_once(
            lambda: operate(subscription.restart),
            lambda: operate(subscription.unsubscribe),
            lambda: operate(subscription.stop),
            lambda: bus.stop(drain_timeout=0.0),
        )


RACES = [
    two_publishers_and_one_place,
    an_urgent_publisher_among_others,
    a_publisher_and_the_stop,
    a_publisher_and_the_end_of_its_subscription,
    a_publisher_that_is_cancelled_as_it_gets_room,
    a_retry_and_a_new_event,
    a_retry_in_strict_order,
    two_servers_and_one_key,
    two_servers_of_one_mailbox,
    a_crash_and_a_publisher,
    a_group_that_restarts_and_a_publisher,
    a_question_and_the_stop,
    a_drain_and_a_handler_that_publishes,
    a_subscriber_that_comes_while_others_publish,
    two_who_stop_at_once,
    newer_states_of_one_thing,
    the_oldest_is_dropped_while_it_is_taken,
    a_full_mailbox_refuses,
    a_publisher_before_the_start,
    a_pause_and_a_delivery_that_is_being_taken,
    a_pause_of_the_fast_way,
    a_resume_and_the_stop,
    a_pause_and_a_drain,
    a_restart_and_a_publisher,
    a_stop_of_an_actor_and_its_restart,
    a_restart_and_the_end_of_everything,
]
