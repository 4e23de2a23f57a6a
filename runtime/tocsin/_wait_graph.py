"""Who waits for whom among actors, and whether one more wait would never end.

An actor with N servers makes progress as long as one of them does. A server that waits (for room in full mailboxes, or
for an answer) is stuck when *one* of the actors it waits for is stuck, since it needs all of them. So the stuck actors
are the largest set in which every actor has all its servers waiting, each for at least one member of the set. A wait is
refused when it would put the newcomer into that set. Only waits of an actor's own servers are edges: a task that a
handler started beside itself can still be served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

Node = TypeVar("Node", bound="Hashable")


def closing_cycle(
    waits: Mapping[Node, Sequence[frozenset[Node]]],
    servers: Callable[[Node], int],
    newcomer: Node,
    targets: Iterable[Node],
) -> tuple[Node, ...] | None:
    """Give the cycle that *newcomer* would close by waiting for *targets*, first actor again at the end, or None if the
    wait can end.

    *waits* maps each actor to what each of its waiting servers waits for; *servers* tells how many an actor has.
    """
    edges = {node: list(each) for node, each in waits.items()}
    edges.setdefault(newcomer, []).append(frozenset(targets))
    stuck = {node for node, each in edges.items() if len(each) >= servers(node)}
    while freed := {node for node in stuck if any(not (wait & stuck) for wait in edges[node])}:
        stuck -= freed
    if newcomer not in stuck:
        return None
    return _path_back(edges, stuck, newcomer)


def _path_back(edges: Mapping[Node, Sequence[frozenset[Node]]], stuck: set[Node], start: Node) -> tuple[Node, ...]:
    """Follow one wait after the other within *stuck* until an actor comes up again; start the cycle there."""
    path = [start]
    while True:
        # The newest wait comes last, so that the path starts with the one that is being refused.
        step = next(iter(edges[path[-1]][-1] & stuck))
        if step in path:
            return (*path[path.index(step) :], step)
        path.append(step)
