"""Which waits of handlers count: those that hold up a server of their actor, as long as they last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
import pytest

from tests.runtime.helpers import Gated, Note, Other, quiet
from tocsin import EventBus, MailboxFull, WaitForRoom, WouldDeadlock

MakeBus = Callable[..., EventBus]


async def test_a_wait_that_has_ended_counts_no_more(make_bus: MakeBus) -> None:
    bus, refused = make_bus(), list[str]()
    go_on = anyio.Event()

    @bus.subscriber(Other, mailbox=1, timeout=None)
    async def waits_first(other: Other) -> None:
        if other.text == "0":
            with pytest.raises(MailboxFull):
                await bus.publish_many([Note("1"), Note("2"), Note("3")])
            await go_on.wait()

    @bus.subscriber(Note, mailbox=1, overflow=WaitForRoom(limit=1.0), timeout=None)
    async def waits_then(note: Note) -> None:
        if note.text == "1":
            await anyio.sleep(5.0)
            await bus.publish(Other("1"))
            with anyio.move_on_after(1.0):
                try:
                    await bus.publish(Other("2"))
                except WouldDeadlock:
                    refused.append(note.text)

    async with bus.running():
        await bus.publish(Other("0"))
        await anyio.sleep(10.0)
        go_on.set()
    assert refused == []


async def test_a_wait_withdrawn_by_a_cancellation_counts_no_more(make_bus: MakeBus) -> None:
    bus = make_bus()
    handled: list[str] = []

    @bus.subscriber(Note, mailbox=1, concurrency=2, timeout=None)
    async def both(note: Note) -> None:
        if note.text == "0":
            await bus.publish_many([Note("1"), Note("2")])
            with anyio.move_on_after(1.0):
                await bus.publish(Note("3"))
            await bus.publish(Note("4"))
        elif note.text == "1":
            await anyio.sleep(5.0)
        handled.append(note.text)

    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
    assert sorted(handled) == ["0", "1", "2", "4"]


@pytest.mark.real_time
async def test_a_synchronous_handler_that_publishes_to_its_own_full_mailbox_is_refused(make_bus: MakeBus) -> None:
    bus, refused = make_bus(), list[WouldDeadlock]()

    @bus.subscriber(Note, mailbox=1)
    def in_thread(note: Note) -> None:
        if note.text == "0":
            bus.publish_from_thread(Note("1"), timeout=5.0)
            try:
                bus.publish_from_thread(Note("2"), timeout=5.0)
            except WouldDeadlock as error:
                refused.append(error)

    async with bus.running():
        await (await bus.publish(Note("0"))).settled()
    assert [error.cycle for error in refused] == [("in_thread", "in_thread")]


@pytest.mark.real_time
async def test_threads_of_one_handler_may_wait_at_the_same_time(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()

    @bus.subscriber(Other)
    async def forward(other: Other) -> None:
        async with anyio.create_task_group() as group:
            for number in range(4):
                publish = partial(bus.publish_from_thread, Note(str(number)), timeout=5.0)
                group.start_soon(anyio.to_thread.run_sync, publish)

    bus.subscribe(slow, Note, name="slow", mailbox=1)
    async with bus.running():
        receipt = await bus.publish(Other())
        while bus.ledger().blocked < 2:  # noqa: ASYNC110  # there is nothing to wait for
            await anyio.sleep(0.01)
        slow.open()
        await receipt.settled()
    assert sorted(slow.done) == ["0", "1", "2", "3"]
    assert bus.ledger().dead_lettered == 0
