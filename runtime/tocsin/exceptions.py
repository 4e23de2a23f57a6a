"""Every error that `tocsin` raises for its callers.

Each carries its facts as attributes, so that nothing has to be parsed from the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin_supervisors import Failure

    from ._receipt import Receipt


class TocsinError(Exception):
    """Base of the errors that tocsin raises, for an `except` that means all of them."""


# ── bad input: raised before anything happened ────────────────────────────────────────────────────────────────────────


class InvalidTopic(TocsinError, ValueError):
    """A topic or a pattern breaks the rules of topics; the message says which one."""


class InvalidPriority(TocsinError, ValueError):
    """A priority is not one of CRITICAL, HIGH, NORMAL and LOW."""


class InvalidHandler(TocsinError, TypeError):
    """What was subscribed cannot be a handler or an actor, or is interested in what is no event type and no topic."""


class DuplicateName(TocsinError, ValueError):
    """Two subscriptions or groups of one bus have the same name."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(
            f"there is already a {kind} named {name!r}: names address actors, give this one its own with name=…"
        )
        self.name = name


class UnknownSubscription(TocsinError, LookupError):
    """No subscription of the bus has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)[:10]) or "none"
        super().__init__(f"no subscription is named {name!r}; known ones: {listed}")
        self.name = name


class RouteError(TocsinError):
    """A predicate or a key function of a subscription raised while the event was routed; nobody has accepted it.

    The original exception is the `__cause__`.
    """

    def __init__(self, subscription: str, role: str) -> None:
        super().__init__(
            f"the {role} of subscription {subscription!r} raised while an event was routed: nothing was accepted"
        )
        self.subscription = subscription


# ── the bus is not there ──────────────────────────────────────────────────────────────────────────────────────────────


class BusNotRunning(TocsinError, RuntimeError):
    """The bus was used outside of `async with bus.running()`."""


class BusClosed(BusNotRunning):
    """The bus is draining, stopping or stopped and takes no new events.

    Nothing was accepted by the subscriptions named as rejected.
    """

    def __init__(self, bus: str, phase: str, receipt: Receipt | None = None) -> None:
        super().__init__(f"bus {bus!r} is {phase} and accepts no new events: publish before it drains")
        self.bus = bus
        self.receipt = receipt


class BusAlreadyRunning(TocsinError, RuntimeError):
    """A bus was started twice at the same time, or declared on while it runs; it may, again, after it has stopped."""


class WrongThread(TocsinError, RuntimeError):
    """The bus was used from a thread that is not its own; `publish_from_thread` is the one door for other threads."""


class ForkedProcess(TocsinError, RuntimeError):
    """The bus was used in a forked child of the process that runs it; start a bus of its own there."""


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


class MailboxFull(TocsinError):
    """At least one matching mailbox had no room. The others have taken the event: see `receipt.accepted`."""

    def __init__(self, subscriptions: Sequence[str], receipt: Receipt) -> None:
        names = ", ".join(subscriptions)
        accepted = ", ".join(receipt.accepted) or "nobody"
        super().__init__(
            f"the mailbox of {names} is full; accepted by: {accepted}. "
            "Publish again later, raise mailbox=…, or let publishers wait: WaitForRoom() and `await bus.publish`"
        )
        self.subscriptions: tuple[str, ...] = tuple(subscriptions)
        self.receipt = receipt


class CommitNeeded(TocsinError):
    """`publish_nowait` met durable subscriptions, whose commit it cannot wait for. Nothing was accepted by anybody."""

    def __init__(self, subscriptions: Sequence[str]) -> None:
        names = ", ".join(subscriptions)
        super().__init__(f"{names} has to be waited for, as what it accepts is committed first: use `await publish`")
        self.subscriptions: tuple[str, ...] = tuple(subscriptions)


class WouldDeadlock(TocsinError):
    """A publish or ask from a handler would close a cycle of actors that all wait for each other.

    `cycle` names the actors, the first one again at the end. Subscriptions with room have taken the event: see
    `receipt.accepted`.
    """

    def __init__(self, cycle: Sequence[str], receipt: Receipt | None = None) -> None:
        super().__init__(
            f"waiting would never end, these actors wait for each other: {' → '.join(cycle)}. "
            "Raise a mailbox, publish from a task of your own, or use an overflow policy that does not wait"
        )
        self.cycle: tuple[str, ...] = tuple(cycle)
        self.receipt = receipt


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class AskError(TocsinError):
    """Base of what `ask` raises when there is no answer. `subscription` is who was asked."""

    def __init__(self, subscription: str, text: str) -> None:
        super().__init__(text)
        self.subscription = subscription


class NobodyToAsk(AskError):
    """No subscription, or more than one, matches the question; name one with to=…."""


class AskTimeout(AskError, TimeoutError):
    """No answer came in time. A question still queued was withdrawn; one being handled goes on, unanswered."""


class AskFailed(AskError):
    """The handler raised; `failure` describes how, the original exception is the `__cause__`. It was not retried."""

    def __init__(self, subscription: str, failure: Failure) -> None:
        super().__init__(subscription, f"{subscription!r} failed to answer: {failure.type}: {failure.message}")
        self.failure = failure


class ActorRestarting(AskError):
    """The actor asked is being restarted or is suspended; `event` may be asked again later."""

    def __init__(self, subscription: str, event: object) -> None:
        super().__init__(
            subscription, f"actor {subscription!r} is not up at the moment (restarting or suspended): ask again later"
        )
        self.event = event


class ActorStopped(AskError):
    """The actor asked is gone for good, or parked; `event` was not handled."""

    def __init__(self, subscription: str, event: object) -> None:
        super().__init__(
            subscription, f"actor {subscription!r} does not run any more: it finished, was stopped or is parked"
        )
        self.event = event


# ── asked for by handlers ─────────────────────────────────────────────────────────────────────────────────────────────


class FinishActor(Exception):  # a request, not an error
    """Raise it in a handler to end the actor normally: the delivery counts as handled, a transient or temporary actor
    is not started again.
    """
