"""Who else is restarted when one child is: OTP's three strategies, as a plain function of the start order."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Sequence


@final
@enum.unique
class Strategy(enum.Enum):
    """Which children are restarted together."""

    ONE_FOR_ONE = "one_for_one"
    """Only the one that failed: for children that do not depend on each other."""

    ONE_FOR_ALL = "one_for_all"
    """All of them: for children that share state."""

    REST_FOR_ONE = "rest_for_one"
    """The one that failed and those started after it: for children each of which depends on earlier ones."""

    def affected(self, order: Sequence[str], failed: str) -> tuple[str, ...]:
        """Return which of the children in start *order* are restarted when *failed* is, in start order, itself
        included."""
        if self is Strategy.ONE_FOR_ALL:
            return tuple(order)
        if self is Strategy.REST_FOR_ONE:
            return tuple(order[order.index(failed) :])
        return (failed,)
