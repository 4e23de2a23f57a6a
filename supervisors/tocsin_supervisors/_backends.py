"""Where asyncio and trio are asked for something that anyio has only a slow word for.

Each says why.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, cast, final

import anyio.lowlevel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable


def native_loop() -> Any:
    """Give the event loop of asyncio that runs here, or None on trio."""
    native = cast("Any", anyio.lowlevel.current_token().native_token)
    return native if hasattr(native, "call_soon_threadsafe") else None


def monotonic_clock() -> Callable[[], float]:
    """Give the clock of the running loop, bound once:

    `anyio.current_time()` looks the backend up at every call (6 times the cost).
    """
    loop = native_loop()
    if loop is not None:
        return cast("Callable[[], float]", loop.time)
    # trio is imported already, since it is running; its clock may be a test's virtual one.
    return cast("Callable[[], float]", sys.modules["trio"].lowlevel.current_clock().current_time)


# ── sleeping ──


class Sleeper(Protocol):
    """What a task sleeps on until it is woken, again and again. An `anyio.Event` costs ten times as much."""

    is_woken: bool
    """True from when it is woken, also if it was cancelled in the same step, until it sleeps again."""

    def sleep(self) -> Awaitable[object]:
        """Begin to sleep: what this gives is to be awaited at once, and ends when somebody has called `wake`."""
        ...

    def sleep_until(self, due: float, now: float) -> Awaitable[object]:
        """The same, until *due* at most, on a clock that shows *now*."""
        ...

    def wake(self) -> None:
        """Wake it up. Idempotent, and without effect on a task that does not sleep."""


class _Sleeper(ABC):
    """What both have in common."""

    __slots__ = ()

    @abstractmethod
    def sleep(self) -> Awaitable[object]:
        """See `Sleeper`."""

    async def sleep_until(self, due: float, now: float) -> None:
        """See `Sleeper`."""
        with anyio.move_on_after(max(0.0, due - now)):
            await self.sleep()


@final
class AsyncioSleeper(_Sleeper):
    """A future, each time."""

    __slots__ = ("_future", "_loop", "is_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self.is_woken: bool = False

    def sleep(self) -> Awaitable[object]:
        """See `Sleeper`."""
        self.is_woken = False
        self._future = future = self._loop.create_future()
        return future

    def wake(self) -> None:
        """See `Sleeper`."""
        self.is_woken = True
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)


@final
class TrioSleeper(_Sleeper):
    """A task out of trio's hands, until it is given back: exactly once, or the whole run breaks."""

    __slots__ = ("_lowlevel", "_task", "is_woken")

    def __init__(self, lowlevel: Any) -> None:
        self._lowlevel = lowlevel
        self._task: Any = None  # while it sleeps and is neither woken nor cancelled
        self.is_woken: bool = False

    def sleep(self) -> Awaitable[object]:
        """See `Sleeper`."""
        self.is_woken = False
        self._task = self._lowlevel.current_task()
        return cast("Awaitable[object]", self._lowlevel.wait_task_rescheduled(self._abort))

    def wake(self) -> None:
        """See `Sleeper`."""
        self.is_woken = True
        task, self._task = self._task, None
        if task is not None:
            self._lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> Any:
        self._task = None
        return self._lowlevel.Abort.SUCCEEDED


def sleepers() -> Callable[[], Sleeper]:
    """Give the function that makes sleepers on the running backend."""
    loop = native_loop()
    if loop is not None:
        return lambda: AsyncioSleeper(loop)
    lowlevel = sys.modules["trio"].lowlevel
    return lambda: TrioSleeper(lowlevel)


# ── turns of the loop ──


@final
class _BareYield:
    """What `asyncio.sleep(0)` awaits: one turn of the loop, at half the cost of `anyio.lowlevel.checkpoint()`."""

    __slots__ = ()

    def __await__(self) -> Any:
        yield


def turns() -> Callable[[], Awaitable[object]]:
    """Give a function whose result is awaited to let everybody else have a turn: a checkpoint."""
    if native_loop() is not None:
        bare = _BareYield()
        return lambda: bare
    return cast("Callable[[], Awaitable[object]]", sys.modules["trio"].lowlevel.checkpoint)
