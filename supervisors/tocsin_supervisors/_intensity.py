"""How often a child may be restarted before its supervisor gives up.

Three rules, any of which trips:

* the *window*: more than ``max_restarts`` restarts within ``period`` seconds. The window is half-open,
  ``(now - period, now]``: a restart exactly one period ago no longer counts. Attempts are counted, also those whose
  start fails, so N restarts survive and the (N+1)-th trips.
* the *consecutive* rule: more than ``max_consecutive`` restarts without a stable life in between. With a growing
  backoff the restarts spread out until the window alone would never trip, and a child that can never work would be
  retried for ever.
* the *subtree* rule: a window over all restarts below a supervisor, at whatever depth. Each of many branches may stay
  below its own limit while the whole does nothing but restart.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Literal, final

import attrs

from ._checks import check_number, count


def _period(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_number(attribute.name, value, at_least=0)
    if value == 0:
        raise ValueError(
            f"{attribute.name}={value!r} must be greater than 0 seconds: a window without length counts nothing; "
            "to forbid restarts use RestartIntensity.never()"
        )


@final
@attrs.frozen
class RestartIntensity:
    """The limit: *max_restarts* within *period* seconds, *max_consecutive* without a stable life between them.

    ``max_restarts=0`` never restarts. ``max_consecutive=None`` switches the second rule off.
    Raise `TypeError` or `ValueError` for a negative count, a period that is not positive and finite, or a bool where a
    number is meant.
    """

    max_restarts: int = attrs.field(default=3, validator=count(at_least=0))
    """Restarts that survive within the period. Elixir's default; OTP's 1 is too strict for handlers that do I/O."""

    period: float = attrs.field(default=5.0, validator=_period)
    """Length of the window in seconds. OTP's and Elixir's default."""

    max_consecutive: int | None = attrs.field(default=10, validator=count(at_least=1, or_none=True), kw_only=True)
    """Restarts in a row that survive. With the default backoff ten take about two minutes: longer than a deployment
    of a neighbour, shorter than the patience of whoever is on call."""

    may_never_trip: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool), kw_only=True)
    """Says that a growing backoff is meant to keep clear of this limit for ever. It changes no decision: without it,
    a limit that no row of crashes can exceed is warned of as a mistake; with it, one that can be exceeded is."""

    @classmethod
    def never(cls) -> RestartIntensity:
        """Return the limit that allows no restart: the first crash is escalated."""
        return cls(0)

    @classmethod
    def for_worker(cls) -> RestartIntensity:
        """Return a limit for work that nothing else waits for: 5 restarts a minute, 10 in a row.

        One bad minute is survived; a worker that fails each time is given up within seconds.
        """
        return cls(5, 60.0)

    @classmethod
    def for_network_dependency(cls) -> RestartIntensity:
        """Return a limit for a child that needs a remote service: 40 restarts in ten minutes, any number in a row.

        With the default backoff, which ends at 30 s less a quarter of jitter, an outage of any length stays below it,
        so the child is there again when the service is: it says so by `may_never_trip`. Restarts without backoff still
        trip it.
        """
        return cls(40, 600.0, max_consecutive=None, may_never_trip=True)


@final
@attrs.frozen
class Exceeded:
    """Which rule of a `RestartIntensity` was broken, and by how much."""

    rule: Literal["window", "consecutive", "subtree"]
    restarts: int
    """Restarts counted by that rule, the one that tripped it included."""

    limit: int
    period: float
    """Length in seconds of the window; it has no part in the consecutive rule."""

    def __str__(self) -> str:
        restarts = f"{self.restarts} restart{'' if self.restarts == 1 else 's'}"
        if self.rule != "consecutive":
            where = "" if self.rule == "window" else " in it and below"
            return f"{restarts}{where} within {self.period:g} s, {self.limit} are allowed"
        return f"{restarts} in a row without a stable life between, {self.limit} are allowed"


@final
@attrs.define
class RestartHistory:
    """The restarts that count against one `RestartIntensity`. Holds at most ``max_restarts + 1`` times."""

    # Of restarts in the window, oldest first. No deque: an empty one takes 760 bytes, and most children need none.
    _times: list[float] = attrs.field(factory=list[float], init=False)
    _consecutive: int = attrs.field(default=0, init=False)

    @property
    def consecutive(self) -> int:
        """Restarts since the last stable life."""
        return self._consecutive

    def charge(self, now: float, intensity: RestartIntensity, *, consecutive: bool = True) -> Exceeded | None:
        """Record a restart attempt at *now* and return the rule it breaks, the window first.

        *now* must not go backwards between calls. ``consecutive=False`` charges the window only. An attempt that trips
        is recorded as well: it was asked for.
        """
        self._times.append(now)
        self._forget(now - intensity.period, keep=intensity.max_restarts + 1)
        if consecutive:
            self._consecutive += 1
        if len(self._times) > intensity.max_restarts:
            return Exceeded("window", len(self._times), intensity.max_restarts, intensity.period)
        limit = intensity.max_consecutive
        if consecutive and limit is not None and self._consecutive > limit:
            return Exceeded("consecutive", self._consecutive, limit, intensity.period)
        return None

    def forgive(self, count: int) -> None:
        """Take back the latest *count* charges of the window: they turned out to be parts of one failure."""
        del self._times[max(0, len(self._times) - count) :]

    def restarts_within(self, period: float, now: float) -> int:
        """Return how many restarts are known in ``(now - period, now]``."""
        return sum(1 for time in self._times if time > now - period)

    def settled(self, uptime: float, stable_after: float) -> None:
        """End the row of consecutive restarts if a life of *uptime* seconds was a stable one.

        To be asked when the life has ended: that a start succeeded says nothing yet.
        """
        if uptime >= stable_after:
            self._consecutive = 0

    def clear(self) -> None:
        """Forget everything, as after an operator has repaired the cause."""
        self._times.clear()
        self._consecutive = 0

    def _forget(self, threshold: float, *, keep: int) -> None:
        # More than the limit is more than the limit: one entry above it says all, so memory stays bounded in a storm.
        del self._times[: max(bisect_right(self._times, threshold), len(self._times) - keep)]
