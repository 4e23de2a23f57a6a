"""Letters and the office that keeps them."""

from __future__ import annotations

import copy
import datetime
import gc
import io
import json
import math
import weakref
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin_supervisors import (
    DeadLetter,
    DeadLetterNotFound,
    DeadLetterOffice,
    DeadLetterReason,
    DeadLetterRefused,
    DeathCount,
    Failure,
    FirstDeath,
)
from tocsin_supervisors._dead_letters import add_new
from tocsin_supervisors._letters import first_letter

NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
ERROR, LATE = DeadLetterReason.HANDLER_ERROR, DeadLetterReason.TIMEOUT


class Unequal:
    """An event nobody may compare."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError


def letter(event: object = "event", **changes: Any) -> DeadLetter[Any]:
    facts: dict[str, Any] = {
        "event_id": "e1",
        "event_type": "shop.Order",
        "published_at": NOON,
        "subscription": "mails",
        "reason": ERROR,
        "attempts": 3,
        "first_failed_at": NOON,
        "last_failed_at": NOON + MINUTE,
    }
    return DeadLetter(event=event, **(facts | changes))


def filled(number: int = 3, **options: Any) -> DeadLetterOffice[Any]:
    office: DeadLetterOffice[Any] = DeadLetterOffice(**options)
    for n in range(number):
        office.add(letter(n))
    return office


def events(office: DeadLetterOffice[Any]) -> list[Any]:
    return [each.event for each in office]


class Collecting:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.taken: list[DeadLetter[Any]] = []

    def take(self, letter: DeadLetter[Any]) -> None:
        self.taken.append(letter)


class Failing:
    """A sink that fails as it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def take(self, letter: DeadLetter[Any]) -> None:
        raise self.error


def test_a_new_letter_is_its_own_first_death() -> None:
    fresh = letter()
    assert fresh.first_death == FirstDeath("mails", ERROR, NOON + MINUTE)
    assert fresh.history == (DeathCount("mails", ERROR, 1, NOON + MINUTE, NOON + MINUTE),)
    assert (fresh.replay_count, fresh.replayed_from) == (0, None)


# ── letters that the bus makes: most of their fields when one of them is first read ──

FACTS: dict[str, Any] = {
    "event_id": "e1",
    "event_type": "shop.Order",
    "topic": "orders",
    "priority": 2,
    "published_at": NOON,
    "correlation_id": "c1",
    "causation_id": None,
    "headers": {"trace": "7"},
    "schema_version": 1,
}
OWN: dict[str, Any] = {
    "event": "event",
    "subscription": "mails",
    "incarnation": 4,
    "reason": ERROR,
    "attempts": 3,
    "failure": Failure("builtins.ValueError", "broken"),
}
AT_ONCE: DeadLetter[Any] = DeadLetter(**OWN, **FACTS, first_failed_at=NOON, last_failed_at=NOON + MINUTE)


def late_letter(source: Callable[[], dict[str, Any]] = lambda: FACTS) -> DeadLetter[Any]:
    return first_letter(source, **OWN, died=(NOON, NOON + MINUTE))


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(DeadLetter)])
def test_a_field_that_is_made_late_says_the_same_as_one_made_at_once(name: str) -> None:
    assert getattr(late_letter(), name) == getattr(AT_ONCE, name)


def test_a_letter_made_late_is_equal_to_one_made_at_once_and_has_its_hash() -> None:
    assert late_letter() == AT_ONCE
    assert hash(late_letter()) == hash(AT_ONCE)


def test_a_letter_made_late_can_be_taken_apart_changed_and_copied() -> None:
    assert attrs.asdict(late_letter(), recurse=False) == attrs.asdict(AT_ONCE, recurse=False)
    assert attrs.evolve(late_letter(), attempts=9) == attrs.evolve(AT_ONCE, attempts=9)
    assert copy.copy(late_letter()) == AT_ONCE
    assert late_letter().to_json_line() == AT_ONCE.to_json_line()


def test_what_a_letter_is_made_of_is_asked_once_and_let_go() -> None:
    asked: list[str] = []

    def source() -> dict[str, Any]:
        asked.append("asked")
        return FACTS

    made = late_letter(source)
    reference = weakref.ref(source)
    del source
    assert (made.event_id, made.topic, made.history) == (AT_ONCE.event_id, AT_ONCE.topic, AT_ONCE.history)
    assert asked == ["asked"]
    gc.collect()
    assert reference() is None


