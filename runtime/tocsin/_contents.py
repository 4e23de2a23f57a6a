"""What is in a mailbox: lanes by priority, retries that wait, deliveries held for their key, publishers that wait for
room. How full it is follows from that, and so does whether publishers may put into it by themselves (`_gate.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._delivery import plain_delivery
from ._gate import NO_LANE, Gate
from ._keys import KeyOrder
from ._lanes import Lanes
from ._receipt import Receipt, note_pending, queued_at
from ._retry_queue import RetryQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._delivery import AnyDelivery, Entry
    from ._waiting import WaitingPublisher

# What most mailboxes never need is the same for all of them, and empty, until one does.
NO_RETRIES: RetryQueue[AnyDelivery] = RetryQueue()
NO_PUBLISHERS: Lanes[tuple[AnyDelivery, WaitingPublisher]] = Lanes()
NO_RESERVED: dict[AnyDelivery, None] = {}
_NO_KEYS = KeyOrder(Lanes())


class Contents(Gate):
    """See the module. `capacity` bounds queued deliveries and waiting retries together, not those in flight.

    *name*: whose it is. *plain*: whether publishers may use the fast way.
    """

    __slots__ = (
        "_is_shut",
        "_keys",
        "_lanes",
        "_name",
        "_now",
        "_plain",
        "_publishers",
        "_retries",
        "_strict",
        "capacity",
        "reserved",
    )

    def __init__(
        self, capacity: int, *, keyed: bool, strict: bool, now: Callable[[], float], name: str, plain: bool
    ) -> None:
        super().__init__()
        self.capacity: int = capacity
        # Deliveries that come in once a store has them, each with its room.
        self.reserved: dict[AnyDelivery, None] = NO_RESERVED
        self._name = name
        self._plain = plain
        self._is_shut = True
        self._strict = strict
        self._now = now
        self._lanes: Lanes[Entry] = Lanes()
        self._retries: RetryQueue[AnyDelivery] = NO_RETRIES
        self._keys: KeyOrder = KeyOrder(self._lanes) if keyed else _NO_KEYS
        self._publishers: Lanes[tuple[AnyDelivery, WaitingPublisher]] = NO_PUBLISHERS

    # ── how full it is ──

    @property
    def queued(self) -> int:
        """Deliveries ready to be taken, or held for their key."""
        return len(self._lanes) + self._keys.held_count

    @property
    def waiting_retry(self) -> int:
        """Deliveries that wait for the time of their next attempt."""
        return len(self._retries)

    @property
    def blocked_publishers(self) -> int:
        """Publishers that wait for room."""
        return len(self._publishers)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing in it, whether ready or not."""
        return not (self.queued or self.waiting_retry)

    @property
    def has_room(self) -> bool:
        """True while one more delivery fits."""
        return self.queued + self.waiting_retry + len(self.reserved) < self.capacity

    def reserve(self, delivery: AnyDelivery) -> None:
        """Keep room for *delivery* until a store has it; the caller has looked for room."""
        if self.reserved is NO_RESERVED:
            self.reserved = {}
        self.reserved[delivery] = None

    def __iter__(self) -> Iterator[AnyDelivery]:
        """Iterate over everything in it: queued ones in serving order, then held ones, then waiting retries."""
        self._unfold()
        for entry in self._lanes:
            assert type(entry) is not Receipt
            yield entry
        yield from self._keys
        yield from self._retries

    def questions(self) -> list[AnyDelivery]:
        """Give the deliveries in it for whose answer somebody waits."""
        lanes = [entry for entry in self._lanes if type(entry) is not Receipt]
        return [each for each in (*lanes, *self._keys, *self._retries) if each.question is not None]

    def oldest(self) -> float | None:
        """Give when what waits longest was put in, or None."""
        heads = [queued_at(each) if type(each) is Receipt else each.queued_at for each in self._lanes.heads()]
        return min((*heads, *(each.queued_at for each in (*self._keys, *self._retries))), default=None)

    # ── the fast way ──

    def gauge(self) -> None:
        """Say anew how far `lane` may be filled by publishers themselves: after every change but of the lane."""
        if self.lane is NO_LANE and self._lanes.normal is not None:
            self.lead_to(self._lanes.normal)
        if self._is_shut or self._publishers or self._lanes.others or self.lane is NO_LANE:
            self.set_room(0, is_simple=False)
            return
        if not self.lane:
            self._lanes.touched()
        self.set_room(self.capacity - len(self._retries), is_simple=not self._retries)

    def open(self) -> None:
        """Let publishers use the fast way, if they may at all."""
        self._is_shut = not self._plain
        self.gauge()

    def shut(self) -> None:
        """Let nobody in the fast way any more."""
        self._is_shut = True
        self.gauge()

    def is_simple_now(self) -> bool:
        """Tell whether there is nothing to do now but to take from `lane`, although retries wait."""
        due = self._retries.next_due()
        return self.room > 0 and not self._strict and due is not None and due > self._now()

    def deliver(self, receipt: Receipt) -> AnyDelivery:
        """Make the delivery of a receipt that was taken from `lane`."""
        return self._made(receipt)

    def _unfold(self) -> None:
        """Make a delivery of each receipt in the lanes, so that each can be found and taken out by itself."""
        if any(type(entry) is Receipt for entry in self.lane):
            entries = [self._made(each, is_known=True) if type(each) is Receipt else each for each in self.lane]
            self.lane.clear()
            self.lane.extend(entries)

    def _made(self, receipt: Receipt, *, is_known: bool = False) -> AnyDelivery:
        delivery = plain_delivery(receipt, self._name)
        if is_known:
            self._is_known(delivery)
        return delivery

    def _is_known(self, delivery: AnyDelivery) -> None:
        """It is not in the hands of whoever took it from its lane any more: its outcome will be told, whichever."""
        if delivery.plain:
            delivery.plain = False
            note_pending(delivery.receipt, self._name)
