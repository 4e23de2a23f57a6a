"""How changes are written: many at once, in as few statements as possible.

Each statement lets go of the interpreter and has to wait for it again, while the event loop has it: for a commit of a
hundred changes that would be hundreds of times some milliseconds. So what is alike goes into one statement.

What comes in one commit is put in another order for that: first everything accepted, then updates, then ends. That
makes no difference, as a delivery is ended or updated only after the commit that has accepted it, and is not updated
after its end. Whatever else there is keeps its place.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, assert_never, final

import attrs
from attrs import frozen

from ._records import (
    Accept,
    Bury,
    ForgetLetters,
    ForgetRelayed,
    ForgetSeen,
    Settle,
    StoredDelivery,
    StoredEvent,
    StoredLetter,
    Update,
)
from ._tables import columns, row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from ._records import Change, Seen

MOST = 256  # rows in one statement: below the limit of SQLite for parameters, 32,766

_KEEP_LETTER = (
    f"INSERT OR REPLACE INTO letters ({', '.join(columns(StoredLetter))}, checksum) VALUES (?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE deliveries SET attempts = ?, due = ?, first_failed_at = ?, checksum = ? WHERE id = ?"
_FORGET_LETTER = "DELETE FROM letters WHERE number = ?"
_FORGET_RELAYED = "DELETE FROM relayed WHERE event_id = ?"
_FORGET_SEEN = "DELETE FROM seen WHERE until <= ?"


@final
@frozen
class _Statements:
    """The statement for each number of rows that may go into one: powers of two, so that there are few. What is missing
    to one is made up for by the filling.
    """

    by_size: dict[int, str]
    filling: tuple[Any, ...] | None  # None: the last row once more


def _many(begin: str, one: str, end: str, filling: tuple[Any, ...] | None) -> _Statements:
    sizes = [1 << power for power in range(MOST.bit_length())]
    return _Statements({size: begin + ", ".join([one] * size) + end for size in sizes}, filling)


def _insert(table: str, names: tuple[str, ...], verb: str) -> _Statements:
    """Rows of NULLs are the filling, and do not come in."""
    begin, values = f"{verb} INTO {table} ({', '.join(names)}) SELECT * FROM (VALUES ", ", ".join("?" * len(names))
    return _many(begin, f"({values})", ") WHERE column1 IS NOT NULL", (None,) * len(names))


# OR IGNORE: an event comes again with each subscription that takes it later than the others.
_EVENTS = _insert("events", (*columns(StoredEvent), "checksum"), "INSERT OR IGNORE")
_DELIVERIES = _insert("deliveries", (*columns(StoredDelivery), "checksum"), "INSERT")
_SEEN = _insert("seen", ("subscription", "key", "until"), "INSERT OR REPLACE")
_RELAYED = _insert("relayed", ("event_id", "subscription"), "INSERT OR IGNORE")
_END_DELIVERIES = _many("DELETE FROM deliveries WHERE id IN (", "?", ")", None)
_END_EVENTS = _many(
    "DELETE FROM events WHERE id IN (",
    "?",
    ") AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event = events.id)",
    None,
)


def apply(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Carry out *changes* in the transaction that is open."""
    accepted: list[Accept] = []
    updated: list[Update] = []
    settled: list[Settle] = []

    def flush() -> None:
        _accept(connection, accepted)
        for update in updated:
            _update(connection, update.delivery)
        _settle(connection, settled)
        for each in (accepted, updated, settled):
            each.clear()

    for change in changes:
        match change:
            case Accept(replayed=None):
                accepted.append(change)
            case Update():
                updated.append(change)
            case Settle():
                settled.append(change)
            case _:
                flush()
                _apply_alone(connection, change)
    flush()


def _apply_alone(
    connection: sqlite3.Connection, change: Accept | Bury | ForgetLetters | ForgetSeen | ForgetRelayed
) -> None:
    match change:
        case Accept(replayed=number):
            _accept(connection, [change])
            connection.execute(_FORGET_LETTER, (number,))
        case Bury(letter=letter, delivery=settle):
            connection.execute(_KEEP_LETTER, row(letter))
            if settle is not None:
                _settle(connection, [settle])
        case ForgetLetters(numbers=numbers):
            connection.executemany(_FORGET_LETTER, [(number,) for number in numbers])
        case ForgetRelayed(event_ids=event_ids):
            connection.executemany(_FORGET_RELAYED, [(event_id,) for event_id in event_ids])
        case ForgetSeen(now=now):
            connection.execute(_FORGET_SEEN, (now,))
        case _:
            assert_never(change)


def _accept(connection: sqlite3.Connection, accepted: Sequence[Accept]) -> None:
    seen: list[Seen] = [seen for each in accepted for seen in each.seen]
    _run(connection, _EVENTS, [row(each.event) for each in accepted])
    _run(connection, _DELIVERIES, [row(delivery) for each in accepted for delivery in each.deliveries])
    _run(connection, _SEEN, [attrs.astuple(each) for each in seen])
    relayed = [each for each in accepted if each.relayed]
    marks = [(each.event.event_id, delivery.subscription) for each in relayed for delivery in each.deliveries]
    _run(connection, _RELAYED, marks)


def _update(connection: sqlite3.Connection, delivery: StoredDelivery) -> None:
    *_, crc = row(delivery)
    connection.execute(_UPDATE, (delivery.attempts, delivery.due, delivery.first_failed_at, crc, delivery.id))


def _settle(connection: sqlite3.Connection, settled: Sequence[Settle]) -> None:
    _run(connection, _END_DELIVERIES, [(each.delivery,) for each in settled])
    _run(connection, _END_EVENTS, [(each.event,) for each in settled])


def _run(connection: sqlite3.Connection, statements: _Statements, rows: Sequence[tuple[Any, ...]]) -> None:
    for begin in range(0, len(rows), MOST):
        some = rows[begin : begin + MOST]
        size = 1 << (len(some) - 1).bit_length()
        filling = some[-1] if statements.filling is None else statements.filling
        connection.execute(statements.by_size[size], (*chain.from_iterable(some), *filling * (size - len(some))))
