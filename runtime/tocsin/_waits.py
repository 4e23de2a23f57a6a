"""The waits among the actors of one run: who waits for whom at this moment, so that a wait that would never end can be
refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from ._wait_graph import closing_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from ._actor import Actor
    from ._server import Server


@final
class Waits:
    """Only slow paths come here: a server enters when its handler is about to wait for other actors."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        # Server → whom it still waits for, asked anew each time. More than one: its handler publishes from threads.
        self._waiting: dict[Server, list[Callable[[], Iterable[Actor]]]] = {}

    @contextmanager
    def entered(self, server: Server | None, actors: Callable[[], Iterable[Actor]]) -> Generator[None, None, None]:
        """Count *server* as waiting for *actors* inside of the block;

        None is a publisher outside of all actors, which nobody waits for.
        """
        if server is None:
            yield
            return
        own = self._waiting.setdefault(server, [])
        own.append(actors)
        try:
            yield
        finally:
            own.remove(actors)
            if not own:
                del self._waiting[server]

    def cycle(self, newcomer: Actor, targets: Iterable[Actor]) -> tuple[str, ...] | None:
        """Give the names along the cycle that *newcomer* would close by waiting for *targets*, or None."""
        waits: dict[Actor, list[frozenset[Actor]]] = {}
        for server, own in self._waiting.items():
            waits.setdefault(server.actor, []).append(frozenset(actor for actors in own for actor in actors()))
        cycle = closing_cycle(waits, _servers, newcomer, targets)
        return None if cycle is None else tuple(actor.name for actor in cycle)


def _servers(actor: Actor) -> int:
    """Tell how many servers of *actor* take deliveries: one while it is on probation."""
    return 1 if actor.health.on_probation else actor.settings.concurrency
