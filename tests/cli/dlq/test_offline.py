"""Dead letters in the file of a bus that does not run."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.cli.dlq.shops import NOON, fail, letter, run_again
from tocsin.cli._dlq._choice import Choice
from tocsin.cli._dlq._letter import LetterView
from tocsin.cli._dlq._office import LetterNotFound, Refusal, Replayed
from tocsin.cli._dlq._offline import OffLine
from tocsin.durable import Bury, StoredLetter
from tocsin.durable._applying import apply
from tocsin.durable._documents import document_of
from tocsin.durable._starts import Starts, notes_of
from tocsin_supervisors import DeadLetterReason

pytestmark = pytest.mark.real_time
ALL = Choice()


def letters(path: Path, choice: Choice = ALL) -> list[LetterView]:
    return list(OffLine(path).letters(choice, full=True))


def ids(path: Path, choice: Choice = ALL) -> list[int]:
    return [each.id for each in letters(path, choice)]


def replay(path: Path, choice: Choice = ALL, *, dry_run: bool = False) -> Replayed:
    (replayed,) = OffLine(path).replay(choice, rate=None, dry_run=dry_run)
    return replayed


def edit(path: Path, statement: str, *parameters: object) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, parameters)
    connection.close()


def keep(path: Path, **changes: Any) -> None:
    """Put letter 9 into the file, as a bus would, with these columns changed."""
    stored = StoredLetter(number=9, document=document_of(letter(9)), type_name="order", version=1, body=b"{}")
    connection = sqlite3.connect(path, isolation_level=None)
    apply(connection, [Bury(attrs.evolve(stored, **changes))])
    connection.close()


# ── reading ──


def test_letters_are_there_oldest_first_with_their_events(store: Path) -> None:
    found = letters(store)
    assert [(each.id, each.subscription, each.error) for each in found] == [
        (1, "ship", "ValueError: no order 1"),
        (2, "ship", "ValueError: no order 2"),
        (3, "ship", "ValueError: no order 3"),
    ]
    assert [each.facts["event"] for each in found] == [{"number": 1}, {"number": 2}, {"number": 3}]


def test_one_letter_is_there_with_everything(store: Path) -> None:
    found = OffLine(store).letter(2)
    assert (found.facts["headers"], found.facts["event"]) == ({"trace": "t2"}, {"number": 2})
    assert "no order" in str(found.facts["failure"])
    assert "in ship" in str(found.facts["failure"])  # the traceback


def test_a_letter_that_is_not_there_is_told(store: Path) -> None:
    with pytest.raises(LetterNotFound, match=r"there is no dead letter 4 in .*bus\.db"):
        OffLine(store).letter(4)


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (Choice(ids=(3, 1)), [1, 3]),
        (Choice(limit=2), [1, 2]),
        (Choice(subscription="ship", limit=1), [1]),
        (Choice(subscription="nobody"), []),
        (Choice(event_type="Order"), [1, 2, 3]),
        (Choice(event_type="tests.durable.stored.Order"), [1, 2, 3]),
        (Choice(event_type="rder"), []),
        (Choice(error_type="ValueError"), [1, 2, 3]),
        (Choice(reason=DeadLetterReason.HANDLER_ERROR), [1, 2, 3]),
        (Choice(reason=DeadLetterReason.TIMEOUT), []),
        (Choice(since=NOON), [1, 2, 3]),
        (Choice(until=NOON), []),
    ],
)
def test_filters_mean_what_they_mean_in_a_bus(store: Path, choice: Choice, numbers: list[int]) -> None:
    assert ids(store, choice) == numbers


def test_nothing_is_imported_for_an_event(store: Path) -> None:
    keep(store, type_name="nowhere.Module", body=b'{"a": [1]}')
    assert letters(store, Choice(ids=(9,)))[0].facts["event"] == {"a": [1]}


@pytest.mark.parametrize("body", [b"\x81\xa1a\x01", b"[" * 100_000])
def test_an_event_that_is_no_json_is_shown_as_bytes(store: Path, body: bytes) -> None:
    keep(store, type_name="mine", version=3, body=body)
    event: Any = letters(store, Choice(ids=(9,)))[0].facts["event"]
    assert (event["type_name"], event["version"], event["why"]) == ("mine", 3, "it is no JSON")


def test_reading_changes_no_byte_of_the_file(store: Path) -> None:
    before = store.read_bytes()
    ids(store)
    OffLine(store).letter(1)
    assert store.read_bytes() == before


def test_a_file_without_letters_has_none(tmp_path: Path) -> None:
    fail(tmp_path / "bus.db")
    assert ids(tmp_path / "bus.db") == []


def test_a_file_that_was_made_and_never_written_to_has_none(tmp_path: Path) -> None:
    os.close(os.open(tmp_path / "bus.db", os.O_CREAT | os.O_RDWR, 0o600))
    assert ids(tmp_path / "bus.db") == []
    assert list(OffLine(tmp_path / "bus.db").purge(ALL, dry_run=False)) == []
    assert replay(tmp_path / "bus.db") == Replayed(())
    assert (tmp_path / "bus.db").read_bytes() == b""


# ── what cannot be read ──


def test_a_damaged_row_is_shown_as_such_in_its_place(store: Path) -> None:
    edit(store, "UPDATE letters SET version = 7 WHERE number = 2")
    found = letters(store)
    assert [(each.id, each.damaged is not None) for each in found] == [(1, False), (2, True), (3, False)]
    assert "its checksum is wrong" in str(OffLine(store).letter(2).damaged)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"published_at": 5}', b"\xff"])
def test_a_letter_that_cannot_be_read_is_shown_as_such(store: Path, document: bytes) -> None:
    keep(store, document=document)
    assert "its document cannot be read" in str(OffLine(store).letter(9).damaged)


def test_what_cannot_be_read_may_be_anything_so_filters_leave_it_in(store: Path) -> None:
    edit(store, "UPDATE letters SET version = 7 WHERE number = 2")
    assert ids(store, Choice(subscription="nobody")) == [2]
    assert ids(store, Choice(ids=(1,), subscription="ship")) == [1]


def test_what_cannot_be_read_is_purged_by_its_number_or_with_all(store: Path) -> None:
    edit(store, "UPDATE letters SET version = 7 WHERE number IN (1, 2)")
    assert list(OffLine(store).purge(Choice(subscription="ship"), dry_run=False)) == [3]
    assert list(OffLine(store).purge(Choice(ids=(1,)), dry_run=False)) == [1]
    assert list(OffLine(store).purge(ALL, dry_run=False)) == [2]
    assert ids(store) == []


# ── purge ──


def test_what_is_meant_is_purged_for_good(store: Path) -> None:
    assert list(OffLine(store).purge(Choice(ids=(1, 3)), dry_run=False)) == [1, 3]
    assert ids(store) == [2]
    assert run_again(store) == []
    assert ids(store) == [2]


def test_a_dry_run_purges_nothing(store: Path) -> None:
    before = store.read_bytes()
    assert list(OffLine(store).purge(ALL, dry_run=True)) == [1, 2, 3]
    assert store.read_bytes() == before


# ── replay ──


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_replayed_is_handled_by_the_next_run(store: Path, backend: str) -> None:
    assert replay(store, Choice(ids=(1, 3))) == Replayed((1, 3))
    assert ids(store) == [2]
    assert run_again(store, backend=backend) == [1, 3]
    assert run_again(store, backend=backend) == []


def test_notes_of_deliveries_that_were_lost_with_the_power_do_not_speak_of_what_is_replayed(store: Path) -> None:
    notes = Starts(notes_of(store))
    for delivery in (4, 5, 6):  # the store has none with such a number, as it has lost them
        notes.over(notes.begin(delivery, 1), delivery, 1, handled=True)
    notes.close()
    replay(store)
    assert run_again(store) == [1, 2, 3]


def test_what_fails_again_has_the_history_of_the_letter_and_its_envelope(store: Path) -> None:
    before = OffLine(store).letter(2).facts
    replay(store, Choice(ids=(2,)))
    fail(store)
    after = OffLine(store).letter(4).facts
    assert (after["replayed_from"], after["replay_count"]) == (2, 1)
    assert after["first_death"] == before["first_death"]
    for name in ("event_id", "headers", "event", "published_at", "correlation_id", "priority", "topic", "attempts"):
        assert after[name] == before[name]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_letter_of_a_subscription_that_is_not_durable_is_handled_too(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "bus.db"
    fail(path, 5, backend=backend, durable=False)
    assert replay(path) == Replayed((1,))
    assert run_again(path, backend=backend, durable=False) == [5]
    assert run_again(path, backend=backend) == []


def test_a_dry_run_moves_nothing(store: Path) -> None:
    before = store.read_bytes()
    assert replay(store, dry_run=True) == Replayed((1, 2, 3))
    assert store.read_bytes() == before


def test_what_nobody_matched_stays(store: Path) -> None:
    document = document_of(letter(9, reason=DeadLetterReason.UNDELIVERABLE))
    keep(store, document=document)
    why = "no subscription matched it: it can only be published again, by a bus that runs"
    assert replay(store, Choice(ids=(9,))) == Replayed((), (Refusal(9, why),))
    assert ids(store, Choice(ids=(9,))) == [9]


def test_what_was_damaged_before_it_died_stays(store: Path) -> None:
    keep(store, type_name="", body=b"{'id': 1}")
    assert "nothing left to handle" in replay(store, Choice(ids=(9,))).refused[0].why


def test_what_cannot_be_read_stays(store: Path) -> None:
    edit(store, "UPDATE letters SET version = 7 WHERE number = 2")
    replayed = replay(store)
    assert (replayed.moved, [each.id for each in replayed.refused]) == ((1, 3), [2])
    assert "its checksum is wrong" in replayed.refused[0].why


def test_headers_that_no_event_can_have_stay_with_the_letter(store: Path) -> None:
    facts = json.loads(document_of(letter(9)))
    facts["headers"] = {"n": 2**70}
    keep(store, document=json.dumps(facts).encode())
    assert "header 'n' cannot be encoded" in replay(store, Choice(ids=(9,))).refused[0].why


def test_a_letter_without_a_version_of_its_schema_has_the_first(store: Path) -> None:
    keep(
        store,
        document=document_of(letter(9, schema_version=None)),
        type_name="tests.durable.stored.Order",
        body=b'{"number":9}',
    )
    assert replay(store, Choice(ids=(9,))) == Replayed((9,))
    assert run_again(store) == [9]
