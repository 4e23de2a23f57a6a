"""Time limits of handlers: one task that wakes up when the first of them is over, for all servers of a run.

A limit is set only once a handler waits for something, since one that never waits cannot be cancelled either, and
most handlers are done before. Each server has at most one place in the queue. When its time comes and the handler has
ended meanwhile, the place is given up, or moved to the limit of the delivery that is handled by then.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Protocol, final

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from ._backends import Sleeper


class Limited(Protocol):
    """A server, as far as time limits go."""

    deadline: float
    has_alarm: bool

    def expire(self) -> None:
        """The time of the handler that runs is over: have it cancelled."""


@final
class TimeLimits:
    """See the module."""

    __slots__ = ("_heap", "_next", "_now", "_pushed", "_sleeper", "_sleepers", "_turn")

    def __init__(
        self, now: Callable[[], float], sleepers: Callable[[], Sleeper], turn: Callable[[], Awaitable[object]]
    ) -> None:
        self._now = now
        self._turn = turn
        self._sleepers = sleepers
        self._heap: list[tuple[float, int, Limited]] = []  # the number of the push keeps servers from being compared
        self._pushed = 0
        self._sleeper: Sleeper | None = None
        self._next = math.inf  # when the task wakes up by itself

    def set(self, server: Limited) -> None:
        """See to it that *server* is told when its deadline has come."""
        if server.has_alarm:
            return  # it has a place already, at an earlier time, and is looked at then
        server.has_alarm = True
        self._pushed += 1
        heappush(self._heap, (server.deadline, self._pushed, server))
        if server.deadline < self._next and self._sleeper is not None:
            self._next = server.deadline
            self._sleeper.wake()

    def forget(self, servers: Collection[Limited]) -> None:
        """Let go of *servers*: their actor is gone for good."""
        if any(server.has_alarm for server in servers):
            self._heap = [entry for entry in self._heap if entry[2] not in servers]
            heapify(self._heap)

    async def run(self) -> None:
        """Watch, until cancelled."""
        self._sleeper = self._sleepers()
        while True:
            self._next = self._heap[0][0] if self._heap else math.inf
            with anyio.CancelScope(deadline=self._next):
                await self._sleeper.sleep()
            if self._next <= self._now():
                # A handler that comes to its end at the very instant of its deadline has come to its end.
                await self._turn()
                self._ring()

    def _ring(self) -> None:
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            _, _, server = heappop(self._heap)
            server.has_alarm = False
            if server.deadline <= now:
                server.expire()
            elif server.deadline < math.inf:
                self.set(server)
