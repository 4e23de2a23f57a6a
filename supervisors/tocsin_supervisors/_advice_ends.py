"""What ends the crash loop of a child: a child that crashes on its own, each time as fast as its backoff lets it.

Each crash is charged to the child's window and row first, then to the window of its supervisor, then to the limits over
subtrees. Windows are half-open: the crash after those that a window allows exceeds it only if it comes less than a
period after the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, final

import attrs

from ._advice_pace import crash_loop, shortest_row
from ._advice_text import limit, number

if TYPE_CHECKING:
    from ._advice_views import ChildView, SupervisorView
    from ._intensity import RestartIntensity

Whose: TypeAlias = Literal["window", "consecutive", "supervisor", "subtree"]


@final
@attrs.frozen
class End:
    """A rule that trips in the loop."""

    rule: Whose
    restarts: int  # that survive
    after: float  # seconds at least from the first crash to the one that trips it
    text: str


def ends_of_crash_loop(child: ChildView, view: SupervisorView) -> list[End]:
    """Give the rules that trip in the loop, in the order in which they would."""
    found: list[End] = []
    own = child.intensity
    for rule, window in _windows(child, view):
        after = crash_loop(child, window.max_restarts)
        if after < window.period:
            found.append(End(rule, window.max_restarts, after, _OF[rule].format(limit(window))))
        # Charged together with the child's window, after it and before the others.
        if rule == "window" and own.max_consecutive is not None and child.stable_after > 0:
            row = own.max_consecutive
            found.append(End("consecutive", row, shortest_row(child.backoff, row), f"max_consecutive={number(row)}"))
    return sorted(found, key=lambda end: end.restarts)  # stable: at the same crash, the one charged first


_OF = {
    "window": "its own limit of {}",
    "supervisor": "the supervisor's own limit of {}",
    "subtree": "the limit of {} over a whole subtree",
}


def _windows(child: ChildView, view: SupervisorView) -> list[tuple[Whose, RestartIntensity]]:
    """Give the windows in the order in which they are charged."""
    subtrees = [each for each in (view.subtree_intensity, *view.limits_above) if each is not None]
    return [("window", child.intensity), ("supervisor", view.intensity), *(("subtree", each) for each in subtrees)]
