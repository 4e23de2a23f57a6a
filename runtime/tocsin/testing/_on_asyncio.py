"""asyncio under control: an event loop whose time is virtual and whose tasks take turns as a schedule says.

What is exchanged are steps of tasks alone. Plain callbacks run in the order in which they were asked for, which asyncio
promises. The loop of the standard library takes tasks strictly in turn, others (uvloop, trio) do not; code that relies
on it is broken already, and shows it here.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, final

from ._waiting import are_at_work

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from contextvars import Context

    from ._engine import Engine

T = TypeVar("T")
Args = TypeVarTuple("Args")
PATIENCE = 1.0  # real seconds to wait for threads, and for I/O, before time goes on without them

# What asyncio schedules to run a task, written in C. Both have the task as `__self__`.
_FIRST_STEP, _NEXT_STEP = "TaskStepMethWrapper", "task_wakeup"


@final
class _Selector(selectors.DefaultSelector):
    """Tells its loop when there is nothing to do."""

    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.waits_for_others():
            ready = super().select(PATIENCE)
            if ready:
                return ready
        self.loop.idle()
        return []


@final
class SimulatedLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._could_go_on: list[Callable[[], object]] = []  # the steps of tasks that could be next
        self._tasks: list[object] = []  # the same, whose they are
        self._in_pools = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Give the time of the simulation, which passes only while nothing else happens."""
        return self._engine.now

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon`; a step of a task only says that one of those that could be next is."""
        if context is None or not _is_step(callback):
            return super().call_soon(callback, *args, context=context)
        self._could_go_on.append(lambda: context.run(callback, *args))
        self._tasks.append(getattr(callback, "__self__", callback))
        return super().call_soon(self._step)

    def _step(self) -> None:
        place = self._engine.next_of(self._tasks)
        del self._tasks[place]
        self._could_go_on.pop(place)()

    # ── time ──

    def waits_for_others(self) -> bool:
        """Tell whether threads are at work, or files are waited for, that may have something to say."""
        # One file is the loop's own, for those who wake it up.
        return self._in_pools > 0 or are_at_work(self._engine.threads) or len(self._files()) > 1

    def _files(self) -> Any:
        return self._selector.get_map()  # type: ignore[attr-defined]

    def idle(self) -> None:
        """Nothing can go on now: let it be the time at which something can, or give up."""
        if self._engine.wakes_somebody():
            return
        timers: list[asyncio.TimerHandle] = vars(self)["_scheduled"]  # a heap: the first one is due first
        if timers:
            self._engine.now = max(self._engine.now, timers[0].when())
        else:
            self._engine.is_stuck()

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        """See `asyncio.loop.run_in_executor`; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._in_pools += 1
        future.add_done_callback(self._is_done)
        return future

    def _is_done(self, _future: object) -> None:
        self._in_pools -= 1


def _is_step(callback: object) -> bool:
    return type(callback).__name__ == _FIRST_STEP or getattr(callback, "__name__", "") == _NEXT_STEP
