"""Advice on options that are never consulted, or that another one overrules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._advice_findings import Finding
from ._advice_text import named, seconds, who
from ._advice_views import SUPERVISOR_INTENSITY, ChildView, alike

if TYPE_CHECKING:
    from ._advice_views import SupervisorView

_OF_RESTARTS = ("intensity", "backoff", "suspension", "stable_after", "on_exhausted", "unpark_after")
_DEFAULT = ChildView("default")


def advise_on_options(view: SupervisorView) -> list[Finding]:
    """Say which options change nothing."""
    return [
        *_of_temporary_children(view),
        *_unpark_after(view),
        *_row_of_a_supervisor(view),
        *_auto_shutdown(view),
        *_start_timeouts(view),
    ]


def _of_temporary_children(view: SupervisorView) -> list[Finding]:
    temporary = [child for child in view.children if not child.is_restarted and _chosen(child)]
    return [
        Finding(
            "option_without_effect",
            "warning",
            view.path,
            ids,
            f"{who(ids)} {_is(ids)} temporary and never restarted, so {', '.join(_chosen(child))} will not be "
            "consulted. Take it away, or make the restart policy transient.",
        )
        for child, ids in alike(temporary, _chosen)
    ]


def _chosen(child: ChildView) -> tuple[str, ...]:
    return tuple(name for name in _OF_RESTARTS if getattr(child, name) != getattr(_DEFAULT, name))


def _unpark_after(view: SupervisorView) -> list[Finding]:
    never_parked = [
        child
        for child in view.children
        if child.is_restarted and child.on_exhausted == "escalate" and child.unpark_after < math.inf
    ]
    return [
        Finding(
            "option_without_effect",
            "warning",
            view.path,
            ids,
            f"unpark_after={child.unpark_after:.12g} of {who(ids)} will not be consulted: with on_exhausted='escalate' "
            "nothing is parked, the supervisor is given up. Say on_exhausted='park', or take it away.",
        )
        for child, ids in alike(never_parked, lambda child: child.unpark_after)
    ]


def _row_of_a_supervisor(view: SupervisorView) -> list[Finding]:
    findings: list[Finding] = []
    for option, intensity in (("intensity", view.intensity), ("subtree_intensity", view.subtree_intensity)):
        if intensity is None or intensity.max_consecutive in (None, SUPERVISOR_INTENSITY.max_consecutive):
            continue
        text = (
            f"max_consecutive in {option} of a supervisor will not be consulted: a row is of the lives of one child. "
            "Set it in the intensity of each child, and take it away here."
        )
        findings.append(Finding("option_without_effect", "warning", view.path, (), text))
    return findings


def _auto_shutdown(view: SupervisorView) -> list[Finding]:
    significant = tuple(child.id for child in view.children if child.significant)
    # Without any child that is declared, significant ones will be started by request.
    if view.auto_shutdown == "never" or not view.children:
        return []
    if not significant:
        ids = tuple(child.id for child in view.children)
        text = (
            f"auto_shutdown={view.auto_shutdown} never comes: {who(ids)} {_is(ids)} not significant. "
            "Say significant=True of those whose end is to end the supervisor."
        )
        return [Finding("auto_shutdown_never_comes", "warning", view.path, ids, text)]
    if view.auto_shutdown == "all_significant" and len(significant) == 1 and not view.is_template:
        text = (
            f"auto_shutdown=all_significant is the same as any_significant: only {named(significant)} is significant."
        )
        return [Finding("all_significant_is_any", "note", view.path, significant, text)]
    return []


def _start_timeouts(view: SupervisorView) -> list[Finding]:
    findings: list[Finding] = []
    for child in view.children:
        inside = () if child.supervisor is None else child.supervisor.children
        slow = tuple(each.id for each in inside if _start_of(each) > child.start_timeout)
        if slow:
            longest = max(map(_start_of, inside))
            text = (
                f"supervisor {child.id!r} has to be up within its start_timeout of {seconds(child.start_timeout)}, but "
                f"{who(slow)} in it may take {seconds(longest)} alone; the start of all that is in it fails then. "
                "Raise the start_timeout of the supervisor, or lower that of its children."
            )
            findings.append(Finding("start_cut_short", "note", view.path, (child.id,), text))
    return findings


def _start_of(child: ChildView) -> float:
    """Give the seconds that *child* may take until it is up: none without a context, it is up with its first step."""
    return child.start_timeout if child.wants_context else 0.0


def _is(children: tuple[object, ...]) -> str:
    return "is" if len(children) == 1 else "are"
