"""Publishers that wait for room: who is let in when, and what is left of one that is cancelled or refused."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.runtime.helpers import CRITICAL, HIGH, LOW, NORMAL, Gated, Note, Other, quiet
from tocsin import (
    BusClosed,
    DeadLettered,
    DeadLetterReason,
    Deduplicate,
    DropOldest,
    EventBus,
    FinishActor,
    Handled,
    MailboxFull,
    Priority,
    Receipt,
    Rejected,
    RejectReason,
    RestartIntensity,
    RestartPolicy,
    Returned,
    WaitForRoom,
    handles,
)

MakeBus = Callable[..., EventBus]


async def fill(bus: EventBus, *texts: str) -> None:
    """Give the handlers the first of *texts*, and their mailboxes the others."""
    await bus.publish(Note(texts[0]))
    await quiet()
    await bus.publish_many([Note(text) for text in texts[1:]])


async def run_into(refusals: list[BaseException], publish: Callable[[], Awaitable[object]]) -> None:
    """Publish, and note what is raised."""
    try:
        await publish()
    except (BusClosed, MailboxFull) as error:
        refusals.append(error)


def test_a_mailbox_is_bounded_unless_said_otherwise(make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe(Gated(), Note, name="slow")
    assert subscription.settings.mailbox == 1000
    assert subscription.settings.overflow == WaitForRoom(limit=None)


async def test_publishers_of_one_priority_are_let_in_in_the_order_of_their_arrival(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=2)
    async with bus.running():
        await fill(bus, "0", "1", "2")
        async with anyio.create_task_group() as group:
            for number in range(3, 9):
                group.start_soon(bus.publish, Note(str(number)))
                await quiet()
            assert bus.statistics().subscriptions["slow"].blocked_publishers == 6
            handler.open()
    assert handler.done == [str(number) for number in range(9)]


async def test_a_later_publisher_does_not_get_past_one_that_waits(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:
            group.start_soon(bus.publish, Note("2"))
            await quiet()
            handler.let()
            while handler.started == ["0"]:
                with pytest.raises(MailboxFull):  # whenever it tries
                    bus.publish_nowait(Note("jumps the queue"))
                await anyio.lowlevel.checkpoint()
            with pytest.raises(MailboxFull):
                bus.publish_nowait(Note("jumps the queue"))
        handler.open()
    assert handler.done == ["0", "1", "2"]


async def test_the_most_urgent_publisher_is_let_in_first(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:

            async def publish(text: str, priority: Priority) -> None:
                await bus.publish(Note(text), priority=priority)

            for text, priority in (("l", LOW), ("n1", NORMAL), ("n2", NORMAL), ("h", HIGH), ("c", CRITICAL)):
                group.start_soon(publish, text, priority)
                await quiet()
            for _ in range(6):
                handler.let()
                await quiet()
        handler.open()
    assert handler.done == ["0", "1", "c", "h", "n1", "n2", "l"]


async def test_more_urgent_publishers_do_not_keep_a_less_urgent_one_out_for_ever(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:

            async def publish(text: str, priority: Priority) -> None:
                await bus.publish(Note(text), priority=priority)

            group.start_soon(publish, "low", LOW)
            await quiet()
            for number in range(80):
                group.start_soon(publish, f"c{number}", CRITICAL)
            await quiet()
            handler.open()
    assert handler.done.index("low") < 80


async def test_a_mailbox_holds_what_it_may_and_publishers_wait_only_while_it_is_full(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=3, concurrency=2)
    chance = random.Random(7)
    published: list[str] = []

    async def publish() -> None:
        published.append(str(len(published)))
        await bus.publish(Note(published[-1]))

    def check() -> None:
        statistics = bus.statistics().subscriptions["slow"]
        assert statistics.depth + statistics.waiting_retry <= statistics.capacity
        assert not statistics.blocked_publishers or statistics.depth == statistics.capacity
        assert bus.ledger().balanced

    async with bus.running(), anyio.create_task_group() as group:
        for _ in range(300):
            if chance.random() < 0.6:
                group.start_soon(publish)
            else:
                handler.let()
            for _ in range(chance.randrange(4)):
                await anyio.lowlevel.checkpoint()
                check()
        handler.open()
    assert sorted(handler.done) == sorted(published)


async def test_retries_go_over_the_capacity_by_what_was_in_flight_at_most(make_bus: MakeBus) -> None:
    bus = make_bus()
    most = 0

    async def fail(note: Note) -> None:
        nonlocal most
        statistics = bus.statistics().subscriptions["fail"]
        most = max(most, statistics.depth + statistics.waiting_retry)
        await anyio.sleep(0.01)
        raise ConnectionError

    bus.subscribe(fail, Note, mailbox=3, concurrency=2, sick_after=10**6)
    async with bus.running(drain_timeout=600):
        await bus.publish_many([Note(str(number)) for number in range(50)])
    assert most <= 3 + 2
    assert bus.ledger().dead_lettered == 50


# ── cancelled while waiting ──


async def test_fault_B11_a_cancelled_publish_withdraws_from_those_that_had_not_taken_the_event(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    handlers = {name: Gated() for name in ("full", "free", "full too")}
    for name, handler in handlers.items():
        bus.subscribe(handler, Note, name=name, mailbox=1 if "full" in name else 9)
    async with bus.running():
        await fill(bus, "0", "1")
        receipt = Receipt()
        with anyio.move_on_after(5.0) as scope:
            await bus.publish(Note("2"), receipt=receipt)
        assert scope.cancelled_caught
        assert receipt.matched == ("full", "free", "full too")
        assert receipt.accepted == ("free",)
        assert receipt.withdrawn == ("full", "full too")
        assert receipt.outcomes["full"] == Rejected(RejectReason.CANCELLED)
        assert bus.ledger().blocked == 0
        for handler in handlers.values():
            handler.open()
        assert (await receipt.settled())["free"] == Handled()
    assert [handler.done for handler in handlers.values()] == [["0", "1"], ["0", "1", "2"], ["0", "1"]]


async def test_the_cancellation_of_a_publish_carries_a_note_of_who_has_taken_the_event(make_bus: MakeBus) -> None:
    bus, slow, free = make_bus(), Gated(), Gated()
    bus.subscribe(slow, Note, name="slow", mailbox=1)
    bus.subscribe(free, Note, name="free")
    notes: list[str] = []
    async with bus.running():
        await fill(bus, "0", "1")
        with anyio.move_on_after(1.0):
            try:
                await bus.publish(Note("2"))
            except BaseException as error:
                notes.extend(error.__notes__)
                raise
        slow.open()
        free.open()
    (note,) = notes
    assert "accepted by ('free',), withdrawn from ('slow',)" in note


async def test_fault_B12_a_cancelled_publish_leaves_its_place_to_the_next_one(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def cancellable() -> None:
                with scope:
                    await bus.publish(Note("cancelled"))

            group.start_soon(cancellable)
            await quiet()
            group.start_soon(bus.publish, Note("2"))
            await quiet()
            scope.cancel()
            await quiet()
            assert bus.ledger().blocked == 1
            handler.open()
    assert handler.done == ["0", "1", "2"]


async def test_fault_B12_a_publish_cancelled_in_the_step_that_made_room_has_been_taken(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        receipt = Receipt()
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:

            async def cancellable() -> None:
                with scope:
                    await bus.publish(Note("2"), receipt=receipt)

            group.start_soon(cancellable)
            await quiet()
            handler.let()
            while not receipt.accepted:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
        assert receipt.accepted == ("slow",)
        assert receipt.withdrawn == ()
        handler.open()
    assert handler.done == ["0", "1", "2"]


@pytest.mark.parametrize("step", range(24))
async def test_wherever_a_cancellation_strikes_a_publisher_its_receipt_tells_the_truth(
    make_bus: MakeBus, step: int
) -> None:
    bus = make_bus()
    slow, slower = Gated(), Gated()
    bus.subscribe(slow, Note, name="slow", mailbox=1)
    bus.subscribe(slower, Note, name="slower", mailbox=1)
    receipts = {"cancelled": Receipt(), "next": Receipt()}
    accepted_at_the_end: tuple[str, ...] = ()
    async with bus.running():
        await fill(bus, "0", "1")
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:

            async def cancellable() -> None:
                nonlocal accepted_at_the_end
                with scope:
                    try:
                        await bus.publish(Note("cancelled"), receipt=receipts["cancelled"])
                    finally:
                        accepted_at_the_end = receipts["cancelled"].accepted

            async def following() -> None:
                await bus.publish(Note("next"), receipt=receipts["next"])

            group.start_soon(cancellable)
            group.start_soon(following)
            for number in range(step):
                if number == 4:
                    slow.let()
                if number == 12:
                    slower.let()
                await anyio.lowlevel.checkpoint()
                assert bus.ledger().balanced
            scope.cancel()
            await quiet()
            slow.open()
            slower.open()
    assert receipts["cancelled"].accepted == accepted_at_the_end  # nothing is taken after the publish has ended
    for name, handler in (("slow", slow), ("slower", slower)):
        assert ("cancelled" in handler.done) is (name in accepted_at_the_end)
        assert "next" in handler.done
    assert bus.ledger().live == 0


@pytest.mark.parametrize("step", range(16))
async def test_wherever_a_native_cancellation_strikes_a_publisher_its_receipt_tells_the_truth(
    make_bus: MakeBus, anyio_backend_name: str, step: int
) -> None:
    if anyio_backend_name != "asyncio":
        return  # trio has no other cancellation than that of scopes
    bus, slow = make_bus(), Gated()
    bus.subscribe(slow, Note, name="slow", mailbox=1)
    receipt, following = Receipt(), Receipt()
    async with bus.running():
        await fill(bus, "0", "1")
        cancelled = asyncio.create_task(bus.publish(Note("cancelled"), receipt=receipt))
        waiting = asyncio.create_task(bus.publish(Note("next"), receipt=following))
        for number in range(step):
            if number == 4:
                slow.let()
            await anyio.lowlevel.checkpoint()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        accepted = receipt.accepted
        slow.open()
        await asyncio.wait([waiting])
    assert receipt.accepted == accepted
    assert ("cancelled" in slow.done) is ("slow" in accepted)
    assert following.outcomes == {"slow": Handled()}


@pytest.mark.parametrize("seed", range(25))
async def test_publishers_cancelled_at_random_lose_nothing_and_block_nobody(make_bus: MakeBus, seed: int) -> None:
    chance = random.Random(seed)
    bus = make_bus(random=random.Random(seed))
    handlers = {"a": Gated(), "b": Gated(), "c": Gated()}
    for name, handler in handlers.items():
        overflow = WaitForRoom(limit=chance.choice([None, 0.5]))
        bus.subscribe(handler, Note, name=name, mailbox=chance.randint(1, 3), overflow=overflow, timeout=None)
    receipts: list[tuple[str, Receipt, list[tuple[str, ...]]]] = []
    async with bus.running(), anyio.create_task_group() as group:

        async def publish(text: str, patience: float) -> None:
            receipt, at_end = Receipt(), list[tuple[str, ...]]()
            receipts.append((text, receipt, at_end))
            with anyio.move_on_after(patience):
                try:
                    await bus.publish(Note(text), receipt=receipt, priority=chance.choice(list(Priority)))
                except MailboxFull:
                    pass
                finally:
                    at_end.append(receipt.accepted)

        for number in range(60):
            patience = chance.choice([0.0, 0.1, 0.5, 1.0, 1e6])
            group.start_soon(publish, str(number), patience)
            if chance.random() < 0.5:
                handlers[chance.choice("abc")].let()
            for _ in range(chance.randrange(6)):
                await anyio.lowlevel.checkpoint()
            if chance.random() < 0.2:
                await anyio.sleep(chance.choice([0.1, 0.4, 0.5]))
            assert bus.ledger().balanced
        for handler in handlers.values():
            handler.open()
    for text, receipt, at_end in receipts:
        assert [receipt.accepted] == at_end or (not receipt.matched and not at_end)
        assert receipt.is_settled
        for name, handler in handlers.items():
            assert (text in handler.done) is (name in receipt.accepted)
    assert bus.ledger().live == 0


async def test_a_native_cancellation_of_a_waiting_publisher_withdraws_too(
    make_bus: MakeBus, anyio_backend_name: str
) -> None:
    if anyio_backend_name != "asyncio":
        return  # trio has no other cancellation
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    async with bus.running():
        await fill(bus, "0", "1")
        receipt = Receipt()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(bus.publish(Note("2"), receipt=receipt), 1.0)
        assert receipt.withdrawn == ("slow",)
        handler.open()
    assert handler.done == ["0", "1"]


async def test_fault_B13_a_native_cancellation_of_an_actor_that_wakes_up_for_a_delivery_loses_nothing(
    make_bus: MakeBus, anyio_backend_name: str
) -> None:
    if anyio_backend_name != "asyncio":
        return
    bus = make_bus()
    seen: list[str] = []
    tasks: list[asyncio.Task[Any]] = []

    async def handle(note: Note) -> None:
        seen.append(note.text)
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)

    bus.subscribe(handle, Note)
    async with bus.running():
        await (await bus.publish(Note("0"))).settled()
        await quiet()
        receipt = await bus.publish(Note("1"))  # wakes it, and in the same step
        tasks[0].cancel()
        assert await receipt.settled() == {"handle": Handled()}
    assert seen == ["0", "1"]
    assert bus.statistics().subscriptions["handle"].incarnation == 2


# ── refused while waiting ──


async def test_fault_E3_a_publisher_goes_on_when_the_subscription_it_waits_for_ends(make_bus: MakeBus) -> None:
    bus, ending, staying = make_bus(), Gated(), Gated()
    subscription = bus.subscribe(ending, Note, name="ending", mailbox=1, grace_period=0.0)
    bus.subscribe(staying, Note, name="staying", mailbox=1)
    receipts: list[Receipt] = []

    async def publish() -> None:
        receipts.append(await bus.publish(Note("2")))

    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await quiet()
            staying.open()
            await quiet()
            assert not receipts
            await subscription.unsubscribe()
    (receipt,) = receipts
    assert receipt.accepted == ("staying",)
    assert receipt.outcomes == {"ending": Rejected(RejectReason.UNSUBSCRIBED), "staying": Handled()}


async def test_a_publisher_that_waits_while_the_bus_begins_to_drain_is_told_that_it_is_closed(
    make_bus: MakeBus,
) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    refusals: list[BaseException] = []
    receipts = [Receipt() for _ in range(3)]
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:
            for receipt in receipts:

                async def publish(receipt: Receipt = receipt) -> None:
                    await bus.publish(Note("2"), receipt=receipt)

                group.start_soon(run_into, refusals, publish)
            await quiet()
            bus.request_stop()
            handler.open()
    assert [type(error) for error in refusals] == [BusClosed] * 3
    assert [receipt.outcomes for receipt in receipts] == [{"slow": Rejected(RejectReason.CLOSED)}] * 3
    assert {getattr(error, "receipt", None) for error in refusals} == set(receipts)
    assert handler.done == ["0", "1"]


@pytest.mark.parametrize("order", ["cancel first", "stop first", "room first"])
async def test_fault_E10_a_cancellation_and_a_stop_in_one_step_give_one_outcome(make_bus: MakeBus, order: str) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", mailbox=1)
    receipt, scope = Receipt(), anyio.CancelScope()
    refusals: list[BaseException] = []
    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:

            async def publish() -> None:
                with scope:
                    await bus.publish(Note("2"), receipt=receipt)

            group.start_soon(run_into, refusals, publish)
            await quiet()
            if order == "room first":
                handler.let()
                await anyio.lowlevel.checkpoint()
            if order == "cancel first":
                scope.cancel()
            bus.request_stop()
            scope.cancel()
            handler.open()
    (outcome,) = receipt.outcomes.values()
    assert outcome in (Rejected(RejectReason.CLOSED), Rejected(RejectReason.CANCELLED), Handled())
    assert ("2" in handler.done) is (outcome == Handled())
    assert bus.ledger().live == 0


async def test_what_a_handler_publishes_may_wait_for_room_while_the_bus_drains(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    published: list[Receipt] = []

    async def forward(other: Other) -> None:
        published.append(await bus.publish(Note("from handler")))

    bus.subscribe(slow, Note, name="slow", mailbox=1)
    bus.subscribe(forward, Other)
    async with bus.running():
        await fill(bus, "0", "1")
        await bus.publish(Other())
        await quiet()
        bus.request_stop()
        await quiet()
        assert not published
        slow.open()
    assert slow.done == ["0", "1", "from handler"]
    assert [receipt.outcomes for receipt in published] == [{"slow": Handled()}]


async def test_what_a_handler_publishes_is_refused_when_the_drain_is_over(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    refusals: list[BaseException] = []

    async def forward(other: Other) -> None:
        await run_into(refusals, lambda: bus.publish(Note("from handler")))

    bus.subscribe(slow, Note, name="slow", mailbox=1, grace_period=1.0)
    bus.subscribe(forward, Other)
    async with bus.running(drain_timeout=5.0):
        await fill(bus, "0", "1")
        await bus.publish(Other())
        await quiet()
    assert [type(error) for error in refusals] == [BusClosed]
    assert bus.ledger().live == 0
    assert bus.ledger().returned == 2


async def test_a_handler_that_waits_for_room_while_the_bus_still_starts_goes_on_waiting(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    refusals: list[BaseException] = []

    @bus.subscriber(Other)
    async def forward(other: Other) -> None:
        await run_into(refusals, lambda: bus.publish_many([Note("1"), Note("2"), Note("3")]))

    bus.subscribe(slow, Note, name="slow", mailbox=1)

    class Late:
        async def started(self) -> None:
            await bus.publish(Other())
            await anyio.sleep(1.0)

        @handles(int)
        async def count(self, number: int) -> None: ...

    bus.subscribe_actor(Late)
    async with bus.running():
        await quiet()
        slow.open()
    assert refusals == []
    assert slow.done == ["1", "2", "3"]


async def test_what_a_publisher_waits_with_is_buried_when_the_actor_has_finished(make_bus: MakeBus) -> None:
    bus, gate, free = make_bus(), anyio.Event(), Gated()

    async def finish(note: Note) -> None:
        await gate.wait()
        raise FinishActor

    bus.subscribe(finish, Note, mailbox=1, restart=RestartPolicy.TEMPORARY)
    bus.subscribe(free, Note, name="other", mailbox=1)
    receipts: list[Receipt] = []

    async def publish() -> None:
        receipts.append(await bus.publish(Note("2")))

    async with bus.running():
        await fill(bus, "0", "1")
        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await quiet()
            gate.set()
            await quiet()
            free.open()
        assert (await bus.publish(Note("3"))).matched == ("other",)
    (receipt,) = receipts
    assert receipt.accepted == ("other",)
    letters = {letter.id: letter for letter in bus.dead_letters.list()}
    assert [letter.event.text for letter in letters.values()] == ["2", "1"]
    assert {letter.reason for letter in letters.values()} == {DeadLetterReason.ACTOR_STOPPED}
    assert bus.ledger().live == 0


async def test_a_parked_actor_keeps_what_it_has_and_new_deliveries_are_buried(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(note: Note) -> None:
        raise ConnectionError

    options = {"intensity": RestartIntensity(0, 60.0), "on_exhausted": "park", "sick_after": 1}
    subscription = bus.subscribe(fail, Note, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with bus.running(drain_timeout=5.0):
        kept = await bus.publish(Note("0"))
        await quiet()
        assert subscription.statistics().state == "parked"
        buried = await bus.publish(Note("1"))
        assert buried.accepted == ()
        (letter,) = bus.dead_letters.list()
        assert buried.outcomes == {"fail": DeadLettered(DeadLetterReason.ACTOR_STOPPED, letter.id)}
        assert not kept.is_settled
    assert kept.outcomes == {"fail": Returned()}


@pytest.mark.parametrize("seed", range(15))
async def test_a_stop_at_any_moment_ends_every_wait_and_every_delivery(make_bus: MakeBus, seed: int) -> None:
    chance = random.Random(seed)
    bus = make_bus()
    handlers = [Gated(), Gated()]
    for number, handler in enumerate(handlers):
        bus.subscribe(handler, Note, name=str(number), mailbox=chance.randint(1, 3), grace_period=1.0)
    receipts = [Receipt() for _ in range(30)]
    refusals: list[BaseException] = []
    async with anyio.create_task_group() as group, bus.running(drain_timeout=chance.choice([0.0, 2.0])):
        for receipt in receipts:

            async def publish(receipt: Receipt = receipt) -> None:
                await bus.publish(Note("note"), receipt=receipt)

            group.start_soon(run_into, refusals, publish)
            chance.choice(handlers).let()
            for _ in range(chance.randrange(5)):
                await anyio.lowlevel.checkpoint()
    ledger = bus.ledger()
    assert ledger.live == 0
    assert all(receipt.is_settled for receipt in receipts)
    report = bus.stop_report
    assert report is not None
    assert len(report.returned) == ledger.returned
    ended = [outcome for receipt in receipts for outcome in receipt.outcomes.values()]
    assert ledger.handled == ended.count(Handled())
    assert ledger.returned == ended.count(Returned())


async def test_who_was_cancelled_while_waiting_is_no_duplicate_afterwards(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    deduplicate = Deduplicate(by=lambda note: note.text)
    bus.subscribe(handler, Note, name="slow", mailbox=1, deduplicate=deduplicate)
    async with bus.running():
        await fill(bus, "0", "1")
        with anyio.move_on_after(1.0):
            await bus.publish(Note("2"))
        handler.open()
        await quiet()
        assert await (await bus.publish(Note("2"))).settled() == {"slow": Handled()}


# ── one slow subscriber and the others ──


async def timeline(make_bus: MakeBus, *, with_slow_neighbour: bool) -> list[tuple[str, int]]:
    """What the quick subscriber handles when, beside a slow one or without."""
    bus = make_bus()
    began = anyio.current_time()
    seen: list[tuple[str, int]] = []

    async def quick(note: Note) -> None:
        await anyio.sleep(1.0)
        seen.append((note.text, round(anyio.current_time() - began)))

    async def slow(note: Other) -> None:
        await anyio.sleep(20.0)

    bus.subscribe(quick, Note, mailbox=2)
    if with_slow_neighbour:
        bus.subscribe(slow, Other, mailbox=1)
    async with bus.running(drain_timeout=math.inf), anyio.create_task_group() as group:
        group.start_soon(bus.publish_many, [Note(str(number)) for number in range(10)])
        group.start_soon(bus.publish_many, [Other() for _ in range(5)])
    return seen


async def test_fault_E12_only_the_publishers_of_a_slow_subscriber_wait_for_it(make_bus: MakeBus) -> None:
    alone = await timeline(make_bus, with_slow_neighbour=False)
    beside = await timeline(make_bus, with_slow_neighbour=True)
    assert alone == beside


async def test_a_slow_subscriber_that_drops_holds_up_nobody(make_bus: MakeBus) -> None:
    bus, stuck, quick = make_bus(), Gated(), Gated(is_open=True)
    bus.subscribe(stuck, Note, name="stuck", mailbox=1, overflow=DropOldest())
    bus.subscribe(quick, Note, name="quick", mailbox=1)
    async with bus.running():
        await bus.publish_many([Note(str(number)) for number in range(100)])
        await quiet()
        assert len(quick.done) == 100
        stuck.open()
    assert len(stuck.done) == 2
    assert stuck.done[-1] == "99"
