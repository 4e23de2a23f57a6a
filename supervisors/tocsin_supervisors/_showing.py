"""How the slots of a machine become the views that others get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._children import Nested
from ._views import ChildCounts, ChildInfo, TreeNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._slots import Slot


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
