"""The bounded inbox of one actor: lanes by priority, retries that wait, deliveries held for their key, publishers
waiting for room.

Everything here happens in one step on one thread; the only place that awaits is `wait`. Three rules keep it sound:

* Nothing is handed over to a sleeper. A wake-up carries no delivery: who wakes up takes from the lanes itself, or finds
  them empty and sleeps again. So a cancellation between wake-up and taking loses nothing.
* Whoever makes room admits waiting publishers in the same step. So publishers wait only while the mailbox is full, and
  a later publisher cannot get past an earlier one of the same priority.
* The mailbox outlives the incarnations of its actor: while none is up, deliveries stay, and publishers wait.

The fast way goes past all this, as far as `room` allows: see `_gate.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._backends import sleepers
from ._contents import NO_PUBLISHERS, NO_RETRIES, Contents
from ._envelope import NORMAL
from ._lanes import Lanes
from ._receipt import Receipt
from ._retry_queue import RetryQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ._backends import Sleeper
    from ._delivery import AnyDelivery, Entry
    from ._waiting import WaitingPublisher

_NO_LATEST: dict[Hashable, AnyDelivery] = {}  # of all mailboxes that do not coalesce


@final
class Mailbox(Contents):
    """See the module."""

    __slots__ = ("_coalescing", "_keyed", "_latest")

    def __init__(
        self,
        capacity: int,
        *,
        keyed: bool,
        strict: bool,
        coalescing: bool,
        now: Callable[[], float],
        name: str = "",
        plain: bool = False,
    ) -> None:
        super().__init__(capacity, keyed=keyed, strict=strict, now=now, name=name, plain=plain)
        self._keyed = keyed
        self._coalescing = coalescing
        # Coalescing: key → the queued one that a newer replaces.
        self._latest: dict[Hashable, AnyDelivery] = {} if coalescing else _NO_LATEST

    # ── putting in ──

    def put(self, delivery: AnyDelivery) -> None:
        """Put *delivery* last in its lane; the caller has looked for room."""
        delivery.queued_at = self._now()
        self._note_served()
        self._lanes.append(delivery, delivery.priority)
        if self._coalescing:
            self._latest[delivery.key] = delivery
        self._changed()
        self.wake_one()

    def put_back(self, delivery: AnyDelivery) -> None:
        """Put a delivery whose attempt was interrupted first in its lane again, as if it had never been taken."""
        self._is_known(delivery)
        self._keys.keep(delivery)
        self._note_served()
        self._lanes.appendleft(delivery, delivery.priority)
        self._back_in_lane(delivery)

    def put_behind(self, delivery: AnyDelivery) -> None:
        """Put a delivery that failed while its actor is sick behind the others of its lane: the next probe takes
        another one.
        """
        self._is_known(delivery)
        self._free_key(delivery)
        self._note_served()
        self._lanes.append(delivery, delivery.priority)
        self._back_in_lane(delivery)

    def put_for_retry(self, delivery: AnyDelivery, due: float) -> None:
        """Let *delivery* wait until *due*. Under strict order its key, or the whole mailbox, waits with it."""
        self._is_known(delivery)
        if not self._strict:
            self._free_key(delivery)
        if self._coalescing:
            self._latest[delivery.key] = delivery
        if self._retries is NO_RETRIES:
            self._retries = RetryQueue()
        self._retries.push(delivery, due)
        self._changed()
        self.wake_one()  # its sleeper must learn of the new due time

    def coalesce(self, delivery: AnyDelivery) -> AnyDelivery | None:
        """Let *delivery* take the place of a queued one with its key, and give the one it replaced."""
        queued = self._latest.get(delivery.key)
        if queued is None:
            return None
        if queued.priority == delivery.priority and self._lanes.replace(queued, delivery):
            delivery.queued_at = self._now()
            self._latest[delivery.key] = delivery
            return queued
        # It waits in another lane, or for its retry: the newer one goes the ordinary way.
        if not self._lanes.remove(queued):
            self._retries.remove(queued)
        self.put(delivery)
        return queued

    def is_superseded(self, delivery: AnyDelivery) -> bool:
        """Tell whether a newer event with the key of *delivery* has come in since it was taken: retrying would undo
        that one.
        """
        latest = self._latest.get(delivery.key) if self._coalescing else None
        return latest is not None and latest.number > delivery.number

    def drop_for(self, delivery: AnyDelivery) -> AnyDelivery:
        """Make room for *delivery*: give the oldest of the least urgent ones, or *delivery* itself if all others are
        more urgent.
        """
        oldest = self._lanes.oldest()
        if oldest is None:
            return delivery  # everything in it waits for a retry or for its key: older work goes first
        if (NORMAL if type(oldest) is Receipt else oldest.priority) < delivery.priority:
            return delivery
        dropped = self._taken(self._lanes.drop_oldest())
        self._left_lane(dropped)
        return dropped

    # ── taking out ──

    def take(self, now: float) -> AnyDelivery | None:
        """Take the next delivery that may be handled at *now*, or None. The caller settles it or puts it back."""
        if self._retries:
            first = self._take_retries(now)
            if first is not None or (self._strict and not self._keyed):
                if first is not None:
                    self._left_lane(first)
                self.admit()
                return first
        while self._lanes:
            delivery = self._taken(self._lanes.popleft())
            if self._keyed and not self._keys.claim(delivery):
                continue
            self._left_lane(delivery)
            self.admit()  # at once: who publishes next must find those who waited before it ahead of it
            return delivery
        return None

    def take_this(self, delivery: AnyDelivery) -> None:
        """Take *delivery*, which waits in its lane, out of turn, while nothing else is in flight."""
        is_here = self._lanes.remove(delivery)
        assert is_here, f"{delivery!r} does not wait here"
        if self._keyed:
            self._keys.claim(delivery)
        self._left_lane(delivery)
        self.gauge()
        self.admit()

    def _take_retries(self, now: float) -> AnyDelivery | None:
        """Move retries that are due to the front of their lanes; under strict order give the first, since it was never
        let go.
        """
        if self._strict:
            return self._retries.pop_due(now)
        due: list[AnyDelivery] = []
        while (delivery := self._retries.pop_due(now)) is not None:
            due.append(delivery)
        self._note_served()
        for delivery in reversed(due):
            self._lanes.appendleft(delivery, delivery.priority)
        if due:
            self._changed()
        return None

    def _taken(self, entry: Entry) -> AnyDelivery:
        """Give the delivery of what has just left its lane."""
        if self._lanes.others == 0:
            self.gauge()  # perhaps the last one of another lane
        return self._made(entry) if type(entry) is Receipt else entry

    def settled(self, delivery: AnyDelivery) -> None:
        """Take note that a delivery taken from here has ended: its key is free, publishers may find room."""
        self._free_key(delivery)
        self.admit()

    def admit(self) -> None:
        """Let waiting publishers in, most urgent first and in order of their arrival, while there is room."""
        while self._publishers and self.has_room:
            delivery, publisher = self._publishers.popleft()
            if delivery.kept is None:
                self.put(delivery)
            publisher.admitted(delivery)
            self.gauge()

    def remove(self, delivery: AnyDelivery) -> bool:
        """Take *delivery* out wherever it waits; False if it is not in here (being handled, or gone)."""
        if not (self._lanes.remove(delivery) or self._retries.remove(delivery) or self._keys.remove(delivery)):
            return False
        self._left_lane(delivery)
        self.gauge()
        self.settled(delivery)
        return True

    def empty(self) -> list[AnyDelivery]:
        """Take everything out, in the order of iteration."""
        everything = list(self)
        self._lanes.clear()
        self._retries.drain()
        self._keys.clear()
        self._latest.clear()
        self.gauge()
        return everything

    # ── publishers that wait for room ──

    def block(self, delivery: AnyDelivery, publisher: WaitingPublisher) -> None:
        """Register a publisher that waits for room, behind those of its priority."""
        if self._publishers is NO_PUBLISHERS:
            self._publishers = Lanes()
        self._publishers.append((delivery, publisher), delivery.priority)
        self._changed()  # whoever takes from the lane must let them in at once

    def unblock(self, delivery: AnyDelivery) -> None:
        """Forget a publisher that gave up waiting with *delivery*."""
        self._publishers.remove(next(entry for entry in self._publishers if entry[0] is delivery))
        self.gauge()

    def blocked(self) -> list[tuple[AnyDelivery, WaitingPublisher]]:
        """Give the publishers that wait, most urgent first."""
        return list(self._publishers)

    # ── servers that wait for work ──

    async def wait(self, now: float, sleeper: Sleeper | None = None) -> None:
        """Sleep, on *sleeper* if there is one, until something may have come in, a retry is due, or `wake_all`.

        Spurious returns are fine; losing a wake-up is not.
        """
        due = self._retries.next_due()
        sleeper = sleepers()() if sleeper is None else sleeper
        self.lie_down(sleeper)
        try:
            if due is None:
                await sleeper.sleep()
            else:
                await sleeper.sleep_until(due, now)
        finally:
            self.awake(sleeper)

    def awake(self, sleeper: Sleeper) -> None:
        """The caller does not sleep any more. If it was woken and cancelled, or timed out, in one step, the wake-up may
        have been meant for work that must be done by somebody else now.
        """
        if self.get_up(sleeper) and self._lanes:  # what is held for a busy key is nobody's work yet
            self.wake_one()

    def _note_served(self) -> None:
        """Let the lanes know that the one of NORMAL was served the fast way, before another one may be in use."""
        if self.noted_as_served():
            self._lanes.touched()

    def _changed(self) -> None:
        """Something is not where servers on the fast way would look for it."""
        self.gauge()
        self.look_up()

    def _back_in_lane(self, delivery: AnyDelivery) -> None:
        """Take note that *delivery* waits in its lane again; a newer one with its key stays the latest."""
        if self._coalescing:
            self._latest.setdefault(delivery.key, delivery)
        self._changed()
        self.wake_one()

    def _left_lane(self, delivery: AnyDelivery) -> None:
        """Take note that *delivery* cannot be replaced by a newer one any more."""
        if self._coalescing and self._latest.get(delivery.key) is delivery:
            del self._latest[delivery.key]

    def _free_key(self, delivery: AnyDelivery) -> None:
        """Let the next delivery with this key be taken."""
        if self._keys.free(delivery):
            self.wake_one()
