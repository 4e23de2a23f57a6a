"""Schedules under control: time that stands still while anything runs, chance from a seed, and a look between any two
steps of tasks.

asyncio's loop takes turns strictly; `SteppingEventLoop` draws whose turn is next. trio shuffles by itself; here its
source of chance is seeded, so that a failing schedule can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, TypeVarTuple

import trio
from trio.testing import MockClock

from tests.virtual_time import JumpingEventLoop, JumpingSelector

Args = TypeVarTuple("Args")
OnStep = Callable[[int], None]
# What asyncio schedules to run a task, written in C: the only callbacks whose order is nobody's promise.
_FIRST_STEP, _NEXT_STEP = "TaskStepMethWrapper", "task_wakeup"


def _ignore(step: int) -> None:
    """Do nothing between steps."""


class SteppingEventLoop(JumpingEventLoop):
    """An asyncio loop whose time passes in jumps only, and whose tasks take turns as *seed* says; None: in order.

    *on_step* is called with 1, 2, … before each step of a task.
    """

    def __init__(self, seed: int | None, on_step: OnStep = _ignore) -> None:
        self._random = None if seed is None else Random(seed)
        self._on_step = on_step
        self._steps = 0
        self._waiting: list[Callable[[], object]] = []  # steps of tasks that could be next
        super().__init__()

    def time(self) -> float:
        selector = self._jumping
        assert isinstance(selector, JumpingSelector)
        return selector.jumped

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        if context is None or not _is_task_step(callback):
            return super().call_soon(callback, *args, context=context)
        self._waiting.append(lambda: context.run(callback, *args))
        return super().call_soon(self._one_step)

    def _one_step(self) -> None:
        chosen = 0 if self._random is None else self._random.randrange(len(self._waiting))
        step = self._waiting.pop(chosen)
        self._steps += 1
        self._on_step(self._steps)
        step()


def _is_task_step(callback: object) -> bool:
    return type(callback).__name__ == _FIRST_STEP or getattr(callback, "__name__", "") == _NEXT_STEP


class StepWatch(trio.abc.Instrument):
    """Calls *on_step* with 1, 2, … before each step of a task."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step
        self._steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps += 1
        self._on_step(self._steps)


def stepping_options(backend: str, seed: int | None, on_step: OnStep = _ignore) -> dict[str, Any]:
    """Give the `backend_options` of `anyio.run` for one run on the schedule of *seed*."""
    if backend == "asyncio":
        return {"loop_factory": lambda: SteppingEventLoop(seed, on_step)}
    private: Any = trio
    private._core._run._r.seed(0 if seed is None else seed)  # there is no public way to repeat a schedule of trio
    return {"clock": MockClock(autojump_threshold=0), "instruments": [StepWatch(on_step)]}
