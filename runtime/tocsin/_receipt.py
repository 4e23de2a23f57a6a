"""What a publisher gets back: who matched, who has taken the event, and how each delivery ended.

There is one for each publish, so it is at the same time what waits in the mailboxes of an event that was published
without options. Such a *plain* delivery costs nothing of its own: that it was handled is only counted. Whatever else
becomes of it is written down in the particulars, which most receipts never have.
"""

# The functions at the end are the bus's side of a receipt, which users must not see on it.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, final

import anyio
import anyio.lowlevel

from ._envelope import Envelope, id_of
from ._outcomes import HANDLED, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ._outcomes import Outcome
    from ._routes import Route

AN_ENVELOPE: type[Envelope[Any]] = Envelope  # to call a class by an alias with its parameter costs more than making one
ReceiptMoment: TypeAlias = tuple[float, float, float]  # the wall clock, the latest it has shown, the monotonic clock


@final
class Receipt:
    """Tell what became of one published event, subscription by subscription.

    `publish` returns one. To learn of a *cancelled* publish who has taken the event, make it yourself and pass it in::

        receipt = Receipt()
        with anyio.move_on_after(1):
            await bus.publish(event, receipt=receipt)
        print(receipt.accepted, receipt.withdrawn)

    It stays readable after the bus has stopped. Once every delivery has ended it holds no event any more, and after the
    stop it keeps nothing else alive.
    """

    __slots__ = ("_event", "_left", "_moment", "_more", "_route", "_serial")

    # There is no `__init__`, which would cost each publish more than its mailbox does: a receipt that was not used yet
    # has nothing in its slots.
    # _event: until all deliveries have ended. _left: deliveries that have not. _moment, _serial: what makes its id.
    # _route: if it was published without options. _more: its particulars, if it has any.
    _event: Any
    _left: int
    _moment: ReceiptMoment
    _more: Particulars | None
    _route: Route | None
    _serial: int

    @property
    def event_id(self) -> str | None:
        """The id of the envelope; None before the receipt was used."""
        if not hasattr(self, "_more"):
            return None
        if self._more is not None and self._more.event_id is not None:
            return self._more.event_id
        return id_of(self._moment[1], route_of(self).base + self._serial)

    @property
    def matched(self) -> tuple[str, ...]:
        """The names of the subscriptions that the event was routed to, in their order; empty: undeliverable."""
        if not hasattr(self, "_more"):
            return ()
        return self._more.names if self._more is not None else route_of(self).names

    @property
    def accepted(self) -> tuple[str, ...]:
        """The names of those whose mailbox has taken the event, in the order of taking."""
        more = getattr(self, "_more", None)
        return self.matched if more is None else tuple(more.accepted)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The names of those that never took it, because the publisher was cancelled or refused."""
        more = getattr(self, "_more", None)
        if more is None:
            return ()
        rejected = [name for name, outcome in more.outcomes.items() if isinstance(outcome, Rejected)]
        return tuple(name for name in rejected if name not in more.accepted)

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """How the deliveries ended that have ended so far, by name of the subscription."""
        return MappingProxyType(dict(self._ended()))

    @property
    def is_settled(self) -> bool:
        """True when every delivery has ended, whichever way; also when nobody matched."""
        return getattr(self, "_left", 0) == 0

    async def settled(self) -> Mapping[str, Outcome]:
        """Wait until every delivery has ended, and give `outcomes`.

        Stopping the bus ends all of them, so this always returns. Cancelled, it changes nothing. Waiting in a handler
        for a delivery to the handler's own subscription would wait for itself: the handler's time limit ends that.
        """
        if not self.is_settled:
            more = particulars(self)
            if more.settled is None:
                more.settled = anyio.Event()
            await more.settled.wait()
        else:
            await anyio.lowlevel.checkpoint()
        return self.outcomes

    def _ended(self) -> Iterator[tuple[str, Outcome]]:
        more = getattr(self, "_more", None)
        written: Mapping[str, Outcome | None] = {} if more is None else more.outcomes
        for place, name in enumerate(self.matched):
            if name in written:
                outcome = written[name]
                if outcome is not None:
                    yield name, outcome
            elif not self._left or not route_of(self).mailboxes[place].holds(self):
                yield name, HANDLED

    def __repr__(self) -> str:
        if self.event_id is None:
            return "<Receipt unused>"
        state = "settled" if self.is_settled else f"{self._left} unsettled"
        return f"<Receipt {self.event_id} to {len(self.matched)} subscriptions, {state}>"


@final
class Particulars:
    """What is known of one publish beyond numbers."""

    __slots__ = ("accepted", "envelope", "event_id", "names", "outcomes", "settled")

    def __init__(self, names: tuple[str, ...], accepted: Iterable[str]) -> None:
        self.names = names
        self.accepted: list[str] = list(accepted)
        # Of those who took it as a plain delivery: only what is not "handled", and None for what is still to be told.
        self.outcomes: dict[str, Outcome | None] = {}
        self.event_id: str | None = None
        self.envelope: Envelope[Any] | None = None  # made when first asked for, for all who ask; until all have ended
        self.settled: anyio.Event | None = None


# ── the bus's side ──


def particulars(receipt: Receipt, taken: int | None = None) -> Particulars:
    """Give the particulars of *receipt*; it gets some if it has none yet.

    *taken*: how many, in the order of the route, have taken it as a plain delivery; by default all have.
    """
    if receipt._more is None:
        names = receipt.matched
        receipt._more = Particulars(names, names[:taken])
        if taken is not None:
            receipt._more.outcomes = dict.fromkeys(names[taken:])
    return receipt._more


def open_receipt(receipt: Receipt, event_id: str, names: Iterable[str]) -> None:
    """Begin *receipt* for one event; a receipt serves one publish only."""
    if receipt.event_id is not None:
        raise ValueError(f"{receipt!r} was used before: make a new Receipt() for each publish")
    more = receipt._more = Particulars(tuple(names), ())
    more.event_id = event_id
    more.outcomes = dict.fromkeys(more.names)
    receipt._event = receipt._route = None
    receipt._left = len(more.names)


def note_accepted(receipt: Receipt, name: str) -> None:
    """Note that the mailbox of *name* has taken the event."""
    particulars(receipt).accepted.append(name)


def note_pending(receipt: Receipt, name: str) -> None:
    """Note that the outcome of the delivery to *name* will be told, and is not just to be counted."""
    particulars(receipt).outcomes.setdefault(name, None)


def note_outcome(receipt: Receipt, name: str, outcome: Outcome) -> None:
    """Note how the delivery to *name* ended; wakes who waits for `settled` when it was the last one."""
    particulars(receipt).outcomes[name] = outcome
    note_handled(receipt)


def note_handled(receipt: Receipt) -> None:
    """Note that one delivery has ended, and was handled if nobody says otherwise."""
    receipt._left -= 1
    if not receipt._left:
        close(receipt)


def close(receipt: Receipt) -> None:
    """All deliveries have ended: let go of the event, and tell who waits for that."""
    receipt._event = None
    if receipt._more is not None:
        receipt._more.envelope = None
        if receipt._more.settled is not None:
            receipt._more.settled.set()


def envelope_of(receipt: Receipt) -> Envelope[Any]:
    """Give the envelope of a plain delivery of *receipt*, the same for all."""
    more = particulars(receipt)
    if more.envelope is None:
        wall, latest, _ = receipt._moment
        serial = route_of(receipt).base + receipt._serial
        more.envelope = AN_ENVELOPE.of_publish(receipt._event, (wall, latest), serial)
    return more.envelope


def held_event(receipt: Receipt) -> object:
    """Give the event of a plain delivery of *receipt*, as long as one has not ended."""
    return receipt._event


def route_of(receipt: Receipt) -> Route:
    """Give the route of an event that was published the fast way."""
    assert receipt._route is not None
    return receipt._route


def queued_at(receipt: Receipt) -> float:
    """Give when a plain delivery was put into the mailbox: monotonic seconds."""
    return receipt._moment[2]
