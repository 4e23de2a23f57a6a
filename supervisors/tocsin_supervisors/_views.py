"""How a supervisor and its children are seen from outside: frozen snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import attrs

from ._children import Nested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._failures import Failure
    from ._slots import Slot


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


def info_of(slot: Slot) -> ChildInfo:
    """Show one child."""
    start = slot.spec.start
    nested = start if isinstance(start, Nested) else None
    state, failure = slot.state.value, slot.last_failure
    return ChildInfo(slot.spec.id, slot.spec.kind, state, slot.incarnation, slot.restarts, failure, nested, slot.stalls)


def node_of(slot: Slot) -> TreeNode:
    """Show one child and what is below it."""
    start = slot.spec.start
    below = start.tree() if isinstance(start, Nested) else None
    return TreeNode(
        slot.spec.id,
        slot.spec.kind,
        slot.state.value,
        below.strategy if below is not None else None,
        slot.incarnation,
        slot.restarts,
        slot.last_failure,
        below.children if below is not None else (),
        slot.stalls,
    )


def count(slots: Sequence[Slot], *, from_template: bool) -> ChildCounts:
    """Count the children. Those of a template have one spec between them, as in OTP."""
    supervisors = sum(slot.spec.kind == "supervisor" for slot in slots)
    active = sum(slot.state.value in ("running", "stopping") for slot in slots)
    specs = 1 if from_template else len(slots)
    return ChildCounts(specs, active, supervisors, len(slots) - supervisors)
