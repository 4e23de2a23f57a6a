"""The few places where asyncio and trio are asked for something that anyio has no word for, or only a slow one.

Each says why.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol, cast, final

import anyio.lowlevel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Collection


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


def waker(callback: Callable[[], object]) -> Callable[[], None]:
    """Give a function that any thread may call to have *callback* run soon in the running loop, without waiting for it.

    `anyio.from_thread.run_sync` would block the caller until the loop gets to it. After the loop has ended, calling
    raises RuntimeError on both backends.
    """
    loop = native_loop()
    if loop is not None:
        return lambda: loop.call_soon_threadsafe(callback)
    token = cast("Any", anyio.lowlevel.current_token().native_token)
    return lambda: token.run_sync_soon(callback)


def next_turn(callback: Callable[[], object]) -> Callable[[], object]:
    """Give a function that has *callback* run in the next turn of the running loop, for its own thread to call."""
    loop = native_loop()
    return waker(callback) if loop is None else lambda: loop.call_soon(callback)


def forgive_cancellation() -> None:
    """Go on after a stranger's cancellation was caught, as if it had not been: asyncio counts them, for task groups and
    time limits, which would take the next one for this one. Only there can a stranger cancel a task.
    """
    task = sys.modules["asyncio"].current_task()
    while task.cancelling():
        task.uncancel()


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


# ── what a task was left with ──


def can_watch_tasks() -> bool:
    """Tell whether a `TaskWatch` can find out what it has to, which is private to others."""
    if native_loop() is not None:
        states = getattr(sys.modules["anyio._backends._asyncio"], "TaskState", None)
        return "cancel_scope" in getattr(states, "__slots__", ())
    task = sys.modules["trio"].lowlevel.current_task()
    return hasattr(task, "_cancel_status") and hasattr(task.parent_nursery, "_children")


@final
class TaskWatch:
    """Looks at what code has left in the task that runs here, which is alone in its group.

    `look(subject)` gives what the innermost cancel scope is known by. `group` holds the task, and whoever else is in
    its group; on asyncio, where nobody can get in there, nothing but the task.
    """

    __slots__ = ("_cancelling", "group", "look", "subject")

    def __init__(self) -> None:
        self.look: Callable[[Any], object]
        self.group: Collection[object]
        if native_loop() is None:
            self.subject: Any = sys.modules["trio"].lowlevel.current_task()
            self.look = attrgetter("_cancel_status")
            self.group = self.subject.parent_nursery._children
            self._cancelling: Callable[[], int] = int
            return
        task = sys.modules["asyncio"].current_task()
        self.subject = sys.modules["anyio._backends._asyncio"]._task_states[task]
        self.look = attrgetter("cancel_scope")
        self.group = (task,)
        self._cancelling = task.cancelling

    def innermost(self) -> object:
        """Give what the innermost cancel scope is known by."""
        return self.look(self.subject)

    def is_fit(self, scope: object) -> bool:
        """Tell whether the innermost scope is still known by *scope*, and no cancellation was swallowed: the task may
        go on to work for others."""
        return self.look(self.subject) is scope and not self._cancelling()

    @property
    def has_company(self) -> bool:
        """True while somebody else is in its group."""
        return len(self.group) > 1


# ── turns of the loop ──


@final
class _BareYield:
    """What `asyncio.sleep(0)` awaits: one turn of the loop, at half the cost of `anyio.lowlevel.checkpoint()`."""

    __slots__ = ()

    def __await__(self) -> Any:
        yield


def slice_length() -> int:
    """Give how many deliveries, or publishes, may follow one another before others have their turn.

    Fewer on trio, which runs who has something to do in any order: of two in a loop one may have two turns in a row.
    """
    return 64 if native_loop() is not None else 32


def turns() -> Callable[[], Awaitable[object]]:
    """Give a function whose result is awaited to let everybody else have a turn: a checkpoint."""
    if native_loop() is not None:
        bare = _BareYield()
        return lambda: bare
    return cast("Callable[[], Awaitable[object]]", sys.modules["trio"].lowlevel.checkpoint)


@final
class NextTurn:
    """Calls a function in the next turn of the loop, whenever asked to."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._loop = native_loop()
        self._sleepers = sleepers()
        self._sleeper: Sleeper | None = None

    def ask(self) -> bool:
        """Have the function called in the next turn. False: nobody can do that now."""
        if self._loop is not None:
            self._loop.call_soon(self._callback)
            return True
        if self._sleeper is None:
            return False
        self._sleeper.wake()
        return self._sleeper.is_woken

    async def run(self) -> None:
        """Serve, until cancelled: trio calls nothing soon but tasks."""
        try:
            self._sleeper = self._sleepers()
            while True:
                await self._sleeper.sleep()
                self._callback()
        finally:
            self._sleeper = None
