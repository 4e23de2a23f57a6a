"""Which message to the service manager is due when, decided from the time and a snapshot of the bus."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from attrs import define, field

from . import _notifications as notifications
from ._vigil import Vigil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin import BusStatistics

STATUS_EVERY = 5.0  # seconds; each one wakes up whoever listens to the service manager
STATUS_EVERY_WHILE_STOPPING = 1.0
EXTENSION = 10.0  # seconds that are asked for each time: several looks may be late


@final
@define
class Herald:
    """What one run tells its service manager. *watchdog*: how often that is petted, None for never; *look* says of a
    snapshot why it is not to be."""

    watchdog: float | None = None
    look: Callable[[BusStatistics], str | None] = field(factory=lambda: Vigil().look)
    trouble: str | None = field(default=None, init=False)
    """Why the watchdog is not petted."""
    _next_pet: float = field(default=-math.inf, init=False)
    _next_status: float = field(default=-math.inf, init=False)
    _stops_by: float | None = field(default=None, init=False)  # until then it may be asked for more time
    _handled: int = field(default=0, init=False)  # at the last status
    _looked: float | None = field(default=None, init=False)  # when that was

    def ready(self, now: float, statistics: BusStatistics) -> str:
        """It runs, or has read its configuration again."""
        self._next_status = now + STATUS_EVERY
        return notifications.ready(self._state(now, statistics))

    def stopping(self, now: float, limit: float, why: str) -> str:
        """It ends, within *limit* seconds."""
        self._stops_by = now + limit
        self._next_status = now
        return notifications.stopping(why)

    def due(self, now: float, statistics: BusStatistics) -> Iterator[str]:
        """Give what is to be told now, and take it as told."""
        if self.watchdog is not None and now >= self._next_pet:
            self._next_pet = now + self.watchdog
            self.trouble = self.look(statistics)
            if self.trouble is None:
                yield notifications.WATCHDOG
        if now >= self._next_status:
            is_ending = self._stops_by is not None
            self._next_status = now + (STATUS_EVERY_WHILE_STOPPING if is_ending else STATUS_EVERY)
            yield notifications.status(self._state(now, statistics))
            if self._stops_by is not None and now < self._stops_by:
                yield notifications.extend(EXTENSION)

    def next_due(self) -> float:
        """When to ask again."""
        return self._next_status if self.watchdog is None else min(self._next_pet, self._next_status)

    def _state(self, now: float, statistics: BusStatistics) -> str:
        handled = statistics.ledger.handled
        seconds = 0.0 if self._looked is None else now - self._looked
        rate = (handled - self._handled) / seconds if seconds > 0 else 0.0
        self._handled, self._looked = handled, now
        return notifications.state_of(statistics, rate)