def test_what_no_letter_has_is_refused_before_and_after_its_fields_are_made() -> None:
    made: Any = late_letter()
    with pytest.raises(AttributeError, match="'DeadLetter' object has no attribute 'subject'"):
        _ = made.subject
    assert made.topic == "orders"
    with pytest.raises(AttributeError, match="has no attribute 'subject'"):
        _ = made.subject


def test_who_reads_while_another_thread_reads_for_the_first_time_finds_the_same() -> None:
    asked: list[str] = []

    def source() -> dict[str, Any]:
        asked.append("asked")
        if len(asked) == 1:
            assert made.topic == AT_ONCE.topic  # the other thread, as if it came in here
        return FACTS

    made = late_letter(source)
    assert made == AT_ONCE
    assert len(asked) == 2


def test_a_new_letter_is_numbered_without_a_copy() -> None:
    office, made = filled(2), late_letter()
    add_new(office, made)
    assert made.id == 3
    assert office.get(3) is made


def test_a_new_letter_of_a_letter_is_refused() -> None:
    office = filled(0)
    own: dict[str, Any] = {**OWN, "event": letter()}
    with pytest.raises(DeadLetterRefused):
        add_new(office, first_letter(lambda: FACTS, **own, died=(NOON, NOON)))
    assert (office.added, office.refused) == (0, 1)


def test_dying_again_of_one_reason_is_counted_in_one_entry() -> None:
    first = letter(id=7)
    again = letter(last_failed_at=NOON + 9 * MINUTE).after(first)
    assert again.history == (DeathCount("mails", ERROR, 2, NOON + MINUTE, NOON + 9 * MINUTE),)
    assert again.first_death == first.first_death
    assert (again.replay_count, again.replayed_from) == (1, 7)


def test_dying_of_another_reason_is_an_entry_of_its_own_the_latest_first() -> None:
    again = letter(reason=LATE, last_failed_at=NOON + 9 * MINUTE).after(letter(id=1))
    assert [(entry.reason, entry.count) for entry in again.history] == [(LATE, 1), (ERROR, 1)]
    third = letter(last_failed_at=NOON + 20 * MINUTE).after(again)
    assert [(entry.reason, entry.count) for entry in third.history] == [(ERROR, 2), (LATE, 1)]
    assert third.replay_count == 2


def test_letters_are_compared_without_comparing_their_events() -> None:
    event = Unequal()
    assert letter(event) == letter(event)
    assert letter(event) != letter(Unequal())
    assert hash(letter(event)) == hash(letter(event))


def test_the_headers_of_a_letter_cannot_be_changed() -> None:
    headers = {"tenant": "a"}
    kept = letter(headers=headers)
    headers["tenant"] = "b"
    assert kept.headers["tenant"] == "a"
    with pytest.raises(TypeError):
        kept.headers["tenant"] = "c"  # type: ignore[index]


def test_a_letter_tells_its_story_in_words() -> None:
    told = repr(letter(Unequal(), id=17, failure=Failure.of(ValueError())))
    assert told == "<DeadLetter 17: shop.Order for mails, handler_error after 3 attempts, builtins.ValueError>"
    assert repr(letter(reason=LATE)).startswith("<DeadLetter not yet numbered: ")


@pytest.mark.parametrize("field", ["published_at", "first_failed_at", "last_failed_at"])
@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2024, 5, 1),
        datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        0.0,
    ],
)
def test_times_that_are_not_in_utc_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}=.* must be an aware datetime in UTC"):
        letter(**{field: value})


def test_times_in_utc_by_another_name_are_taken() -> None:
    zulu = datetime.timezone(datetime.timedelta(0), "Zulu")
    assert letter(published_at=NOON.astimezone(zulu)).published_at == NOON


def test_a_letter_becomes_one_line_of_json() -> None:
    @attrs.frozen
    class Order:
        number: int
        price: float

    line = letter(Order(1, math.nan), id=3, headers={"a": "b\n"}, failure=Failure.of(ValueError("x"))).to_json_line()
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert read["event"] == {"number": 1, "price": "nan"}
    assert (read["id"], read["reason"], read["headers"]) == (3, "handler_error", {"a": "b\n"})
    assert read["failure"]["message"] == "x"
    assert read["first_death"]["at"] == "2024-05-01T12:01:00+00:00"
    assert read["history"][0]["count"] == 1


def test_an_encoder_decides_what_is_written_of_the_event() -> None:
    assert json.loads(letter({"secret": 1}).to_json_line(lambda event: sorted(event)))["event"] == ["secret"]


