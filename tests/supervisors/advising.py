"""Views and what the rules say of them, for the tests of the advice."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from tocsin_supervisors import Finding, Strategy
from tocsin_supervisors._advice import explain, explain_own
from tocsin_supervisors._advice_views import ChildView, SupervisorView


class MostJitter(Random):
    """Chance that takes away all that jitter lets it."""

    def random(self) -> float:
        return 1.0


def tree(*children: ChildView, **options: Any) -> SupervisorView:
    """Give a supervisor of *children*."""
    return SupervisorView("root", children, **options)


def nested(id: str, *children: ChildView, spec: dict[str, Any] | None = None, **options: Any) -> ChildView:
    """Give a child that is a supervisor of *children*, by default with the times that a spec then has."""
    defaults: dict[str, Any] = {"grace_period": math.inf, "start_timeout": math.inf, "wants_context": True}
    return ChildView(id, supervisor=SupervisorView(id, children, **options), **{**defaults, **(spec or {})})


def leaves(count: int, **options: Any) -> list[ChildView]:
    """Give *count* children of one make."""
    return [ChildView(f"c{number}", **options) for number in range(count)]


def chain(*needs: str, **options: Any) -> SupervisorView:
    """Give a supervisor of children written "a" or "b < a c": b needs a and c."""
    children: list[ChildView] = []
    for each in needs:
        id, _, needed = each.partition("<")
        children.append(ChildView(id.strip(), needs=tuple(needed.split())))
    return tree(*children, **{"strategy": Strategy.ONE_FOR_ONE, **options})


def found(view: SupervisorView, rule: str | None = None) -> list[Finding]:
    """Give what is found in the whole tree, by *rule* if given."""
    return [finding for finding in explain(view) if rule in (None, finding.rule)]


def only(view: SupervisorView, rule: str) -> Finding:
    """Give the only finding of *rule*."""
    (finding,) = found(view, rule)
    return finding


def rules(view: SupervisorView) -> list[tuple[str, str]]:
    """Give rule and severity of what is found of the supervisor itself."""
    return [(finding.rule, finding.severity) for finding in explain_own(view)]


def warnings_of(view: SupervisorView) -> list[str]:
    """Give the warnings of the whole tree as text."""
    return [str(finding) for finding in explain(view) if finding.severity == "warning"]
