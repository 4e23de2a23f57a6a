"""Points in time to which names are attached. Pure: what is due is asked for, nothing wakes anybody."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)


@final
class Alarms(Generic[K]):
    """At most one time per key. Setting and clearing cost O(log n), so that thousands of children may wait at once."""

    __slots__ = ("_heap", "_number", "_times")

    def __init__(self) -> None:
        self._times: dict[K, tuple[float, int]] = {}  # key → its entry in the heap; entries not named here are void
        self._heap: list[tuple[float, int, K]] = []  # the number is unique, so keys are never compared
        self._number = 0

    def set(self, key: K, when: float) -> None:
        """Have *key* due at *when*, instead of any time it had before; never if that is infinite."""
        self._times.pop(key, None)
        if when == math.inf:
            return
        self._number += 1
        self._times[key] = (when, self._number)
        heapq.heappush(self._heap, (when, self._number, key))

    def clear(self, key: K) -> None:
        """Have *key* never due."""
        self._times.pop(key, None)

    def pop_due(self, now: float) -> K | None:
        """Give and clear the earliest key that is due at *now*."""
        due = self.next_due()
        if due is None or due > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._times[key]
        return key

    def next_due(self) -> float | None:
        """Give the earliest time that is set."""
        while self._heap:
            when, number, key = self._heap[0]
            if self._times.get(key) == (when, number):
                return when
            heapq.heappop(self._heap)
        return None
