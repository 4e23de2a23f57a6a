"""The few places where asyncio and trio are asked for something that anyio has no word for, or only a slow one, beside
those that supervisors ask as well.

Each says why.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast, final

import anyio.lowlevel

from tocsin_supervisors._backends import Sleeper as Sleeper
from tocsin_supervisors._backends import monotonic_clock as monotonic_clock
from tocsin_supervisors._backends import native_loop as native_loop
from tocsin_supervisors._backends import sleepers as sleepers
from tocsin_supervisors._backends import turns as turns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


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


def slice_length() -> int:
    """Give how many deliveries, or publishes, may follow one another before others have their turn.

    Fewer on trio, which runs who has something to do in any order: of two in a loop one may have two turns in a row.
    """
    return 64 if native_loop() is not None else 32


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
