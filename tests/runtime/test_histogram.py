"""Buckets that grow, windows that turn, and percentiles that are nearly those of everything."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin._handling_times import WINDOW, HandlingTimes
from tocsin._histogram import LONGEST, bounds_of, bucket_of, percentile

BUCKETS = range(bucket_of(LONGEST) + 1)
durations = st.one_of(st.floats(0, 2 * LONGEST), st.floats(0, 1e-3), st.integers(0, 10**9).map(lambda n: n / 1e6))
shares = st.floats(0, 1, exclude_min=True)


def exact(values: list[float], share: float) -> float:
    """Give the percentile by the nearest rank."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def test_the_buckets_follow_each_other_without_a_gap() -> None:
    bounds = [bounds_of(bucket) for bucket in BUCKETS]
    assert bounds[0][0] == 0
    assert all(below[1] == above[0] for below, above in itertools.pairwise(bounds))
    assert bounds[-1][0] <= LONGEST < bounds[-1][1]
    assert len(bounds) == 116


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_begins_with_its_lower_bound_and_ends_before_its_upper_one(bucket: int) -> None:
    low, high = (round(each * 1e6) for each in bounds_of(bucket))
    assert bucket_of(low / 1e6 + 1e-9) == bucket
    assert bucket_of((high - 1) / 1e6 + 1e-9) == min(bucket, BUCKETS[-1])
    assert high - low == 1 or (high - low) / low <= 1 / 4


def test_what_takes_longer_than_the_longest_counts_as_that_and_less_than_nothing_as_nothing() -> None:
    assert bucket_of(math.inf) == bucket_of(LONGEST) == BUCKETS[-1]
    assert bucket_of(-1.0) == 0


@given(st.lists(durations, min_size=1), shares)
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(values: list[float], share: float) -> None:
    found = percentile(Counter(map(bucket_of, values)), share)
    assert found is not None
    low, high = bounds_of(bucket_of(exact(values, share)))
    assert low <= found <= high


@given(st.lists(durations, min_size=1), shares, shares)
def test_percentiles_grow_with_the_share(values: list[float], one: float, other: float) -> None:
    counts = Counter(map(bucket_of, values))
    low, high = (percentile(counts, share) for share in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


# ── windows ──


def percentiles(times: HandlingTimes, now: float | None, *shares: float) -> Any:
    """Give them as what may be compared with an approximation."""
    return times.percentiles(now, *shares)


def test_what_is_read_is_of_the_last_two_windows() -> None:
    times = HandlingTimes()
    times.note(1.0, now=100.0)
    assert percentiles(times, 100.0 + WINDOW, 1.0) == (pytest.approx(1.0, rel=0.25),)
    times.note(100.0, now=100.0 + WINDOW)
    assert percentiles(times, 100.0 + WINDOW, 0.5, 1.0) == (pytest.approx(1, rel=0.25), pytest.approx(100, rel=0.25))
    assert percentiles(times, 100.0 + 2 * WINDOW, 0.5) == (pytest.approx(100, rel=0.25),)
    assert percentiles(times, 100.0 + 4 * WINDOW, 0.5) == (None,)
    assert (times.count, times.seconds) == (2, 101.0)


def test_without_a_time_nothing_grows_old() -> None:
    times = HandlingTimes()
    times.note(1.0, now=100.0)
    assert percentiles(times, None, 0.5) == (pytest.approx(1.0, rel=0.25),)


def test_a_window_that_is_turned_late_is_not_kept_for_longer() -> None:
    times = HandlingTimes()
    times.note(1.0, now=100.0)
    times.note(0.001, now=100.0 + 1.9 * WINDOW)
    assert percentiles(times, 100.0 + 2.1 * WINDOW, 1.0) == (pytest.approx(0.001, rel=0.25),)


@given(st.lists(st.tuples(durations, st.floats(0, 40)), min_size=1))
@example([(1.0, 0.0), (0.0, 31.0), (0.0, 29.0)])
def test_nothing_of_the_last_window_is_forgotten_and_nothing_older_than_two_is_told(
    noted: list[tuple[float, float]],
) -> None:
    times, now = HandlingTimes(), 0.0
    told: list[tuple[float, float]] = []  # when and how long
    for seconds, later in noted:
        now += later
        times.note(seconds, now)
        told.append((now, seconds))
    (longest,) = times.percentiles(now, 1.0)
    assert longest is not None
    fresh = max(seconds for at, seconds in told if at > now - WINDOW)
    all_of_it = max(seconds for at, seconds in told if at > now - 2 * WINDOW)
    assert bounds_of(bucket_of(fresh))[0] <= longest <= bounds_of(bucket_of(all_of_it))[1]
