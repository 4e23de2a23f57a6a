"""Documents of a daemon's state, for what reads them."""

from __future__ import annotations

from typing import Any

import attrs

from tests.cli import snapshots
from tocsin import SubscriptionStatistics, TreeNode
from tocsin.cli._control._protocol import Json
from tocsin.cli._control._status import status_document


def actor(name: str = "charge", **values: Any) -> SubscriptionStatistics:
    """Give an actor of the group that is up, and has done nothing."""
    unknown = {"group": "billing", "last_error": None, "p50": None, "p99": None}
    return snapshots.actor(name, **(unknown | values))


def node(name: str, kind: Any = "actor", *children: TreeNode, **values: Any) -> TreeNode:
    fields: dict[str, Any] = {"state": "running", "strategy": None, "incarnation": 1, "restarts": 0}
    fields |= {"last_failure": None} | values
    return TreeNode(id=name, kind=kind, children=children, **fields)


def document(
    *actors: SubscriptionStatistics, process: int = 7, clock: float = 100.0, restarts: int = 0, **values: Any
) -> dict[str, Json]:
    """Give the document of a bus with *actors* in a group, and the fields of its statistics in *values*."""
    leaves = [node(each.name, restarts=each.restarts, state=each.state) for each in actors]
    tree = node("shop", "supervisor", node("billing", "supervisor", *leaves, restarts=restarts))
    statistics = attrs.evolve(snapshots.snapshot(*actors), **{"tree": tree, **values})
    return status_document(statistics, process=process, clock=clock)
