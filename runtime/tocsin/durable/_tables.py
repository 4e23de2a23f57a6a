"""The tables of the store, and how each change and each row is written and read. Statements with parameters only.

Every row carries a checksum of all its other columns: SQLite notices neither a flipped bit in a row nor a hand that has
edited one. A row that fails it is set aside with its number, and does not come near a handler.
"""

from __future__ import annotations

import zlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from tocsin_supervisors._text import safe_repr

from ._records import (
    Contents,
    Damaged,
    Seen,
    StoredDelivery,
    StoredEvent,
    StoredLetter,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from ._records import Begun

R = TypeVar("R", StoredEvent, StoredDelivery, StoredLetter)

APPLICATION = int.from_bytes(b"toc1", "big")  # `PRAGMA application_id`: what tells this file from other databases
VERSION = 2  # `PRAGMA user_version`: of the tables below

# AUTOINCREMENT: a number is never given again, also after its row is gone, since other files name rows by it.
FIRST_SCHEMA = (
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, type_name TEXT NOT NULL, version INTEGER NOT NULL,
        body BLOB NOT NULL, topic TEXT, priority INTEGER NOT NULL, published_at REAL NOT NULL, correlation_id TEXT,
        causation_id TEXT, headers BLOB, schema_version INTEGER NOT NULL, expires_at REAL, checksum INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, event INTEGER NOT NULL, subscription TEXT NOT NULL,
        attempts INTEGER NOT NULL, due REAL, first_failed_at REAL, letter BLOB, checksum INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX deliveries_of_event ON deliveries (event)",
    """CREATE TABLE letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT, document BLOB NOT NULL, type_name TEXT NOT NULL,
        version INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE seen (
        subscription TEXT NOT NULL, key TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (subscription, key)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX seen_until ON seen (until)",
)

# Version 2: what came out of an outbox, until it is deleted there.
RELAYED = """CREATE TABLE relayed (
        event_id TEXT NOT NULL, subscription TEXT NOT NULL, PRIMARY KEY (event_id, subscription)
    ) STRICT, WITHOUT ROWID"""

SCHEMA = (*FIRST_SCHEMA, RELAYED)
STEPS = (
    FIRST_SCHEMA,
    (RELAYED,),
)  # what makes the tables of one version out of those of the version before, from none on


def columns(record: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(record))


def checksum(values: tuple[Any, ...]) -> int:
    """Give the CRC-32 of a row: it finds every burst of up to 32 bits, and all but one in 4 billion other changes."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


_VALUES_OF = {record: attrgetter(*columns(record)) for record in (StoredEvent, StoredDelivery, StoredLetter)}


def row(record: StoredEvent | StoredDelivery | StoredLetter) -> tuple[Any, ...]:
    """Give what is written of *record*: its values, in the order of the columns, and their checksum."""
    values = _VALUES_OF[type(record)](record)
    return (*values, checksum(values))


# ── reading ──


def read(connection: sqlite3.Connection, begun: dict[int, Begun]) -> Contents:
    """Read all that is there; what fails its checksum is among the damaged."""
    damaged: list[Damaged] = []
    last = read_last(connection)
    events = {event.id: event for event in _rows(connection, "events", StoredEvent, damaged)}
    deliveries = tuple(_deliverable(_rows(connection, "deliveries", StoredDelivery, damaged), events, damaged))
    return Contents(
        events=events,
        deliveries=deliveries,
        letters=read_letters(connection, damaged),
        seen=tuple(
            Seen(*row) for row in connection.execute("SELECT subscription, key, until FROM seen ORDER BY until")
        ),
        damaged=tuple(damaged),
        begun={each.id: begun[each.id] for each in deliveries if each.id in begun},
        relayed=frozenset(connection.execute("SELECT event_id, subscription FROM relayed")),
        last_event=last.get("events", 0),
        # After a loss of power there may be notes of deliveries that were lost: they must not speak of others.
        last_delivery=max([last.get("deliveries", 0), *begun]),
        last_letter=last.get("letters", 0),
    )


def read_letters(connection: sqlite3.Connection, damaged: list[Damaged]) -> tuple[StoredLetter, ...]:
    """Read the dead letters alone; what fails its checksum is added to *damaged*."""
    return tuple(_rows(connection, "letters", StoredLetter, damaged))


def read_last(connection: sqlite3.Connection) -> dict[str, int]:
    """Give the highest number that was ever given in each table; a table that has given none is missing."""
    return dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))


def _rows(connection: sqlite3.Connection, table: str, record: type[R], damaged: list[Damaged]) -> Iterator[R]:
    names = columns(record)
    for *values, crc in connection.execute(f"SELECT {', '.join(names)}, checksum FROM {table} ORDER BY 1"):
        facts = dict(zip(names, values, strict=True))
        if checksum(tuple(values)) == crc:
            yield record(**facts)
        else:
            damaged.append(_damaged(table, facts, "its checksum is wrong: the file was damaged, or edited by hand"))


def _damaged(table: str, facts: dict[str, Any], why: str) -> Damaged:
    number = next(iter(facts.values()))  # the primary key: SQLite itself keeps it a whole number
    event, subscription = facts.get("event", 0), str(facts.get("subscription", ""))
    return Damaged(table, number, subscription, event if type(event) is int else 0, why, safe_repr(facts, 500))


def _deliverable(
    deliveries: Iterator[StoredDelivery], events: dict[int, StoredEvent], damaged: list[Damaged]
) -> Iterator[StoredDelivery]:
    for each in deliveries:
        if each.event in events:
            yield each
        else:
            why = f"its event, number {each.event}, is not there or was damaged"
            damaged.append(_damaged("deliveries", attrs.asdict(each), why))
