"""How long the attempts of one subscription take: of the last minute or so, and all together. Pure.

Two windows: one that is being filled, and the one before. So what is read is of the last 30 to 60 seconds, and nothing
older than that is kept but two sums.
"""

from __future__ import annotations

from typing import Final, final

from ._histogram import bucket_of, percentile

WINDOW: Final = 30.0  # seconds


@final
class HandlingTimes:
    """See the module. `count` attempts took `seconds` in all, since the start of the run."""

    __slots__ = ("_before", "_current", "_until", "count", "seconds")

    def __init__(self) -> None:
        self._before: dict[int, int] = {}  # bucket → how many, of the window before
        self._current: dict[int, int] = {}
        self._until: float = 0.0  # when the current window ends
        self.count: int = 0
        self.seconds: float = 0.0

    def note(self, seconds: float, now: float) -> None:
        """An attempt has ended *now*, after *seconds*."""
        if now >= self._until:
            self._turn(now)
        bucket = bucket_of(seconds)
        self._current[bucket] = self._current.get(bucket, 0) + 1
        self.count += 1
        self.seconds += seconds

    def percentiles(self, now: float | None, *shares: float) -> tuple[float | None, ...]:
        """Give for each of *shares* the seconds that so many of the attempts did not exceed, None if there were none in
        the last minute; without *now*, of what was the last minute when the last one ended.
        """
        if now is not None and now >= self._until:
            self._turn(now)
        together = dict(self._before)
        for bucket, count in self._current.items():
            together[bucket] = together.get(bucket, 0) + count
        return tuple(percentile(together, share) for share in shares)

    def _turn(self, now: float) -> None:
        # One window begins where the one before ends, however late that is noticed: or it would be kept for longer.
        if now < self._until + WINDOW:
            self._before, self._until = self._current, self._until + WINDOW
        else:
            self._before, self._until = {}, now + WINDOW
        self._current = {}
