"""Clocks that jump: an hour of waiting costs a test a millisecond, and a deadlock is told instead of suffered."""

from __future__ import annotations

import asyncio
import functools
import gc
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterable
from types import CoroutineType
from typing import Any, NoReturn

import anyio
import trio
from trio.testing import MockClock

# Real seconds with nothing to do and no deadline pending before a test counts as deadlocked: room for a signal, or
# for a thread that was nearly done.
PATIENCE = 2.0


class Deadlock(RuntimeError):
    """Every task waits, no deadline is pending and no I/O arrived: the test would hang for ever."""

    def __init__(self, waiting: Iterable[str]) -> None:
        lines = "".join(f"\n  {line}" for line in waiting)
        super().__init__(f"every task waits and no deadline is pending, the test would hang for ever:{lines}")


def where(coroutine: object) -> str:
    """Say in which line of which function *coroutine* waits: the innermost one outside libraries, if there is one."""
    lines: list[str] = []
    while isinstance(coroutine, CoroutineType):
        code, frame = coroutine.cr_code, coroutine.cr_frame
        if frame is not None and (not lines or "/lib/python" not in code.co_filename):
            lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        coroutine = coroutine.cr_await
    return lines[-1] if lines else "a finished or foreign coroutine"


class JumpingSelector(selectors.DefaultSelector):
    """Turns every idle wait of an asyncio event loop into a jump of its clock."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(PATIENCE if timeout is None else 0)
        if timeout is None and not ready:
            self._give_up()
        if timeout is not None and timeout > 0 and not ready:
            self.jumped += timeout
        return ready

    def _give_up(self) -> NoReturn:
        raise Deadlock(f"{task.get_name()} at {where(task.get_coro())}" for task in asyncio.all_tasks())


class JumpingEventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose time passes only while nothing else happens.

    Not for tests with threads, subprocesses or sockets: the clock would jump while they work.
    """

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def block(self, seconds: float) -> None:
        """Let time pass within the current step of the loop."""
        self._jumping.jumped += seconds

    def time(self) -> float:
        # Of real time nothing is added: how long a step takes on this machine must not decide a test.
        return self._jumping.jumped


def block_the_loop(seconds: float) -> None:
    """Let time pass in which nobody can run, as if the task that calls this computed for so long without awaiting."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(seconds)
    else:
        assert isinstance(loop, JumpingEventLoop)
        loop.block(seconds)


class DeadlockWatch(trio.abc.Instrument):
    """Cancels a trio run that waits for ever; trio's jumping clock would spin in it without an end."""

    def __init__(self) -> None:
        self.deadlock: Deadlock | None = None
        self._idle_since: float | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._idle_since = None

    def before_io_wait(self, timeout: float) -> None:
        if self.deadlock or trio.lowlevel.current_statistics().seconds_to_next_deadline < math.inf:
            return
        if self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > PATIENCE:
            self._give_up()

    def _give_up(self) -> None:
        tasks = list(_all_tasks(trio.lowlevel.current_root_task()))
        self.deadlock = Deadlock(f"{task.name} at {where(task.coro)}" for task in tasks)
        # An exception cannot leave an instrument, so the run is cancelled; its shields would keep it from ending.
        for thing in gc.get_objects():
            if type(thing) is trio.CancelScope:  # not isinstance: a test's object may lie about its class
                thing.shield = False
        for task in tasks:
            if task.parent_nursery is not None and "_run_tests_and_fixtures" in task.name:
                task.parent_nursery.cancel_scope.cancel()


def _all_tasks(root: trio.lowlevel.Task | None) -> Iterable[trio.lowlevel.Task]:
    if root is None:
        return
    yield root
    for nursery in root.child_nurseries:
        for task in nursery.child_tasks:
            yield from _all_tasks(task)


def leaving_no_task(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Wrap an asyncio *test* so that it fails if a task of its own outlives it (on trio no task can)."""

    @functools.wraps(test)
    async def checked(**fixtures: Any) -> None:
        before = asyncio.all_tasks()
        await test(**fixtures)
        left = [f"{task.get_name()} at {where(task.get_coro())}" for task in asyncio.all_tasks() - before]
        assert not left, f"the test left tasks behind: {left}"

    return checked


def backend_options(backend: str, *, real_time: bool) -> dict[str, Any]:
    """Give what anyio's test runner passes on to *backend*."""
    if real_time:
        return {}
    if backend == "asyncio":
        return {"loop_factory": JumpingEventLoop}
    return {"clock": MockClock(autojump_threshold=0), "instruments": [DeadlockWatch()]}


def run_on_asyncio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *main*, for what is to be had on asyncio alone, on virtual time."""
    anyio.run(main, backend="asyncio", backend_options=backend_options("asyncio", real_time=False))
