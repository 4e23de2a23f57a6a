"""How a delivery ended: a closed set, matched exhaustively."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

if TYPE_CHECKING:
    from tocsin_supervisors import DeadLetterReason


@final
@enum.unique
class DropReason(enum.Enum):
    """Why a delivery was dropped by policy. Dropped deliveries are counted and reported, but kept nowhere."""

    OLDEST = "oldest"
    NEWEST = "newest"
    COALESCED = "coalesced"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"  # its event was a dead letter itself: a letter of a letter would circle for ever


@final
@enum.unique
class RejectReason(enum.Enum):
    """Why a publisher or asker was told no."""

    FULL = "full"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    UNSUBSCRIBED = "unsubscribed"
    DEADLOCK = "deadlock"
    ASK_FAILED = "ask_failed"
    ASK_WITHDRAWN = "ask_withdrawn"
    ACTOR_DOWN = "actor_down"
    STORE = "store"  # the store could not keep it


@final
@frozen
class Handled:
    """The handler returned."""


@final
@frozen
class DeadLettered:
    """The delivery ended in the dead-letter office; `letter` is the id to find it there."""

    reason: DeadLetterReason
    letter: int


@final
@frozen
class Dropped:
    """The overflow policy or the de-duplication of the subscription let go of the delivery."""

    reason: DropReason


@final
@frozen
class Rejected:
    """The publisher was told that this subscription did not take the event, or the asker that there is no answer."""

    reason: RejectReason


@final
@frozen
class Returned:
    """The bus stopped, or the subscription ended, before the delivery was handled; it was handed back
    (`StopReport.returned`).
    """


Outcome: TypeAlias = Handled | DeadLettered | Dropped | Rejected | Returned

HANDLED = Handled()
RETURNED = Returned()
DROPPED_OLDEST = Dropped(DropReason.OLDEST)
