"""Pausing: a subscription begins nothing for a while, accepts as ever, and goes on where it was."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.runtime.helpers import Gated, Note, Other, quiet
from tocsin import (
    AskTimeout,
    Backoff,
    BusNotRunning,
    DeadLetterReason,
    DropOldest,
    EventBus,
    Handled,
    MailboxFull,
    Priority,
    Reject,
    Report,
    RetryPolicy,
    SubscriptionPaused,
    SubscriptionResumed,
    UnknownSubscription,
    WaitForRoom,
    WrongThread,
    handles,
)

MakeBus = Callable[..., EventBus]
TWICE = RetryPolicy(max_attempts=2, backoff=Backoff(initial=1.0, jitter=0.0))


def key_of(note: Note) -> object:
    return note.key


# Each is another way by which a server takes what is next.
WAYS: dict[str, dict[str, Any]] = {
    "the fast way": {},
    "a task of its own": {"context": "delivery"},
    "several at once": {"concurrency": 3},
    "by key": {"key": key_of, "concurrency": 2},
    "one after the other": {"strict_order": True},
}


async def take(event: object) -> None: ...


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
async def test_what_is_paused_accepts_and_begins_nothing_and_goes_on_in_order(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus, seen = make_bus(), list[str]()

    async def handler(note: Note) -> None:
        seen.append(note.text)

    subscription = bus.subscribe(handler, Note, **options)
    async with bus.running():
        await bus.publish(Note("a"))
        await quiet()
        subscription.pause()
        await bus.publish_many([Note(text) for text in "bcd"])
        await anyio.sleep(10.0)
        assert (seen, subscription.statistics().depth) == (["a"], 3)
        subscription.resume()
        await quiet()
        assert seen == list("abcd")


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
async def test_what_is_in_flight_ends_and_nothing_follows_it(make_bus: MakeBus, options: dict[str, Any]) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, Note, **options)
    async with bus.running():
        await bus.publish_many([Note(text, text) for text in "abcdef"])
        await quiet()
        begun = list(handler.started)
        subscription.pause()
        handler.open()
        await anyio.sleep(10.0)
        assert sorted(handler.done) == sorted(handler.started) == sorted(begun)
        subscription.resume()
        await quiet()
        assert sorted(handler.done) == list("abcdef")


async def test_a_run_of_deliveries_whose_handler_never_waits_is_interrupted(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    async def handler(number: int) -> None:
        seen.append(number)
        if number == 2:
            subscription.pause()

    subscription = bus.subscribe(handler, int)
    async with bus.running():
        await bus.publish_many(range(10))
        await anyio.sleep(1.0)
        assert seen == [0, 1, 2]
        subscription.resume()
    assert seen == list(range(10))


async def test_an_actor_keeps_its_state_and_answers_when_it_goes_on(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor()
    class Count:
        def __init__(self) -> None:
            self.total = 0

        @handles(int)
        async def add(self, number: int) -> int:
            self.total += number
            return self.total

    async with bus.running():
        count = bus.subscriptions["Count"]
        assert await bus.ask(1) == 1
        count.pause()
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def ask() -> None:  # pyright: ignore[reportUnusedFunction]
                assert await bus.ask(2) == 3

            await anyio.sleep(3.0)
            assert count.statistics().depth == 1
            count.resume()


async def test_who_asks_what_is_paused_waits_until_its_timeout(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.pause()
        with pytest.raises(AskTimeout):
            await bus.ask(1, timeout=2.0)
        assert subscription.statistics().depth == 0


async def test_a_retry_that_is_due_waits_and_comes_first_then(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    async def handler(number: int) -> None:
        seen.append(number)
        if seen == [1]:
            raise ConnectionError

    subscription = bus.subscribe(handler, int, retry=TWICE)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        subscription.pause()
        await bus.publish(2)
        await anyio.sleep(10.0)
        assert seen == [1]
        subscription.resume()
        await quiet()
        assert seen == [1, 1, 2]


async def test_what_expires_meanwhile_is_a_dead_letter_when_its_turn_comes(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.pause()
        await bus.publish(1, expires_in=5.0)
        await anyio.sleep(10.0)
        assert len(bus.dead_letters) == 0
        subscription.resume()
        await quiet()
        (letter,) = bus.dead_letters.list()
        assert letter.reason is DeadLetterReason.EXPIRED


async def test_the_time_of_a_handler_that_runs_goes_on(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, timeout=5.0, retry=RetryPolicy(max_attempts=1))
    async with bus.running():
        await bus.publish(1)
        await quiet()
        subscription.pause()
        await anyio.sleep(6.0)
        (letter,) = bus.dead_letters.list()
        assert letter.reason is DeadLetterReason.TIMEOUT


async def test_priorities_hold_among_what_has_waited(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()

    async def handler(note: Note) -> None:
        seen.append(note.text)

    subscription = bus.subscribe(handler, Note)
    async with bus.running():
        subscription.pause()
        await bus.publish(Note("later"))
        await bus.publish(Note("first"), priority=Priority.CRITICAL)
        subscription.resume()
    assert seen == ["first", "later"]


async def test_publishers_wait_for_room_as_ever(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int, mailbox=2, overflow=WaitForRoom())
    async with bus.running():
        subscription.pause()
        await bus.publish_many([1, 2])
        with anyio.move_on_after(5.0) as patience:
            await bus.publish(3)
        assert patience.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, 4)
            await quiet()
            assert subscription.statistics().blocked_publishers == 1
            subscription.resume()
        await quiet()
        assert subscription.statistics().handled == 3


async def test_policies_drop_and_refuse_as_ever(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()

    async def handler(note: Note) -> None:
        seen.append(note.text)

    last = bus.subscribe(handler, Note, mailbox=2, overflow=DropOldest())
    strict = bus.subscribe(take, Other, mailbox=1, overflow=Reject())
    async with bus.running():
        last.pause()
        strict.pause()
        await bus.publish_many([Note(text) for text in "abcd"])
        await bus.publish(Other())
        with pytest.raises(MailboxFull):
            await bus.publish(Other())
        assert last.statistics().dropped == 2
        last.resume()
        await quiet()
        assert seen == ["c", "d"]


async def test_a_restart_of_the_actor_does_not_resume_it(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    @bus.actor(retry=RetryPolicy(max_attempts=1))
    class Fragile:
        @handles(int)
        async def use(self, number: int) -> None:
            seen.append(number)
            bus.subscriptions["Fragile"].pause()
            raise ConnectionError

    async with bus.running():
        await bus.publish_many([1, 2])
        await anyio.sleep(10.0)
        statistics = bus.subscriptions["Fragile"].statistics()
        assert (statistics.incarnation, statistics.is_paused, statistics.depth) == (2, True, 1)
        assert seen == [1]
        bus.subscriptions["Fragile"].resume()
        await quiet()
        assert seen == [1, 2]


async def test_the_next_run_is_not_paused(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.pause()
    async with bus.running():
        assert not subscription.statistics().is_paused
        receipt = await bus.publish(1)
        await receipt.settled()


async def test_pausing_and_resuming_are_idempotent_and_reported_once(make_bus: MakeBus) -> None:
    reports: list[SubscriptionPaused | SubscriptionResumed] = []

    async def observer(report: Report) -> None:
        if isinstance(report, SubscriptionPaused | SubscriptionResumed):
            reports.append(report)

    bus = make_bus(observer=observer)
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.resume()
        for _ in range(2):
            subscription.pause()
        assert subscription.statistics().is_paused
        for _ in range(2):
            subscription.resume()
        assert not subscription.statistics().is_paused
    assert [type(report) for report in reports] == [SubscriptionPaused, SubscriptionResumed]
    assert {report.subscription for report in reports} == {"take"}


def test_only_what_runs_can_be_paused(make_bus: MakeBus) -> None:
    subscription = make_bus().subscribe(take, int)
    with pytest.raises(BusNotRunning, match="is not running"):
        subscription.pause()
    with pytest.raises(BusNotRunning, match="is not running"):
        subscription.resume()


async def test_what_has_ended_cannot_be_paused(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.pause()
        await subscription.unsubscribe()
        with pytest.raises(UnknownSubscription, match="'take'"):
            subscription.resume()


@pytest.mark.real_time
async def test_another_thread_cannot_pause(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        with pytest.raises(WrongThread):
            await anyio.to_thread.run_sync(subscription.pause)


@pytest.mark.real_time
async def test_a_plain_function_in_a_thread_ends_and_the_next_one_waits(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()
    begun, gate = anyio.Event(), threading.Event()

    def handler(number: int) -> None:
        seen.append(number)
        anyio.from_thread.run_sync(begun.set)
        gate.wait(10.0)

    subscription = bus.subscribe(handler, int)
    async with bus.running():
        first, second = await bus.publish_many([1, 2])
        await begun.wait()
        subscription.pause()
        gate.set()
        await first.settled()
        await anyio.sleep(0.05)
        assert seen == [1]
        subscription.resume()
        await second.settled()


async def test_who_is_on_probation_can_be_paused_and_goes_on(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()
    broken = True

    async def handler(number: int) -> None:
        if broken:
            raise ConnectionError
        seen.append(number)

    suspension = Backoff(initial=1.0, jitter=0.0)
    subscription = bus.subscribe(handler, int, concurrency=3, sick_after=1, suspension=suspension)
    async with bus.running():
        await bus.publish_many([1, 2, 3])
        await quiet()
        subscription.pause()
        await anyio.sleep(20.0)
        broken = False
        subscription.resume()
        await anyio.sleep(20.0)
        assert sorted(seen) == [1, 2, 3]


# ── draining ──


async def test_a_drain_does_not_wait_for_what_is_paused_and_says_that_it_is_left(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    subscription = bus.subscribe(take, int)
    async with bus.running():
        subscription.pause()
        await bus.publish_many([1, 2])
        with caplog.at_level(logging.INFO, "tocsin"):
            before = anyio.current_time()
            assert await bus.drain(30.0) is False
            assert anyio.current_time() == before
    assert "take is paused: the drain leaves the 2 deliveries that wait for it" in caplog.text
    assert bus.stop_report is not None
    assert [(each.event, each.was_in_flight) for each in bus.stop_report.returned] == [(1, False), (2, False)]


async def test_a_drain_waits_for_what_a_paused_subscription_has_begun(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int)
    async with bus.running():
        receipts = await bus.publish_many([1, 2])
        await quiet()
        subscription.pause()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(10.0)
            handler.open()
            await receipts[0].settled()
        assert handler.done == [1]


async def test_a_drain_that_waits_ends_when_the_rest_is_paused(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    subscription = bus.subscribe(handler, int, concurrency=1)
    async with bus.running():
        await bus.publish_many([1, 2])
        await quiet()
        before = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(1.0)
            handler.let()
            await anyio.sleep(1.0)
            subscription.pause()
            handler.let()
        assert anyio.current_time() - before == 2.0
        assert handler.done == [1, 2]


async def test_a_drain_ends_at_once_when_all_that_it_waited_for_is_paused(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(number: int) -> None:
        raise ConnectionError

    retry = RetryPolicy(max_attempts=2, backoff=Backoff(initial=100.0, maximum=100.0, jitter=0.0))
    subscription = bus.subscribe(fail, int, retry=retry)
    async with bus.running():
        await bus.publish(1)
        before = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(1.0)
            subscription.pause()
        assert anyio.current_time() - before == 1.0


async def test_a_drain_does_not_wait_for_another_attempt_of_what_is_paused(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def fail(number: int) -> None:
        await gate.wait()
        raise ConnectionError

    subscription = bus.subscribe(fail, int, retry=TWICE)
    async with bus.running():
        await bus.publish(1)
        await quiet()
        subscription.pause()
        before = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(1.0)
            gate.set()
        assert anyio.current_time() - before == 1.0
        assert subscription.statistics().waiting_retry == 1


async def test_what_is_resumed_while_the_bus_drains_is_handled(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    paused = bus.subscribe(take, int)
    bus.subscribe(handler, str)
    async with bus.running():
        paused.pause()
        receipt = await bus.publish(1)
        await bus.publish("slow")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.drain, 1000.0)
            await anyio.sleep(1.0)
            paused.resume()
            await receipt.settled()
            handler.open()
        assert receipt.outcomes == {"take": Handled()}


# ── the phase ──


async def test_the_phase_is_the_one_of_the_statistics(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[tuple[str, str]]()

    def look() -> None:
        seen.append((bus.phase, bus.statistics().phase))

    @bus.actor()
    class Early:  # pyright: ignore[reportUnusedClass]  # the decorator has it
        async def started(self) -> None:
            look()

        async def stopping(self) -> None:
            look()

        @handles(int)
        async def use(self, number: int) -> None: ...

    look()
    async with bus.running():
        look()
        await bus.drain()
        look()
    look()
    names = ["new", "starting", "running", "draining", "stopping", "stopped"]
    assert seen == [(name, name) for name in names]
