"""An actor that handles one event and crashes at the next, whoever starts it again, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

from attrs import define, field

from benchmarks.cases import Figures
from benchmarks.samples import percentiles

EVENTS_OF_A_LIFE = 2


class Crash(Exception):
    """What an incarnation dies of."""


@final
@define
class Record:
    """What the incarnations have in common, and how they are told apart: by the order of their events."""

    expected: int
    """Crashes."""
    when_complete: Callable[[], object]
    """Called with the last event."""
    lives: int = 0
    """Incarnations that were built."""
    events: int = 0
    crashes: int = 0
    delays: list[float] = field(factory=list[float])
    """Seconds from a crash to the moment at which the next incarnation begins with its first event."""
    began: float = 0.0
    ended: float = 0.0
    _crashed: float | None = None

    @property
    def events_needed(self) -> int:
        """How many events lead to all the crashes, and one that shows the last of them to be overcome."""
        return self.expected * EVENTS_OF_A_LIFE + 1

    def begin(self) -> None:
        """Start the clock: what comes before is setting up."""
        self.began = time.perf_counter()

    def take(self) -> None:
        """Handle an event: the first one of a life well, the second one not."""
        now = time.perf_counter()
        self.events += 1
        if self.events % EVENTS_OF_A_LIFE:
            if self._crashed is not None:
                self.delays.append(now - self._crashed)
            if self.events == self.events_needed:
                self.ended = now
                self.when_complete()
            return
        self.crashes += 1
        self._crashed = time.perf_counter()
        raise Crash(self.crashes)

    def figures(self) -> Figures:
        """Give the figures; raise if anybody crashed too often or too rarely, or lived on."""
        wanted = (self.expected, self.expected, self.expected + 1)
        found = (self.crashes, len(self.delays), self.lives)
        if found != wanted:
            raise RuntimeError(f"crashes, recoveries and lives should be {wanted}, and are {found}")
        seconds = self.ended - self.began
        delays = percentiles(self.delays)
        return {"seconds": seconds, "operations": self.expected, "restarts_per_s": self.expected / seconds, **delays}
