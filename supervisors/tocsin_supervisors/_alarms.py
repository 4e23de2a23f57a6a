"""Points in time to which names are attached. Pure: what is due is asked for, nothing wakes anybody."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)

MAX_VOID = 50  # entries of the heap that may be void besides as many as are valid; fewer are not worth a new heap


@final
class Alarms(Generic[K]):
    """At most one time per key. Setting and clearing cost O(log n), so that thousands of children may wait at once.

    Memory follows the number of keys that are set, not how often they were.

    *is_patience* tells the keys that are about how long somebody may take for something.
    """

    __slots__ = ("_heap", "_is_patience", "_number", "_patience", "_times")

    def __init__(self, is_patience: Callable[[K], bool]) -> None:
        self._is_patience = is_patience
        self._patience: dict[K, None] = {}  # those of the keys that are, as long as they have a time
        # The number is unique, so keys are never compared. An entry of the heap that is not that of its key is void.
        self._times: dict[K, tuple[float, int, K]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._number = 0

    def set(self, key: K, when: float) -> None:
        """Have *key* due at *when*, instead of any time it had before; never if that is infinite."""
        times, heap = self._times, self._heap
        if key in times:
            self.clear(key)
        if when == math.inf:
            return
        if self._is_patience(key):
            self._patience[key] = None
        self._number += 1
        entry = times[key] = (when, self._number, key)
        heapq.heappush(heap, entry)
        if len(heap) > 2 * len(times) + MAX_VOID:
            self._compact()

    def clear(self, key: K) -> None:
        """Have *key* never due."""
        if self._times.pop(key, None) is not None:
            self._patience.pop(key, None)

    def is_set(self, key: K) -> bool:
        """Tell whether *key* has a time."""
        return key in self._times

    @property
    def is_any_set(self) -> bool:
        """True while any key has a time: else there is nothing to clear."""
        return bool(self._times)

    @property
    def has_patience(self) -> bool:
        """True while any key with a time is about somebody's patience."""
        return bool(self._patience)

    @property
    def patience(self) -> tuple[K, ...]:
        """The keys with a time that are about somebody's patience, in the order of their setting."""
        return tuple(self._patience)

    def put_off(self, key: K, seconds: float) -> None:
        """Have *key*, which has a time, due so much later."""
        self.set(key, self._times[key][0] + seconds)

    def pop_due(self, now: float) -> K | None:
        """Give and clear the earliest key that is due at *now*."""
        due = self.next_due()
        if due is None or due > now:
            return None
        key = heapq.heappop(self._heap)[2]
        self.clear(key)
        return key

    def next_due(self) -> float | None:
        """Give the earliest time that is set."""
        times, heap = self._times, self._heap
        if not times:
            heap.clear()
            return None
        while times.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        return heap[0][0]

    def _compact(self) -> None:
        # A void entry goes when it has come to the front. Behind one that is due in a month that takes a month, while
        # each life of a child that crashes adds another one.
        self._heap = list(self._times.values())
        heapq.heapify(self._heap)
