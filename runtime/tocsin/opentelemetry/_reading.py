"""Snapshots of a bus for whoever collects metrics, in whatever thread.

The statistics of a bus are for its own thread, and readers of metrics have threads of their own. So a snapshot is taken
in the loop, which is asked for it and waited for, a little while: a loop that is blocked must not hold up the metrics
of the rest of the program, and one that waits for its reader to end would wait for itself.

`_latest` changes in the loop, or in the reader's thread once the loop has ended; nobody changes what is in it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, final
from weakref import ref

from tocsin._backends import waker

if TYPE_CHECKING:
    from tocsin import BusStatistics, EventBus

FRESH: Final = 0.2  # seconds for which a snapshot serves: one collection asks once for each metric
PATIENCE: Final = 0.5  # seconds that a loop has


@final
class Reading:
    """See the module. Made in the running loop, for one run of *bus*, which it does not keep alive."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = ref(bus)
        self._thread = threading.get_ident()
        self._wake = waker(self._take)
        self._taken = threading.Event()
        self._latest: BusStatistics | None = None
        self._asked_at = float("-inf")

    def statistics(self) -> BusStatistics | None:
        """Give a snapshot, an older one if there is no other; None if there is none."""
        now = time.monotonic()
        if now - self._asked_at >= FRESH:
            self._ask()
            self._asked_at = time.monotonic()
        return self._latest

    def _ask(self) -> None:
        if threading.get_ident() == self._thread:
            self._take()
            return
        self._taken.clear()
        try:
            self._wake()
        except RuntimeError:  # the loop has ended, so nobody changes anything any more
            self._take()
        self._taken.wait(PATIENCE)

    def _take(self) -> None:
        bus = self._bus()
        self._latest = None if bus is None else bus.statistics()
        self._taken.set()
