"""The account of one actor: every delivery that is routed to it, and how each of them ends.

The states of a delivery, and who moves it. Every move happens in one step, and every end goes through `_end`, which
takes the first word and ignores later ones; that is what the ledger's balance rests on.

    routed ──▶ blocked ──▶ queued ──▶ in flight ──▶ handled | dead-lettered
       │          │          │ ▲         │ ▲
       │          ▼          │ └─ put back: interrupted by a stop or a restart
       ├──▶ rejected         │           ▼ │
       └──▶ dropped ◀────────┘      waiting for its retry          whatever is left when the bus stops: returned
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from tocsin_supervisors import DeadLetterReason, Health

from ._deduplication import DuplicateWindow
from ._envelope import Priority
from ._handling_times import HandlingTimes
from ._ledger import Counters, Ledger
from ._mailbox import Mailbox
from ._outcomes import DROPPED_OLDEST, HANDLED, RETURNED, DeadLettered, Dropped, DropReason, Rejected, RejectReason
from ._overflow import Coalesce, DropOldest
from ._receipt import Receipt, note_accepted, note_handled, note_outcome
from ._reports import DeliveryDropped
from .exceptions import ActorRestarting, ActorStopped, AskError, AskTimeout

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tocsin_supervisors import Failure

    from ._delivery import AnyDelivery
    from ._envelope import Envelope
    from ._outcomes import Outcome
    from ._run import Run
    from ._server import Server
    from ._settings import Settings
    from ._subscription import Subscription


class Account:
    """See the module; it is the part of an `Actor` that knows nothing of its lives."""

    __slots__ = (
        "_probation_over",
        "counters",
        "duplicates",
        "health",
        "incarnation",
        "mailbox",
        "missed",
        "name",
        "patterns",
        "run",
        "servers",
        "settings",
        "subscription",
        "times",
        "types",
    )

    def __init__(self, run: Run, subscription: Subscription) -> None:
        settings = subscription.settings
        self.run: Run = run
        self.subscription: Subscription = subscription
        self.settings: Settings = settings
        self.name: str = subscription.name
        self.types: tuple[type, ...] = subscription.types
        self.patterns: tuple[str, ...] = subscription.patterns
        self.mailbox: Mailbox = Mailbox(
            settings.mailbox,
            keyed=settings.key is not None,
            strict=settings.strict_order,
            coalescing=isinstance(settings.overflow, Coalesce),
            now=run.now,
            name=subscription.name,
            plain=self.is_plain,
        )
        if isinstance(settings.overflow, DropOldest):
            self.mailbox.drops = self.dropped_plain
        self.counters: Counters = Counters()
        self.health: Health = Health(settings.sick_after)
        self.duplicates: DuplicateWindow | None = (
            None if settings.deduplicate is None else DuplicateWindow(settings.deduplicate)
        )
        self.times: HandlingTimes | None = HandlingTimes() if run.measures_times else None
        self._probation_over: anyio.Event | None = None  # servers other than the probing one sleep on it
        self.missed: int = 0  # deliveries dropped since the last one that was handled
        self.servers: list[Server] = []  # kept over incarnations, so that what waits for them knows them
        self.incarnation: int = 0

    # ── what the router and the publishers ask ──

    @property
    def is_keyed(self) -> bool:
        """True when deliveries have a key: to be ordered by, or to be coalesced by."""
        return self.settings.key is not None or isinstance(self.settings.overflow, Coalesce)

    @property
    def is_plain(self) -> bool:
        """True when nothing has to be found out about an event that is published without options."""
        settings = self.settings
        return (
            settings.when is None
            and not self.is_keyed
            and settings.deduplicate is None
            and settings.context == "actor"
            and Priority.NORMAL in settings.priorities
            and not settings.durable
        )

    @property
    def handled_by_now(self) -> int:
        """How many deliveries were handled, those in the fast lanes of the servers included."""
        return self.counters.handled + sum(server.handled for server in self.servers)

    @property
    def in_flight(self) -> list[AnyDelivery]:
        """The deliveries whose handler runs and that have not ended."""
        handling = (server.delivery for server in self.servers)
        return [delivery for delivery in handling if delivery is not None and not delivery.ended]

    def duplicate_key_of(self, envelope: Envelope[Any]) -> Hashable:
        """Give what tells a duplicate of *envelope*: its id, unless the subscription gives a key of its own."""
        policy = self.settings.deduplicate
        return envelope.id if policy is None or policy.by is None else policy.by(envelope.event)

    def is_duplicate(self, delivery: AnyDelivery) -> bool:
        """Say whether *delivery* was seen within the window; if not, it has been now."""
        if self.duplicates is None or self.duplicates.seen_before(delivery.duplicate_key, self.run.now()):
            return self.duplicates is not None
        delivery.remembered = True
        return False

    def key_of(self, event: Any) -> Hashable | None:
        """Give the ordering or coalescing key of *event*, if this subscription has any."""
        overflow = self.settings.overflow
        if isinstance(overflow, Coalesce):
            return overflow.by(event)
        return None if self.settings.key is None else self.settings.key(event)

    # ── the account ──

    def routed(self, delivery: AnyDelivery) -> None:
        """Enter *delivery*; from here on it must end."""
        self.counters.matched += 1
        self.run.one_routed()

    def take_in(self, delivery: AnyDelivery) -> None:
        """Put *delivery* into the mailbox; the caller has looked for room."""
        self.mailbox.put(delivery)
        self.accepted(delivery)

    def accepted(self, delivery: AnyDelivery) -> None:
        """Note that the mailbox has taken *delivery*."""
        note_accepted(delivery.receipt, self.name)

    def not_kept(self, delivery: AnyDelivery) -> None:
        """The store has refused *delivery*, for which room was kept."""
        del self.mailbox.reserved[delivery]
        delivery.kept = None
        self.rejected(delivery, RejectReason.STORE)  # which lets the next one in

    def handled(self, delivery: AnyDelivery, answer: object) -> None:
        """The handler returned."""
        self.counters.handled += not delivery.ended
        if self.health.on_probation:
            self._end_probation()
        self.health.on_success()
        if delivery.question is not None:
            delivery.question.answer(answer)
        self._end(delivery, HANDLED)

    def handled_plain(self, receipt: Receipt) -> None:
        """The handler of a plain delivery returned."""
        self.counters.handled += 1
        if self.health.on_probation:
            self._end_probation()
        self.health.on_success()
        note_handled(receipt)
        self.mailbox.admit()
        self.run.one_ended()

    def dropped(self, delivery: AnyDelivery, reason: DropReason) -> None:
        """A policy let go of *delivery*."""
        self.counters.dropped += 1
        if reason is not DropReason.DUPLICATE:
            self.missed += 1
        if reason is DropReason.NEWEST:
            self._forget_duplicate(delivery)
        if delivery.question is not None:
            text = f"the question was dropped by the policy of {self.name!r} ({reason.value}): ask again later"
            delivery.question.fail(AskError(self.name, text))
        if self.run.is_observed:
            self._tell_dropped(delivery.envelope.id, reason)
        self._end(delivery, Dropped(reason))

    def dropped_plain(self, receipt: Receipt) -> None:
        """A plain delivery was dropped for a newer one."""
        self.counters.dropped += 1
        self.missed += 1
        if self.run.is_observed:
            self._tell_dropped(receipt.event_id or "", DropReason.OLDEST)
        note_outcome(receipt, self.name, DROPPED_OLDEST)
        self.run.one_ended()

    def _tell_dropped(self, event_id: str, reason: DropReason) -> None:
        self.run.report(DeliveryDropped(subscription=self.name, event_id=event_id, reason=reason, at=self.run.now()))

    def rejected(self, delivery: AnyDelivery, reason: RejectReason) -> None:
        """The publisher or asker is being told no."""
        self._forget_duplicate(delivery)
        self.counters.rejected += not delivery.ended
        self._end(delivery, Rejected(reason))

    def _forget_duplicate(self, delivery: AnyDelivery) -> None:
        """It was never taken: who publishes it again must not be told that it is a duplicate."""
        if delivery.remembered and self.duplicates is not None:
            self.duplicates.forget(delivery.duplicate_key)

    def returned(self, delivery: AnyDelivery) -> None:
        """The bus or the subscription ends; the delivery goes back to whoever ended it."""
        self.counters.returned += not delivery.ended
        if delivery.question is not None:
            delivery.question.fail(ActorStopped(self.name, delivery.event))
        self._end(delivery, RETURNED)

    def bury(self, delivery: AnyDelivery, reason: DeadLetterReason, failure: Failure | None = None) -> None:
        """Put *delivery* into the dead-letter office."""
        assert not delivery.ended, f"{delivery!r} was to end twice"
        if delivery.question is not None:
            # A question that failed is told to its asker alone: it comes here only by being too late.
            text = f"the question to {self.name!r} had expired when its turn came: ask again"
            delivery.question.fail(AskTimeout(self.name, text))
        letter = self.run.undertaker.bury(delivery, reason, failure, incarnation=self.incarnation)
        if letter is None:
            self.dropped(delivery, DropReason.DEAD_LETTER)
            return
        self.counters.dead_lettered += 1
        self._end(delivery, DeadLettered(reason, letter))

    def _end(self, delivery: AnyDelivery, outcome: Outcome) -> None:
        if delivery.ended:
            return
        delivery.ended = True
        self.mailbox.settled(delivery)
        if delivery.kept is not None:
            delivery.kept.ended(delivery, outcome)
        if delivery.plain and outcome is HANDLED:
            note_handled(delivery.receipt)
        else:
            note_outcome(delivery.receipt, self.name, outcome)
        self.run.one_ended()
        if self.run.instruments.settled is not None:
            self.run.instruments.settled(delivery, outcome)

    def ledger(self) -> Ledger:
        """Give the account as it stands, as far as publishing has been counted."""
        counters = self.counters
        return Ledger(
            matched=counters.matched + self.mailbox.taken,
            handled=self.handled_by_now,
            dead_lettered=counters.dead_lettered,
            dropped=counters.dropped,
            rejected=counters.rejected,
            returned=counters.returned,
            queued=self.mailbox.queued,
            in_flight=sum(server.is_handling for server in self.servers),
            waiting_retry=self.mailbox.waiting_retry,
            blocked=self.mailbox.blocked_publishers + sum(not each.ended for each in self.mailbox.reserved),
        )

    # ── an attempt has ended without success ──

    def not_in_flight(self, delivery: AnyDelivery) -> None:
        """The attempt of *delivery* is over, and it goes somewhere else now."""
        for server in self.servers:
            if server.entry is delivery:
                server.entry = None

    def interrupted(self, delivery: AnyDelivery) -> None:
        """A stop or a restart ended the attempt: it does not count, and the delivery is first in line again."""
        self.not_in_flight(delivery)
        delivery.attempt -= 1
        delivery.interrupted = True
        self.missed += delivery.missed  # it was not handled, so the gap before it is still to be told
        if delivery.ended:
            return
        if delivery.kept is not None:
            delivery.kept.interrupted()
        if delivery.question is not None:
            # Whoever asked waits now, not after the restart.
            delivery.question.fail(ActorRestarting(self.name, delivery.event))
            self.rejected(delivery, RejectReason.ACTOR_DOWN)
        else:
            self.mailbox.put_back(delivery)
            self.run.one_ended(0)  # paused, nobody waits for it any more

    # ── probation ──

    @property
    def probation_over(self) -> anyio.Event:
        """Set when the actor has proved to be well again, or its incarnation ends."""
        if self._probation_over is None:
            self._probation_over = anyio.Event()
        return self._probation_over

    def _end_probation(self) -> None:
        if self._probation_over is not None:
            self._probation_over.set()
