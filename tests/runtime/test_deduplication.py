"""Which events count as taken before."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from tocsin._deduplication import Deduplicate, DuplicateWindow
from tocsin._envelope import Envelope, IdSource


def test_a_key_counts_as_seen_within_the_window_its_end_excluded() -> None:
    window = DuplicateWindow(Deduplicate(10.0))
    answers = [window.seen_before("a", now) for now in (5.0, 5.0, 14.999, 15.0, 24.9, 25.0)]
    assert answers == [False, True, True, False, True, False]


def test_a_duplicate_does_not_prolong_the_window() -> None:
    window = DuplicateWindow(Deduplicate(10.0))
    assert [window.seen_before("a", now) for now in (0.0, 9.0, 10.0)] == [False, True, False]


def test_keys_are_independent() -> None:
    window = DuplicateWindow(Deduplicate())
    assert [window.seen_before(key, 0.0) for key in ("a", "b", ("a",), "a")] == [False, False, False, True]


def test_the_oldest_key_is_forgotten_when_there_are_too_many() -> None:
    window = DuplicateWindow(Deduplicate(max_entries=2))
    for key in "abc":
        window.seen_before(key, 0.0)
    assert len(window) == 2
    assert window.seen_before("c", 1.0)
    assert window.seen_before("b", 1.0)
    assert not window.seen_before("a", 1.0)


def test_expired_keys_take_no_room() -> None:
    window = DuplicateWindow(Deduplicate(10.0))
    for number in range(100):
        window.seen_before(number, float(number))
        assert len(window) <= 10


def test_an_endless_window_is_bounded_by_the_number_of_keys() -> None:
    window = DuplicateWindow(Deduplicate(math.inf, max_entries=3))
    for number in range(10):
        window.seen_before(number, number * 1e9)
    assert len(window) == 3
    assert window.seen_before(9, 1e300)


def test_a_forgotten_key_counts_as_new() -> None:
    window = DuplicateWindow(Deduplicate())
    window.seen_before("a", 0.0)
    window.forget("a")
    window.forget("never recorded")
    assert not window.seen_before("a", 1.0)


def test_a_key_that_is_not_hashable_is_a_type_error_and_leaves_no_trace() -> None:
    window = DuplicateWindow(Deduplicate())
    with pytest.raises(TypeError):
        window.seen_before(cast("Any", []), 0.0)
    assert len(window) == 0


def test_the_key_is_the_id_of_the_envelope_unless_a_function_is_given() -> None:
    source = IdSource(lambda: 0.0, lambda bits: 0)
    envelope = Envelope({"order": 7}, source)
    assert Deduplicate().key_of(envelope) == envelope.id
    assert Deduplicate(by=lambda event: event["order"]).key_of(envelope) == 7


@pytest.mark.parametrize("window", [0, -1.0, math.nan, True, "300", None])
def test_a_window_that_is_no_time_is_refused(window: Any) -> None:
    with pytest.raises(ValueError, match=r"window=.*must be seconds above 0"):
        Deduplicate(window)


@pytest.mark.parametrize("entries", [0, -1, 1.0, math.inf, True, None])
def test_a_number_of_entries_that_is_none_is_refused(entries: Any) -> None:
    with pytest.raises(ValueError, match=r"max_entries=.*must be a whole number of at least 1"):
        Deduplicate(max_entries=entries)


def test_what_gives_the_key_must_be_a_function() -> None:
    with pytest.raises(TypeError, match=r"by='order'.*must be a function"):
        Deduplicate(by="order")  # type: ignore[arg-type]
