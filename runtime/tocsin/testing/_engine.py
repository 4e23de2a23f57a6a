"""One run under control: who goes on next, what is looked at between two steps, and when it has to end.

The two backends ask it (`_on_asyncio.py`, `_on_trio.py`); it knows neither of them. Nothing that it is told to call may
break the loop that calls: what is raised is kept as the fault of the run, which is cancelled.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, final
from weakref import WeakKeyDictionary

from ._errors import Deadlock, StepLimit
from ._schedules import Recorder
from ._waiting import threads_now, waiting_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Thread

    import anyio

    from ._schedules import Schedule

START = 1024.0
"""What the clock shows at first: not 0, which is easily taken for "no time", and with room to add exactly."""


@final
class Engine:
    """See the module. `scope`: around all that runs, once it does."""

    def __init__(self, schedule: Schedule, max_steps: int) -> None:
        self.recorder: Recorder = Recorder(schedule)
        self.steps: int = 0
        self.now: float = START
        self.fault: BaseException | None = None  # the first
        self.scope: anyio.CancelScope | None = None
        self.watchers: list[Callable[[int], object]] = []  # each is called with 1, 2, … before a step
        # Each is called when nothing goes on before time does, and tells whether it has woken somebody.
        self.idlers: list[Callable[[], bool]] = []
        self.threads: frozenset[Thread] = threads_now()
        self._max_steps = max_steps
        self._is_cancelled = False
        self._numbers: WeakKeyDictionary[object, int] = WeakKeyDictionary()  # task → when it was first seen
        self._seen = 0
        self._last = 0
        self._digest = hashlib.blake2b(digest_size=8)

    # ── schedules ──

    def number(self, task: object) -> int:
        """Give the number of *task*: 0 for the first one seen."""
        number = self._numbers.get(task)
        if number is None:
            number = self._numbers[task] = self._seen
            self._seen += 1
        return number

    def next_of(self, tasks: Sequence[object]) -> int:
        """Give the place in *tasks* of the one to go on, and note that it does."""
        numbers = [self.number(task) for task in tasks]
        place = 0
        if len(tasks) > 1:
            # Whoever went on last is the first choice: to choose another one is what makes a schedule special.
            order = sorted(range(len(tasks)), key=lambda each: (numbers[each] != self._last, numbers[each]))
            place = order[self.recorder.choose([numbers[each] for each in order])]
        self._last = numbers[place]
        self._step(self._last)
        return place

    def _step(self, number: int) -> None:
        self.steps += 1
        self._digest.update(number.to_bytes(4, "little"))
        if self.steps > self._max_steps and self.fault is None:
            self.fail(StepLimit(self._max_steps, waiting_tasks()))
        for watcher in self.watchers:
            try:
                watcher(self.steps)
            except BaseException as error:  # raised when the run has ended: here it would break the loop
                self.fail(error)

    def wakes_somebody(self) -> bool:
        """Nothing goes on: tell whether somebody was waiting for just that."""
        return any(idler() for idler in self.idlers)

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that are the same for the same schedule."""
        return self._digest.hexdigest()

    # ── the end ──

    def cancel(self) -> None:
        """Cancel all that runs, or will."""
        self._is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    def enter(self, scope: anyio.CancelScope) -> None:
        """Take *scope* as that of the whole run."""
        self.scope = scope
        if self._is_cancelled:
            scope.cancel()

    def fail(self, error: BaseException) -> None:
        """End the run because of *error*; the first one counts."""
        if self.fault is None:
            self.fault = error
        self.cancel()

    def is_stuck(self) -> None:
        """Nothing will happen any more: cancel all; and if that was done before, raise."""
        if isinstance(self.fault, Deadlock):
            raise self.fault
        self.fail(Deadlock(waiting_tasks()))
