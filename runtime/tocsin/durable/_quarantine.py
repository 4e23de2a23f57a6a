"""Whose attempt had begun when the process ended is suspected of having ended it: each suspect is tried alone.

While one is tried, no other durable delivery begins, so that if the process ends once more, nobody else can be blamed
for it. An attempt that ends in any way, a failure included, clears its delivery: it is then like all others.

Without this, everything that happened to be in hand when a message killed the process would be counted against its
allowance each time, and the innocent would be buried with the guilty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._actor import Actor
    from tocsin._backends import Sleeper
    from tocsin._delivery import AnyDelivery

    from ._kept import Kept

PATIENCE = 30.0  # seconds for the actor of a suspect to take it: as long as an actor may take to start


@final
class Quarantine:
    """See the module. *skipped* is told whose turn has passed as its actor did not come up."""

    def __init__(self, skipped: Callable[[AnyDelivery], object]) -> None:
        self._skipped = skipped
        self.suspects: list[tuple[Actor, AnyDelivery]] = []
        self._alone: tuple[Actor, AnyDelivery] | None = None  # whose turn it is
        self._taken = anyio.Event()
        self._over = anyio.Event()
        self._paused: dict[Actor, list[Sleeper]] = {}

    @property
    def is_on(self) -> bool:
        """True while there is anybody left to be tried."""
        return bool(self.suspects)

    async def run(self) -> None:
        """Let one after the other be tried, then open the gate for all. Cancelled, it opens, too."""
        try:
            while self.suspects:
                await self._try_alone(*self.suspects[0])
                self.suspects.pop(0)
        finally:
            self.suspects.clear()
            self.wake_all()

    async def _try_alone(self, actor: Actor, delivery: AnyDelivery) -> None:
        if delivery.ended or actor.presence.is_for_good:
            return
        self._alone, self._taken, self._over = (actor, delivery), anyio.Event(), anyio.Event()
        self.wake(actor)
        with anyio.move_on_after(PATIENCE) as patience:
            await self._taken.wait()
        if not patience.cancelled_caught:
            await self._over.wait()  # its time limit ends it, if it has one
        else:
            self._skipped(delivery)
        self._alone = None

    # ── what servers ask ──

    def take(self, actor: Actor) -> AnyDelivery | None:
        """Give the suspect whose turn it is, if it is one of *actor* and nobody has it yet."""
        if self._alone is None or self._alone[0] is not actor or self._taken.is_set():
            return None
        delivery = self._alone[1]
        actor.mailbox.take_this(delivery)
        self._taken.set()
        return delivery

    def attempt_over(self, kept: Kept) -> None:
        """An attempt has ended: perhaps that of the suspect whose turn it is."""
        if self._alone is not None and self._alone[1].kept is kept:
            self._taken.set()
            self._over.set()

    # ── who waits at the gate ──

    async def pause(self, actor: Actor, sleeper: Sleeper) -> None:
        """Sleep until there may be something to do again, or the actor is to look at its state."""
        sleepers = self._paused.setdefault(actor, [])
        sleepers.append(sleeper)
        try:
            await sleeper.sleep()
        finally:
            sleepers.remove(sleeper)

    def wake(self, actor: Actor) -> None:
        """Let all servers of *actor* look."""
        for sleeper in self._paused.pop(actor, ()):
            sleeper.wake()

    def wake_all(self) -> None:
        """Let all look."""
        for actor in list(self._paused):
            self.wake(actor)
