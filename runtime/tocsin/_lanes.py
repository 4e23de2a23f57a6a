"""A queue with one lane for each priority.

Two rules say who is next:

1. The most urgent waiting lane is served first, and each lane in order.
2. A lane that was *passed over* `MAX_PASSED_OVER` times in a row (it had something waiting, another lane was served) is
   due: its head is next. Of several lanes that are due, the one waiting for its turn longest, then the most urgent.

What follows: once a lane is due, each other lane that is due goes before it at most once, because a lane just served
is not due again for `MAX_PASSED_OVER` takes. There are at most two such others, so a waiting lane is served at least
once in `MAX_TURNS` = `MAX_PASSED_OVER` + 3 takes, and an item with k items before it in its lane is taken by take
number (k + 1) x `MAX_TURNS` at the latest, however much arrives that is more urgent. The price: a more urgent item is
delayed by at most 3 less urgent ones in a row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, final

from ._envelope import Priority

T = TypeVar("T")

MAX_PASSED_OVER = 32  # a flood of CRITICAL leaves the others 3 % each: progress, without delaying the flood noticeably
MAX_TURNS = MAX_PASSED_OVER + len(Priority) - 1

_NORMAL = int(Priority.NORMAL)
# Of those that were never used, for all of them: nobody writes into these.
_UNUSED: list[Any] = [None] * len(Priority)
_UNSERVED = [0] * len(Priority)


@final
class Lanes(Generic[T]):
    """See the module. Unbounded, as the mailbox looks after room. Items are told apart by identity, never compared."""

    # _others: how many items wait in lanes other than NORMAL's. Those in that one are not counted: whoever publishes
    # appends to it directly, as long as the others are empty.
    # _served: lane → the number of takes when it was last served or began to wait; meaningful while the lane is
    # waiting. The number grows only while several lanes wait; it is what passing over is counted by.
    __slots__ = ("_lanes", "_others", "_served", "_takes")

    def __init__(self) -> None:
        # Made on first use: an empty deque takes 760 bytes, and most mailboxes are idle and know one priority at most.
        self._lanes: list[deque[T] | None] = _UNUSED
        self._served = _UNSERVED
        self._takes = 0
        self._others = 0

    def __len__(self) -> int:
        lane = self._lanes[_NORMAL]
        return self._others + len(lane) if lane else self._others

    @property
    def others(self) -> int:
        """How many items wait in other lanes than that of NORMAL."""
        return self._others

    @property
    def normal(self) -> deque[T] | None:
        """The lane of NORMAL, None before anything was in it, then the same for ever: while nothing waits in another
        lane, others may append to it and take from it, as long as they call `touched`."""
        return self._lanes[_NORMAL]

    def touched(self) -> None:
        """Note that somebody has taken from the lane of NORMAL, or may put the first one into it."""
        self._served[_NORMAL] = self._takes

    def __iter__(self) -> Iterator[T]:
        """Iterate over what is waiting now: the most urgent lane first, each in order, without rule 2."""
        return iter([item for lane in self._lanes if lane for item in lane])

    def append(self, item: T, priority: Priority) -> None:
        """Put *item* last in the lane of *priority*."""
        lane = self._lanes[priority]
        if not lane:
            lane = self._begin_to_wait(priority)
        lane.append(item)
        self._others += priority != _NORMAL

    def appendleft(self, item: T, priority: Priority) -> None:
        """Put *item* first in the lane of *priority*: one that was taken and is given back, or whose retry is due."""
        lane = self._lanes[priority]
        if not lane:
            lane = self._begin_to_wait(priority)
        lane.appendleft(item)
        self._others += priority != _NORMAL

    def popleft(self) -> T:
        """Take the next item by the rules of the module. Raise IndexError if nothing is waiting."""
        lane = self._lanes[_NORMAL]
        if lane and not self._others:
            self._served[_NORMAL] = self._takes  # the usual case: one lane has everything, and nobody is passed over
            return lane.popleft()
        priority, lane = self._next_lane()
        self._others -= priority != _NORMAL
        return lane.popleft()

    def oldest(self) -> T | None:
        """Return what `drop_oldest` would take, or None if nothing is waiting."""
        return next((lane[0] for lane in reversed(self._lanes) if lane), None)

    def drop_oldest(self) -> T:
        """Take the oldest item of the least urgent waiting lane. Raise IndexError if nothing is waiting.

        Not the oldest of all: losing a CRITICAL one because LOW ones flood the mailbox would turn priorities upside
        down.
        """
        for priority, lane in reversed(list(enumerate(self._lanes))):
            if lane:
                self._others -= priority != _NORMAL
                return lane.popleft()
        raise IndexError("nothing is waiting in the lanes: look at len() first")

    def heads(self) -> list[T]:
        """Return the first item of each waiting lane, most urgent first: what has waited longest is among them."""
        return [lane[0] for lane in self._lanes if lane]

    def remove(self, item: T) -> bool:
        """Take *item* out, wherever it waits; False if it is not in here. Takes time in proportion to what waits."""
        place = self._place_of(item)
        if place is None:
            return False
        priority, lane, index = place
        del lane[index]
        self._others -= priority != _NORMAL
        return True

    def replace(self, old: T, new: T) -> bool:
        """Put *new* in the place of *old*, whatever its own priority; False if *old* is not in here."""
        place = self._place_of(old)
        if place is None:
            return False
        _, lane, index = place
        lane[index] = new
        return True

    def clear(self) -> list[T]:
        """Take everything out, in the order of iteration. The memory of the lanes is given back."""
        items = list(self)
        for lane in self._lanes:
            if lane:
                lane.clear()
        self._others = 0
        return items

    def __repr__(self) -> str:
        waiting = ", ".join(
            f"{len(lane)} {priority.name}" for priority, lane in zip(Priority, self._lanes, strict=True) if lane
        )
        return f"<Lanes, {waiting or 'nothing'} waiting>"

    def _begin_to_wait(self, priority: int) -> deque[T]:
        if self._lanes is _UNUSED:
            self._lanes, self._served = list(_UNUSED), list(_UNSERVED)
        self._served[priority] = self._takes
        lane = self._lanes[priority]
        if lane is None:
            lane = self._lanes[priority] = deque()
        return lane

    def _next_lane(self) -> tuple[int, deque[T]]:
        """Choose the lane to be served, and count the others as passed over."""
        chosen: int | None = None
        longest = MAX_PASSED_OVER - 1
        for priority, lane in enumerate(self._lanes):
            if not lane:
                continue
            passed_over = self._takes - self._served[priority]
            if chosen is None or passed_over > longest:
                chosen = priority
                longest = max(longest, passed_over)
        if chosen is None:
            raise IndexError("nothing is waiting in the lanes: look at len() first")
        self._takes += 1
        self._served[chosen] = self._takes
        lane = self._lanes[chosen]
        assert lane  # chosen among the lanes that wait
        return chosen, lane

    def _place_of(self, item: T) -> tuple[int, deque[T], int] | None:
        for priority, lane in enumerate(self._lanes):
            for index, waiting in enumerate(lane or ()):
                if waiting is item:
                    return priority, lane, index  # type: ignore[return-value]
        return None
