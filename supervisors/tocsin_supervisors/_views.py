"""How a supervisor and its children are seen from outside: frozen snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import attrs

if TYPE_CHECKING:
    from ._children import Nested
    from ._failures import Failure


@final
@attrs.frozen
class ChildInfo:
    """One child as `which_children` shows it. `supervisor` is the nested supervisor, if the child is one; `stalls` how
    often its code, or that of a child below it, blocked the event loop (if a `stall_threshold` watches that)."""

    id: str
    kind: Literal["actor", "supervisor"]
    state: str
    incarnation: int
    restarts: int
    last_failure: Failure | None
    supervisor: Nested | None = attrs.field(default=None, repr=False)
    stalls: int = 0


@final
@attrs.frozen
class ChildCounts:
    """How many children there are: described, up, and of which kind (up or not)."""

    specs: int
    active: int
    supervisors: int
    actors: int


@final
@attrs.frozen
class TreeNode:
    """A supervisor or a child at one instant, with what is below it. `strategy` is None for a child that is no
    supervisor."""

    id: str
    kind: Literal["actor", "supervisor"]
    state: str
    strategy: str | None
    incarnation: int
    restarts: int
    last_failure: Failure | None
    children: tuple[TreeNode, ...] = ()
    stalls: int = 0
