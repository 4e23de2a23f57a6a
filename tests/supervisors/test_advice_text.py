"""Values as the sentences of the advice write them."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors import Backoff, RestartIntensity
from tocsin_supervisors._advice_text import at_least, counted, limit, named, number, pace, seconds, who


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 s"),
        (30, "30 s"),
        (0.1 + 0.2, "0.3 s"),
        (2_592_000.0, "2592000 s"),
        (1e300, "1e+300 s"),
        (math.inf, "unlimited time"),
    ],
)
def test_a_duration_is_written_without_the_rounding_errors_of_a_sum(duration: float, text: str) -> None:
    assert seconds(duration) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.0, "0 s"), (0.3, "0.3 s"), (60.825, "60.8 s"), (60.899, "60.8 s"), (735.9, "735 s"), (98765.0, "98700 s")],
)
def test_a_lower_bound_is_rounded_down(duration: float, text: str) -> None:
    assert at_least(duration) == text


@given(st.floats(min_value=0))
def test_a_lower_bound_never_claims_too_much(duration: float) -> None:
    written = float(at_least(duration).removesuffix(" s"))
    assert min(duration, sys.float_info.max) * 0.98 <= written <= duration


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 crash"),
        (0, "0 crashes"),
        (11, "11 crashes"),
        (10**18, f"{10**18} crashes"),
        (2**100, "over 2^100 crashes"),
    ],
)
def test_things_are_counted(count: int, text: str) -> None:
    assert counted(count, "crash", "crashes") == text


def test_a_plural_is_made_by_an_s() -> None:
    assert [counted(1, "restart"), counted(2, "restart")] == ["1 restart", "2 restarts"]


def test_a_number_that_the_interpreter_does_not_print_is_written() -> None:
    assert number(10**5000) == "over 2^16609"


def test_a_window_is_written_with_its_unit() -> None:
    assert limit(RestartIntensity(1, 0.5)) == "1 restart within 0.5 s"


@pytest.mark.parametrize(
    ("backoff", "text"),
    [
        (Backoff(), "a backoff of 0.1 s to 30 s"),
        (Backoff(2.0, 2.0), "a backoff of 2 s"),
        (Backoff(2.0, 30.0, 1.0), "a backoff of 2 s"),
        (Backoff(initial=0), "a backoff of 0 s"),
    ],
)
def test_a_backoff_is_written_with_where_it_begins_and_ends(backoff: Backoff, text: str) -> None:
    assert pace(backoff) == text


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ("a", "'a'"),
        ("ab", "'a' and 'b'"),
        ("abc", "'a', 'b' and 'c'"),
        ("abcde", "'a', 'b', 'c', 'd' and 'e'"),
        ("abcdef", "'a', 'b', 'c', 'd' and 2 more"),
    ],
)
def test_of_many_children_the_first_are_named(ids: str, text: str) -> None:
    assert named(ids) == text


def test_alternatives_are_joined_by_or() -> None:
    assert named("abc", "or") == "'a', 'b' or 'c'"


def test_an_id_cannot_break_the_line() -> None:
    assert who(["a\nb"]) == "child 'a\\nb'"
    assert who("ab") == "children 'a' and 'b'"
