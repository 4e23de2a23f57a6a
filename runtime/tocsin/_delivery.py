"""One envelope for one subscription, with its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final

from ._receipt import Receipt, envelope_of, queued_at

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Hashable
    from datetime import datetime

    from tocsin_supervisors import DeadLetter

    from ._asking import Question
    from ._envelope import Envelope, Priority
    from .durable._kept import Kept

E = TypeVar("E")


@final
class Delivery(Generic[E]):
    """What a handler with a second parameter gets beside the event. Read it; its fields are the bus's to write.

    `envelope` and its `event`; `subscription`: the name; `attempt`: which run of the handler this is, counted from 1;
    `deadline`: when its time limit ends, on the clock of `anyio.current_time()` (`math.inf` without a limit); `missed`:
    how many deliveries of this subscription were dropped by policy since the one handled before.
    """

    __slots__ = (
        "attempt",
        "context",
        "deadline",
        "duplicate_key",
        "ended",
        "envelope",
        "first_failed_at",
        "interrupted",
        "kept",
        "key",
        "missed",
        "number",
        "owns_key",
        "plain",
        "question",
        "queued_at",
        "receipt",
        "remembered",
        "replayed",
        "subscription",
    )

    def __init__(self, envelope: Envelope[E], subscription: str, receipt: Receipt, number: int) -> None:
        self.envelope: Envelope[E] = envelope
        self.subscription: str = subscription
        self.attempt: int = 0
        self.deadline: float = float("inf")
        self.missed: int = 0
        # From here on: the bus's own bookkeeping.
        self.receipt: Receipt = receipt
        self.ended: bool = False  # its outcome is known; whatever its handler still does changes nothing
        self.number: int = number  # order of acceptance within one run of the bus
        self.queued_at: float = 0.0  # monotonic seconds
        self.key: Hashable | None = None  # its ordering key, or its coalescing key
        self.duplicate_key: Hashable | None = None
        self.remembered: bool = False  # by the window of duplicates
        self.owns_key: bool = False  # it is the one delivery of its key that is being handled or strictly retried
        self.plain: bool = False  # that it was handled, its receipt only counts
        self.interrupted: bool = False  # a stop or a restart ended its last attempt, which does not count
        self.first_failed_at: datetime | None = None
        self.question: Question | None = None  # set when somebody waits for an answer
        self.context: contextvars.Context | None = None  # the publisher's, with context="delivery"
        self.replayed: DeadLetter[E] | None = None  # the letter that this is a replay of
        self.kept: Kept | None = None  # as what the store has it, or is about to

    @property
    def event(self) -> E:
        """The event itself."""
        return self.envelope.event

    @property
    def replay_of(self) -> int | None:
        """The id of the dead letter that this is a replay of, or None."""
        return None if self.replayed is None else self.replayed.id

    @property
    def priority(self) -> Priority:
        """The priority of the envelope: which lane it waits in."""
        return self.envelope.priority

    def __repr__(self) -> str:
        return f"<Delivery of {self.envelope!r} to {self.subscription}, attempt {self.attempt}>"


AnyDelivery: TypeAlias = Delivery[Any]

Entry: TypeAlias = Receipt | AnyDelivery
"""What waits in a lane: a delivery, or for a plain one the receipt that all subscriptions of the event share."""


def plain_delivery(receipt: Receipt, subscription: str) -> AnyDelivery:
    """Make the delivery that *receipt* stands for in the mailbox of *subscription*."""
    envelope = envelope_of(receipt)
    delivery: AnyDelivery = Delivery(envelope, subscription, receipt, envelope.serial)
    delivery.plain = True
    delivery.queued_at = queued_at(receipt)
    return delivery
