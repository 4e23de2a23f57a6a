"""The targets that several workloads have in common, as ratios that the harness puts among the medians.

Beside what a case gives, the medians hold "us" (microseconds per operation), "x_bare" and, for each other contender
NAME that ran in the same rounds, "x NAME": the time of one operation divided by the other's.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.cases import Medians, Target


def figure(medians: Medians, case: str, key: str) -> float | None:
    """Look one figure up; None if the contender is absent, or has none of that name."""
    return medians.get(case, {}).get(key)


def at_most(text: str, limit: float, case: str, key: str) -> Target:
    """One figure of one contender must not be above *limit*."""

    def value(medians: Medians) -> float | None:
        return figure(medians, case, key)

    def holds(medians: Medians) -> bool | None:
        measured = value(medians)
        return None if measured is None else measured <= limit

    return Target(text=text, holds=holds, value=value)


def at_most_bare(limit: float, case: str = "tocsin", what: str = "") -> Target:
    return at_most(f"at most {limit:g} x bare{what}", limit, case, "x_bare")


def times_as_fast(factor: float, as_what: str, case: str = "tocsin") -> Target:
    """*case* must do at least *factor* operations in the time in which the other one does one."""

    def value(medians: Medians) -> float | None:
        return figure(medians, as_what, f"x {case}")

    def holds(medians: Medians) -> bool | None:
        measured = value(medians)
        return None if measured is None else measured >= factor

    return Target(text=f"at least {factor:g} x as fast as {as_what}", holds=holds, value=value)


def ahead_of_all(names: Iterable[str], case: str = "tocsin") -> Target:
    """*case* must be faster than the fastest of those that ran."""
    rivals = tuple(names)

    def value(medians: Medians) -> float | None:
        leads = [figure(medians, name, f"x {case}") for name in rivals]
        return min((lead for lead in leads if lead is not None), default=None)

    def holds(medians: Medians) -> bool | None:
        lead = value(medians)
        return None if lead is None else lead > 1

    return Target(text="ahead of every peer (how far ahead of the fastest)", holds=holds, value=value)
