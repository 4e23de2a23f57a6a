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
        self._waiting: dict[Server, Callable[[], Iterable[Actor]]] = {}  # server → whom it still waits for

    @contextmanager
    def entered(self, server: Server | None, actors: Callable[[], Iterable[Actor]]) -> Generator[None, None, None]:
        """Count *server* as waiting for *actors* inside of the block;

        None is a publisher outside of all actors, which nobody waits for.
        """
        if server is None:
            yield
            return
        self._waiting[server] = actors
        try:
            yield
        finally:
            del self._waiting[server]

    def cycle(self, newcomer: Actor, targets: Iterable[Actor]) -> tuple[str, ...] | None:
        """Give the names along the cycle that *newcomer* would close by waiting for *targets*, or None."""
        waits: dict[Actor, list[frozenset[Actor]]] = {}
        for server, actors in self._waiting.items():
            waits.setdefault(server.actor, []).append(frozenset(actors()))
        cycle = closing_cycle(waits, lambda actor: actor.settings.concurrency, newcomer, targets)
        return None if cycle is None else tuple(actor.name for actor in cycle)
