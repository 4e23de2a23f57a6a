"""Whose attempt had begun when the process ended is suspected of having ended it: each suspect is tried alone.

While one is tried, no other durable delivery begins, so that if the process ends once more, nobody else can be blamed
for it. An attempt that ends in any way, a failure included, clears its delivery: it is then like all others.

Without this, everything that happened to be in hand when a message killed the process would be counted against its
allowance each time, and the innocent would be buried with the guilty one.

The states of a suspect: it stands in `suspects`, first in line it is tried, and then it is none any more. If
its actor is paused before it has taken it, it is put off, so that nobody else waits for the operator; it stands last in
line again when the actor is resumed, and the gate is closed once more. What others have begun by then goes on beside
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._actor import Actor
    from tocsin._delivery import AnyDelivery

    from ._kept import Kept

PATIENCE = 30.0  # seconds for the actor of a suspect to take it: as long as an actor may take to start


@final
class Quarantine:
    """See the module. *skipped* is told whose turn has passed as its actor did not come up, *open_gate* that all may go
    on.
    """

    def __init__(self, skipped: Callable[[AnyDelivery], object], open_gate: Callable[[], object]) -> None:
        self._skipped = skipped
        self._open = open_gate
        self.suspects: list[tuple[Actor, AnyDelivery]] = []
        self._alone: tuple[Actor, AnyDelivery] | None = None  # whose turn it is
        self._taken = anyio.Event()
        self._over = anyio.Event()
        self._is_put_off = False  # the one whose turn it is
        self._put_off: list[tuple[Actor, AnyDelivery]] = []
        self._has_more = anyio.Event()

    @property
    def is_on(self) -> bool:
        """True while there is anybody left to be tried."""
        return bool(self.suspects)

    async def run(self) -> None:
        """Let one after the other be tried, then open the gate for all, until cancelled; then it opens, too."""
        try:
            while True:
                self._has_more = anyio.Event()
                while self.suspects:
                    await self._try_alone(*self.suspects[0])
                    self.suspects.pop(0)
                self._open()
                await self._has_more.wait()
        finally:
            self.suspects.clear()
            self._open()

    async def _try_alone(self, actor: Actor, delivery: AnyDelivery) -> None:
        if delivery.ended or actor.presence.is_for_good:
            return
        if actor.is_paused:
            self._put_off.append((actor, delivery))
            return
        self._alone, self._taken, self._over = (actor, delivery), anyio.Event(), anyio.Event()
        self._is_put_off = False
        actor.let_go_on()
        with anyio.move_on_after(PATIENCE) as patience:
            await self._taken.wait()
        if self._is_put_off:
            # Perhaps it was resumed in the same step, in which it did not stand anywhere.
            (self._put_off if actor.is_paused else self.suspects).append((actor, delivery))
        elif not patience.cancelled_caught:
            await self._over.wait()  # its time limit ends it, if it has one
        else:
            self._skipped(delivery)
        self._alone = None

    # ── operators pause and resume ──

    def paused(self, actor: Actor) -> None:
        """*actor* is paused: if it has not taken the suspect whose turn it is, others have theirs first."""
        if self._alone is not None and self._alone[0] is actor and not self._taken.is_set():
            self._is_put_off = True
            self._taken.set()  # by nobody, but not to be taken either

    def resumed(self, actor: Actor) -> None:
        """*actor* goes on: those of its suspects that were put off have their turn again, last of all."""
        back = [each for each in self._put_off if each[0] is actor]
        if back:
            self._put_off = [each for each in self._put_off if each[0] is not actor]
            self.suspects += back
            self._has_more.set()

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
