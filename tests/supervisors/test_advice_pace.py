"""How fast a child can crash, against the delays of its backoff added one by one."""

from __future__ import annotations

import math
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.advising import MostJitter
from tocsin_supervisors import Backoff
from tocsin_supervisors._advice_pace import COUNTED, crash_loop, longest_row, shortest_row
from tocsin_supervisors._advice_views import ChildView

LEAST_GROWTH = 1.0 + sys.float_info.epsilon


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    seconds = st.floats(min_value=0, max_value=1e6)
    low, high = sorted((draw(seconds), draw(seconds)))
    return Backoff(low, high, draw(st.floats(min_value=1, max_value=10)), draw(st.floats(min_value=0, max_value=1)))


@given(backoffs(), st.integers(min_value=0, max_value=300))
def test_the_shortest_row_is_the_sum_of_its_shortest_delays(backoff: Backoff, restarts: int) -> None:
    delays = [backoff.delay(number, MostJitter()) for number in range(1, restarts + 1)]
    assert shortest_row(backoff, restarts) == pytest.approx(math.fsum(delays), rel=1e-12)


@given(backoffs(), st.integers(min_value=0, max_value=300), st.integers())
def test_no_row_is_faster_than_the_shortest_or_slower_than_the_longest(
    backoff: Backoff, restarts: int, seed: int
) -> None:
    random = Random(seed)
    row = math.fsum(backoff.delay(number, random) for number in range(1, restarts + 1))
    assert shortest_row(backoff, restarts) * (1 - 1e-12) <= row <= longest_row(backoff, restarts) * (1 + 1e-12)


@pytest.mark.parametrize(
    "restarts", [COUNTED + 1, *(pytest.param(each, marks=pytest.mark.slow) for each in (20_000, 30_000))]
)
@pytest.mark.parametrize("jitter", [0.0, 0.25])
def test_a_backoff_that_grows_for_long_is_summed_up_as_a_series(restarts: int, jitter: float) -> None:
    backoff = Backoff(0.001, 30.0, 1.0004, jitter)
    one_by_one = math.fsum(backoff.delay(number, MostJitter()) for number in range(1, restarts + 1))
    assert one_by_one * (1 - 2e-9) <= shortest_row(backoff, restarts) <= one_by_one


def test_a_backoff_that_hardly_grows_is_as_good_as_constant() -> None:
    row = shortest_row(Backoff(1.0, 2.0, LEAST_GROWTH, jitter=0), 10**6)
    assert 10**6 * (1 - 2e-9) <= row <= 10**6


def test_a_backoff_that_hardly_grows_reaches_its_ceiling_all_the_same() -> None:
    restarts = 10**20  # of which some 3e15 lead there
    assert shortest_row(Backoff(1.0, 2.0, LEAST_GROWTH, jitter=0), restarts) == pytest.approx(2e20, rel=1e-3)


@pytest.mark.parametrize(
    ("backoff", "row"),
    [
        (Backoff(), math.inf),
        (Backoff(1.0, 1.0), math.inf),
        (Backoff.none(), 0.0),
        (Backoff(initial=0), 0.0),
        (Backoff(jitter=1.0), 0.0),
        (Backoff(1.0, 2.0, LEAST_GROWTH), math.inf),
        (Backoff(1e-300, 1e308, 1.15), math.inf),
    ],
)
def test_no_number_of_restarts_is_too_large(backoff: Backoff, row: float) -> None:
    assert shortest_row(backoff, 10**400) == row


@pytest.mark.parametrize("factor", [1.01, 1.1])
def test_a_sum_beyond_all_floats_is_infinite(factor: float) -> None:
    assert shortest_row(Backoff(1e308, 1.1e308, factor, jitter=0), 5) == math.inf


@pytest.mark.parametrize("restarts", [COUNTED + 4_000, COUNTED + 6_000])
def test_a_series_between_the_smallest_and_the_largest_floats_is_summed_up(restarts: int) -> None:
    backoff = Backoff(1e-300, 1e300, 1.1, jitter=0)  # at its ceiling after 14,500 restarts
    one_by_one = math.fsum(backoff.delay(number, MostJitter()) for number in range(1, restarts + 1))
    assert shortest_row(backoff, restarts) == pytest.approx(one_by_one, rel=1e-8)


def test_the_longest_row_is_counted_out() -> None:
    assert longest_row(Backoff(1.0, 1.0), COUNTED) == COUNTED


def test_a_life_that_ends_at_once_leaves_the_row_alone() -> None:
    child = ChildView("c", backoff=Backoff(1.0, 8.0, jitter=0))
    assert crash_loop(child, 3) == 1 + 2 + 4


def test_where_each_life_is_stable_the_delay_is_always_the_first() -> None:
    child = ChildView("c", backoff=Backoff(1.0, 8.0, jitter=0), stable_after=0.0)
    assert crash_loop(child, 3) == 3


@pytest.mark.parametrize("stable_after", [0.0, 60.0])
@pytest.mark.parametrize("restarts", [0, 1])
def test_no_restart_takes_no_time_and_one_the_first_delay(restarts: int, stable_after: float) -> None:
    child = ChildView("c", backoff=Backoff(4.0, 8.0, jitter=0.25), stable_after=stable_after)
    assert crash_loop(child, restarts) == 3.0 * restarts


def test_a_longer_row_never_takes_less_time() -> None:
    backoff = Backoff(0.001, 30.0, 1.0004, jitter=0.5)
    rows = [shortest_row(backoff, number) for number in (0, 1, 5000, COUNTED, 2 * COUNTED, 10**6, 10**9)]
    assert rows == sorted(rows)
