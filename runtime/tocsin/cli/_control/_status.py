"""A snapshot of a bus as JSON: what `status` and `top` show, and programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin.cli._showing import shown, shown_failure

from ._protocol import Json

if TYPE_CHECKING:
    from tocsin import BusStatistics, SubscriptionStatistics, TreeNode


def status_document(statistics: BusStatistics, *, process: int, clock: float) -> dict[str, Json]:
    """Give *statistics* as plain values, each under the name it has there. Errors are in a line, without the
    passwords of addresses; names are as they are.

    *process*: the id; *clock*: when it was, in seconds, so that two documents of one process make a rate.
    """
    return {
        "process": process,
        "clock": clock,
        "name": statistics.name,
        "phase": statistics.phase,
        "published": statistics.published,
        "undeliverable": statistics.undeliverable,
        "dead_letters": statistics.dead_letters,
        "dead_letters_evicted": statistics.dead_letters_evicted,
        "reports_lost": statistics.reports_lost,
        "observer_errors": statistics.observer_errors,
        "store_up": statistics.store_up,
        "store_errors": statistics.store_errors,
        "store_backlog": statistics.store_backlog,
        "ledger": attrs.asdict(statistics.ledger),
        "subscriptions": {name: _actor(each) for name, each in statistics.subscriptions.items()},
        "tree": None if statistics.tree is None else _node(statistics.tree),
    }


def _actor(actor: SubscriptionStatistics) -> dict[str, Json]:
    error = actor.last_error
    return {**attrs.asdict(actor), "last_error": None if error is None else shown(error)}


def _node(node: TreeNode) -> dict[str, Json]:
    return {
        "id": node.id,
        "kind": node.kind,
        "state": node.state,
        "strategy": node.strategy,
        "incarnation": node.incarnation,
        "restarts": node.restarts,
        "last_failure": None if node.last_failure is None else shown_failure(node.last_failure),
        "stalls": node.stalls,
        "children": [_node(child) for child in node.children],
    }
