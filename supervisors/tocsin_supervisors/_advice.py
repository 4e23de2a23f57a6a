"""Advice on a supervision tree: what its declaration says that is very likely not meant, in sentences.

| asked for | where |
|---|---|
| a limit that no crash loop can exceed, a loop that nothing ends | `_advice_limits.py` |
| a limit over several children that those below it never let trip | `_advice_totals.py` |
| an option that is never consulted, or overruled by another | `_advice_options.py` |
| a stop that takes longer than its deadline | `_advice_stops.py` |
| a strategy that restarts what is unrelated, or not what is related | `_advice_coupling.py` |

A rule claims only what follows from the declaration; "never" is meant as a proof. It is silent where it cannot tell.
What is very likely a mistake is a *warning*. A tree of defaults has none, whatever its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._advice_coupling import advise_on_coupling
from ._advice_limits import advise_on_limits, advise_on_rows
from ._advice_options import advise_on_options
from ._advice_stops import advise_on_stops
from ._advice_totals import advise_on_totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._advice_findings import Finding
from ._advice_views import SupervisorView

_RULES: tuple[Callable[[SupervisorView], list[Finding]], ...] = (
    advise_on_limits,
    advise_on_rows,
    advise_on_totals,
    advise_on_options,
    advise_on_stops,
    advise_on_coupling,
)


def explain(view: SupervisorView) -> tuple[Finding, ...]:
    """Give all there is to say about a tree, from the root down."""
    findings = list(explain_own(view))
    above = view.limits_above if view.subtree_intensity is None else (view.subtree_intensity, *view.limits_above)
    for child in view.children:
        if child.supervisor is not None:
            findings += explain(attrs.evolve(child.supervisor, path=f"{view.path}/{child.id}", limits_above=above))
    return tuple(findings)


def explain_own(view: SupervisorView) -> tuple[Finding, ...]:
    """Give what there is to say about one supervisor and its own children, in the light of what is below them."""
    return tuple(finding for rule in _RULES for finding in rule(view))
