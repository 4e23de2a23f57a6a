"""What each of the six policies does with a mailbox that is full, and who learns of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.runtime.helpers import CRITICAL, HIGH, LOW, NORMAL, Gated, Note, quiet
from tocsin import (
    Backoff,
    Coalesce,
    DeadLettered,
    DeadLetterNewest,
    DeadLetterReason,
    Deduplicate,
    DropNewest,
    DropOldest,
    Dropped,
    DropReason,
    EventBus,
    Handled,
    MailboxFull,
    Overflow,
    Receipt,
    Reject,
    Rejected,
    RejectReason,
    Report,
    RetryPolicy,
    WaitForRoom,
)
from tocsin._reports import DeliveryDropped

MakeBus = Callable[..., EventBus]


@asynccontextmanager
async def full(make_bus: MakeBus, overflow: Overflow, **options: Any) -> AsyncGenerator[tuple[EventBus, Gated], None]:
    """Run a bus whose only handler is at work on note 0 and has notes 1 and 2 waiting in its mailbox for two."""
    bus, handler = make_bus(**options), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=2, overflow=overflow)
    async with bus.running():
        await bus.publish(Note("0", key=0))
        await quiet()
        await bus.publish_many([Note("1", key=1), Note("2", key=2)])
        yield bus, handler
        handler.open()
    assert bus.ledger().live == 0


def by_key(note: Note) -> Any:
    return note.key


async def test_wait_for_room_lets_the_publisher_wait_and_loses_nothing(make_bus: MakeBus) -> None:
    async with full(make_bus, WaitForRoom()) as (bus, handler):
        published: list[Receipt] = []

        async def publish() -> None:
            published.append(await bus.publish(Note("3")))

        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await quiet()
            assert not published
            assert bus.ledger().blocked == 1
            handler.let()
            await quiet()
        (receipt,) = published
        assert receipt.accepted == ("slow",)
        handler.open()
        assert await receipt.settled() == {"slow": Handled()}
    assert handler.done == ["0", "1", "2", "3"]


async def test_the_publisher_goes_on_as_soon_as_a_delivery_is_taken_not_when_it_ends(make_bus: MakeBus) -> None:
    async with full(make_bus, WaitForRoom()) as (bus, handler):
        async with anyio.create_task_group() as group:
            group.start_soon(bus.publish, Note("3"))
            await quiet()
            handler.let()
        assert handler.started == ["0", "1"]
        assert handler.done == ["0"]


async def test_a_limit_on_the_wait_ends_in_mailbox_full(make_bus: MakeBus) -> None:
    async with full(make_bus, WaitForRoom(limit=10.0)) as (bus, _):
        began = anyio.current_time()
        receipt = Receipt()
        with pytest.raises(MailboxFull, match="mailbox of slow is full; accepted by: nobody") as caught:
            await bus.publish(Note("3"), receipt=receipt)
        assert 10.0 <= anyio.current_time() - began < 11.0
        assert caught.value.receipt is receipt
        assert caught.value.subscriptions == ("slow",)
        assert receipt.outcomes == {"slow": Rejected(RejectReason.FULL)}
        assert receipt.withdrawn == ("slow",)
        assert bus.ledger().blocked == 0


async def test_each_subscription_has_its_own_limit_and_the_others_are_still_waited_for(make_bus: MakeBus) -> None:
    bus = make_bus()
    handlers = {name: Gated() for name in ("short", "long", "free")}
    for name, handler in handlers.items():
        limit = {"short": 1.0, "long": 60.0}.get(name)
        bus.subscribe(handler, Note, name=name, mailbox=1, overflow=WaitForRoom(limit), timeout=None)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish(Note("1"))
        handlers["free"].open()
        async with anyio.create_task_group() as group:

            async def make_room_late() -> None:
                await anyio.sleep(30.0)
                assert bus.statistics().subscriptions["long"].blocked_publishers == 1
                assert bus.statistics().subscriptions["short"].rejected == 1
                handlers["long"].let()

            group.start_soon(make_room_late)
            with pytest.raises(MailboxFull) as caught:
                await bus.publish(Note("2"))
            assert caught.value.subscriptions == ("short",)
            assert caught.value.receipt.accepted == ("free", "long")
        for handler in handlers.values():
            handler.open()
    assert [len(handler.done) for handler in handlers.values()] == [2, 3, 3]


async def test_nowait_is_refused_where_it_would_have_to_wait(make_bus: MakeBus) -> None:
    async with full(make_bus, WaitForRoom()) as (bus, _):
        with pytest.raises(MailboxFull, match=r"let publishers wait: WaitForRoom\(\)") as caught:
            bus.publish_nowait(Note("3"))
        assert caught.value.receipt.outcomes == {"slow": Rejected(RejectReason.FULL)}


async def test_fault_E11_reject_refuses_at_once_and_the_others_have_taken_the_event(make_bus: MakeBus) -> None:
    bus = make_bus()
    handlers = [Gated() for _ in range(5)]
    for number, handler in enumerate(handlers, 1):
        bus.subscribe(handler, Note, name=str(number), mailbox=1 if number >= 3 else 9, overflow=Reject())
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish(Note("1"))
        with pytest.raises(MailboxFull, match="mailbox of 3, 4, 5 is full; accepted by: 1, 2") as caught:
            await bus.publish(Note("2"))
        assert caught.value.subscriptions == ("3", "4", "5")
        assert caught.value.receipt.accepted == ("1", "2")
        assert caught.value.receipt.withdrawn == ("3", "4", "5")
        with pytest.raises(MailboxFull):
            bus.publish_nowait(Note("3"))
        for handler in handlers:
            handler.open()
    assert handlers[0].done == ["0", "1", "2", "3"]
    assert handlers[4].done == ["0", "1"]
    assert bus.ledger().rejected == 6


async def test_who_is_refused_is_told_after_the_wait_for_the_others(make_bus: MakeBus) -> None:
    bus, refusing, waiting = make_bus(), Gated(), Gated()
    bus.subscribe(refusing, Note, name="refusing", mailbox=1, overflow=Reject())
    bus.subscribe(waiting, Note, name="waiting", mailbox=1)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish(Note("1"))

        async def make_room() -> None:
            await quiet()
            waiting.let()

        async with anyio.create_task_group() as group:
            group.start_soon(make_room)
            with pytest.raises(MailboxFull) as caught:
                await bus.publish(Note("2"))
            assert caught.value.subscriptions == ("refusing",)
            assert caught.value.receipt.accepted == ("waiting",)
        refusing.open()
        waiting.open()


async def test_drop_oldest_keeps_the_newest_and_shows_the_gap(make_bus: MakeBus) -> None:
    async with full(make_bus, DropOldest()) as (bus, handler):
        receipts = await bus.publish_many([Note("3"), Note("4")])
        assert [receipt.accepted for receipt in receipts] == [("slow",), ("slow",)]
        handler.open()
    assert handler.done == ["0", "3", "4"]
    assert handler.missed == [0, 2, 0]
    assert bus.ledger().dropped == 2


async def test_drop_oldest_drops_the_oldest_of_the_least_urgent_the_new_one_included(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=3, overflow=DropOldest())
    async with bus.running():
        await bus.publish(Note("at work"))
        await quiet()
        for text, priority in (("n1", NORMAL), ("h1", HIGH), ("n2", NORMAL)):
            await bus.publish(Note(text), priority=priority)
        dropped = await bus.publish(Note("l1"), priority=LOW)
        assert dropped.outcomes == {"slow": Dropped(DropReason.NEWEST)}
        assert (dropped.accepted, dropped.withdrawn) == ((), ())
        await bus.publish(Note("c1"), priority=CRITICAL)  # for n1
        await bus.publish(Note("n3"), priority=NORMAL)  # for n2
        handler.open()
    assert handler.done == ["at work", "c1", "h1", "n3"]


async def test_drop_oldest_spares_work_that_waits_for_its_retry(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []
    working = anyio.Event()

    async def fail_first(note: Note) -> None:
        seen.append(note.text)
        if seen == ["0"]:
            working.set()
            raise ConnectionError

    retry = RetryPolicy(max_attempts=2)
    bus.subscribe(fail_first, Note, name="flaky", mailbox=1, overflow=DropOldest(), retry=retry)
    async with bus.running():
        await bus.publish(Note("0"))
        await working.wait()
        await quiet()
        seen_before = bus.statistics().subscriptions["flaky"].waiting_retry
        receipt = await bus.publish(Note("1"))
        if seen_before:
            assert receipt.outcomes == {"flaky": Dropped(DropReason.NEWEST)}
    assert seen[:2] == ["0", "0"]


async def test_drop_newest_drops_the_new_one_and_shows_the_gap(make_bus: MakeBus) -> None:
    async with full(make_bus, DropNewest()) as (bus, handler):
        receipts = await bus.publish_many([Note("3"), Note("4")], priority=CRITICAL)
        assert [receipt.outcomes for receipt in receipts] == [{"slow": Dropped(DropReason.NEWEST)}] * 2
        handler.open()
    assert handler.done == ["0", "1", "2"]
    assert handler.missed == [0, 2, 0]


async def test_dead_letter_newest_buries_the_new_one(make_bus: MakeBus) -> None:
    async with full(make_bus, DeadLetterNewest()) as (bus, handler):
        receipt = await bus.publish(Note("3"))
        (letter,) = bus.dead_letters.list()
        assert letter.reason is DeadLetterReason.OVERFLOW
        assert letter.attempts == 0
        assert letter.event == Note("3")
        assert receipt.outcomes == {"slow": DeadLettered(DeadLetterReason.OVERFLOW, letter.id)}
        handler.open()
    assert handler.missed == [0, 0, 0]
    assert bus.ledger().dead_lettered == 1


async def test_coalesce_puts_the_newest_of_a_key_in_the_place_of_the_queued_one(make_bus: MakeBus) -> None:
    async with full(make_bus, Coalesce(by_key)) as (bus, handler):
        receipt = await bus.publish(Note("1 anew", key=1))
        assert receipt.accepted == ("slow",)
        handler.open()
    assert handler.done == ["0", "1 anew", "2"]
    assert handler.missed == [0, 1, 0]
    assert bus.ledger().dropped == 1


async def test_coalesce_replaces_also_while_there_is_room_but_not_what_is_being_handled(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", overflow=Coalesce(by_key))
    async with bus.running():
        await bus.publish(Note("a1", key="a"))
        await quiet()
        first, second, third = await bus.publish_many([Note("a2", "a"), Note("b1", "b"), Note("a3", "a")])
        assert first.outcomes == {"slow": Dropped(DropReason.COALESCED)}
        assert (first.accepted, first.withdrawn) == (("slow",), ())
        assert not second.outcomes
        assert not third.outcomes
        handler.open()
    assert handler.done == ["a1", "a3", "b1"]


async def test_coalesce_with_another_priority_moves_to_the_lane_of_the_newest(make_bus: MakeBus) -> None:
    async with full(make_bus, Coalesce(by_key)) as (bus, handler):
        await bus.publish(Note("2 anew", key=2), priority=HIGH)
        handler.open()
    assert handler.done == ["0", "2 anew", "1"]


async def test_coalesce_without_the_key_in_a_full_mailbox_drops_the_oldest(make_bus: MakeBus) -> None:
    async with full(make_bus, Coalesce(by_key)) as (bus, handler):
        await bus.publish(Note("3", key=3))
        handler.open()
    assert handler.done == ["0", "2", "3"]


async def test_each_drop_is_told_to_the_observer(make_bus: MakeBus) -> None:
    reports: list[Report] = []

    async def observe(report: Report) -> None:
        reports.append(report)

    async with full(make_bus, DropNewest(), observer=observe) as (bus, handler):
        receipt = await bus.publish(Note("3"))
        handler.open()
    (dropped,) = [report for report in reports if isinstance(report, DeliveryDropped)]
    assert (dropped.subscription, dropped.event_id) == ("slow", receipt.event_id)
    assert dropped.reason is DropReason.NEWEST


async def test_a_gap_is_told_until_a_delivery_after_it_was_handled(make_bus: MakeBus) -> None:
    bus = make_bus()
    told: list[tuple[str, int, int]] = []
    go_on = anyio.Semaphore(0)

    async def fail_once(note: Note, delivery: Any) -> None:
        told.append((note.text, delivery.attempt, delivery.missed))
        await go_on.acquire()
        if note.text == "1" and delivery.attempt == 1:
            raise ConnectionError

    bus.subscribe(fail_once, Note, name="flaky", mailbox=1, overflow=DropNewest(), timeout=None)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish_many([Note("1"), Note("dropped"), Note("dropped")])
        go_on.release()
        go_on.release()
        await anyio.sleep(60.0)
        go_on.release()
        await quiet()
        await bus.publish(Note("2"))
        go_on.release()
    assert told == [("0", 1, 0), ("1", 1, 2), ("1", 2, 2), ("2", 1, 0)]


async def test_what_was_refused_is_no_duplicate_when_it_is_published_again(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    deduplicate = Deduplicate(by=lambda note: note.text)
    bus.subscribe(handler, Note, name="slow", mailbox=1, overflow=Reject(), deduplicate=deduplicate)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish(Note("1"))
        with pytest.raises(MailboxFull):
            await bus.publish(Note("2"))
        assert (await bus.publish(Note("1"))).outcomes == {"slow": Dropped(DropReason.DUPLICATE)}
        handler.let()
        await quiet()
        await bus.publish(Note("2"))
        handler.open()
    assert handler.done == ["0", "1", "2"]
    assert handler.missed == [0, 0, 0]  # a duplicate is no gap


async def test_what_was_dropped_before_it_was_taken_is_no_duplicate_when_it_is_published_again(
    make_bus: MakeBus,
) -> None:
    bus, handler = make_bus(), Gated()
    deduplicate = Deduplicate(by=lambda note: note.text)
    bus.subscribe(handler, Note, name="slow", mailbox=1, overflow=DropNewest(), deduplicate=deduplicate)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish_many([Note("1"), Note("2")])
        handler.let()
        await quiet()
        await bus.publish(Note("2"))
        handler.open()
    assert handler.done == ["0", "1", "2"]


async def test_a_question_dropped_by_a_policy_is_not_left_without_an_answer(make_bus: MakeBus) -> None:
    async with full(make_bus, DropOldest()) as (bus, handler):
        began = anyio.current_time()

        async def ask() -> None:
            with pytest.raises(Exception, match="slow"):
                await bus.ask(Note("question"), to="slow", timeout=20.0)

        async with anyio.create_task_group() as group:
            handler.let()
            await quiet()
            group.start_soon(ask)
            await quiet()
            await bus.publish_many([Note("3"), Note("4"), Note("5")])
        assert anyio.current_time() - began < 20.0


# ── coalescing and retries ──


async def test_a_waiting_retry_gives_way_to_a_newer_event_with_its_key(make_bus: Callable[..., EventBus]) -> None:
    bus, seen = make_bus(), list[str]()

    async def latest(event: str) -> None:
        seen.append(event)
        if event == "a1":
            raise OSError("not yet")

    bus.subscribe(latest, str, overflow=Coalesce(by=lambda event: event[0]), retry=RetryPolicy(backoff=Backoff(5, 5)))
    async with bus.running():
        first = await bus.publish("a1")
        await anyio.sleep(1)
        await bus.publish("a2")
        await anyio.sleep(60)
    assert seen == ["a1", "a2"]
    assert list(first.outcomes.values()) == [Dropped(DropReason.COALESCED)]


async def test_an_attempt_that_fails_after_a_newer_event_came_in_is_not_made_again(
    make_bus: Callable[..., EventBus],
) -> None:
    bus, seen, gate = make_bus(), list[str](), anyio.Event()

    async def latest(event: str) -> None:
        seen.append(event)
        if event == "a1":
            await gate.wait()
            raise OSError("not yet")

    bus.subscribe(latest, str, overflow=Coalesce(by=lambda event: event[0]))
    async with bus.running():
        first = await bus.publish("a1")
        await anyio.sleep(1)
        await bus.publish("a2")
        gate.set()
        assert list((await first.settled()).values()) == [Dropped(DropReason.COALESCED)]
    assert seen == ["a1", "a2"]
