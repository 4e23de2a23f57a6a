"""Order among deliveries with equal keys: one at a time, the most urgent first, each priority in order of arrival.

A key is *busy* while a delivery with it is in flight, waits for its retry under strict order, or is *next*: back at the
front of its lane, with the key kept for it. Others with that key that come out of their lane meanwhile are *held*. When
the key is freed, the most urgent held one is next. So nothing that came later gets past one that was held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ._delivery import AnyDelivery, Entry


@final
class KeyOrder:
    """The keys of one mailbox, which puts what is next back into its *lanes*."""

    __slots__ = ("_busy", "_held", "_lanes", "_next", "held_count")

    def __init__(self, lanes: Lanes[Entry]) -> None:
        self._lanes = lanes
        self._busy: set[Hashable] = set()
        self._next: dict[Hashable, AnyDelivery] = {}  # key → the one that is next with it, in its lane
        self._held: dict[Hashable, Lanes[AnyDelivery]] = {}  # key → taken from a lane while their key was busy
        self.held_count = 0

    def __iter__(self) -> Iterator[AnyDelivery]:
        """Iterate over what is held."""
        for held in self._held.values():
            yield from held

    def claim(self, delivery: AnyDelivery) -> bool:
        """Let *delivery*, just taken from its lane, have its key; False: the key is not for it now, and it is held."""
        if delivery.key in self._busy:
            following = self._next.get(delivery.key)
            if following is None or (following is not delivery and following.priority <= delivery.priority):
                self._hold_in_order(delivery)
                return False
            del self._next[delivery.key]
            if following is not delivery:
                self._hold_again(following)
        self._busy.add(delivery.key)
        delivery.owns_key = True
        return True

    def keep(self, delivery: AnyDelivery) -> None:
        """Keep the key for *delivery*, which goes back to the front of its lane."""
        if delivery.owns_key:
            self._next[delivery.key] = delivery

    def free(self, delivery: AnyDelivery) -> bool:
        """Take the key from *delivery*, if it has it. True: another one is next, and was put first in its lane."""
        if not delivery.owns_key:
            return False
        delivery.owns_key = False
        self._next.pop(delivery.key, None)  # itself, if it was removed from its lane
        held = self._held.get(delivery.key)
        if held is None:
            self._busy.discard(delivery.key)
            return False
        following = held.popleft()
        self._let_go(delivery.key, held)
        following.owns_key = True
        self._next[delivery.key] = following
        self._lanes.appendleft(following, following.priority)
        return True

    def remove(self, delivery: AnyDelivery) -> bool:
        """Take *delivery* out of those held; False if it is not among them."""
        held = self._held.get(delivery.key)
        if held is None or not held.remove(delivery):
            return False
        self._let_go(delivery.key, held)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._busy.clear()
        self._next.clear()
        self._held.clear()
        self.held_count = 0

    def _hold(self, delivery: AnyDelivery) -> Lanes[AnyDelivery]:
        self.held_count += 1
        return self._held.setdefault(delivery.key, Lanes())

    def _hold_in_order(self, delivery: AnyDelivery) -> None:
        held = self._hold(delivery)
        held.append(delivery, delivery.priority)
        if delivery.attempt:  # a retry: others have come since it did, and may be held already
            for each in sorted(held.clear(), key=lambda delivery: delivery.number):
                held.append(each, each.priority)

    def _hold_again(self, delivery: AnyDelivery) -> None:
        """Let *delivery*, which was next with its key, wait for it once more: as the first of its priority."""
        delivery.owns_key = False
        self._lanes.remove(delivery)
        self._hold(delivery).appendleft(delivery, delivery.priority)

    def _let_go(self, key: Hashable, held: Lanes[AnyDelivery]) -> None:
        self.held_count -= 1
        if not held:
            del self._held[key]
