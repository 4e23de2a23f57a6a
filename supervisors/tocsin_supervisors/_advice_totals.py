"""Advice on the limits over several children: the supervisor's own, and the one over all that is below it.

A limit over many never trips if the limits below it let through too few restarts in its period. Counted are crashes of
the children that are declared; those that are started later by request would come on top.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from ._advice_findings import Finding
from ._advice_pace import crash_loop
from ._advice_text import counted, limit, number, who
from ._advice_views import SUPERVISOR_INTENSITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._advice_views import ChildView, SupervisorView


def advise_on_totals(view: SupervisorView) -> list[Finding]:
    """Say which limit over several children can never trip, or trips before one that is below it."""
    return [*_supervisor_never_trips(view), *_subtree_never_trips(view), *_subtree_trips_first(view)]


# ── how many restarts there can be ──


def most_restarts(child: ChildView, within: float) -> int | None:
    """Give how many restarts of *child* its own limit lets through in *within* seconds, None for any number.

    Its backoff, which would let through fewer, is left out: who is held for a canary is started without.
    """
    own = child.intensity
    if not child.is_restarted or own.max_restarts == 0:
        return 0
    most = own.max_restarts * _spans(within, own.period)
    if own.max_consecutive is not None and child.stable_after > 0:
        most = min(most, own.max_consecutive * _spans(within, child.stable_after))
    if child.on_exhausted == "park" and child.unpark_after == 0:
        return None
    # Each time it is unparked its history is empty.
    return most * (_spans(within, child.unpark_after) if child.on_exhausted == "park" else 1)


def most_below(view: SupervisorView, within: float) -> int | None:
    """Give how many restarts in *view* and below it the windows of the supervisors let through in *within* seconds."""
    if view.is_template:
        return None  # who knows what it will be asked for
    total = own = view.intensity.max_restarts * _spans(within, view.intensity.period)
    for child in view.children:
        if child.supervisor is None:
            continue
        below = most_below(child.supervisor, within)
        # Each life of a supervisor begins with an empty history; it is restarted with its siblings as well.
        restarts = own if view.couples else most_restarts(child, within)
        if below is None or restarts is None:
            return None
        total += below * (1 + restarts)
    return total


def _spans(within: float, length: float) -> int:
    """Give how many half-open spans of *length* seconds cover one of *within*; exact, whatever the floats are."""
    return 1 if length == math.inf else math.ceil(Fraction(within) / Fraction(length))


# ── the supervisor's own limit ──


def _supervisor_never_trips(view: SupervisorView) -> list[Finding]:
    own = view.intensity
    # The default is meant for many children. That few do not exceed it is no news.
    if own == SUPERVISOR_INTENSITY or view.is_template or not view.children:
        return []
    total = 0
    for child in view.children:
        most = most_restarts(child, own.period)
        if most is None:
            return []
        total += most
    if total > own.max_restarts:
        return []
    text = (
        f"the limit of {limit(own)} can never be exceeded by {counted(len(view.children), 'child', 'children')}: "
        f"their own limits let through at most {counted(total, 'restart')} in that time, and whichever asks for more "
        "is given up or parked first. Lower it if it is to count."
    )
    return [Finding("supervisor_never_trips", "note", view.path, tuple(each.id for each in view.children), text)]


# ── the limit over the subtree ──


def _subtree_never_trips(view: SupervisorView) -> list[Finding]:
    subtree = view.subtree_intensity
    if subtree is None:
        return []
    most = most_below(view, subtree.period)
    if most is None or most > subtree.max_restarts:
        return []
    nested = tuple(child.id for child in view.children if child.supervisor is not None)
    whose = f"the supervisor's own limit ({limit(view.intensity)})" + (" and those below it" if nested else "")
    lets = "let" if nested else "lets"
    text = (
        f"crashes alone can never exceed subtree_intensity ({limit(subtree)}): {whose} {lets} through at most "
        f"{counted(most, 'restart')} in that time. Lower it if it is to count."
    )
    return [Finding("subtree_never_trips", "note", view.path, nested, text)]


def _subtree_trips_first(view: SupervisorView) -> list[Finding]:
    subtree = view.subtree_intensity
    if subtree is None:
        return []
    paths = tuple(
        path
        for path, child in _below(view)
        if child.is_restarted
        and subtree.max_restarts < child.intensity.max_restarts
        and subtree.period >= child.intensity.period > crash_loop(child, child.intensity.max_restarts)
    )
    if not paths:
        return []
    text = (
        f"crashes alone can never exceed the window of {who(paths)}: they exceed subtree_intensity ({limit(subtree)}) "
        f"first, and with it the whole subtree is given up. Raise it, or allow a single child at most "
        f"{number(subtree.max_restarts)} in that time."
    )
    return [Finding("subtree_trips_first", "note", view.path, paths, text)]


def _below(view: SupervisorView, prefix: str = "") -> Iterator[tuple[str, ChildView]]:
    for child in view.children:
        yield prefix + child.id, child
        if child.supervisor is not None:
            yield from _below(child.supervisor, f"{prefix}{child.id}/")
