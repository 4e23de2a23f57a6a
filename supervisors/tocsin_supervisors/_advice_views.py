"""What the advice on a supervision tree is drawn from.

The views hold what the rules need and nothing else, so that a rule is a plain function of values: no supervisor has to
be made to try one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, final

import attrs

from ._backoff import Backoff
from ._intensity import RestartIntensity
from ._policies import RestartPolicy
from ._strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

SUPERVISOR_INTENSITY = RestartIntensity(30, 60.0)
"""The default of `Supervisor`."""

SUSPENSION = Backoff(initial=1.0, maximum=30.0)
"""The default of `ChildSpec`."""

AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]


@final
@attrs.frozen
class ChildView:
    """One child: the fields of its `ChildSpec`, with the same defaults for a child that is no supervisor."""

    id: str
    restart: RestartPolicy = RestartPolicy.PERMANENT
    intensity: RestartIntensity = attrs.field(factory=RestartIntensity)
    backoff: Backoff = attrs.field(factory=Backoff)
    suspension: Backoff = SUSPENSION
    stable_after: float = 60.0
    on_exhausted: Literal["escalate", "park"] = "escalate"
    unpark_after: float = math.inf
    grace_period: float = 5.0
    cleanup_period: float = 1.0
    start_timeout: float = 30.0
    wants_context: bool = False
    significant: bool = False
    needs: tuple[str, ...] = ()
    supervisor: SupervisorView | None = None
    """The supervisor that the child is, if it is one."""

    @property
    def is_restarted(self) -> bool:
        """False for a temporary child."""
        return self.restart is not RestartPolicy.TEMPORARY


@final
@attrs.frozen
class SupervisorView:
    """One supervisor and what is below it: the options of `Supervisor`, with the same defaults."""

    path: str
    """Names from the root down, joined by "/". Of a supervisor below another, `explain` works it out anew."""

    children: tuple[ChildView, ...] = ()
    """In start order. Of a template, which makes its children as they are asked for, those that are there."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: RestartIntensity = SUPERVISOR_INTENSITY
    shutdown_deadline: float = 30.0
    auto_shutdown: AutoShutdown = "never"
    subtree_intensity: RestartIntensity | None = None
    is_template: bool = False
    limits_above: tuple[RestartIntensity, ...] = ()
    """The subtree intensities of the supervisors above. `explain` fills them in on its way down."""

    @property
    def couples(self) -> bool:
        """True if a restart of one child takes others with it."""
        return self.strategy is not Strategy.ONE_FOR_ONE


def alike(
    children: Iterable[ChildView], key: Callable[[ChildView], Hashable]
) -> list[tuple[ChildView, tuple[str, ...]]]:
    """Group *children* of which *key* gives the same: the first of each group, and the ids of all of it.

    A hundred children of one make are one finding, not a hundred.
    """
    groups: dict[Hashable, list[ChildView]] = {}
    for child in children:
        groups.setdefault(key(child), []).append(child)
    return [(group[0], tuple(child.id for child in group)) for group in groups.values()]
