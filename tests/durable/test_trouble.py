"""A store in trouble: a disk that hangs, or is slow to come back; what the log and the numbers say of it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.durable.stored import Order
from tocsin import EventBus, Receipt
from tocsin._log import BusLog
from tocsin.durable import OpenStore, SQLiteStore, StoreError, StoreFailed, StoreFull, StoreUnavailable
from tocsin.durable._applying import apply
from tocsin.testing import MemoryStore


def shop(store: Any, handled: list[int]) -> EventBus:
    """Make a bus with a durable subscription whose handler waits for ever on number 666."""
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        if order.number == 666:
            await anyio.sleep_forever()
        handled.append(order.number)

    return bus


class Disk:
    """Hangs once it is told to, until it is let go."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.hangs = False
        self.gate = threading.Event()
        patch.setattr("tocsin.durable._writer.apply", self.apply)

    def apply(self, connection: sqlite3.Connection, changes: Any) -> None:
        if self.hangs:
            self.gate.wait(60)
        apply(connection, changes)


async def opened_again(path: Path) -> OpenStore:
    """Open the store once its thread has let go of it."""
    with anyio.fail_after(20):
        while True:
            try:
                return await SQLiteStore(path, busy_timeout=0.1).open()
            except StoreUnavailable:
                await anyio.sleep(0.01)


@pytest.mark.real_time
async def test_a_disk_that_hangs_holds_up_the_stop_for_the_shutdown_deadline_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk, path, receipt, errors = Disk(monkeypatch), tmp_path / "bus.db", Receipt(), list[StoreError]()

    async def publish(bus: EventBus) -> None:
        try:
            await bus.publish(Order(2), receipt=receipt)
        except StoreError as error:
            errors.append(error)

    began = time.monotonic()
    bus = shop(SQLiteStore(path), [])
    async with bus.running(shutdown_deadline=0.3), anyio.create_task_group() as group:
        await bus.publish(Order(666))
        disk.hangs = True
        group.start_soon(publish, bus)
        await anyio.sleep(0.1)
        await bus.stop(drain_timeout=0.1)
    report = bus.stop_report
    assert time.monotonic() - began < 10
    assert report is not None
    assert (report.unkept, str(report).endswith(", 1 changes not kept by the store")) == (1, True)
    # What was committed is known to be there; of what was not answered, nobody knows.
    assert {each.event.number: each.is_durable for each in report.returned} == {666: True, 2: False}
    assert [type(error) for error in errors] == [StoreFailed]
    assert "no answer within 0.3 s: whether it is kept, the next run will find out" in str(errors[0])
    assert "the store has not kept 1 changes within 0.3 s" in caplog.text
    disk.gate.set()
    store = await opened_again(path)
    assert {each.body for each in store.contents.events.values()} >= {b'{"number":666}'}
    await store.close()


@pytest.mark.real_time
async def test_a_handler_that_waits_for_a_commit_of_a_disk_that_hangs_is_reported_and_the_bus_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, ended = Disk(monkeypatch), list[int]()
    bus = EventBus("shop", store=SQLiteStore(tmp_path / "bus.db"))

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        disk.hangs = True
        try:
            await bus.publish(Order(order.number + 1))
        finally:
            ended.append(order.number)

    with anyio.fail_after(20):
        async with bus.running(shutdown_deadline=0.3):
            await bus.publish(Order(1))
            await anyio.sleep(0.1)
            report = await bus.stop(drain_timeout=0.1)
    assert report is not None
    assert ([each.child for each in report.unstopped], ended) == (["shop/ship"], [1])
    disk.gate.set()
    store = await opened_again(tmp_path / "bus.db")
    assert b'{"number":1}' in {each.body for each in store.contents.events.values()}
    await store.close()


@pytest.mark.real_time
async def test_the_log_says_that_the_store_is_behind_and_when_it_is_not_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[int] = []
    is_broken = True

    def unlucky(connection: sqlite3.Connection, changes: Any) -> None:
        if handled and is_broken:
            raise sqlite3.OperationalError("disk I/O error")
        apply(connection, changes)

    monkeypatch.setattr("tocsin.durable._writer.apply", unlucky)
    monkeypatch.setattr("tocsin.durable._writer.AGAIN_AFTER", 0.01)
    bus = shop(SQLiteStore(tmp_path / "bus.db"), handled)
    async with bus.running():
        await bus.publish(Order(1))
        await until(lambda: bus.statistics().store_up is False)
        assert bus.statistics().store_errors == 1
        is_broken = False
        await until(lambda: bus.statistics().store_up)
    assert caplog.text.count("the store is behind, and tries again until it is closed: store") == 1
    assert caplog.text.count("the store has kept what it could not for a while") == 1


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110  # of whatever there is to be seen
            await anyio.sleep(0.005)


async def test_a_store_that_has_failed_is_down_and_one_that_was_full_is_not() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        assert (bus.statistics().store_up, bus.statistics().store_errors, bus.statistics().store_backlog) == (
            True,
            0,
            0,
        )
        store.refuse_with = StoreFull("memory", "no room")
        with pytest.raises(StoreFull):
            await bus.publish(Order(1))
        assert (bus.statistics().store_up, bus.statistics().store_errors) == (True, 1)
        store.fail_with = StoreFailed("memory", "the disk has failed")
        with pytest.raises(StoreFailed):
            await bus.publish(Order(1))
        assert (bus.statistics().store_up, bus.statistics().store_errors) == (False, 2)


async def test_a_bus_without_a_store_says_nothing_of_one() -> None:
    async with EventBus("shop").running() as bus:
        assert (bus.statistics().store_up, bus.statistics().store_errors) == (None, 0)


@pytest.mark.parametrize("what", ["not_relayed", "set_aside"])
def test_a_flood_of_trouble_with_an_outbox_is_throttled(what: str, caplog: pytest.LogCaptureFixture) -> None:
    log = BusLog("shop", lambda: 0.0)
    for number in range(50):
        if what == "set_aside":
            log.set_aside(f"id-{number}", "why")
        else:
            log.not_relayed(StoreFull("app.db", "no room"))
    assert len(caplog.records) == 10
