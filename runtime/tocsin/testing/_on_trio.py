"""trio under control: a clock that is virtual, and a scheduler that runs one task at a time, as a schedule says.

trio runs all tasks that can go on, in any order, before it looks for others. Here it runs one of them, and looks again:
which order that gives is nobody's promise on trio. What there is no public name for is checked when it is used.
"""

from __future__ import annotations

import contextlib
import gc
import math
import sys
from collections.abc import Generator
from random import Random
from typing import TYPE_CHECKING, Any, final

import trio
import trio.testing
from trio.abc import Clock

from ._waiting import are_at_work

if TYPE_CHECKING:
    from ._engine import Engine

PATIENCE = 0.05  # real seconds between two looks at threads that are at work
LOOKS = 20  # so many in a row without anything happening, and time goes on without them
SOON = 1e-6  # seconds: not 0, so that whoever waits for all others to wait is woken first


_RESTS_ON = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT")  # private to trio


@final
class SimulatedClock(Clock):
    """Time that passes only while nothing else happens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = -1  # the number of steps at the last look
        self._looks = 0

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""

    def current_time(self) -> float:
        """See `trio.abc.Clock`."""
        return self._engine.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """See `trio.abc.Clock`; called when no task can go on."""
        if self._seen != self._engine.steps:
            self._seen, self._looks = self._engine.steps, 0
            return SOON  # others than tasks may have something to say, at once
        if self._looks < LOOKS and self._waits_for_others():
            self._looks += 1
            return PATIENCE
        self._seen, self._looks = -1, 0
        if self._engine.wakes_somebody():
            return 0.0
        if deadline < math.inf:
            self._engine.now = max(self._engine.now, deadline)
        else:
            self._give_up()
        return 0.0

    def _waits_for_others(self) -> bool:
        io: Any = trio.lowlevel.current_statistics().io_statistics
        files = getattr(io, "tasks_waiting_read", 0) + getattr(io, "tasks_waiting_write", 0)
        # One of them is trio's own, for those who wake it up.
        return files > 1 or trio.testing.active_thread_count() > 0 or are_at_work(self._engine.threads)

    def _give_up(self) -> None:
        self._engine.is_stuck()
        for thing in gc.get_objects():
            if type(thing) is trio.CancelScope:  # not isinstance: an object of a test may lie about its class
                thing.shield = False  # a shield would keep the run from ending


@final
class _Chance:
    """In the place of trio's source of chance."""

    def __init__(self, engine: Engine, queue: Any) -> None:
        self._engine = engine
        self._queue = queue  # gives trio's queue of tasks that can go on
        self.uniform = Random(0).uniform  # where other clocks begin

    def shuffle(self, batch: list[Any]) -> None:
        """Leave one of *batch*, and put the others back."""
        if batch:
            place = self._engine.next_of(batch)
            chosen = batch.pop(place)
            self._queue().extend(batch)
            batch[:] = [chosen]


@contextlib.contextmanager
def schedule_of(engine: Engine) -> Generator[None]:
    """Have trio ask *engine* who is next, in all runs begun within the block."""
    private: Any = sys.modules["trio._core._run"]
    unknown = [name for name in _RESTS_ON if not hasattr(private, name)]
    if unknown:
        raise RuntimeError(
            f"trio {trio.__version__} does without {', '.join(unknown)}, which simulations rest on: install one that "
            "this version of tocsin was tested with"
        )
    before = private._r, private._ALLOW_DETERMINISTIC_SCHEDULING
    context = private.GLOBAL_RUN_CONTEXT
    private._r, private._ALLOW_DETERMINISTIC_SCHEDULING = _Chance(engine, lambda: context.runner.runq), True
    try:
        yield
    finally:
        private._r, private._ALLOW_DETERMINISTIC_SCHEDULING = before
