"""What SQLite is made to keep is what a dictionary would keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.durable.stored import accept, letter
from tocsin.durable import (
    Accept,
    Bury,
    Change,
    ForgetLetters,
    ForgetRelayed,
    ForgetSeen,
    Seen,
    Settle,
    StoredDelivery,
    Update,
)
from tocsin.durable._applying import MOST, apply
from tocsin.durable._tables import SCHEMA, read
from tocsin.testing import MemoryStore


def new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA:
        connection.execute(statement)
    return connection


def commit(connection: sqlite3.Connection, *changes: Change) -> None:
    connection.execute("BEGIN")
    apply(connection, changes)
    connection.execute("COMMIT")


class Script:
    """Draws changes as a bus asks for them: in each batch only of what was accepted in an earlier one."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw
        self._last = 0
        self.here: dict[int, StoredDelivery] = {}  # deliveries that were accepted by now and have not ended

    def batch(self) -> list[Change]:
        changes: list[Change] = []
        new: dict[int, StoredDelivery] = {}
        for kind in self._draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=12)):
            changes += KINDS[kind](self, new)
        self.here |= new
        return changes

    def accept(self, new: dict[int, StoredDelivery]) -> list[Change]:
        change = accept(self._last + 1, *["a", "b", "c"][: self._draw(st.integers(1, 3))])
        self._last += 3
        new.update({each.id: each for each in change.deliveries})
        return [change]

    def accept_later(self, new: dict[int, StoredDelivery]) -> list[Change]:
        """One subscription takes an event later than another one."""
        if not self.here:
            return []
        of = self._draw(st.sampled_from(sorted(self.here)))
        change = accept(self._last + 1, "late", event=self.here[of].event)
        self._last += 3
        new.update({each.id: each for each in change.deliveries})
        return [change]

    def settle(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        if not self.here:
            return []
        number = self._draw(st.sampled_from(sorted(self.here)))
        return [Settle(number, self.here.pop(number).event)]

    def update(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        if not self.here:
            return []
        old = self.here[self._draw(st.sampled_from(sorted(self.here)))]
        attempts = self._draw(st.integers(1, 9))
        updated = StoredDelivery(id=old.id, event=old.event, subscription=old.subscription, attempts=attempts, due=1.5)
        self.here[old.id] = updated
        return [Update(updated)]

    def bury(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        number = self._draw(st.integers(1, 5))
        if not self.here:
            return [Bury(letter(number))]
        delivery = self._draw(st.sampled_from(sorted(self.here)))
        return [Bury(letter(number), Settle(delivery, self.here.pop(delivery).event))]

    def forget(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        return [ForgetLetters(tuple(self._draw(st.lists(st.integers(1, 5), max_size=3))))]

    def see(self, new: dict[int, StoredDelivery]) -> list[Change]:
        key, until = self._draw(st.sampled_from("xyz")), self._draw(st.floats(0, 9))
        (change,) = self.accept(new)
        assert isinstance(change, Accept)
        seen = (Seen("a", key, until),)
        return [Accept(event=change.event, deliveries=change.deliveries, seen=seen, replayed=self._draw(REPLAYED))]

    def relay(self, new: dict[int, StoredDelivery]) -> list[Change]:
        (change,) = self.accept(new)
        assert isinstance(change, Accept)
        return [attrs.evolve(change, relayed=True)]

    def forget_relayed(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        numbers = self._draw(st.lists(st.integers(1, 1 + self._last), max_size=3))
        return [ForgetRelayed(tuple(f"id-{number}" for number in numbers))]

    def forget_seen(self, _new: dict[int, StoredDelivery]) -> list[Change]:
        return [ForgetSeen(self._draw(st.floats(0, 9)))]


REPLAYED = st.none() | st.integers(1, 5)
KINDS: dict[str, Any] = {
    "accept": Script.accept,
    "accept later": Script.accept_later,
    "settle": Script.settle,
    "update": Script.update,
    "bury": Script.bury,
    "forget": Script.forget,
    "see": Script.see,
    "forget seen": Script.forget_seen,
    "relay": Script.relay,
    "forget relayed": Script.forget_relayed,
}


@given(data=st.data())
def test_in_whatever_order_changes_come_the_tables_hold_what_a_dictionary_would(data: st.DataObject) -> None:
    with closing(new_database()) as connection:
        check(data, connection)


def check(data: st.DataObject, connection: sqlite3.Connection) -> None:
    script, model = Script(data), MemoryStore()
    for _ in range(data.draw(st.integers(1, 5))):
        batch = script.batch()
        for change in batch:
            model.apply(change)
        commit(connection, *batch)
        found, expected = read(connection, {}), model.contents()
        assert found.events == expected.events
        assert (found.deliveries, found.letters, found.damaged) == (expected.deliveries, expected.letters, ())
        assert found.relayed == expected.relayed
        assert {(each.subscription, each.key): each.until for each in found.seen} == model.seen


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, MOST - 1, MOST, MOST + 1, 3 * MOST + 5])
def test_any_number_of_rows_goes_in_and_out(count: int) -> None:
    connection = new_database()
    changes = [accept(number) for number in range(1, count + 1)]
    commit(connection, *changes)
    assert [each.id for each in read(connection, {}).deliveries] == list(range(1, count + 1))
    commit(connection, *(Settle(number, number) for number in range(1, count + 1)))
    found = read(connection, {})
    assert (found.events, found.deliveries) == ({}, ())
    connection.close()


def test_a_number_is_never_given_again_when_its_row_is_gone() -> None:
    connection = new_database()
    commit(connection, accept(7), Bury(letter(3)))
    commit(connection, Settle(7, 7), ForgetLetters((3,)))
    found = read(connection, {})
    assert (found.last_event, found.last_delivery, found.last_letter) == (7, 7, 3)
    connection.close()


# ── damage ──


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE events SET body = x'7b7d' WHERE id = 2",
        "UPDATE events SET event_id = 'other' WHERE id = 2",
        "UPDATE deliveries SET subscription = 'other' WHERE id = 2",
        "UPDATE deliveries SET attempts = 1 WHERE id = 2",
        "DELETE FROM events WHERE id = 2",
    ],
)
def test_a_delivery_that_was_damaged_or_edited_is_set_aside_and_the_others_are_fine(edit: str) -> None:
    connection = new_database()
    commit(connection, accept(1), accept(2), accept(3))
    connection.execute(edit)
    found = read(connection, {})
    assert [each.id for each in found.deliveries] == [1, 3]
    assert ("deliveries", 2) in [(each.table, each.number) for each in found.damaged]
    connection.close()


def test_a_letter_that_was_damaged_is_set_aside() -> None:
    connection = new_database()
    commit(connection, Bury(letter(1)), Bury(letter(2)))
    connection.execute("UPDATE letters SET document = x'00' WHERE number = 1")
    found = read(connection, {})
    assert [each.number for each in found.letters] == [2]
    assert [(each.table, each.number) for each in found.damaged] == [("letters", 1)]
    connection.close()
