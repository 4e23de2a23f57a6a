"""Snapshots of buses that never ran, for what decides from snapshots."""

from __future__ import annotations

from typing import Any

import attrs

from tocsin import BusStatistics, EventBus, Ledger, SubscriptionStatistics, TreeNode

NEW = EventBus("shop").statistics()


def tree(state: str) -> TreeNode:
    return TreeNode("shop", "supervisor", state, "one_for_one", 1, 0, None)


def actor(name: str = "confirm", **values: Any) -> SubscriptionStatistics:
    """An actor that is up, and of which everything else is 0."""
    fields: dict[str, Any] = {field.name: 0 for field in attrs.fields(SubscriptionStatistics)}
    fields.update(values, name=name, state=values.get("state", "running"))
    return SubscriptionStatistics(**fields)


def snapshot(
    *actors: SubscriptionStatistics, phase: str = "running", root: str | None = "running", handled: int = 0
) -> BusStatistics:
    return attrs.evolve(
        NEW,
        phase=phase,
        tree=None if root is None else tree(root),
        subscriptions={each.name: each for each in actors},
        ledger=Ledger(matched=handled, handled=handled),
    )
