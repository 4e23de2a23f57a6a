"""What a supervisor asks of its event loop, bound to the loop that runs it: it asks several times for each crash, and
`anyio` looks the backend up each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

from ._backends import monotonic_clock, sleepers, turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._backends import Sleeper


@final
class LoopSide:
    """See the module. Made inside the running loop, for one task. What outlives that must not hold it."""

    __slots__ = ("_sleeper", "cancelled", "now", "turn")

    def __init__(self) -> None:
        self.now: Callable[[], float] = monotonic_clock()
        self.turn: Callable[[], Awaitable[object]] = turns()
        self.cancelled: type[BaseException] = anyio.get_cancelled_exc_class()
        self._sleeper: Sleeper = sleepers()()

    def wake(self) -> None:
        """Wake the task up, if it sleeps."""
        self._sleeper.wake()

    async def sleep(self, due: float | None) -> None:
        """Sleep until woken, or until *due*. Cancelled, it just sleeps no more."""
        if due is None:
            await self._sleeper.sleep()
        else:
            with anyio.CancelScope(deadline=due):
                await self._sleeper.sleep()
