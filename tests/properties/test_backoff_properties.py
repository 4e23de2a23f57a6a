"""Every delay of every backoff."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors import Backoff

SECONDS = st.floats(min_value=0, max_value=1e300)
ATTEMPTS = st.integers(min_value=1, max_value=64) | st.integers(min_value=1, max_value=10**12)


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    low, high = sorted((draw(SECONDS), draw(SECONDS)))
    return Backoff(low, high, draw(st.floats(min_value=1, max_value=1e300)), draw(st.floats(min_value=0, max_value=1)))


@given(backoffs(), ATTEMPTS, st.integers())
def test_every_delay_is_finite_and_within_jitter_below_the_cap(backoff: Backoff, attempt: int, seed: int) -> None:
    delay = backoff.delay(attempt, Random(seed))
    full = Backoff(backoff.initial, backoff.maximum, backoff.factor, jitter=0).delay(attempt, Random(seed))
    assert math.isfinite(delay)
    assert full * (1 - backoff.jitter) <= delay <= full <= backoff.maximum


@given(backoffs(), ATTEMPTS)
def test_without_jitter_the_delay_never_shrinks(backoff: Backoff, attempt: int) -> None:
    plain = Backoff(backoff.initial, backoff.maximum, backoff.factor, jitter=0)
    assert plain.delay(attempt, Random(0)) <= plain.delay(attempt + 1, Random(0))
