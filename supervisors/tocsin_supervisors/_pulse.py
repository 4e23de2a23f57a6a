"""Whether an event loop stalls, decided from when it beat and when somebody looked.

Rules:

* The loop beats twice per threshold. A last beat that is older than the threshold makes a suspicion; it becomes a stall
  when who looked finds the loop in somebody's code, not waiting in its selector.
* The next beat ends the stall and tells its length. Between two beats there is at most one.
* A process that was suspended, or starved of the processor, has stalled nobody. Then who looks is late as well, and the
  process has done no work meanwhile: the time is forgiven, and the loop has one period to beat.
* Who looks is late, too, when code of C held the interpreter, but then the process has worked. If it was so late
  that the loop has beaten before, the work alone proves that there was a stall.
* Work is processor time, not a share of the time that passed: between two beats a loop that turns cannot do more than
  half a threshold of it, however long it is suspended; one that stalls does, however crowded the machine is.
"""

from __future__ import annotations

import math
from typing import final

import attrs

# In thresholds.
LATE = 0.25  # far more than a thread waits for its turn, unless the process does not run at all
WORKED = 0.75  # halfway between what a loop can do from beat to beat and what one does that works through a threshold
AGAIN = 0.25  # how soon a loop that is overdue is looked at again


@final
@attrs.frozen
class Suspicion:
    """The loop should have beaten by now: look what it does."""

    beat: int  # the last one
    seconds: float  # since then


@final
@attrs.define
class Pulse:
    """See the module. Times are monotonic seconds, *worked* is the processor time that the process has used."""

    threshold: float
    _beaten: float  # when the loop last beat, or was last forgiven
    _worked: float  # by then
    _beats: int = attrs.field(default=0, init=False)
    _stalled: int = attrs.field(default=-1, init=False)  # the last beat that a stall came after
    _planned: float = attrs.field(default=math.inf, init=False)  # when the next look was to be

    @property
    def period(self) -> float:
        """Seconds between two beats."""
        return self.threshold / 2

    def beat(self, now: float, worked: float) -> float | None:
        """Note that the loop turns. If that ends a stall, give its seconds."""
        seconds = now - self._beaten
        was_seen = self._stalled == self._beats
        is_over = was_seen or (seconds >= self.threshold and self._has_worked(worked))
        self._beaten, self._worked = now, worked
        self._beats += 1
        return seconds if is_over else None

    def seconds_to_look(self, now: float) -> float:
        """Plan the next look, and give the seconds until then."""
        wait = self._beaten + self.threshold - now
        if wait <= 0:
            wait = self.threshold * AGAIN
        self._planned = now + wait
        return wait

    def look(self, now: float, worked: float) -> Suspicion | None:
        """Give the suspicion of a stall that nobody has seen yet, if there is one."""
        if self._stalled == self._beats or now - self._beaten < self.threshold:
            return None
        if now - self._planned > self.threshold * LATE and not self._has_worked(worked):
            # As if it had last beaten when it should have: a loop that only slept beats in no time now.
            self._beaten, self._worked = now - self.period, worked
            return None
        return Suspicion(self._beats, now - self._beaten)

    def confirm(self, suspicion: Suspicion) -> bool:
        """Note that it is a stall, and tell whether it still is: the loop may have beaten meanwhile."""
        if suspicion.beat != self._beats:
            return False
        self._stalled = self._beats
        return True

    def _has_worked(self, worked: float) -> bool:
        return worked - self._worked >= self.threshold * WORKED
