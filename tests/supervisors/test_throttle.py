"""A storm of lines becomes ten, and the eleventh tells how many were left out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors import Allowed, LogThrottle, Suppressed


def test_lines_within_the_limit_are_allowed() -> None:
    throttle = LogThrottle(limit=3, period=10)
    assert [throttle.allow(float(now)) for now in range(3)] == [Allowed(0)] * 3


def test_going_silent_is_said_once() -> None:
    throttle = LogThrottle(limit=1, period=10)
    throttle.allow(0.0)
    assert [throttle.allow(1.0) for _ in range(3)] == [Suppressed(first=True)] + [Suppressed(first=False)] * 2


def test_the_first_line_after_the_period_tells_how_many_were_left_out() -> None:
    throttle = LogThrottle(limit=2, period=10)
    for now in (0.0, 1.0, 2.0, 3.0, 9.9):
        throttle.allow(now)
    assert throttle.allow(10.0) == Allowed(suppressed_before=3)
    assert throttle.allow(10.0) == Allowed(suppressed_before=0)


def test_going_silent_is_said_again_in_the_next_period() -> None:
    throttle = LogThrottle(limit=1, period=10)
    assert [throttle.allow(now) for now in (0.0, 1.0, 10.0, 11.0)] == [
        Allowed(0),
        Suppressed(first=True),
        Allowed(1),
        Suppressed(first=True),
    ]


def test_a_period_begins_with_its_first_line() -> None:
    throttle = LogThrottle(limit=1, period=10)
    throttle.allow(0.0)
    throttle.allow(25.0)
    assert throttle.allow(34.0) == Suppressed(first=True)


def test_by_default_ten_lines_in_five_minutes_are_allowed() -> None:
    throttle = LogThrottle()
    permissions = [throttle.allow(now) for now in [0.0] * 11 + [299.9, 300.0]]
    assert permissions == [Allowed(0)] * 10 + [Suppressed(first=True), Suppressed(first=False), Allowed(2)]


@given(st.integers(1, 3), st.lists(st.integers(0, 5), max_size=50))
def test_every_line_left_out_is_told_of_or_still_to_be_told(limit: int, gaps: list[int]) -> None:
    throttle, now, left_out, told = LogThrottle(limit, period=6), 0, 0, 0
    for gap in gaps:
        now += gap
        match throttle.allow(now):
            case Allowed(suppressed_before=number):
                told += number
                assert told == left_out
            case Suppressed(first=first):
                assert first == (told == left_out)
                left_out += 1


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": True}, {"period": -1}, {"period": math.inf}])
def test_a_throttle_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"limit=|period="):
        LogThrottle(**options)
