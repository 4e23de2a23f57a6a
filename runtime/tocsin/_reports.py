"""What the bus tells its observer about deliveries, beside the lifecycle reports of the supervisors.

A closed union of frozen values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

import tocsin_supervisors

if TYPE_CHECKING:
    from tocsin_supervisors import DeadLetterReason, Failure

    from ._outcomes import DropReason


@final
@frozen(kw_only=True)
class DeliveryRetried:
    """An attempt failed and will be made again after `delay` seconds."""

    subscription: str
    event_id: str
    attempt: int
    delay: float
    failure: Failure
    at: float


@final
@frozen(kw_only=True)
class DeliveryDeadLettered:
    """A delivery ended in the dead-letter office, under the number `letter`."""

    subscription: str
    event_id: str
    reason: DeadLetterReason
    attempts: int
    letter: int
    failure: Failure | None
    at: float


@final
@frozen(kw_only=True)
class DeliveryDropped:
    """A policy of the subscription dropped a delivery."""

    subscription: str
    event_id: str
    reason: DropReason
    at: float


@final
@frozen(kw_only=True)
class EventUndeliverable:
    """An event was published that no subscription matched."""

    event_id: str
    event_type: str
    topic: str | None
    at: float


@final
@frozen(kw_only=True)
class PhaseChanged:
    """The bus entered another phase of its run."""

    bus: str
    phase: str
    at: float


@final
@frozen(kw_only=True)
class SubscriptionPaused:
    """Somebody has asked that the subscription begins no delivery until it is resumed."""

    subscription: str
    at: float


@final
@frozen(kw_only=True)
class SubscriptionResumed:
    """A subscription that was paused goes on."""

    subscription: str
    at: float


@final
@frozen(kw_only=True)
class RestartRequested:
    """Somebody has asked that the actor of the subscription be replaced by a fresh incarnation."""

    subscription: str
    at: float


@final
@frozen(kw_only=True)
class StopRequested:
    """Somebody has asked that the actor of the subscription be stopped, until it is restarted."""

    subscription: str
    at: float


DeliveryReport: TypeAlias = (
    DeliveryRetried
    | DeliveryDeadLettered
    | DeliveryDropped
    | EventUndeliverable
    | PhaseChanged
    | SubscriptionPaused
    | SubscriptionResumed
    | RestartRequested
    | StopRequested
)
Report: TypeAlias = tocsin_supervisors.Report | DeliveryReport
"""Everything that an observer may be called with."""
