"""Deliveries that wait for the time of their next attempt."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar, final

T = TypeVar("T")


@final
class RetryQueue(Generic[T]):
    """Items by the time they are due, at equal times in order of arrival. Told apart by identity, never compared."""

    __slots__ = ("_heap", "_pushed")

    def __init__(self) -> None:
        # (due in monotonic seconds, number of the push, item): the number is unique, so no comparison reaches the item.
        self._heap: list[tuple[float, int, T]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[T]:
        """Iterate over what is waiting now, in the order in which it is due."""
        return iter([item for _, _, item in sorted(self._heap)])

    def push(self, item: T, due: float) -> None:
        """Let *item* wait until *due*."""
        assert due == due, "a time that is not a number would put the order of all others wrong"
        heappush(self._heap, (due, self._pushed, item))
        self._pushed += 1

    def pop_due(self, now: float) -> T | None:
        """Take the item that has been due longest, or None; an item is due from its time on, that moment included."""
        if self._heap and self._heap[0][0] <= now:
            return heappop(self._heap)[2]
        return None

    def next_due(self) -> float | None:
        """Return when the next item is due, or None if nothing waits."""
        return self._heap[0][0] if self._heap else None

    def remove(self, item: T) -> bool:
        """Take *item* out; False if it is not in here. Takes time in proportion to what waits."""
        for index, (_, _, waiting) in enumerate(self._heap):
            if waiting is item:
                self._heap[index] = self._heap[-1]
                self._heap.pop()
                heapify(self._heap)
                return True
        return False

    def drain(self) -> list[T]:
        """Take everything out, in the order in which it is due."""
        items = list(self)
        self._heap.clear()
        return items

    def __repr__(self) -> str:
        return f"<RetryQueue, {len(self._heap)} waiting>"