def test_an_encoder_that_fails_is_reported_and_the_letter_written_without_it() -> None:
    def fail(event: Any) -> Any:
        raise ValueError("cannot encode")

    read = json.loads(letter({"number": 1}).to_json_line(fail))
    assert read["event"] == {"number": 1}
    assert read["encode_error"] == "builtins.ValueError: cannot encode"


def test_an_event_that_cannot_be_printed_is_written_as_such() -> None:
    assert json.loads(letter(Unequal()).to_json_line())["event"] == "<unprintable Unequal>"


def test_letters_get_increasing_numbers() -> None:
    office = DeadLetterOffice[str]()
    assert [office.add(letter()).id for _ in range(3)] == [1, 2, 3]
    office.purge()
    assert office.add(letter()).id == 4


def test_the_oldest_letter_makes_room_for_a_new_one() -> None:
    office = filled(5, capacity=3)
    assert events(office) == [2, 3, 4]
    assert (len(office), office.added, office.evicted) == (3, 5, 2)


@pytest.mark.parametrize(
    ("capacity", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError)]
)
def test_an_office_without_room_is_refused(capacity: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="capacity="):
        DeadLetterOffice(capacity)


def test_the_sink_gets_each_letter_with_its_number() -> None:
    sink = Collecting()
    office = filled(2, capacity=1, sink=sink)
    assert [each.id for each in sink.taken] == [1, 2]
    assert office.sink_errors == 0


def test_a_sink_that_fails_is_counted_and_the_letter_kept() -> None:
    office = filled(2, sink=Failing(OSError("disk full")))
    assert events(office) == [0, 1]
    assert office.sink_errors == 2


def test_an_interrupt_in_the_sink_passes_through_and_the_letter_is_kept() -> None:
    office = DeadLetterOffice[str](sink=Failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        office.add(letter())
    assert len(office) == 1


def test_a_dead_letter_of_a_dead_letter_is_refused() -> None:
    office, offered = filled(1), letter(letter())
    with pytest.raises(DeadLetterRefused, match="a dead letter of a dead letter") as caught:
        office.add(offered)
    assert caught.value.letter is offered
    assert (len(office), office.added, office.refused) == (1, 1, 1)


def test_a_letter_can_be_looked_at() -> None:
    office = filled(2)
    assert office.get(2).event == 1
    assert len(office) == 2


def test_a_taken_letter_cannot_be_taken_twice() -> None:
    office = filled(2)
    assert office.take(1).event == 0
    with pytest.raises(DeadLetterNotFound, match="evicted, purged, or is taken by another replay") as caught:
        office.take(1)
    assert caught.value.id == 1


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_number_that_was_never_given_is_said_to_be_one(number: int) -> None:
    with pytest.raises(DeadLetterNotFound, match=f"no dead letter {number} .* numbers run from 1 to 2 so far"):
        filled(2).get(number)


def test_a_letter_put_back_has_its_old_place_and_is_not_told_to_the_sink_again() -> None:
    sink = Collecting()
    office = filled(3, sink=sink)
    office.put_back(office.take(2))
    assert events(office) == [0, 1, 2]
    assert (office.added, len(sink.taken)) == (3, 3)


def test_a_letter_put_back_into_a_full_office_evicts_the_oldest() -> None:
    office = filled(2, capacity=2)
    taken = office.take(2)
    office.add(letter("new"))
    office.put_back(taken)
    assert events(office) == [1, "new"]
    assert office.evicted == 1


@pytest.mark.parametrize("number", [0, 1, 9])
def test_a_letter_that_was_not_taken_cannot_be_put_back(number: int) -> None:
    with pytest.raises(ValueError, match="only what take"):
        filled(2).put_back(letter(id=number))


def sorted_office() -> DeadLetterOffice[Any]:
    office: DeadLetterOffice[Any] = DeadLetterOffice()
    office.add(letter("a", subscription="mails", failure=Failure.of(KeyError())))
    office.add(letter("b", subscription="stock", reason=LATE, last_failed_at=NOON + 5 * MINUTE))
    office.add(letter("c", subscription="stock", event_type="builtins.str", failure=Failure.of(ValueError())))
    return office


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "abc"),
        ({"subscription": "stock"}, "bc"),
        ({"subscription": "nobody"}, ""),
        ({"reason": LATE}, "b"),
        ({"reason": "timeout"}, "b"),
        ({"event_type": str}, "c"),
        ({"event_type": "shop.Order"}, "ab"),
        ({"event_type": "Order"}, "ab"),
        ({"event_type": "rder"}, ""),
        ({"event_type": "shop"}, ""),
        ({"ids": [1, 3, 9]}, "ac"),
        ({"ids": []}, ""),
        ({"ids": {1, 2}, "subscription": "stock"}, "b"),
        ({"until": NOON + MINUTE}, "ac"),
        ({"until": NOON}, ""),
        ({"error_type": KeyError}, "a"),
        ({"error_type": "builtins.ValueError"}, "c"),
        ({"since": NOON + 5 * MINUTE}, "b"),
        ({"since": NOON}, "abc"),
        ({"limit": 2}, "ab"),
        ({"limit": 0}, ""),
        ({"subscription": "stock", "reason": ERROR}, "c"),
        ({"subscription": None, "limit": None}, "abc"),
    ],
)
def test_letters_are_listed_and_purged_by_every_condition_given(conditions: Any, expected: str) -> None:
    office = sorted_office()
    assert "".join(each.event for each in office.list(**conditions)) == expected
    assert office.purge(**conditions) == len(expected)
    assert set(events(office)) == set("abc") - set(expected)
    assert office.purged == len(expected)


