"""How fast a child can crash, by the arithmetic of its backoff.

A *row* is crashes without a life of ``stable_after`` seconds between them. It is fastest when each life ends at once
and chance takes the most that jitter lets it. What crashes alone cannot do is left out: a child that also raises
`SuspendChild` has a second backoff, and one that is held with others that failed of the same cause is started when the
canary has proved itself.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ._advice_views import ChildView
    from ._backoff import Backoff

COUNTED = 10_000  # delays that are added one by one; a backoff that grows for longer is summed up as the series it is
_ROUNDING = 1e-9  # more than the rounding errors of that sum, taken off so that it stays a lower bound
_LARGEST_EXPONENT = 709.0  # exp() of more is no float
_UNUSED = Random(0)  # nothing is drawn where there is no jitter


def shortest_row(backoff: Backoff, restarts: int) -> float:
    """Give the seconds that a row takes at least from its first crash to the one after *restarts* restarts.

    Exact but for the rounding of the result if the delay has stopped growing after `COUNTED` restarts; else less by one
    part in a thousand million at most.
    """
    plain, share = attrs.evolve(backoff, jitter=0.0), 1.0 - backoff.jitter
    ceiling = plain.maximum if plain.initial > 0 and plain.factor > 1 else plain.initial
    delays = _growing(plain, min(restarts, COUNTED), ceiling)
    rest = restarts - len(delays)
    following = plain.delay(len(delays) + 1, _UNUSED)
    series = 0.0
    if rest and following < ceiling:
        # Rounding up is right here: the term after the last one that is below the ceiling is cut to it.
        terms = min(rest, math.ceil((math.log(ceiling) - math.log(following)) / math.log(plain.factor)))
        series = _geometric(following, plain.factor, terms) * (1 - _ROUNDING)
        rest -= terms
    return _sum([*(delay * share for delay in delays), series * share, _times(rest, ceiling * share)])


def longest_row(backoff: Backoff, restarts: int) -> float:
    """Give the seconds that the delays of a row of at most `COUNTED` restarts take at most."""
    assert restarts <= COUNTED, f"{restarts} delays are too many to be added one by one"
    plain = attrs.evolve(backoff, jitter=0.0)
    return _sum([plain.delay(number, _UNUSED) for number in range(1, restarts + 1)])


def crash_loop(child: ChildView, restarts: int) -> float:
    """Give the seconds at least until the crash after *restarts* restarts, if each life ends right after it came up."""
    return _loop(child, child.backoff, restarts)


def suspension_loop(child: ChildView, restarts: int) -> float:
    """Give the same for a child that is suspended each time."""
    return _loop(child, child.suspension, restarts)


def _loop(child: ChildView, backoff: Backoff, restarts: int) -> float:
    if child.stable_after == 0:
        # Each life is a stable one: the row is always at its beginning, and the delay the first.
        return _times(restarts, shortest_row(backoff, 1))
    return shortest_row(backoff, restarts)


def _growing(plain: Backoff, most: int, ceiling: float) -> list[float]:
    """Give the first delays, *most* at most, that are below the *ceiling*."""
    delays: list[float] = []
    while len(delays) < most:
        delay = plain.delay(len(delays) + 1, _UNUSED)
        if delay >= ceiling:
            break
        delays.append(delay)
    return delays


def _geometric(first: float, factor: float, terms: int) -> float:
    # From the first term beyond down: from the first one up, the power of the factor may be too large for a float.
    growth = terms * math.log(factor)
    beyond = math.exp(min(math.log(first) + growth, _LARGEST_EXPONENT))
    return beyond * -math.expm1(-growth) / (factor - 1)


def _times(count: int, duration: float) -> float:
    if duration == 0:
        return 0.0
    try:
        return count * duration
    except OverflowError:  # an integer too large for a float
        return math.inf


def _sum(durations: list[float]) -> float:
    try:
        return math.fsum(durations)
    except OverflowError:  # finite ones whose sum is not
        return math.inf
