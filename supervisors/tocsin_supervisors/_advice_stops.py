"""Advice on stops: what may take longer than the time that it is given.

The longest way down the ladder of one child is its grace period, and with a context its cleanup period after that.
Children are stopped one after the other, the last started first; those of a template all at once. A supervisor among
them takes what its own children take, until its own deadline, or its grace period, cuts them. At the deadline, all that
is left is cancelled at once. A deadline of 0 says in so many words that nothing is waited for, and is not spoken of.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING

from ._advice_findings import Finding
from ._advice_text import named, seconds, who
from ._slots import HANGS_AFTER

if TYPE_CHECKING:
    from ._advice_views import ChildView, SupervisorView

_DEFAULT_GRACE = 5.0
_DEFAULT_CLEANUPS = (1.0, 1.0 + _DEFAULT_GRACE)  # the longer one where the cleanup has a grace period for itself
_DEFAULT_DEADLINE = 30.0


def advise_on_stops(view: SupervisorView) -> list[Finding]:
    """Say which child may be cut short, and by what."""
    return [*_without_limit(view), *_of_one(view), *_of_subtrees(view), *_of_all(view)]


# ── how long it may take ──


def longest_stop(child: ChildView) -> float:
    """Give the seconds after which *child* is down, or is passed over because it hangs."""
    if child.supervisor is None:
        return child.grace_period + (child.cleanup_period if child.wants_context else 0.0)
    needs, deadline = needed_stop(child.supervisor), child.supervisor.shutdown_deadline
    if needs >= deadline and needs > 0:  # at the very same time, the deadline comes first
        needs = deadline + HANGS_AFTER
    # Cancelled by its parent, it cancels all that is left in it.
    return needs if needs <= child.grace_period else child.grace_period + min(child.cleanup_period, HANGS_AFTER)


def needed_stop(view: SupervisorView) -> float:
    """Give the seconds that the children of *view* may take, if no deadline cuts them."""
    return max(_passed(view), default=0.0)


def cut_after(view: SupervisorView, deadline: float) -> tuple[str, ...]:
    """Give the children that may not be down when *deadline* seconds of a stop are over, in start order."""
    in_time = [passed <= deadline for passed in _passed(view)]
    return tuple(child.id for child, ends in zip(view.children, reversed(in_time), strict=True) if not ends)


def _passed(view: SupervisorView) -> list[float]:
    """Give the seconds that have passed at most when each child is down, the first to be stopped first."""
    stops = [longest_stop(child) for child in reversed(view.children)]
    return stops if view.is_template else list(accumulate(stops))


def _is_chosen(view: SupervisorView) -> bool:
    """Tell whether any number in it, or below it, is not the default one."""
    return view.shutdown_deadline != _DEFAULT_DEADLINE or any(map(_is_chosen_of, view.children))


def _is_chosen_of(child: ChildView) -> bool:
    if child.supervisor is not None:
        return child.grace_period != math.inf or child.cleanup_period != 1.0 or _is_chosen(child.supervisor)
    return child.grace_period != _DEFAULT_GRACE or child.cleanup_period not in _DEFAULT_CLEANUPS


# ── the rules ──


def _without_limit(view: SupervisorView) -> list[Finding]:
    endless = tuple(child.id for child in view.children if longest_stop(child) == math.inf)
    deadline = view.shutdown_deadline
    if not endless or deadline == 0:
        return []
    if deadline == math.inf:
        text = (
            f"a stop may take for ever: there is no limit to how long {who(endless)} may take, and shutdown_deadline "
            "is infinite as well. Give the one or the other a limit."
        )
        return [Finding("stop_without_limit", "warning", view.path, endless, text)]
    starved = [id for id in cut_after(view, deadline) if id not in endless]
    then = f", and {who(starved)}, stopped after that, may be left no time at all" if starved else ""
    text = (
        f"only the shutdown_deadline of {seconds(deadline)} limits how long {who(endless)} may take to stop{then}. "
        "Give a finite grace_period if that is not meant."
    )
    return [Finding("stop_without_limit", "note", view.path, endless, text)]


def _of_one(view: SupervisorView) -> list[Finding]:
    deadline = view.shutdown_deadline
    slow = [child for child in view.children if child.supervisor is None and deadline < longest_stop(child) < math.inf]
    if not slow or deadline == 0:
        return []
    slowest = max(slow, key=longest_stop)
    cleanup = f" and a cleanup_period of {seconds(slowest.cleanup_period)}" if slowest.wants_context else ""
    text = (
        f"{who([child.id for child in slow])} may take longer to stop than the shutdown_deadline of "
        f"{seconds(deadline)}: {slowest.id!r} has a grace_period of {seconds(slowest.grace_period)}{cleanup}, but is "
        "cut at the deadline even when it is stopped alone. Raise the deadline, or shorten what it has."
    )
    return [Finding("stop_of_one_too_long", "warning", view.path, tuple(child.id for child in slow), text)]


def _of_subtrees(view: SupervisorView) -> list[Finding]:
    findings: list[Finding] = []
    for child in view.children:
        if child.supervisor is not None:
            findings += _of_subtree(view, child, child.supervisor)
    return findings


def _of_subtree(view: SupervisorView, child: ChildView, below: SupervisorView) -> list[Finding]:
    needs = min(needed_stop(below), below.shutdown_deadline)
    limit = min(view.shutdown_deadline, child.grace_period)
    if needs <= limit or limit == 0:
        return []
    whose = "its own grace_period" if limit == child.grace_period else "the shutdown_deadline above it"
    paths = tuple(f"{child.id}/{id}" for id in cut_after(below, limit))
    text = (
        f"supervisor {child.id!r} may need {seconds(needs)} to stop (its children {seconds(needed_stop(below))} in "
        f"all, its own shutdown_deadline gives {seconds(below.shutdown_deadline)}), but {whose} ends after "
        f"{seconds(limit)}: then {named(paths)} may be cut. Raise that, or let what is below take less."
    )
    return [Finding("stop_of_subtree_cut", "warning", view.path, paths, text)]


def _of_all(view: SupervisorView) -> list[Finding]:
    needs, deadline = needed_stop(view), view.shutdown_deadline
    if view.is_template or len(view.children) < 2 or deadline == 0 or not deadline < needs < math.inf:
        return []
    cut = cut_after(view, deadline)
    text = (
        f"stopping {len(view.children)} children one after the other may take {seconds(needs)}, longer than the "
        f"shutdown_deadline of {seconds(deadline)}: {who(cut)}, stopped last, may be cut. Raise the deadline, or "
        "shorten grace periods."
    )
    return [Finding("stop_of_all_too_long", "warning" if _is_chosen(view) else "note", view.path, cut, text)]
