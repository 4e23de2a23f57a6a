"""Advice on the limits of single children: rules that can never trip, and loops that end too late or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._advice_ends import ends_of_crash_loop
from ._advice_findings import Finding
from ._advice_pace import COUNTED, crash_loop, longest_row, suspension_loop
from ._advice_text import at_least, counted, limit, number, pace, seconds, who
from ._advice_views import SUSPENSION, alike
from ._intensity import RestartIntensity

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ._advice_ends import End
    from ._advice_views import ChildView, SupervisorView

HOT = 100  # restarts with no delay between: no fault of a moment takes more, and they keep a core and the log busy
_DEFAULT_ROW = RestartIntensity().max_consecutive


def advise_on_limits(view: SupervisorView) -> list[Finding]:
    """Say which window can never trip, and what ends a crash loop instead."""
    findings: list[Finding] = []
    for child, ids in alike(_restarted(view), _limits_of):
        ends = ends_of_crash_loop(child, view)
        if child.intensity.may_never_trip:
            findings += _not_kept_clear(view, child, ids, ends)
            findings += _not_kept_clear_suspended(view, child, ids)
        elif not ends:
            findings.append(_never_given_up(view, child, ids))
        elif all(end.rule != "window" for end in ends):
            findings.append(_window_never_trips(view, child, ids, ends[0]))
        else:
            findings += _supervisor_trips_first(view, child, ids, ends[0])
        findings += _hot_loop(view, child, ids, ends)
    return findings


def advise_on_rows(view: SupervisorView) -> list[Finding]:
    """Say which `max_consecutive` can never trip."""
    findings: list[Finding] = []
    for child, ids in alike(_restarted(view), lambda child: (_limits_of(child), _longest_life(child))):
        if child.intensity.max_consecutive is None or child.intensity.may_never_trip:
            continue
        if child.stable_after == 0 and any(end.rule == "window" for end in ends_of_crash_loop(child, view)):
            findings.append(_row_of_failed_starts(view, child, ids))
        elif not view.couples and _window_comes_first(child):
            findings.append(_window_before_row(view, child, ids))
    return findings


def _restarted(view: SupervisorView) -> list[ChildView]:
    return [child for child in view.children if child.is_restarted]


def _limits_of(child: ChildView) -> Hashable:
    paces = child.backoff, child.suspension, child.stable_after
    return child.intensity, paces, child.on_exhausted, child.wants_context


# ── the window ──


def _never_exceeded(child: ChildView, ids: tuple[str, ...]) -> str:
    restarts = child.intensity.max_restarts
    # A stable life makes the next delay a short one again. Where none fits into the window, it need not be spoken of.
    in_a_row = 0 < child.stable_after < child.intensity.period
    crashes = f"crashes without a life of {seconds(child.stable_after)} between them" if in_a_row else "crashes alone"
    return (
        f"{crashes} can never exceed the window of {who(ids)} ({limit(child.intensity)}): with {pace(child.backoff)}, "
        f"{counted(restarts + 1, 'crash', 'crashes')} take at least {at_least(crash_loop(child, restarts))}."
    )


def _never_given_up(view: SupervisorView, child: ChildView, ids: tuple[str, ...]) -> Finding:
    row, cure = "with max_consecutive=None no row is too long", "Set max_consecutive"
    if child.intensity.max_consecutive is not None:
        row, cure = _only_failed_starts(child), "Give a stable_after above 0 s"
    text = (
        f"{_never_exceeded(child, ids)} Nor are they ever too many for the supervisor's own limit of "
        f"{limit(view.intensity)}, and {row}: a child that can never work is restarted for ever. "
        f"{cure}, lengthen the period, or say may_never_trip=True if that is meant."
    )
    return Finding("never_given_up", "warning", view.path, ids, text)


def _window_never_trips(view: SupervisorView, child: ChildView, ids: tuple[str, ...], first: End) -> Finding:
    never_parked = child.on_exhausted == "park" and first.rule != "consecutive"
    then = "; so no crash loop ever has it parked, the supervisor is given up" if never_parked else ""
    text = (
        f"{_never_exceeded(child, ids)} A crash loop is ended by {_end(first)}{then}. "
        "Lengthen the period if the window is to count."
    )
    return Finding("window_never_trips", "warning" if never_parked else "note", view.path, ids, text)


def _not_kept_clear(view: SupervisorView, child: ChildView, ids: tuple[str, ...], ends: list[End]) -> list[Finding]:
    if not ends:
        return []
    text = (
        f"may_never_trip=True says that the backoff of {who(ids)} is meant to keep clear of the limit for ever, but "
        f"with {pace(child.backoff)} a crash loop is ended by {_end(ends[0])}. Let the backoff grow further, allow "
        "more restarts, or take may_never_trip away."
    )
    # Limits over many were chosen with others in mind. Not so the child's own, which the word stands in.
    of_its_own = any(end.rule in ("window", "consecutive") for end in ends)
    return [Finding("not_kept_clear", "warning" if of_its_own else "note", view.path, ids, text)]


def _not_kept_clear_suspended(view: SupervisorView, child: ChildView, ids: tuple[str, ...]) -> list[Finding]:
    # A suspension is charged to the window of the child, and to nothing else.
    restarts = child.intensity.max_restarts
    after = suspension_loop(child, restarts)
    if after >= child.intensity.period:
        return []
    text = (
        f"may_never_trip=True says that {who(ids)} is meant to keep clear of the limit of {limit(child.intensity)} for "
        f"ever, but with {pace(child.suspension, 'suspension')}, {counted(restarts + 1, 'suspension')} may take no "
        f"longer than {at_least(after)}. Let the suspension grow further, allow more restarts, or take may_never_trip "
        "away."
    )
    # Many children are never suspended. One whose suspension was chosen will be.
    is_chosen = child.suspension != SUSPENSION
    return [Finding("not_kept_clear", "warning" if is_chosen else "note", view.path, ids, text)]


def _supervisor_trips_first(view: SupervisorView, child: ChildView, ids: tuple[str, ...], first: End) -> list[Finding]:
    own, its = view.intensity, child.intensity
    if own.max_restarts >= its.max_restarts or own.period < its.period:
        return []
    never_parked = child.on_exhausted == "park" and first.rule != "consecutive"
    then = "so no crash loop ever has it parked" if never_parked else f"a crash loop is ended by {_end(first)}"
    text = (
        f"crashes alone can never exceed the window of {who(ids)} ({limit(its)}): they exceed the supervisor's own "
        f"limit of {limit(own)} first; {then}. Allow the child at most {number(own.max_restarts)} within that time, or "
        f"the supervisor at least {number(its.max_restarts)}."
    )
    return [Finding("supervisor_trips_first", "warning" if never_parked else "note", view.path, ids, text)]


def _end(end: End) -> str:
    crashes = counted(end.restarts + 1, "crash", "crashes")
    return f"{end.text}, after {crashes} and at the earliest {at_least(end.after)} after the first"


def _hot_loop(view: SupervisorView, child: ChildView, ids: tuple[str, ...], ends: list[End]) -> list[Finding]:
    if child.backoff.initial > 0 or ends[0].restarts <= HOT:
        return []
    text = (
        f"without a backoff, {who(ids)} may crash and be restarted {counted(ends[0].restarts, 'time')} with no delay "
        f"between before {ends[0].text} is exceeded: a hot loop that slows down everything else. Give a backoff with "
        "an initial delay, or allow fewer restarts."
    )
    return [Finding("hot_loop", "warning", view.path, ids, text)]


# ── the row ──


def _row(child: ChildView) -> str:
    assert child.intensity.max_consecutive is not None
    return f"max_consecutive={number(child.intensity.max_consecutive)}"


def _only_failed_starts(child: ChildView) -> str:
    counts = "counts only starts that fail" if child.wants_context else "can never be exceeded"
    return f"{_row(child)} {counts}, as with stable_after=0 each life that came up is a stable one and ends the row"


def _row_of_failed_starts(view: SupervisorView, child: ChildView, ids: tuple[str, ...]) -> Finding:
    text = f"{who(ids)}: {_only_failed_starts(child)}. Give a stable_after above 0 s, or say max_consecutive=None."
    return Finding("consecutive_never_trips", "note", view.path, ids, text)


def _longest_life(child: ChildView) -> float:
    """Give the seconds that an incarnation lasts at most, from its start to its crash, without a stable life."""
    if not child.wants_context:
        return child.stable_after
    return child.start_timeout + max(child.stable_after, child.cleanup_period)  # one that starts too late is cancelled


def _window_comes_first(child: ChildView) -> bool:
    """Tell whether even the slowest row exceeds the window before it is too long. The default is not spoken of."""
    restarts, row = child.intensity.max_restarts, child.intensity.max_consecutive
    if row is None or row == _DEFAULT_ROW or not 0 < restarts <= min(row, COUNTED):
        return False
    return _slowest_row(child) < child.intensity.period


def _slowest_row(child: ChildView) -> float:
    """Give the seconds from the first crash to the first that is too much for the window, at most."""
    restarts = child.intensity.max_restarts
    return restarts * _longest_life(child) + longest_row(child.backoff, restarts)


def _window_before_row(view: SupervisorView, child: ChildView, ids: tuple[str, ...]) -> Finding:
    own = child.intensity
    text = (
        f"{_row(child)} of {who(ids)} can never be exceeded: {counted(own.max_restarts + 1, 'crash', 'crashes')} "
        f"without a life of {seconds(child.stable_after)} between them take {seconds(_slowest_row(child))} at most, "
        f"and so exceed the window ({limit(own)}) first. Lower it if it is to count."
    )
    return Finding("consecutive_never_trips", "note", view.path, ids, text)
