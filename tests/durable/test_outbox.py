"""Adding to an outbox: in the transaction of whoever adds, on any connection."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.durable.stored import Order
from tocsin import Event, InvalidPriority, InvalidTopic, Priority
from tocsin.codecs import EncodeError
from tocsin.durable import Outbox, StoreCorrupt, StoreFull, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def outbox(path: Path) -> Outbox:
    outbox = Outbox(path)
    connection = sqlite3.connect(path)
    outbox.prepare(connection)
    connection.execute("CREATE TABLE orders (number INTEGER)")
    connection.close()
    return outbox


@pytest.fixture
def connection(outbox: Outbox) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(outbox.path)
    yield connection
    connection.close()


def rows(outbox: Outbox, columns: str = "event_id") -> list[Any]:
    connection = sqlite3.connect(outbox.path)
    found = list(connection.execute(f"SELECT {columns} FROM tocsin_outbox ORDER BY id"))
    connection.close()
    return found


def test_an_event_is_there_once_the_transaction_it_was_added_in_is_committed(
    outbox: Outbox, connection: sqlite3.Connection
) -> None:
    connection.execute("INSERT INTO orders VALUES (1)")
    event_id = outbox.add(connection, Order(1))
    assert connection.in_transaction
    assert rows(outbox) == []
    connection.commit()
    assert rows(outbox) == [(event_id,)]


def test_after_a_rollback_there_is_no_event(outbox: Outbox, connection: sqlite3.Connection) -> None:
    outbox.add(connection, Order(1))
    connection.rollback()
    assert (rows(outbox), outbox.pending(connection)) == ([], 0)


def test_what_is_added_in_a_savepoint_goes_with_it(outbox: Outbox, connection: sqlite3.Connection) -> None:
    kept = outbox.add(connection, Order(1))
    connection.execute("SAVEPOINT part")
    outbox.add(connection, Order(2))
    connection.execute("ROLLBACK TO part")
    connection.commit()
    assert rows(outbox) == [(kept,)]


@pytest.mark.parametrize("isolation", ["DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_an_event_may_be_what_begins_the_transaction(outbox: Outbox, isolation: Any) -> None:
    connection = sqlite3.connect(outbox.path, isolation_level=isolation)
    outbox.add(connection, Order(1))
    assert rows(outbox) == [] if isolation != "EXCLUSIVE" else connection.in_transaction
    connection.commit()
    assert len(rows(outbox)) == 1
    connection.close()


def test_a_connection_that_commits_each_statement_must_have_begun_a_transaction(outbox: Outbox) -> None:
    connection = sqlite3.connect(outbox.path, isolation_level=None)
    with pytest.raises(RuntimeError, match="no transaction is open: execute BEGIN first"):
        outbox.add(connection, Order(1))
    assert rows(outbox) == []
    connection.execute("BEGIN")
    outbox.add(connection, Order(1))
    connection.execute("COMMIT")
    assert len(rows(outbox)) == 1
    connection.close()


class Autocommit(sqlite3.Connection):
    """As connections are from Python 3.12 on, when they are told to; there is no transaction on either yet."""

    autocommit: Any = True


@pytest.mark.parametrize("autocommit", [True, False])
def test_the_attribute_autocommit_of_newer_pythons_decides_if_it_is_set(outbox: Outbox, autocommit: bool) -> None:
    if sys.version_info >= (3, 12):
        connection: Any = sqlite3.connect(outbox.path, autocommit=autocommit)
    else:
        connection = sqlite3.connect(outbox.path, factory=Autocommit)
        connection.autocommit = autocommit
    if autocommit:
        with pytest.raises(RuntimeError, match="no transaction is open"):
            outbox.add(connection, Order(1))
    else:
        outbox.add(connection, Order(1))
        connection.commit()
    assert len(rows(outbox)) == (0 if autocommit else 1)
    connection.close()


def test_rows_of_a_connection_may_be_of_any_kind(outbox: Outbox, connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    outbox.prepare(connection)
    outbox.add(connection, Order(1))
    assert outbox.pending(connection) == 1
    connection.commit()


def test_everything_that_may_be_said_of_an_event_is_kept(outbox: Outbox, connection: sqlite3.Connection) -> None:
    event_id = outbox.add(
        connection,
        Event("order.placed", {"id": 7}, schema_version=3),
        priority=Priority.HIGH,
        headers={"tenant": "a"},
        correlation_id="c",
        expires_in=60,
    )
    connection.commit()
    columns = "event_id, type_name, topic, priority, headers, correlation_id, causation_id, schema_version"
    assert rows(outbox, columns) == [(event_id, "tocsin.Event", "order.placed", 1, b'{"tenant":"a"}', "c", None, 3)]
    ((published_at, expires_at),) = rows(outbox, "published_at, expires_at")
    assert abs(datetime.now(UTC).timestamp() - published_at) < 60
    assert expires_at == published_at + 60


@pytest.mark.parametrize(
    ("event", "options", "error"),
    [
        (object(), {}, EncodeError),
        (Order(1), {"topic": "a..b"}, InvalidTopic),
        (Order(1), {"priority": 9}, InvalidPriority),
        (Order(1), {"headers": {"a": object()}}, EncodeError),
        (Order(1), {"expires_in": -1}, ValueError),
        (Order(1), {"prioritty": 1}, TypeError),
    ],
)
def test_what_could_not_be_published_cannot_be_added(
    outbox: Outbox, connection: sqlite3.Connection, event: object, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        outbox.add(connection, event, **options)
    assert not connection.in_transaction


def test_a_full_outbox_takes_nothing(path: Path) -> None:
    outbox = Outbox(path, max_pending=2)
    connection = sqlite3.connect(path)
    outbox.prepare(connection)
    for number in (1, 2):
        outbox.add(connection, Order(number))
    with pytest.raises(StoreFull, match=r"2 events wait in the outbox.*does the process run that relays them"):
        outbox.add(connection, Order(3))
    connection.commit()
    assert outbox.pending(connection) == 2
    connection.close()


def test_an_outbox_may_be_without_a_limit(path: Path) -> None:
    outbox = Outbox(path, max_pending=None)
    connection = sqlite3.connect(path)
    outbox.prepare(connection)
    outbox.add(connection, Order(1))
    assert outbox.pending(connection) == 1
    connection.close()


@pytest.mark.parametrize("where", ["memory", "another"])
def test_a_connection_to_another_database_is_refused_as_nobody_would_look_there(
    outbox: Outbox, tmp_path: Path, where: str
) -> None:
    connection = sqlite3.connect(":memory:" if where == "memory" else tmp_path / "other.db")
    with pytest.raises(StoreUnavailable, match="give one to the file of the outbox"):
        outbox.prepare(connection)
    connection.close()


def test_the_file_may_be_reached_by_another_name(outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    connection = sqlite3.connect(outbox.path)
    other = Outbox(tmp_path / "folder" / "app.db")
    other.add(connection, Order(1))
    connection.commit()
    assert len(rows(outbox)) == 1
    connection.close()


def test_tables_of_the_same_name_that_are_not_ours_are_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tocsin_outbox (id INTEGER)")
    with pytest.raises(StoreCorrupt, match="its table tocsin_outbox is not that of an outbox"):
        Outbox(path).prepare(connection)
    connection.close()


def test_nothing_can_be_tried_again_that_was_not_set_aside(outbox: Outbox, connection: sqlite3.Connection) -> None:
    assert outbox.set_aside(connection) == []
    assert not outbox.try_again(connection, 7)


@pytest.mark.parametrize("options", [{"max_pending": 0}, {"max_pending": 1.5}, {"poll": 0}, {"poll": -1}])
def test_options_of_an_outbox_are_checked_at_the_door(path: Path, options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Outbox(path, **options)
