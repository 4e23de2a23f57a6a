"""The routes of events that are published without options, ready to be used: class → mailboxes.

Whoever publishes looks here first. What is not here goes the long way, which is always right, and then is here if the
long way would do nothing but put the event into mailboxes. Nothing is here unless the bus runs; all of it is let go of
whenever somebody subscribes or unsubscribes, so a publish never sees half a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._actor import Actor
    from ._mailbox import Mailbox


@final
class Route:
    """Whose mailboxes events of one class go to, and how many have gone there."""

    __slots__ = ("__weakref__", "base", "mailbox", "mailboxes", "names", "published")

    def __init__(self, actors: Sequence[Actor], base: int) -> None:
        self.base: int = base  # of the serial numbers of this run
        self.names: tuple[str, ...] = tuple(actor.name for actor in actors)
        self.mailboxes: tuple[Mailbox, ...] = tuple(actor.mailbox for actor in actors)
        # Looping over one takes longer than putting something into it.
        self.mailbox: Mailbox | None = self.mailboxes[0] if len(actors) == 1 else None
        self.published: int = 0  # since this was last added to the accounts of the actors


@final
class Routes:
    """The table; see the module. `known` stays the same dictionary for the life of the run."""

    __slots__ = ("_all", "_base", "_published", "known")

    def __init__(self, base: int) -> None:
        self._base = base
        self._all: WeakSet[Route] = WeakSet()  # receipts may hold routes that are known no more
        self._published = 0
        self.known: dict[type, Route] = {}

    def remember(self, kind: type, actors: Sequence[Actor], most: int) -> None:
        """Let events of the class *kind* go to *actors* the fast way; there are *most* such classes at a time."""
        if len(self.known) >= most:
            self.clear()
        route = self.known[kind] = Route(actors, self._base)
        self._all.add(route)

    def count(self) -> int:
        """Enter what was published into the accounts of the mailboxes, and give how many events that were in all."""
        for route in self.known.values():
            if route.published:
                self._published += route.published
                for mailbox in route.mailboxes:
                    mailbox.taken += route.published
                route.published = 0
        return self._published

    def clear(self) -> None:
        """Forget the routes: whoever publishes next goes the long way."""
        if self.known:
            self.count()
            self.known.clear()

    def close(self) -> None:
        """The run is over: receipts that still hold a route hold nothing else by it."""
        self.clear()
        for route in self._all:
            route.mailbox, route.mailboxes = None, ()
