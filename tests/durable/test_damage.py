"""A bus on a store that was damaged, or whose disk fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.durable.stored import AT_ONCE, Order
from tocsin import DeadLetterReason, EventBus, Handled, RetryPolicy
from tocsin.durable import SQLiteStore, Store, StoreFailed, Unreadable
from tocsin.testing import MemoryStore


def shop(store: Store, handled: list[int]) -> EventBus:
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, retry=AT_ONCE, grace_period=0.0)
    async def ship(order: Order) -> None:
        if order.number == 666:
            await anyio.sleep_forever()
        if order.number < 0:
            raise ValueError
        handled.append(order.number)

    return bus


async def filled(path: Path, *numbers: int) -> None:
    async with shop(SQLiteStore(path), []).running() as bus:
        await bus.publish_many([Order(number) for number in numbers])
        await anyio.lowlevel.checkpoint()
        await bus.stop(drain_timeout=0.0)


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


@pytest.mark.real_time
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = CAST('{\"number\":3}' AS BLOB) WHERE id = 2",
        "UPDATE deliveries SET attempts = 7 WHERE id = 2",
    ],
)
async def test_fault_I7_a_bit_that_has_flipped_buries_its_delivery_and_harms_no_other(
    tmp_path: Path, statement: str
) -> None:
    path, handled = tmp_path / "bus.db", list[int]()
    await filled(path, 666, 2, 4)
    edit(path, "DELETE FROM deliveries WHERE id = 1")
    edit(path, statement)
    async with shop(SQLiteStore(path), handled).running() as bus:
        await bus.drain()
        (letter,) = bus.dead_letters
        assert letter.reason is DeadLetterReason.UNREADABLE
        assert type(letter.event) is Unreadable
        assert letter.subscription == "ship"
    assert handled == [4]
    async with shop(SQLiteStore(path), handled).running() as bus:  # it is a letter now, and told of once only
        assert len(bus.dead_letters) == 1
    assert handled == [4]


@pytest.mark.real_time
async def test_a_letter_that_was_damaged_is_told_of_and_the_others_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bus.db"
    async with shop(SQLiteStore(path), []).running() as bus:
        await bus.publish_many([Order(-1), Order(-2)])
        await bus.drain()
    edit(path, "UPDATE letters SET version = 3 WHERE number = 1")
    async with shop(SQLiteStore(path), []).running() as bus:
        assert [letter.event for letter in bus.dead_letters] == [Order(-2)]
    assert "row 1 of letters in the store was set aside: its checksum is wrong" in caplog.text


async def test_a_letter_whose_document_is_none_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
    object.__setattr__(store.letters[1], "document", b"{}")
    async with shop(store, []).running() as bus:
        assert len(bus.dead_letters) == 0
    assert "its document cannot be read: KeyError('published_at')" in caplog.text


async def test_fault_I15_a_letter_that_cannot_be_written_is_in_memory_and_its_delivery_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, gate = MemoryStore(), anyio.Event()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, retry=RetryPolicy(max_attempts=1))
    async def ship(order: Order) -> None:
        await gate.wait()
        raise ValueError(order)

    async with bus.running():
        await bus.publish(Order(-1))
        store.fail_with = StoreFailed("bus.db", "the disk has failed")
        gate.set()
        await bus.drain()
    assert [letter.event for letter in bus.dead_letters] == [Order(-1)]
    assert "the disk has failed" in caplog.text
    store.fail_with = None
    async with shop(store, []).running() as bus:
        await bus.drain()
        assert [letter.event for letter in bus.dead_letters] == [Order(-1)]
    assert list(store.letters) == [1]


async def test_fault_I22_after_the_disk_has_failed_nothing_is_taken() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        store.fail_with = StoreFailed("bus.db", "the disk has failed")
        with pytest.raises(StoreFailed):
            await bus.publish(Order(1))
        assert bus.ledger().rejected == 1


async def test_a_run_does_not_begin_when_what_had_begun_cannot_be_counted() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(666))
        await anyio.sleep(1.0)
        killed = store.copy()
        await bus.stop(drain_timeout=0.0)
    killed.fail_with = StoreFailed("bus.db", "the disk has failed")
    with pytest.raises(StoreFailed, match="the disk has failed"):
        async with shop(killed, []).running():
            pass
    killed.fail_with = None
    async with shop(killed, []).running() as bus:
        await bus.stop(drain_timeout=0.0)


async def test_what_is_handled_while_the_disk_has_failed_is_handled_again_after_a_loss_of_power(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, handled, gate = MemoryStore(), list[int](), anyio.Event()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        await gate.wait()
        handled.append(order.number)

    async with bus.running():
        await bus.publish(Order(1))
        store.fail_with = StoreFailed("bus.db", "the disk has failed")
        gate.set()
        await bus.drain()
    assert "the disk has failed" in caplog.text
    store.fail_with = None
    store.begun.clear()
    async with shop(store, handled).running():
        pass
    assert handled == [1, 1]


async def test_a_handler_that_ends_after_the_store_was_closed_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    store, ended = MemoryStore(), anyio.Event()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, grace_period=0.0)
    async def ship(order: Order) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(20.0)
        ended.set()

    async with bus.running(shutdown_deadline=1.0):
        receipt = await bus.publish(Order(1))
        await anyio.sleep(1.0)
        report = await bus.stop(drain_timeout=0.0)
        assert report is not None
        assert len(report.unstopped) == 1
        await ended.wait()
    assert not any(isinstance(outcome, Handled) for outcome in receipt.outcomes.values())
    assert list(store.deliveries) == [1]
