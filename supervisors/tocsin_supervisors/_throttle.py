"""Keep a storm of dead letters from becoming a storm of log lines, without hiding how large it was."""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from ._checks import count, number


@final
@attrs.frozen
class Allowed:
    """Write the line; *suppressed_before* lines were left out since the last one written (0: say nothing of it)."""

    suppressed_before: int = 0


@final
@attrs.frozen
class Suppressed:
    """Write nothing, except, when this is the *first* one left out, that the log goes silent now."""

    first: bool


Permission: TypeAlias = Allowed | Suppressed


@final
@attrs.define
class LogThrottle:
    """Allows *limit* lines in a period of *period* seconds, which begins with the first line of it."""

    limit: int = attrs.field(default=10, validator=count(at_least=1))
    """Lines per period. Ten show whether it is one event or all of them; Pekko's default."""

    period: float = attrs.field(default=300.0, validator=number(at_least=0))
    """Seconds. Five minutes: often enough for an operator who watches; Pekko's default."""

    _began: float | None = attrs.field(default=None, init=False)  # when the current period began
    _allowed: int = attrs.field(default=0, init=False)  # lines in the current period
    _suppressed: int = attrs.field(default=0, init=False)  # lines left out since the last one allowed

    def allow(self, now: float) -> Permission:
        """Return whether a line may be written at *now*, and count it. *now* must not go backwards between calls."""
        if self._began is None or now >= self._began + self.period:
            self._began, self._allowed = now, 0
        if self._allowed < self.limit:
            self._allowed += 1
            suppressed, self._suppressed = self._suppressed, 0
            return Allowed(suppressed)
        self._suppressed += 1
        return Suppressed(first=self._suppressed == 1)
