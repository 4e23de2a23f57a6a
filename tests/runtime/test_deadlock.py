"""Waits among handlers that would never end are refused, and only those."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.runtime.helpers import Gated, Note, Other, quiet
from tocsin import Delivery, EventBus, Handled, Receipt, Rejected, RejectReason, WaitForRoom, WouldDeadlock

MakeBus = Callable[..., EventBus]


async def test_fault_E4_a_handler_that_publishes_to_its_own_full_mailbox_is_refused_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    refused: list[WouldDeadlock] = []
    at: list[float] = []

    @bus.subscriber(Note, mailbox=1)
    async def self_publisher(note: Note) -> None:
        if note.text != "0":
            return
        await bus.publish(Note("1"))
        at.append(anyio.current_time())
        try:
            await bus.publish(Note("2"))
        except WouldDeadlock as error:
            refused.append(error)
            at.append(anyio.current_time())

    async with bus.running():
        await bus.publish(Note("0"))
    (error,) = refused
    assert error.cycle == ("self_publisher", "self_publisher")
    assert error.receipt is not None
    assert error.receipt.outcomes == {"self_publisher": Rejected(RejectReason.DEADLOCK)}
    assert "self_publisher → self_publisher" in str(error)
    assert at[1] - at[0] < 1.0
    assert bus.ledger().rejected == 1


async def ring_of(make_bus: MakeBus, size: int, **options: Any) -> tuple[EventBus, list[WouldDeadlock]]:
    """Let actors 0, 1, … each fill the mailbox of the next one and wait for room there."""
    bus = make_bus()
    refused: list[WouldDeadlock] = []
    everybody_at_work = anyio.Event()
    at_work: list[int] = []

    async def handle(number: int, event: Note, delivery: Delivery[Note]) -> None:
        if event.text != "begin":
            return
        at_work.append(number)
        if len(at_work) == size:
            everybody_at_work.set()
        await everybody_at_work.wait()
        await anyio.sleep(number)  # one after the other
        try:
            for _ in range(2):
                await bus.publish(Note("on"), topic=f"to.{(number + 1) % size}")
        except WouldDeadlock as error:
            refused.append(error)

    for number in range(size):
        bus.subscribe(partial(handle, number), f"to.{number}", name=f"n{number}", mailbox=1, timeout=None, **options)
    async with bus.running(drain_timeout=1000.0):
        for number in range(size):
            await bus.publish(Note("begin"), topic=f"to.{number}")
        await quiet()
    assert bus.ledger().live == 0
    assert bus.ledger().returned == 0
    return bus, refused


@pytest.mark.parametrize("size", range(1, 9))
async def test_fault_E5_only_the_publish_that_would_close_a_ring_is_refused(make_bus: MakeBus, size: int) -> None:
    bus, refused = await ring_of(make_bus, size)
    (error,) = refused
    last = size - 1
    names = [f"n{(last + step) % size}" for step in range(size + 1)]
    assert list(error.cycle) == names
    assert bus.ledger().rejected == 1


@pytest.mark.parametrize("size", [1, 3])
async def test_with_a_context_for_each_delivery_a_ring_is_found_as_well(make_bus: MakeBus, size: int) -> None:
    _, refused = await ring_of(make_bus, size, context="delivery")
    assert len(refused) == 1


async def test_an_actor_with_a_server_left_may_wait_for_itself(make_bus: MakeBus) -> None:
    bus, _ = await ring_of(make_bus, 1, concurrency=2)
    assert bus.ledger().rejected == 0


async def test_an_actor_whose_servers_all_wait_for_it_is_refused_the_last_wait(make_bus: MakeBus) -> None:
    bus = make_bus()
    refused: list[WouldDeadlock] = []
    both = anyio.Event()
    at_work: list[str] = []

    @bus.subscriber(Note, mailbox=1, concurrency=2, timeout=None)
    async def pair(note: Note) -> None:
        if note.text == "on":
            return
        at_work.append(note.text)
        if len(at_work) == 2:
            both.set()
        await both.wait()
        try:
            for _ in range(3):
                await bus.publish(Note("on"))
        except WouldDeadlock as error:
            refused.append(error)

    async with bus.running():
        await bus.publish(Note("1"))
        await quiet()
        await bus.publish(Note("2"))
        await quiet()
    assert [error.cycle for error in refused] == [("pair", "pair")]


async def test_a_refused_publish_names_those_that_have_taken_the_event(make_bus: MakeBus) -> None:
    bus, other = make_bus(), Gated(is_open=True)
    receipts: list[Receipt] = []

    @bus.subscriber(Note, mailbox=1)
    async def cyclic(note: Note) -> None:
        if note.text != "0":
            return
        await bus.publish(Note("1"))
        receipt = Receipt()
        receipts.append(receipt)
        with pytest.raises(WouldDeadlock) as caught:
            await bus.publish(Note("2"), receipt=receipt)
        assert caught.value.receipt is receipt

    bus.subscribe(other, Note, name="other")
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
    (receipt,) = receipts
    assert receipt.accepted == ("other",)
    assert receipt.withdrawn == ("cyclic",)
    assert receipt.outcomes == {"cyclic": Rejected(RejectReason.DEADLOCK), "other": Handled()}
    assert other.done == ["0", "1", "2"]


async def test_a_task_beside_the_handler_may_wait_for_the_handlers_own_mailbox(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[str] = []
    async with anyio.create_task_group() as beside:

        @bus.subscriber(Note, mailbox=1)
        async def handler(note: Note) -> None:
            seen.append(note.text)
            if note.text == "0":
                beside.start_soon(bus.publish_many, [Note("1"), Note("2"), Note("3")])
                await quiet()

        async with bus.running():
            await bus.publish(Note("0"))
            await quiet()
    assert seen == ["0", "1", "2", "3"]


async def test_a_handler_may_wait_for_an_actor_that_waits_for_nobody(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()

    @bus.subscriber(Other)
    async def forward(other: Other) -> None:
        await bus.publish_many([Note("0"), Note("1"), Note("2"), Note("3")])

    bus.subscribe(slow, Note, name="slow", mailbox=1)
    async with bus.running():
        await bus.publish(Other())
        await quiet()
        slow.open()
    assert slow.done == ["0", "1", "2", "3"]
    assert bus.ledger().rejected == 0


async def test_publishers_outside_of_all_actors_are_never_part_of_a_cycle(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    bus.subscribe(slow, Note, name="slow", mailbox=1)
    async with bus.running(), anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(bus.publish, Note(str(number)))
        await quiet()
        slow.open()
    assert len(slow.done) == 20


async def test_fault_E6_a_cycle_of_questions_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    refused: list[WouldDeadlock] = []

    @bus.subscriber(Note)
    async def first(note: Note) -> object:
        return await bus.ask(Other(), to="second")

    @bus.subscriber(Other)
    async def second(other: Other) -> str:
        try:
            await bus.ask(Note("again"), to="first")
        except WouldDeadlock as error:
            refused.append(error)
        return "answer"

    async with bus.running():
        assert await bus.ask(Note("0"), to="first") == "answer"
    assert [error.cycle for error in refused] == [("second", "first", "second")]


async def test_a_cycle_of_a_question_and_a_full_mailbox_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    refused: list[WouldDeadlock] = []

    @bus.subscriber(Note, mailbox=1)
    async def asker(note: Note) -> None:
        if note.text == "0":
            assert await bus.ask(Other(), to="publisher") == "done"

    @bus.subscriber(Other)
    async def publisher(other: Other) -> str:
        await bus.publish(Note("1"))
        try:
            await bus.publish(Note("2"))
        except WouldDeadlock as error:
            refused.append(error)
        return "done"

    async with bus.running():
        await bus.publish(Note("0"))
    assert [error.cycle for error in refused] == [("publisher", "asker", "publisher")]


async def test_an_actor_on_probation_has_one_server_whatever_its_concurrency(make_bus: MakeBus) -> None:
    bus = make_bus()
    refused: list[WouldDeadlock] = []

    @bus.subscriber(Note, mailbox=1, concurrency=2, sick_after=1, timeout=None)
    async def pair(note: Note) -> None:
        if note.text == "0" and bus.statistics().subscriptions["pair"].incarnation == 1:
            raise ConnectionError
        if note.text == "0":
            try:
                await bus.publish_many([Note("1"), Note("2"), Note("3")])
            except WouldDeadlock as error:
                refused.append(error)

    async with bus.running(drain_timeout=100.0):
        await bus.publish(Note("0"))
    assert [error.cycle for error in refused] == [("pair", "pair")]


async def test_a_cycle_is_refused_also_if_a_limit_on_the_wait_would_end_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    waited: list[float] = []

    @bus.subscriber(Note, mailbox=1, overflow=WaitForRoom(limit=5.0))
    async def limited(note: Note) -> None:
        if note.text == "0":
            await bus.publish(Note("1"))
            began = anyio.current_time()
            with pytest.raises(WouldDeadlock):
                await bus.publish(Note("2"))
            waited.append(anyio.current_time() - began)

    async with bus.running():
        await bus.publish(Note("0"))
    assert len(waited) == 1
    assert waited[0] < 5.0
