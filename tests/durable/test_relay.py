"""Out of an outbox into a bus: in order, once for each durable subscription, whatever happens between."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.durable.stored import AT_ONCE, Order
from tocsin import (
    BusClosed,
    DeadLetterReason,
    Delivery,
    Event,
    EventBus,
    Priority,
    Reject,
    WaitForRoom,
)
from tocsin.codecs import CodecRegistry
from tocsin.durable import Outbox, SQLiteStore, StoreFull
from tocsin.durable._relay_connection import Opening, RelayConnection
from tocsin.testing import MemoryStore

pytestmark = pytest.mark.real_time


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "app.db", poll=0.02)
    with closing(sqlite3.connect(outbox.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        outbox.prepare(connection)
    return outbox


@pytest.fixture
def connection(outbox: Outbox) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(outbox.path)) as connection:
        yield connection


def add(outbox: Outbox, *numbers: int, **options: Any) -> list[str]:
    """Commit an order for each number, all in one transaction."""
    with closing(sqlite3.connect(outbox.path)) as connection, connection:
        return [outbox.add(connection, Order(number), **options) for number in numbers]


def left(outbox: Outbox) -> int:
    with closing(sqlite3.connect(outbox.path)) as connection:
        return int(connection.execute("SELECT count(*) FROM tocsin_outbox").fetchone()[0])


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110  # of whatever there is to be seen
            await anyio.sleep(0.005)


def shop(outbox: Outbox, store: MemoryStore, handled: list[int], **options: Any) -> EventBus:
    bus = EventBus("shop", store=store, outbox=outbox)
    options.setdefault("retry", AT_ONCE)

    @bus.subscriber(Order, name="ship", durable=True, **options)
    async def ship(order: Order) -> None:
        handled.append(order.number)

    return bus


@asynccontextmanager
async def ending_at_once(bus: EventBus) -> AsyncGenerator[EventBus, None]:
    async with bus.running(shutdown_deadline=0.2):
        yield bus
        await bus.stop(drain_timeout=0.0)


async def test_a_bus_with_an_outbox_needs_a_store(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="has an outbox, and no store"):
        async with EventBus("shop", outbox=outbox).running():
            pass


async def test_what_was_committed_before_the_bus_ran_is_handled_in_order(outbox: Outbox) -> None:
    handled: list[int] = []
    add(outbox, *range(600))
    async with shop(outbox, store := MemoryStore(), handled).running():
        await until(lambda: len(handled) == 600)
        await until(lambda: not left(outbox))
    assert (handled, store.relayed) == (list(range(600)), set())


async def test_what_is_committed_while_it_runs_is_found_without_a_word(outbox: Outbox) -> None:
    handled: list[int] = []
    async with shop(outbox, MemoryStore(), handled).running():
        await anyio.sleep(0.05)
        add(outbox, 1)
        await until(lambda: handled == [1])


async def test_whoever_says_so_does_not_wait_for_the_next_look(tmp_path: Path) -> None:
    outbox, handled = Outbox(tmp_path / "app.db", poll=3600), list[int]()
    with closing(sqlite3.connect(outbox.path)) as connection:
        outbox.prepare(connection)
    outbox.notify()  # nobody is there yet, which is no mistake
    async with shop(outbox, MemoryStore(), handled).running():
        for number in (1, 2):
            await anyio.sleep(0.05)
            add(outbox, number)
            await anyio.to_thread.run_sync(outbox.notify)
            await until(partial(handled.__contains__, number))
        outbox.notify()  # of nothing
        await anyio.sleep(0.05)
        add(outbox, 3)
        outbox.notify()
        await until(lambda: handled == [1, 2, 3])
    assert outbox.listeners == set()


async def test_an_event_arrives_as_it_was_added(outbox: Outbox, connection: sqlite3.Connection) -> None:
    seen: list[Delivery[Event]] = []
    bus = EventBus("shop", store=MemoryStore(), outbox=outbox)

    @bus.subscriber("order.*", name="ship", durable=True)
    async def ship(_event: Event, delivery: Delivery[Event]) -> None:
        seen.append(delivery)

    event = Event("order.placed", {"id": 7})
    event_id = outbox.add(
        connection, event, priority=Priority.HIGH, headers={"tenant": "a"}, correlation_id="c", expires_in=3600
    )
    connection.commit()
    async with bus.running():
        await until(lambda: seen)
    envelope = seen[0].envelope
    assert (envelope.event, envelope.id, envelope.priority, envelope.topic) == (event, event_id, 1, "order.placed")
    assert (envelope.headers, envelope.correlation_id, envelope.causation_id) == ({"tenant": "a"}, "c", None)


async def test_in_a_handler_an_event_is_caused_by_what_is_handled(outbox: Outbox) -> None:
    causes: list[tuple[str | None, str]] = []
    bus = EventBus("shop", store=MemoryStore(), outbox=outbox)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(_order: Order, delivery: Delivery[Order]) -> None:
        if delivery.event.number == 1:
            add(outbox, 2)
            outbox.notify()
        else:
            causes.append((delivery.envelope.causation_id, delivery.envelope.correlation_id))

    async with bus.running():
        receipt = await bus.publish(Order(1), correlation_id="c")
        await until(lambda: causes)
    assert causes == [(receipt.event_id, "c")]


async def test_its_time_is_over_when_it_was_to_be(outbox: Outbox) -> None:
    handled: list[int] = []
    add(outbox, 1, expires_in=0)
    async with (bus := shop(outbox, MemoryStore(), handled)).running():
        await until(lambda: len(bus.dead_letters))
    (letter,) = bus.dead_letters
    assert (handled, letter.reason) == ([], DeadLetterReason.EXPIRED)


async def test_a_subscription_that_is_not_durable_has_it_too(outbox: Outbox) -> None:
    handled: list[int] = []
    bus, plain = shop(outbox, MemoryStore(), handled), list[int]()

    @bus.subscriber(Order, name="watch")
    async def watch(order: Order) -> None:
        plain.append(order.number)

    add(outbox, 1)
    async with bus.running():
        await until(lambda: handled == plain == [1])


async def test_an_event_that_nobody_wants_is_undeliverable_as_others_are(
    outbox: Outbox, connection: sqlite3.Connection
) -> None:
    handled: list[int] = []
    bus = shop(outbox, MemoryStore(), handled)
    outbox.add(connection, Event("nobody.wants.this"))
    connection.commit()
    async with bus.running():
        await until(lambda: not left(outbox))
        assert bus.statistics().undeliverable == 1


# ── it ends in the middle ──


async def test_what_is_in_the_store_and_still_in_the_outbox_is_not_given_once_more(
    outbox: Outbox, connection: sqlite3.Connection
) -> None:
    store, first, second = MemoryStore(), list[int](), list[int]()
    add(outbox, 1, 2)
    connection.execute("BEGIN IMMEDIATE")  # nobody else can delete now
    async with ending_at_once(shop(outbox, store, first)):
        await until(lambda: first == [1, 2])
        killed = store.copy()
    connection.rollback()
    assert (left(outbox), len(killed.relayed)) == (2, 2)
    async with shop(outbox, killed, second).running():
        await until(lambda: not left(outbox))
        await until(lambda: not killed.relayed)
    assert second == []


async def test_what_cannot_be_deleted_in_the_outbox_is_not_given_once_more_either(
    outbox: Outbox, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.durable._relay_connection.PATIENCE", 0.0)
    handled: list[int] = []
    add(outbox, 1, 2)
    connection.execute("BEGIN IMMEDIATE")
    async with shop(outbox, store := MemoryStore(), handled).running():
        await until(lambda: "database is locked" in caplog.text)
        await until(lambda: handled == [1, 2])
        connection.rollback()
        await until(lambda: not left(outbox))
        await until(lambda: not store.relayed)
    assert handled == [1, 2]


async def test_of_two_subscriptions_the_one_that_has_not_had_it_gets_it(outbox: Outbox) -> None:
    store, handled = MemoryStore(), list[str]()

    def two(store: MemoryStore, room: int) -> EventBus:
        bus = EventBus("shop", store=store, outbox=outbox)

        async def handle(_order: Order, delivery: Delivery[Order]) -> None:
            if room == 1:
                await anyio.sleep_forever()
            handled.append(f"{delivery.subscription} {delivery.event.number}")

        bus.subscribe(handle, Order, name="a", durable=True)
        bus.subscribe(handle, Order, name="b", durable=True, mailbox=room, overflow=WaitForRoom())
        return bus

    add(outbox, 1, 2, 3)  # one in hand, one in the mailbox of b, and the third waits for room
    async with ending_at_once(two(store, 1)):
        await until(lambda: len([each for each in store.deliveries.values() if each.subscription == "a"]) == 3)
        killed = store.copy()
    assert len(killed.deliveries) == 5
    async with two(killed, 10).running():
        await until(lambda: not left(outbox))
    assert sorted(handled) == ["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]


async def test_marks_of_what_has_left_the_outbox_are_forgotten_at_the_start(outbox: Outbox) -> None:
    store = MemoryStore()
    store.relayed.add(("gone", "ship"))
    async with shop(outbox, store, []).running():
        await until(lambda: not store.relayed)


async def test_a_bus_that_drains_takes_nothing_out_any_more(outbox: Outbox) -> None:
    handled: list[int] = []
    async with (bus := shop(outbox, MemoryStore(), handled)).running():
        await bus.drain()
        add(outbox, 1)
        outbox.notify()
        await until(lambda: not outbox.listeners)  # it has ended by itself
        with pytest.raises(BusClosed):
            await bus.publish(Order(2))
    assert (handled, left(outbox)) == ([], 1)


# ── it has to wait ──


async def test_a_store_that_is_full_is_waited_for(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    store, handled = MemoryStore(), list[int]()
    store.refuse_with = StoreFull("memory", "no room")
    add(outbox, 1, 2)
    async with shop(outbox, store, handled).running():
        await until(lambda: "the outbox waits, and is tried again" in caplog.text)
        assert (handled, left(outbox)) == ([], 2)
        store.refuse_with = None
        await until(lambda: handled == [1, 2])


async def test_a_mailbox_that_refuses_is_waited_for_and_the_others_are_not_asked_twice(outbox: Outbox) -> None:
    gate, plain, slow = anyio.Event(), list[int](), list[int]()
    bus = EventBus("shop", store=MemoryStore(), outbox=outbox)

    @bus.subscriber(Order, name="watch", durable=True)
    async def watch(order: Order) -> None:
        plain.append(order.number)

    @bus.subscriber(Order, name="slow", durable=True, mailbox=1, overflow=Reject())
    async def handle_slowly(order: Order) -> None:
        await gate.wait()
        slow.append(order.number)

    add(outbox, *range(5))
    async with bus.running():
        await until(lambda: len(plain) > 1)
        gate.set()
        await until(lambda: slow == plain == [0, 1, 2, 3, 4])


async def test_a_database_that_is_not_there_yet_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox, handled = Outbox(tmp_path / "later.db", poll=0.02), list[int]()
    async with shop(outbox, MemoryStore(), handled).running():
        await until(lambda: "unable to open database file" in caplog.text)
        assert not outbox.path.exists()
        with closing(sqlite3.connect(outbox.path)) as connection:
            outbox.prepare(connection)
        add(outbox, 1)
        await until(lambda: handled == [1])


async def test_a_table_that_is_no_outbox_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "app.db")
    with closing(sqlite3.connect(outbox.path)) as connection:
        connection.execute("CREATE TABLE tocsin_outbox (id INTEGER)")
    async with shop(outbox, MemoryStore(), []).running():
        await until(lambda: "is not that of an outbox" in caplog.text)


async def test_one_bus_at_a_time_takes_out_of_an_outbox(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    first, second = list[int](), list[int]()
    async with shop(outbox, MemoryStore(), first).running():
        await until(lambda: outbox.path.with_name("app.db-relay").exists())
        async with shop(outbox, MemoryStore(), second).running():
            await until(lambda: "one bus at a time relays" in caplog.text)
            add(outbox, *range(20))
            await until(lambda: len(first) == 20)
    assert second == []


# ── what cannot be relayed ──


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("UPDATE tocsin_outbox SET body = x'00' WHERE id = 2", "its checksum is wrong"),
        ("DELETE FROM tocsin_outbox WHERE id = -1", "predicate.*ZeroDivisionError"),
    ],
)
async def test_what_cannot_be_relayed_is_set_aside_and_the_others_go_on(
    outbox: Outbox, connection: sqlite3.Connection, harm: str, why: str
) -> None:
    handled: list[int] = []
    add(outbox, 1, 0, 3)
    connection.execute(harm)
    connection.commit()

    def odd(order: Order) -> bool:
        return bool(1 / order.number)

    bus = shop(outbox, MemoryStore(), handled, when=odd)
    async with bus.running():
        await until(lambda: handled == [1, 3])
        await until(lambda: not left(outbox))
    (aside,) = outbox.set_aside(connection)
    assert aside.number == 2
    assert re.search(why, aside.why)


async def test_an_event_of_a_type_that_is_unknown_is_set_aside_until_it_is_tried_again(
    outbox: Outbox, connection: sqlite3.Connection
) -> None:
    add(outbox, 7)
    store, handled = MemoryStore(), list[int]()
    async with EventBus("none", store=store, outbox=outbox).running():
        await until(lambda: not left(outbox))
    (aside,) = outbox.set_aside(connection)
    assert (aside.type_name, "no type of this name is known" in aside.why) == (f"{__package__}.stored.Order", True)
    with connection:
        assert outbox.try_again(connection, aside.number)
    async with shop(outbox, MemoryStore(), handled).running():
        await until(lambda: handled == [7])


# ── a disk that hangs, and a real file ──


async def test_a_connection_that_hangs_is_left_behind_when_the_bus_ends(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, gate = threading.Event(), threading.Event()

    def hanging(_: object) -> Any:
        hangs.set()
        gate.wait()
        return []

    monkeypatch.setattr("tocsin.durable._relay_connection.read_rows", hanging)
    monkeypatch.setattr("tocsin.durable._relay.FAREWELL", 0.05)
    try:
        with anyio.fail_after(20):
            async with shop(outbox, MemoryStore(), []).running():
                await until(hangs.is_set)
    finally:
        gate.set()


async def test_large_events_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.durable._outbox_table.BYTES_AT_A_TIME", 20)
    outbox, handled = Outbox(tmp_path / "app.db", codecs=CodecRegistry()), list[int]()
    with closing(sqlite3.connect(outbox.path)) as connection:
        outbox.prepare(connection)
    add(outbox, *range(10))
    async with shop(outbox, MemoryStore(), handled).running():
        await until(lambda: handled == list(range(10)))


async def test_the_store_in_a_file_keeps_the_marks_and_forgets_them(
    outbox: Outbox, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store, handled = SQLiteStore(tmp_path / "bus.db"), list[int]()

    def ship() -> EventBus:
        bus = EventBus("shop", store=store, outbox=outbox)

        @bus.subscriber(Order, name="ship", durable=True)
        async def ship(order: Order) -> None:
            handled.append(order.number)

        return bus

    add(outbox, 1, 2)
    connection.execute("BEGIN IMMEDIATE")
    async with ending_at_once(ship()):
        await until(lambda: handled == [1, 2])
    connection.rollback()
    async with ship().running():
        await until(lambda: not left(outbox))
    assert handled == [1, 2]
    opened = await store.open()
    assert opened.contents.relayed == frozenset()
    await opened.close()


async def test_published_at_is_when_it_was_added(outbox: Outbox) -> None:
    seen: list[Delivery[Order]] = []
    bus = EventBus("shop", store=MemoryStore(), outbox=outbox)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(_order: Order, delivery: Delivery[Order]) -> None:
        seen.append(delivery)

    add(outbox, 1)
    with closing(sqlite3.connect(outbox.path)) as connection:
        (added,) = connection.execute("SELECT published_at FROM tocsin_outbox").fetchone()
    async with bus.running():
        await until(lambda: seen)
    assert abs(seen[0].envelope.published_at.timestamp() - added) < timedelta(milliseconds=1).total_seconds()


# ── a stop while the database is being opened ──


def test_a_connection_that_was_opened_for_nobody_is_closed(outbox: Outbox) -> None:
    opening = Opening(outbox.path)
    assert opening.opened() is None
    opening.open()
    RelayConnection(outbox.path).close()  # raises while another one is open


def test_a_connection_that_is_open_is_had_by_whoever_asks(outbox: Outbox) -> None:
    opening = Opening(outbox.path)
    opening.open()
    connection = opening.opened()
    assert connection is not None
    connection.close()
