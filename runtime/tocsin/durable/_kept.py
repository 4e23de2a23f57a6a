"""A durable delivery as the store has it, and a publish that waits for its commit.

The states of a durable delivery, beside those of its account. All changes happen in the loop, in one step each, in what
the bus calls here and in what the store calls back:

    prepared ──▶ offered (has room) ──▶ kept ──▶ begun ──▶ ended | failed, to be attempted again | interrupted
        │               │                          ▲                      │                            │
        └─▶ never kept  └─▶ refused                └──────────────────────┴────────────────────────────┘

A publisher that is cancelled waits for the commit all the same, some milliseconds, and is cancelled then. If it is
cancelled natively, by asyncio, a second time, it does not wait any more, and its event is accepted without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio
from attrs import evolve

from tocsin._outcomes import DeadLettered, Dropped, Handled

from ._records import Settle, StoredDelivery, Update

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from tocsin._actor import Actor
    from tocsin._backends import Sleeper
    from tocsin._delivery import AnyDelivery
    from tocsin._outcomes import Outcome
    from tocsin._receipt import Receipt

    from ._keeper import Keeper
    from ._records import StoredEvent
    from .exceptions import StoreError


@final
class Keeping:
    """One publish, as far as it is committed."""

    __slots__ = ("_keeper", "_offered", "_pending", "_sleeper", "error", "is_relayed", "is_unknown")

    def __init__(self, keeper: Keeper, *, is_relayed: bool = False) -> None:
        self._keeper = keeper
        self.is_relayed: bool = is_relayed  # out of an outbox
        self.is_unknown: bool = False  # whether it is committed; then it is over
        self._offered: list[tuple[Actor, AnyDelivery]] = []
        self._pending = 0
        self._sleeper: Sleeper | None = None  # of the publisher that waits
        self.error: StoreError | None = None  # what the store has refused something of it with

    def offer(self, actor: Actor, delivery: AnyDelivery) -> None:
        """There is room for *delivery*: it goes into the next commit, with the others of this publish."""
        actor.mailbox.reserve(delivery)
        self._offered.append((actor, delivery))

    def submit(self) -> None:
        """Have what was offered committed, all of it or nothing."""
        if self._offered:
            offered, self._offered = self._offered, []
            self._keeper.accept(offered, self)

    def begun(self) -> None:
        """Something of it is on its way to the store."""
        self._pending += 1
        self._keeper.waiting.add(self)

    def ended(self, error: StoreError | None) -> None:
        """That has arrived, or was refused."""
        self._pending -= 1
        self.error = self.error or error
        if not self._pending:
            self._keeper.waiting.discard(self)
            if self._sleeper is not None:
                self._sleeper.wake()

    def give_up(self, error: StoreError) -> None:
        """The store does not answer any more."""
        self.is_unknown = True
        self._pending = 1
        self.ended(error)

    async def wait(self) -> None:
        """Wait until nothing of it is on its way; a cancellation has to wait, too, and is raised then."""
        if not self._pending:
            return
        self._sleeper = sleeper = self._keeper.new_sleeper()
        try:
            await sleeper.sleep()
        except BaseException:  # raised again; a shield from the start would cost each publish more
            with anyio.CancelScope(shield=True):
                while self._pending:
                    await sleeper.sleep()
            raise

    async def confirmed(self, receipt: Receipt) -> None:
        """Wait, too, and raise StoreError if the store refused something of it."""
        await self.wait()
        if self.error is not None:
            raise self.error.about(receipt) from self.error.__cause__


@final
class Handover:
    """One event on its way out of an outbox.

    It may have been on it before: then some have it already, in this process or an earlier one.
    """

    __slots__ = ("event_id", "had_by", "keeping", "number", "receipt")

    def __init__(self, number: int, event_id: str, receipt: Receipt, had_by: AbstractSet[str]) -> None:
        self.number: int = number  # of its row
        self.event_id: str = event_id
        self.receipt: Receipt = receipt
        self.had_by: AbstractSet[str] = had_by  # subscriptions that it is not offered to any more
        self.keeping: Keeping | None = None  # once it is offered, if a durable subscription is among the others

    @property
    def is_over(self) -> bool:
        """True once everybody has it, as far as it is known by now."""
        was_offered = self.receipt.event_id is not None  # else the bus did not take it any more
        return was_offered and not self.receipt.withdrawn


@final
class Kept:
    """What belongs to one delivery; see the module."""

    __slots__ = ("_attempt", "_keeper", "_keeping", "_slot", "duplicate_key", "event", "record")

    def __init__(
        self,
        keeper: Keeper,
        event: StoredEvent,
        keeping: Keeping | None,
        record: StoredDelivery | None = None,
        *,
        duplicate_key: str | None = None,
    ) -> None:
        self._keeper = keeper
        self._keeping = keeping
        self._slot: int | None = None  # that says in the store that an attempt has begun
        self._attempt: int = 0  # which
        self.duplicate_key: str | None = duplicate_key  # as the store keeps it
        self.event: StoredEvent = event
        self.record: StoredDelivery | None = record  # once it is on its way to the store

    @property
    def is_kept(self) -> bool:
        """True once it is in the store, or on its way to it and expected there."""
        return self.record is not None and (self._keeping is None or not self._keeping.is_unknown)

    @property
    def settle(self) -> Settle | None:
        """The change that takes it out of the store, if it is there."""
        return None if self.record is None else Settle(self.record.id, self.event.id)

    # ── what the bus says ──

    def offered(self, actor: Actor, delivery: AnyDelivery) -> None:
        """Its mailbox has room for it, in the step in which it is published."""
        assert self._keeping is not None
        self._keeping.offer(actor, delivery)

    def admitted(self, actor: Actor, delivery: AnyDelivery) -> None:
        """Its mailbox has room for it now, and its publisher has waited for that."""
        assert self._keeping is not None
        self._keeping.offer(actor, delivery)
        self._keeping.submit()

    def begins(self, attempt: int) -> None:
        """An attempt is about to begin."""
        assert self.record is not None, "what is not kept is not in a mailbox"
        self._attempt = attempt
        self._slot = self._keeper.begin(self.record.id, attempt)

    def interrupted(self) -> None:
        """The attempt has ended, and does not count."""
        self._keeper.attempt_over(self)
        self._free_slot()

    def failed(self, delivery: AnyDelivery, due: float) -> None:
        """The attempt has failed, and there will be another one when it is *due*, on the clock of the run."""
        assert self.record is not None
        self._keeper.attempt_over(self)
        failed_at = delivery.first_failed_at
        self.record = evolve(
            self.record,
            attempts=delivery.attempt,
            due=self._keeper.wall_time(due),
            first_failed_at=None if failed_at is None else failed_at.timestamp(),
        )
        self._keeper.submit(Update(self.record), self.done_with_slot())

    def ended(self, delivery: AnyDelivery, outcome: Outcome) -> None:
        """The delivery has this *outcome*."""
        self._keeper.attempt_over(self)
        match outcome:
            case Handled() | Dropped():
                if (settle := self.settle) is not None:
                    self._keeper.submit(settle, self.done_with_slot(handled=True))
            case DeadLettered():
                pass  # ended with its letter, see `LetterKeeper.keep`
            case _:
                self._free_slot()  # it stays for the next run, or has never been kept

    # ── the slot ──

    def done_with_slot(self, *, handled: bool = False) -> Callable[[StoreError | None], None]:
        """The attempt has ended: give what is to be called when it is kept what became of the delivery; and of the
        publish, if that waits.
        """
        slot, self._slot = self._slot, None
        if slot is not None and self.record is not None:
            self._keeper.over(slot, self.record.id, self._attempt, handled=handled)
        keeping, self._keeping = self._keeping, None
        if self.record is None and keeping is not None:
            keeping.begun()  # a letter that its publisher waits for

        def done(error: StoreError | None) -> None:
            if slot is not None and error is None:
                self._keeper.end(slot)
            if self.record is None and keeping is not None:
                keeping.ended(error)

        return done

    def _free_slot(self) -> None:
        if self._slot is not None:
            self._keeper.end(self._slot)
            self._slot = None


def nobody_waits(_error: StoreError | None) -> None:
    """Nobody waits for it."""
