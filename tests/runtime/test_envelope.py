"""Priorities, ids and envelopes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, cast

import pytest

from tocsin._envelope import NO_HEADERS, Envelope, IdSource, Priority, check_priority, read_only_headers
from tocsin.exceptions import InvalidPriority, TocsinError


class OrderPlaced:
    def __repr__(self) -> str:
        raise AssertionError("an envelope must not ask the event for its text")


class Clock:
    """A wall clock set by the test."""

    def __init__(self, *times: float) -> None:
        self._times: Iterator[float] = iter(times)
        self._last = 0.0

    def __call__(self) -> float:
        self._last = next(self._times, self._last)
        return self._last


def ids(*times: float, start: int = 0) -> IdSource:
    return IdSource(Clock(*times), lambda bits: start)


# ── priorities ──


@pytest.mark.parametrize("priority", Priority)
def test_a_priority_is_given_as_its_member_or_its_number(priority: Priority) -> None:
    assert check_priority(priority) is priority
    assert check_priority(int(priority)) is priority


class Foreign(IntEnum):
    HIGH = 1


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        1.0,
        "1",
        "HIGH",
        None,
        True,
        False,
        -1,
        4,
        10**400,
        -(10**400),
        10**5000,
        Foreign.HIGH,
        [],
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:8] if not isinstance(value, int) else ''}",
)
def test_what_is_nearly_a_priority_is_refused(value: object) -> None:
    with pytest.raises(InvalidPriority):
        check_priority(value)


def test_the_refusal_of_a_priority_names_the_value_and_what_is_allowed() -> None:
    with pytest.raises(InvalidPriority) as caught:
        check_priority("urgent")
    assert str(caught.value) == (
        "priority='urgent': must be a member of Priority or its number (CRITICAL=0, HIGH=1, NORMAL=2, LOW=3)"
    )


def test_an_invalid_priority_is_a_value_error_and_an_error_of_tocsin() -> None:
    assert issubclass(InvalidPriority, ValueError)
    assert issubclass(InvalidPriority, TocsinError)


# ── ids ──


def test_an_id_is_the_time_in_milliseconds_and_a_serial_number() -> None:
    envelope = Envelope("event", ids(0x0123456789AB / 1000, start=0xFF))
    assert envelope.id == "0123456789ab" + "00000000000000000100"


def test_an_id_stays_the_same() -> None:
    envelope = Envelope("event", ids(1.0, 2.0))
    assert envelope.id is envelope.id


def test_ids_are_ordered_by_creation_although_they_are_rendered_later() -> None:
    source = ids(100.0, 100.0, 101.0, 100.5)
    envelopes = [Envelope(number, source) for number in range(6)]
    rendered_backwards = [envelope.id for envelope in reversed(envelopes)]
    assert rendered_backwards == sorted(rendered_backwards, reverse=True)
    assert len(set(rendered_backwards)) == 6


@pytest.mark.parametrize("step", [0.001, 1.0, 3600.0, 31 * 365 * 86400.0, 1e12])
def test_ids_do_not_decrease_when_the_wall_clock_is_set_back(step: float) -> None:
    source = ids(1_700_000_000.0, 1_700_000_000.0 - step, 1_700_000_000.0 - step / 2, 1_700_000_000.002)
    made = [Envelope(None, source).id for _ in range(4)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("wall", [-1e9, 0.0, 1e15, 1e300])
def test_an_id_has_32_digits_at_any_time(wall: float) -> None:
    identifier = Envelope(None, ids(wall)).id
    assert len(identifier) == 32
    assert int(identifier, 16) >= 0


def test_the_serial_number_never_reaches_the_time_even_if_it_starts_at_its_greatest() -> None:
    asked: list[int] = []

    def greatest(bits: int) -> int:
        asked.append(bits)
        return (1 << bits) - 1

    source = IdSource(Clock(1.0), greatest)
    identifier = Envelope(None, source).id
    assert asked == [79]
    assert identifier == "0000000003e8" + "80000000000000000000"


# ── envelopes ──


def test_an_envelope_holds_the_event_itself_and_sensible_defaults() -> None:
    event = object()
    envelope = Envelope(event, ids(1.0))
    assert envelope.event is event
    assert envelope.priority is Priority.NORMAL
    assert (envelope.topic, envelope.causation_id, envelope.expires_at, envelope.schema_version) == (
        None,
        None,
        None,
        1,
    )
    assert envelope.headers is NO_HEADERS


def test_an_envelope_keeps_what_it_is_given() -> None:
    envelope = Envelope(
        "event",
        ids(1.0),
        Priority.LOW,
        "order.placed",
        headers={"tenant": "a"},
        correlation_id="process",
        causation_id="cause",
        expires_at=7.0,
        schema_version=3,
    )
    assert (envelope.priority, envelope.topic, envelope.schema_version) == (Priority.LOW, "order.placed", 3)
    assert (envelope.correlation_id, envelope.causation_id, envelope.expires_at) == ("process", "cause", 7.0)
    assert envelope.headers == {"tenant": "a"}


def test_the_correlation_id_is_the_own_id_unless_one_is_given() -> None:
    envelope = Envelope("event", ids(1.0))
    assert envelope.correlation_id == envelope.id
    assert Envelope("event", ids(1.0), correlation_id="").correlation_id == ""


def test_the_time_of_publishing_is_the_one_of_creation_in_utc() -> None:
    envelope = Envelope("event", ids(1_700_000_000.5, 1_800_000_000.0))
    assert envelope.published_at == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert envelope.published_at.utcoffset() == datetime.now(UTC).utcoffset()


def test_the_time_of_publishing_is_told_as_the_wall_clock_said_although_it_was_set_back() -> None:
    source = ids(1_700_000_000.0, -86400.0)
    Envelope("before", source)
    assert Envelope("after", source).published_at == datetime(1969, 12, 31, tzinfo=UTC)


def test_a_restored_envelope_has_the_id_and_the_time_it_had() -> None:
    published_at = datetime(2020, 2, 29, 12, tzinfo=UTC)
    envelope = Envelope[str].restored(
        "event", ids(1_700_000_000.0), event_id="ab" * 16, published_at=published_at, priority=0, topic="a.b"
    )
    assert (envelope.id, envelope.published_at, envelope.correlation_id) == ("ab" * 16, published_at, "ab" * 16)
    assert (envelope.event, envelope.priority, envelope.topic) == ("event", Priority.CRITICAL, "a.b")


def test_an_envelope_expires_at_its_moment_and_not_before() -> None:
    envelope = Envelope("event", ids(1.0), expires_at=10.0)
    assert [envelope.is_expired(now) for now in (9.999, 10.0, 11.0)] == [False, True, True]


def test_an_envelope_without_expiry_never_expires() -> None:
    assert not Envelope("event", ids(1.0)).is_expired(math.inf)


def test_an_envelope_tells_what_it_carries_without_asking_the_event() -> None:
    text = repr(Envelope(OrderPlaced(), ids(1.0), Priority.HIGH, "order\n.placed"))
    assert text.startswith("<Envelope 0000000003e8")
    assert text.endswith("OrderPlaced on order\\n.placed, HIGH>")
    assert " on " not in repr(Envelope(OrderPlaced(), ids(1.0)))


# ── headers ──


def test_headers_cannot_be_changed_by_a_subscriber() -> None:
    headers = Envelope("event", ids(1.0), headers={"tenant": "a"}).headers
    for changed in (headers, NO_HEADERS):
        with pytest.raises(TypeError, match="does not support item assignment"):
            cast("dict[str, object]", changed)["tenant"] = "b"


def test_headers_do_not_follow_later_changes_by_the_publisher() -> None:
    given = {"tenant": "a"}
    headers = read_only_headers(given)
    given["tenant"] = "b"
    assert headers == {"tenant": "a"}


@pytest.mark.parametrize("headers", ["tenant=a", 7, ["tenant"], [("tenant", "a")]])
def test_headers_that_are_no_mapping_are_refused(headers: Any) -> None:
    with pytest.raises(TypeError, match="must be a mapping of text to values"):
        read_only_headers(headers)


@pytest.mark.parametrize("key", [1, None, b"tenant", ("a",)])
def test_a_header_whose_key_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="headers are addressed by text"):
        Envelope("event", ids(1.0), headers={key: "a"})
