"""The conservation ledger: every delivery is somewhere, and ends exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import define, fields_dict, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


@final
@define
class Counters:
    """How the deliveries of one subscription ended, and how many there were. Plain integers, one owner."""

    matched: int = 0
    handled: int = 0
    retried: int = 0  # attempts that failed and were followed by another one
    dead_lettered: int = 0
    dropped: int = 0
    rejected: int = 0
    returned: int = 0


@final
@frozen(kw_only=True)
class Ledger:
    """Where all matched deliveries are, at one instant.

    `matched` counts the pairs of event and subscription that were routed. Each ends in exactly one of `handled`,
    `dead_lettered`, `dropped`, `rejected` and `returned`; until then it is `queued`, `in_flight`, `waiting_retry` or
    `blocked` (its publisher waits for room, or for the commit). `balanced` says that the sums agree: it holds at every
    instant at which user code can look, and the four live ones are 0 after a stop.
    """

    matched: int = 0
    handled: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    rejected: int = 0
    returned: int = 0
    queued: int = 0
    in_flight: int = 0
    waiting_retry: int = 0
    blocked: int = 0

    @property
    def ended(self) -> int:
        """How many deliveries have their outcome."""
        return self.handled + self.dead_lettered + self.dropped + self.rejected + self.returned

    @property
    def live(self) -> int:
        """How many deliveries are still to end."""
        return self.queued + self.in_flight + self.waiting_retry + self.blocked

    @property
    def balanced(self) -> bool:
        """True when no delivery was lost and none counted twice."""
        return self.matched == self.ended + self.live

    def __str__(self) -> str:
        sign = "=" if self.balanced else "≠"
        return (
            f"matched {self.matched} {sign} handled {self.handled} + dead-lettered {self.dead_lettered}"
            f" + dropped {self.dropped} + rejected {self.rejected} + returned {self.returned} + queued {self.queued}"
            f" + in flight {self.in_flight} + waiting for retry {self.waiting_retry} + blocked {self.blocked}"
        )


def add_up(ledgers: Iterable[Ledger]) -> Ledger:
    """Give the sum of *ledgers*."""
    each = list(ledgers)
    return Ledger(**{name: sum(getattr(ledger, name) for ledger in each) for name in fields_dict(Ledger)})
