"""Advice on who is restarted with whom: against what the children say they need.

A child needs what it names in `needs`, and what that needs in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._advice_findings import Finding
from ._advice_text import named
from ._strategies import Strategy

if TYPE_CHECKING:
    from ._advice_views import ChildView, SupervisorView

A_FEW = 3  # children of a subtree that a sibling may restart without a word


def advise_on_coupling(view: SupervisorView) -> list[Finding]:
    """Say where a crash restarts what does not need the child, or leaves alone what does."""
    findings = _started_too_early(view)
    if not view.couples:
        return [*findings, *_restarted_alone(view)]
    findings += _parked_in_a_group(view)
    needs = transitive_needs(view)
    if len(view.children) > 1 and not any(needs.values()):
        findings.append(_unchecked(view))
    elif view.strategy is Strategy.ONE_FOR_ALL:
        findings += _unrelated_of_all(view, needs)
    else:
        findings += _unrelated_of_rest(view, needs)
    return [*findings, *_subtrees(view, needs)]


def transitive_needs(view: SupervisorView) -> dict[str, set[str]]:
    """Give for each child the siblings that it needs, directly or not; never itself."""
    direct = {child.id: child.needs for child in view.children}
    closed: dict[str, set[str]] = {}
    for id in direct:
        found, ahead = set[str](), [id]
        while ahead:
            new = {need for need in direct[ahead.pop()] if need in direct and need not in found}
            found |= new
            ahead += new
        closed[id] = found - {id}
    return closed


# ── needs that are not met ──


def _started_too_early(view: SupervisorView) -> list[Finding]:
    place = {child.id: number for number, child in enumerate(view.children)}
    findings: list[Finding] = []
    for child in view.children:
        later = tuple(id for id in child.needs if place.get(id, -1) > place[child.id])
        if later:
            text = (
                f"{child.id!r} needs {named(later)}, declared after it: it is started before what it needs, and "
                "stopped after it. Declare it last."
            )
            findings.append(Finding("needs_a_later_one", "warning", view.path, (child.id, *later), text))
    return findings


def _restarted_alone(view: SupervisorView) -> list[Finding]:
    users: dict[str, list[str]] = {}
    for child in view.children:
        for need in child.needs:
            users.setdefault(need, []).append(child.id)
    findings: list[Finding] = []
    for child in view.children:
        if child.is_restarted and child.id in users:
            text = (
                f"{child.id!r} is restarted alone, though it is needed by {named(users[child.id])}, running on with "
                "what is left of its former life. REST_FOR_ONE would restart them with it. Nothing need be done if it "
                "can be replaced unseen."
            )
            findings.append(Finding("needs_restarted_alone", "note", view.path, (child.id, *users[child.id]), text))
    return findings


# ── strategies that couple ──


def _parked_in_a_group(view: SupervisorView) -> list[Finding]:
    with_others = view.children if view.strategy is Strategy.ONE_FOR_ALL else view.children[:-1]
    parked = tuple(child.id for child in with_others if child.is_restarted and child.on_exhausted == "park")
    # Of several, the first is the one that most others come after.
    left = [id for id in _affected(view, parked[0]) if id != parked[0]] if parked else []
    if not left:
        return []
    text = (
        f"once {named(parked[:1])} is parked, {named(left)} would run without it, although {view.strategy.name} says "
        "that they cannot do without. Say on_exhausted='escalate', or declare it under a supervisor of its own."
    )
    return [Finding("parked_in_a_group", "warning", view.path, parked, text)]


def _affected(view: SupervisorView, failed: str) -> tuple[str, ...]:
    return view.strategy.affected([child.id for child in view.children], failed)


def _unchecked(view: SupervisorView) -> Finding:
    number = len(view.children)
    crash = "any one" if view.strategy is Strategy.ONE_FOR_ALL else repr(view.children[0].id)
    text = (
        f"a crash of {crash} restarts all {number} children, as {view.strategy.name} says; that they depend on each "
        "other is taken on trust. Declare needs=... to have this checked."
    )
    return Finding("coupling_unchecked", "note", view.path, tuple(child.id for child in view.children), text)


def _unrelated_of_all(view: SupervisorView, needs: dict[str, set[str]]) -> list[Finding]:
    groups = _groups(needs)
    if len(groups) < 2:
        return []
    kept = max(groups, key=len)
    others = [group for group in groups if group is not kept]
    text = (
        f"the children fall into {len(groups)} groups that need nothing of each other ("
        f"{'; '.join(map(named, [kept, *others]))}), but ONE_FOR_ALL restarts them together: a crash of "
        f"{named(others[0], 'or')} restarts {named(kept)} for nothing, and the other way round. Put each group under a "
        "supervisor of its own, or declare the needs that are missing."
    )
    unrelated = tuple(id for group in others for id in group)
    return [Finding("unrelated_but_coupled", "warning", view.path, unrelated, text)]


def _groups(needs: dict[str, set[str]]) -> list[list[str]]:
    """Give the children in groups that no need connects, in either direction."""
    groups: list[list[str]] = []
    for id, needed in needs.items():
        joined = [group for group in groups if any(other in needed or id in needs[other] for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([*(other for group in joined for other in group), id])
    return groups


def _unrelated_of_rest(view: SupervisorView, needs: dict[str, set[str]]) -> list[Finding]:
    findings: list[Finding] = []
    for number, child in enumerate(view.children):
        earlier = [each.id for each in view.children[:number]]
        unneeded = [id for id in earlier if id not in needs[child.id]]
        if not unneeded:
            continue
        # Where dependencies branch, no order avoids this; a child that needs nothing before it has no place here.
        needed = [id for id in earlier if id in needs[child.id]]
        only = f"of these it needs only {named(needed)}" if needed else "it needs none of them"
        text = (
            f"a crash of {named(unneeded, 'or')} restarts {child.id!r} for nothing, as REST_FOR_ONE restarts all "
            f"that is declared after it: {only}. Declare the needs that are missing, or move it to a supervisor of its "
            "own."
        )
        findings.append(
            Finding("unrelated_but_coupled", "note" if needed else "warning", view.path, (child.id, *unneeded), text)
        )
    return findings


def _subtrees(view: SupervisorView, needs: dict[str, set[str]]) -> list[Finding]:
    findings: list[Finding] = []
    for number, subtree in enumerate(view.children):
        size = _leaves(subtree)
        if subtree.supervisor is None or size <= A_FEW:
            continue
        others = view.children if view.strategy is Strategy.ONE_FOR_ALL else view.children[:number]
        causes = [each.id for each in others if each.supervisor is None and each.id not in needs[subtree.id]]
        if causes:
            text = (
                f"a crash of {named(causes, 'or')} restarts the whole of {subtree.id!r} with its {size} children, as "
                f"{view.strategy.name} says. Say so by needs=... if that is meant, or move one of them elsewhere."
            )
            findings.append(Finding("subtree_coupled", "note", view.path, (subtree.id, *causes), text))
    return findings


def _leaves(child: ChildView) -> int:
    return 1 if child.supervisor is None else sum(map(_leaves, child.supervisor.children))
