"""The growing delay before a restart or a redelivery."""

from __future__ import annotations

from random import Random
from typing import final

import attrs

from ._checks import check_count, number


@final
@attrs.frozen
class Backoff:
    """How long to wait after the n-th failure in a row.

    The delay grows from *initial* seconds by *factor* for each further failure up to *maximum* seconds. *jitter* is the
    share of it that chance may take away, so that actors that failed together do not come back together; it is applied
    inside the cap, so no delay ever exceeds *maximum*.

    Raise `TypeError` or `ValueError` for values that are not finite, negative, or contradict each other.
    """

    initial: float = attrs.field(default=0.1, validator=number(at_least=0))
    """Seconds after the first failure. A tenth of a second is nothing to an operator and an age to an event loop."""

    maximum: float = attrs.field(default=30.0, validator=number(at_least=0))
    """Seconds that no delay exceeds. Half a minute after a dependency is back, so is everything that needs it."""

    factor: float = attrs.field(default=2.0, validator=number(at_least=1))
    """What each further failure multiplies the delay by; 1 keeps it constant."""

    jitter: float = attrs.field(default=0.25, validator=number(at_least=0, at_most=1))
    """The delay is drawn evenly between (1 - jitter) of its full length and all of it; 0 removes chance."""

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.initial:
            raise ValueError(
                f"maximum={self.maximum!r} is below initial={self.initial!r}: "
                "the first delay would exceed the cap; raise maximum or lower initial"
            )

    @classmethod
    def none(cls) -> Backoff:
        """Return the backoff without any delay."""
        return cls(initial=0.0, maximum=0.0, factor=1.0, jitter=0.0)

    def delay(self, attempt: int, random: Random) -> float:
        """Return the seconds to wait after the *attempt*-th failure in a row, counted from 1.

        The result lies between 0 and `maximum` for every attempt however large. One number is drawn from *random*,
        none when `jitter` is 0.
        """
        check_count("attempt", attempt, at_least=1)
        base = self._without_jitter(attempt)
        if self.jitter == 0:
            return base
        return base * (1.0 - self.jitter * random.random())

    def _without_jitter(self, attempt: int) -> float:
        if self.initial == 0:  # and zero times infinity is no number
            return 0.0
        try:
            return float(min(self.maximum, self.initial * self.factor ** (attempt - 1)))
        except OverflowError:  # how float says "far beyond the cap"
            return float(self.maximum)