@pytest.mark.parametrize(
    ("conditions", "error"),
    [
        ({"subscripton": "stock"}, TypeError),
        ({"reason": "tired"}, ValueError),
        ({"limit": -1}, ValueError),
        ({"since": datetime.datetime(2024, 5, 1)}, ValueError),
        ({"until": datetime.datetime(2024, 5, 1)}, ValueError),
    ],
)
def test_a_condition_that_makes_no_sense_purges_nothing(conditions: Any, error: type[Exception]) -> None:
    office = sorted_office()
    with pytest.raises(error):
        office.purge(**conditions)
    assert len(office) == 3


def test_letters_are_exported_to_a_text_file_line_by_line() -> None:
    office, file = filled(2), io.StringIO()
    assert office.export(file) == 2
    assert [json.loads(line)["event"] for line in file.getvalue().splitlines()] == [0, 1]
    assert file.getvalue().endswith("\n")
    assert len(office) == 2


def test_letters_are_exported_to_a_callable_with_an_encoder() -> None:
    lines: list[str] = []
    assert filled(2).export(lines.append, encode=lambda event: event * 10) == 2
    assert [json.loads(line)["event"] for line in lines] == [0, 10]
    assert not any("\n" in line for line in lines)


def test_the_office_can_be_changed_while_it_is_walked() -> None:
    office = filled(3)
    for each in office:
        office.take(each.id)
    assert len(office) == 0


def test_a_letter_is_in_the_office_by_its_number() -> None:
    office = filled(2)
    assert 1 in office
    assert 3 not in office
    assert office.get(1) in office
    assert letter() not in office
    assert "1" not in office


def test_the_office_tells_its_state_in_words() -> None:
    assert repr(filled(3, capacity=2)) == "<DeadLetterOffice holding 2 of at most 2 letters, 1 evicted>"


class OfficeMachine(RuleBasedStateMachine):
    """Against a plain sorted list: nothing is lost that is not counted."""

    CAPACITY = 3

    def __init__(self) -> None:
        super().__init__()
        self.office: DeadLetterOffice[int] = DeadLetterOffice(self.CAPACITY)
        self.kept: list[int] = []
        self.out: list[DeadLetter[int]] = []
        self.lost = 0

    def cut(self) -> None:
        self.kept.sort()
        while len(self.kept) > self.CAPACITY:
            self.kept.pop(0)
            self.lost += 1

    @rule(event=st.integers(0, 3))
    def add(self, event: int) -> None:
        self.kept.append(self.office.add(letter(event)).id)
        self.cut()

    @rule(choice=st.integers(0, 2))
    def take(self, choice: int) -> None:
        if choice < len(self.kept):
            self.out.append(self.office.take(self.kept.pop(choice)))

    @rule()
    def put_back(self) -> None:
        if self.out:
            returned = self.out.pop()
            self.office.put_back(returned)
            self.kept.append(returned.id)
            self.cut()

    @rule(limit=st.integers(0, 2))
    def purge(self, limit: int) -> None:
        assert self.office.purge(limit=limit) == len(self.kept[:limit])
        del self.kept[:limit]

    @invariant()
    def agrees(self) -> None:
        assert [each.id for each in self.office] == self.kept
        assert self.office.evicted == self.lost
        assert self.office.added == len(self.office) + len(self.out) + self.office.evicted + self.office.purged


TestOfficeMachine = OfficeMachine.TestCase
