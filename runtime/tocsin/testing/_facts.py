"""What a trace is made of: one fact for each thing that happened to an event, a delivery or an actor.

A closed union of frozen values. `step` and `at` say when: before which step of the simulation, and at which second of
virtual time. `number` is that of the event: 0 for the first one that was published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, final

from attrs import frozen

if TYPE_CHECKING:
    from tocsin._outcomes import Outcome
    from tocsin._reports import Report


@frozen(kw_only=True)
class _Fact:
    step: int
    at: float


@final
@frozen(kw_only=True)
class Published(_Fact):
    """Somebody asked for an event to be published: *publisher* is the number of the task, *kind* the class."""

    number: int
    publisher: int
    kind: str
    priority: int
    nowait: bool


@final
@frozen(kw_only=True)
class Matched(_Fact):
    """It is known who gets the event."""

    number: int
    subscriptions: tuple[str, ...]


@final
@frozen(kw_only=True)
class Accepted(_Fact):
    """A mailbox has taken the event."""

    number: int
    subscription: str


@final
@frozen(kw_only=True)
class PublishEnded(_Fact):
    """The publisher knows what became of its publish: *error* is the name of what was raised, None if nothing was."""

    number: int
    error: str | None
    accepted: tuple[str, ...] | None
    """Of the receipt at that moment; None if nobody has one."""


@final
@frozen(kw_only=True)
class AttemptStarted(_Fact):
    """A handler was called for a delivery."""

    number: int
    subscription: str
    incarnation: int
    attempt: int
    key: object


How = Literal["returned", "raised", "cancelled"]


@final
@frozen(kw_only=True)
class AttemptEnded(_Fact):
    """That handler has ended, and how."""

    number: int
    subscription: str
    incarnation: int
    attempt: int
    how: How


@final
@frozen(kw_only=True)
class Settled(_Fact):
    """The delivery of the event to a subscription has its outcome."""

    number: int
    subscription: str
    outcome: Outcome


@final
@frozen(kw_only=True)
class Reported(_Fact):
    """What the bus reports, in the step in which it happened."""

    report: Report


@final
@frozen(kw_only=True)
class Unsubscribed(_Fact):
    """`unsubscribe()` has returned."""

    subscription: str


@final
@frozen(kw_only=True)
class Broken(_Fact):
    """Between two steps something did not hold that must hold at any moment: *invariant* is its number, *text* what was
    seen."""

    invariant: str
    text: str


Fact: TypeAlias = (
    Published
    | Matched
    | Accepted
    | PublishEnded
    | AttemptStarted
    | AttemptEnded
    | Settled
    | Reported
    | Unsubscribed
    | Broken
)
"""Everything that a trace may hold."""
