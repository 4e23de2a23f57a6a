"""The delay grows, is capped, and chance never leaves its bounds."""

from __future__ import annotations

import math
import sys
from random import Random
from typing import Any

import attrs
import pytest

from tocsin_supervisors import Backoff
from tocsin_supervisors._checks import check_count, count, number

NOT_NUMBERS: list[Any] = [True, "1", None, 1j]
NOT_FINITE: list[Any] = [math.nan, math.inf, -math.inf, 10**400]


def test_the_delay_doubles_up_to_the_cap() -> None:
    backoff = Backoff(initial=1.0, maximum=10.0, jitter=0)
    assert [backoff.delay(attempt, Random(0)) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_the_defaults_start_at_a_tenth_of_a_second_and_end_at_half_a_minute() -> None:
    backoff = attrs.evolve(Backoff(), jitter=0)
    assert backoff.delay(1, Random(0)) == 0.1
    assert backoff.delay(100, Random(0)) == 30.0


@pytest.mark.parametrize("attempt", [1025, 10**9, 10**400])
def test_fault_D19_no_attempt_is_too_large(attempt: int) -> None:
    assert Backoff(jitter=0).delay(attempt, Random(0)) == 30.0


def test_a_factor_of_one_keeps_the_delay_constant() -> None:
    backoff = Backoff(initial=2.0, factor=1.0, jitter=0)
    assert {backoff.delay(attempt, Random(0)) for attempt in (1, 2, 1000, 10**9)} == {2.0}


def test_jitter_stays_inside_the_cap() -> None:
    backoff, random = Backoff(initial=8.0, maximum=8.0, jitter=0.25), Random(1)
    delays = [backoff.delay(1, random) for _ in range(2000)]
    assert 6.0 <= min(delays) < 6.01
    assert 7.99 < max(delays) <= 8.0


def test_the_same_seed_gives_the_same_delays() -> None:
    assert Backoff().delay(5, Random(7)) == Backoff().delay(5, Random(7))


def test_no_backoff_is_no_delay() -> None:
    assert Backoff.none().delay(10**9, Random(0)) == 0.0


def test_an_initial_delay_of_zero_never_grows() -> None:
    assert Backoff(initial=0).delay(10**9, Random(0)) == 0.0


@pytest.mark.parametrize("field", ["initial", "maximum", "factor", "jitter"])
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_no_number_is_refused(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{field}=.* must be an int or a float"):
        Backoff(**{field: value})


@pytest.mark.parametrize("field", ["initial", "maximum", "factor", "jitter"])
@pytest.mark.parametrize("value", [*NOT_FINITE, -0.1])
def test_fault_D19_what_is_not_finite_or_negative_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}=.* must lie between"):
        Backoff(**{field: value})


def test_a_shrinking_delay_is_refused() -> None:
    with pytest.raises(ValueError, match=r"factor=0\.9 must lie between 1 and a finite number"):
        Backoff(factor=0.9)


def test_a_jitter_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"jitter=1\.1 must lie between 0 and 1"):
        Backoff(jitter=1.1)


def test_a_cap_below_the_start_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="raise maximum or lower initial"):
        Backoff(initial=60)


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match=r"attempt=.* must be at least 1"):
        Backoff().delay(attempt, Random(0))


def test_a_count_must_be_a_whole_number() -> None:
    with pytest.raises(TypeError, match=r"n=1\.0 must be an int, not float"):
        check_count("n", 1.0, at_least=0)
    with pytest.raises(TypeError, match="n=True must be an int, not bool"):
        check_count("n", True, at_least=0)


def test_the_validators_name_their_field() -> None:
    @attrs.frozen
    class Limits:
        share: float = attrs.field(default=0.5, validator=number(at_least=0, at_most=1))
        most: int | None = attrs.field(default=None, validator=count(at_least=1, or_none=True))

    assert Limits(share=1, most=3) == Limits(1.0, 3)
    with pytest.raises(ValueError, match="share=2"):
        Limits(share=2)
    with pytest.raises(ValueError, match="most=0"):
        Limits(most=0)


def test_the_largest_float_is_still_allowed() -> None:
    assert Backoff(maximum=sys.float_info.max, jitter=0).delay(10**9, Random(0)) == sys.float_info.max
