"""Targets about values that are worked out of several figures, where `targets.py` has those about one."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.cases import Medians, Target
from benchmarks.targets import figure

Value = Callable[[Medians], float | None]


def quotient(above: float | None, below: float | None) -> float | None:
    """Divide, if both are there."""
    return None if above is None or not below else above / below


def figures(case: str, other: str, key: str, other_key: str | None = None) -> Value:
    """Give the figure *key* of one contender divided by the same, or another one, of the other."""

    def value(medians: Medians) -> float | None:
        return quotient(figure(medians, case, key), figure(medians, other, other_key or key))

    return value


def at_most(text: str, limit: float, value: Value) -> Target:
    """*value* must not be above *limit*."""

    def holds(medians: Medians) -> bool | None:
        found = value(medians)
        return None if found is None else found <= limit

    return Target(text=text, holds=holds, value=value)


def at_least(text: str, limit: float, value: Value) -> Target:
    """*value* must not be below *limit*."""

    def holds(medians: Medians) -> bool | None:
        found = value(medians)
        return None if found is None else found >= limit

    return Target(text=text, holds=holds, value=value)
