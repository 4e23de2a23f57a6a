"""A publisher that waits for room in several full mailboxes at once.

It registers with all of them in the very step in which it found them full, so that publishers are served in their
order, and it waits once for all: one after another could deadlock against a mailbox that drains and goes idle
meanwhile. Each subscription may have its own limit on the wait; when one runs out, only that subscription is given up.
However the wait ends, what was not admitted is withdrawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

import anyio

from ._outcomes import RejectReason

if TYPE_CHECKING:
    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._run import Run


@final
class WaitingPublisher:
    """One blocked publish; see the module."""

    __slots__ = ("_limits", "_now", "_sleeper", "_waiting", "from_handler", "refused")

    def __init__(self, run: Run, *, from_handler: bool) -> None:
        self._now = run.now
        self._sleeper = run.sleeper()
        self.from_handler: bool = from_handler  # it may go on while the bus drains
        self._waiting: dict[AnyDelivery, Actor] = {}
        self._limits: dict[AnyDelivery, float] = {}  # when waiting for this one ends
        self.refused: dict[str, RejectReason] = {}  # name of the subscription → why it was given up

    def wait_for(self, actor: Actor, delivery: AnyDelivery, limit: float | None) -> None:
        """Register with the full mailbox of *actor*, for *limit* seconds at most."""
        self._waiting[delivery] = actor
        self._limits[delivery] = math.inf if limit is None else self._now() + limit
        actor.mailbox.block(delivery, self)

    @property
    def actors(self) -> tuple[Actor, ...]:
        """The actors still waited for."""
        return tuple(self._waiting.values())

    def admitted(self, delivery: AnyDelivery) -> None:
        """Called by the mailbox: it has taken *delivery*, or has room for it once it is kept, and has forgotten us."""
        actor = self._waiting.pop(delivery)
        if delivery.kept is None:
            actor.accepted(delivery)
        else:
            delivery.kept.admitted(actor, delivery)
        self._wake_when_done()

    def refuse(self, delivery: AnyDelivery, reason: RejectReason) -> None:
        """Give up waiting with *delivery*: the subscription ended, or the bus closes."""
        actor = self._waiting.pop(delivery)
        actor.mailbox.unblock(delivery)
        actor.rejected(delivery, reason)
        self.refused[actor.name] = reason
        self._wake_when_done()

    def buried(self, delivery: AnyDelivery) -> None:
        """Called when *delivery* was dead-lettered while it waited, because its actor is down for good."""
        self._waiting.pop(delivery).mailbox.unblock(delivery)
        self._wake_when_done()

    def refuse_all(self, reason: RejectReason) -> None:
        """Give up everything that is not admitted."""
        for delivery in list(self._waiting):
            self.refuse(delivery, reason)

    async def wait(self) -> None:
        """Wait until nothing is waited for any more. Cancelled, everything not admitted is withdrawn."""
        try:
            while self._waiting:
                limit = min(self._limits[delivery] for delivery in self._waiting)
                if limit == math.inf:
                    await self._sleeper.sleep()
                    continue
                with anyio.move_on_at(limit):
                    await self._sleeper.sleep()
                self._refuse_overdue()
        finally:
            self.refuse_all(RejectReason.CANCELLED)

    def _refuse_overdue(self) -> None:
        now = self._now()
        for delivery in [each for each in self._waiting if self._limits[each] <= now]:
            self.refuse(delivery, RejectReason.FULL)

    def _wake_when_done(self) -> None:
        if not self._waiting:
            self._sleeper.wake()
