"""The tables of an outbox in a database of the user's, and how its rows are written, read and taken away.

Numbers are given in the order of commits: SQLite has one writer at a time, who takes them in its transaction. So the
relay, which goes by them, keeps the order in which transactions were committed.

A row has the values of a `StoredEvent` and their checksum, taken with 0 for the number, which is not known before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, final

from attrs import frozen

from ._records import StoredEvent
from ._tables import checksum, columns, row
from .exceptions import StoreCorrupt, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_VALUES = columns(StoredEvent)
_COLUMNS = """event_id TEXT NOT NULL, type_name TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL, topic TEXT,
    priority INTEGER NOT NULL, published_at REAL NOT NULL, correlation_id TEXT, causation_id TEXT, headers BLOB,
    schema_version INTEGER NOT NULL, expires_at REAL, checksum INTEGER NOT NULL"""
TABLES = {
    # AUTOINCREMENT: without it, a number would be given again once the row is gone.
    "tocsin_outbox": f"TABLE tocsin_outbox (\n    id INTEGER PRIMARY KEY AUTOINCREMENT, {_COLUMNS}\n) STRICT",
    "tocsin_set_aside": f"TABLE tocsin_set_aside (\n    id INTEGER PRIMARY KEY, {_COLUMNS}, why TEXT\n) STRICT",
}
_ALL = f"{', '.join(_VALUES)}, checksum"
_ADD = f"INSERT INTO tocsin_outbox ({', '.join(_VALUES[1:])}, checksum) VALUES ({', '.join('?' * len(_VALUES))})"
_READ = f"SELECT {_ALL} FROM tocsin_outbox ORDER BY id LIMIT ?"
# Two questions, each of which an end of the index answers; counting would look at every row.
_SPAN = "SELECT (SELECT max(id) FROM tocsin_outbox) - (SELECT min(id) FROM tocsin_outbox) + 1"
_SET_ASIDE = f"INSERT INTO tocsin_set_aside ({_ALL}, why) SELECT {_ALL}, ? FROM tocsin_outbox WHERE id = ?"
_PUT_BACK = f"INSERT INTO tocsin_outbox ({_ALL}) SELECT {_ALL} FROM tocsin_set_aside WHERE id = ?"
_ASIDE = "SELECT id, event_id, type_name, published_at, why FROM tocsin_set_aside ORDER BY id"
_EVENT_IDS = "SELECT event_id FROM tocsin_outbox UNION ALL SELECT event_id FROM tocsin_set_aside"

ROWS_AT_A_TIME = 256  # which share a commit of the store, and one of the outbox
BYTES_AT_A_TIME = 4 << 20  # of events in memory; at least one row is read, whatever its size


@final
@frozen
class Row:
    """One event that is to be relayed; `fault` says why it must not be."""

    event: StoredEvent
    fault: str | None


@final
@frozen
class SetAside:
    """An event in an outbox that could not be relayed, and why. Its order is that of committing, by `number`."""

    number: int
    event_id: str
    type_name: str
    published_at: float
    """When it was added: seconds since 1970."""
    why: str


def cursor_of(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """Give a cursor whose rows are tuples, whatever the user has made of the connection's."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def make_tables(cursor: sqlite3.Cursor, path: Path) -> None:
    """Make the tables unless they are there; raise StoreCorrupt if there are others of the same names."""
    for name, sql in TABLES.items():
        cursor.execute(sql.replace("TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        (found,) = cursor.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        if found != f"CREATE {sql}":
            raise StoreCorrupt(path, f"its table {name} is not that of an outbox, or of another version of tocsin")


def check_place(cursor: sqlite3.Cursor, path: Path) -> None:
    """Raise StoreUnavailable unless *cursor* is one of the database at *path*: nobody would ever look at others."""
    is_at = next((file for _, name, file in cursor.execute("PRAGMA database_list") if name == "main"), "")
    if is_at != str(path) and not (is_at and path.exists() and os.path.samefile(is_at, path)):
        raise StoreUnavailable(
            path, f"the connection is one to {is_at or 'a database in memory'}: give one to the file of the outbox"
        )


def add_row(cursor: sqlite3.Cursor, event: StoredEvent, path: Path, max_pending: int | None) -> None:
    """Add *event* in the transaction that is open; raise StoreFull if *max_pending* are there."""
    if max_pending is not None and pending(cursor) >= max_pending:
        raise StoreFull(
            path, f"{max_pending} events wait in the outbox (max_pending): does the process run that relays them?"
        )
    cursor.execute(_ADD, row(event)[1:])


def pending(cursor: sqlite3.Cursor) -> int:
    """Say how many there are; a little more than that if one from the middle was set aside."""
    return cursor.execute(_SPAN).fetchone()[0] or 0


def read_rows(cursor: sqlite3.Cursor) -> list[Row]:
    """Give the oldest ones."""
    rows: list[Row] = []
    size = 0
    for values in cursor.execute(_READ, (ROWS_AT_A_TIME,)):
        rows.append(_row(values))
        size += len(rows[-1].event.body)
        if size >= BYTES_AT_A_TIME:
            break
    return rows


def _row(values: tuple[Any, ...]) -> Row:
    *facts, crc = values
    named: dict[str, Any] = dict(zip(_VALUES, facts, strict=True))
    is_whole = checksum((0, *facts[1:])) == crc
    return Row(StoredEvent(**named), None if is_whole else "its checksum is wrong: it was damaged, or edited by hand")


def remove_rows(cursor: sqlite3.Cursor, numbers: Sequence[int]) -> None:
    """They are relayed."""
    cursor.executemany("DELETE FROM tocsin_outbox WHERE id = ?", [(number,) for number in numbers])


def set_row_aside(cursor: sqlite3.Cursor, number: int, why: str) -> None:
    """Keep it where it is in nobody's way."""
    cursor.execute(_SET_ASIDE, (why, number))
    remove_rows(cursor, [number])


def rows_aside(cursor: sqlite3.Cursor) -> Iterator[SetAside]:
    """Give what was set aside, in order."""
    return (SetAside(*values) for values in cursor.execute(_ASIDE))


def put_back(cursor: sqlite3.Cursor, number: int) -> bool:
    """Have it relayed, in its old place in the order; False: there is no such one."""
    cursor.execute(_PUT_BACK, (number,))
    cursor.execute("DELETE FROM tocsin_set_aside WHERE id = ?", (number,))
    return cursor.rowcount > 0


def all_event_ids(cursor: sqlite3.Cursor) -> frozenset[str]:
    """Give the ids of all events that are there."""
    return frozenset(event_id for (event_id,) in cursor.execute(_EVENT_IDS))
