"""Values as the sentences of the advice write them."""

from __future__ import annotations

import math
import sys
from decimal import ROUND_FLOOR, Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._backoff import Backoff
    from ._intensity import RestartIntensity

_NAMED = 4  # of many children; the finding itself has them all
_DOWN = Context(prec=3, rounding=ROUND_FLOOR)


def seconds(duration: float) -> str:
    """Write a duration that was chosen or added up."""
    return "unlimited time" if duration == math.inf else f"{duration:.12g} s"


def at_least(duration: float) -> str:
    """Write a duration that is a lower bound: to three digits, rounded down."""
    return seconds(float(_DOWN.create_decimal(repr(min(duration, sys.float_info.max)))))


def number(count: int) -> str:
    """Write a whole number; one that the interpreter may refuse to print, by the power of two below it."""
    return str(count) if count.bit_length() <= 64 else f"over 2^{count.bit_length() - 1}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number of things."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def limit(intensity: RestartIntensity) -> str:
    """Write the window of *intensity*."""
    return f"{counted(intensity.max_restarts, 'restart')} within {seconds(intensity.period)}"


def pace(backoff: Backoff, noun: str = "backoff") -> str:
    """Write how *backoff* grows."""
    if backoff.initial == backoff.maximum or backoff.factor == 1 or backoff.initial == 0:
        return f"a {noun} of {seconds(backoff.initial)}"
    return f"a {noun} of {seconds(backoff.initial)} to {seconds(backoff.maximum)}"


def named(ids: Sequence[str], last_word: str = "and") -> str:
    """List ids: 'a', 'b' and 'c'; of many, the first and how many more there are."""
    shown = [repr(id) for id in ids]
    if len(ids) > _NAMED + 1:
        shown = [*shown[:_NAMED], f"{len(ids) - _NAMED} more"]
    *first, last = shown
    return f"{', '.join(first)} {last_word} {last}" if first else last


def who(ids: Sequence[str]) -> str:
    """Name one child, or several."""
    return f"child {named(ids)}" if len(ids) == 1 else f"children {named(ids)}"
