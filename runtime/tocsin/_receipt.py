"""What a publisher gets back: who matched, who has taken the event, and how each delivery ended."""

# The functions at the end are the bus's side of a receipt, which users must not see on it.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, final

import anyio
import anyio.lowlevel

from ._outcomes import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._outcomes import Outcome


@final
class Receipt:
    """Tell what became of one published event, subscription by subscription.

    `publish` returns one. To learn of a *cancelled* publish who has taken the event, make it yourself and pass it in::

        receipt = Receipt()
        with anyio.move_on_after(1):
            await bus.publish(event, receipt=receipt)
        print(receipt.accepted, receipt.withdrawn)

    It stays readable after the bus has stopped. It holds no event and keeps nothing else alive.
    """

    __slots__ = ("_accepted", "_event_id", "_outcomes", "_settled", "_unsettled")

    def __init__(self) -> None:
        self._event_id: str | None = None
        self._accepted: list[str] = []
        self._outcomes: dict[str, Outcome | None] = {}
        self._unsettled = 0
        self._settled: anyio.Event | None = None

    @property
    def event_id(self) -> str | None:
        """The id of the envelope; None before the receipt was used."""
        return self._event_id

    @property
    def matched(self) -> tuple[str, ...]:
        """The names of the subscriptions that the event was routed to, in their order; empty: undeliverable."""
        return tuple(self._outcomes)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The names of those whose mailbox has taken the event, in the order of taking."""
        return tuple(self._accepted)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The names of those that never took it, because the publisher was cancelled or refused."""
        return tuple(
            name
            for name, outcome in self._outcomes.items()
            if isinstance(outcome, Rejected) and name not in self._accepted
        )

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """How the deliveries ended that have ended so far, by name of the subscription."""
        return MappingProxyType({name: outcome for name, outcome in self._outcomes.items() if outcome is not None})

    @property
    def is_settled(self) -> bool:
        """True when every delivery has ended, whichever way; also when nobody matched."""
        return self._unsettled == 0

    async def settled(self) -> Mapping[str, Outcome]:
        """Wait until every delivery has ended, and give `outcomes`.

        Stopping the bus ends all of them, so this always returns. Cancelled, it changes nothing. Waiting in a handler
        for a delivery to the handler's own subscription would wait for itself: the handler's time limit ends that.
        """
        if self._unsettled and self._settled is None:
            self._settled = anyio.Event()
        if self._unsettled and self._settled is not None:
            await self._settled.wait()
        else:
            await anyio.lowlevel.checkpoint()
        return self.outcomes

    def __repr__(self) -> str:
        if self._event_id is None:
            return "<Receipt unused>"
        state = "settled" if self.is_settled else f"{self._unsettled} unsettled"
        return f"<Receipt {self._event_id} to {len(self._outcomes)} subscriptions, {state}>"


# ── the bus's side ──


def open_receipt(receipt: Receipt, event_id: str, names: Iterable[str]) -> None:
    """Begin *receipt* for one event; a receipt serves one publish only."""
    if receipt._event_id is not None:
        raise ValueError(f"{receipt!r} was used before: make a new Receipt() for each publish")
    receipt._event_id = event_id
    receipt._outcomes = dict.fromkeys(names)
    receipt._unsettled = len(receipt._outcomes)


def note_accepted(receipt: Receipt, name: str) -> None:
    """Note that the mailbox of *name* has taken the event."""
    receipt._accepted.append(name)


def note_outcome(receipt: Receipt, name: str, outcome: Outcome) -> None:
    """Note how the delivery to *name* ended; wakes who waits for `settled` when it was the last one."""
    receipt._outcomes[name] = outcome
    receipt._unsettled -= 1
    if receipt._unsettled == 0 and receipt._settled is not None:
        receipt._settled.set()
