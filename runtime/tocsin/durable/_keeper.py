"""What a bus that runs does with its store: it has kept what is accepted, what becomes of it, and the dead letters.

All of it happens in the loop. The store answers there, too, so nothing here is shared between threads.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, final

import anyio

from tocsin._receipt import Receipt
from tocsin.codecs import encode_headers
from tocsin.exceptions import CommitNeeded

from ._condition import Condition
from ._documents import document_of
from ._kept import Keeping, Kept, nobody_waits
from ._letters import LetterKeeper
from ._quarantine import Quarantine
from ._records import (
    Accept,
    ForgetRelayed,
    ForgetSeen,
    Seen,
    StoredDelivery,
    StoredEvent,
)
from ._recovery import Recovery, plain_key
from .exceptions import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin._actor import Actor
    from tocsin._backends import Sleeper
    from tocsin._delivery import AnyDelivery
    from tocsin._envelope import Envelope
    from tocsin._run import Run
    from tocsin.codecs import CodecRegistry

    from ._kept import Handover
    from ._records import Change
    from ._store import OpenStore, Store
    from .exceptions import StoreError

P = ParamSpec("P")
R = TypeVar("R")

FAR_BEHIND = 10_000  # changes that wait to be written before durable actors pause: some tenths of a second of a disk
FORGET_SEEN_AFTER = 1_000  # keys against duplicates, before those whose time is over are deleted


@final
class Keeper:
    """See the module. One for each run, opened before its actors start, closed after they have ended."""

    def __init__(self, run: Run, store: OpenStore, codecs: CodecRegistry) -> None:
        self._run = run
        self._store = store
        self._codecs = codecs
        self._last_event = store.contents.last_event
        self._last_delivery = store.contents.last_delivery
        self._seen = 0
        self.condition: Condition = Condition(run.log)
        self.unanswered: int = 0  # changes that are on their way to the store
        self.waiting: set[Keeping] = set()  # publishes that are
        self._closed: anyio.Event | None = None  # once it is being closed
        self._is_behind = False  # so far that durable actors wait for it
        self.new_sleeper: Callable[[], Sleeper] = run.sleeper
        self.letters: LetterKeeper = LetterKeeper(self.submit, codecs, run.log)
        self.quarantine: Quarantine = Quarantine(run.log.not_tried_alone, self.let_all_go_on)
        self.recovery: Recovery = Recovery(run, self, store.contents, codecs)
        self.relayed: frozenset[tuple[str, str]] = store.contents.relayed

    @classmethod
    async def opened(cls, store: Store, run: Run) -> Self:
        """Open *store*, and put what it holds where it belongs; raise StoreError."""
        run.keeper = keeper = cls(run, await store.open(), store.codecs)
        run.office.mirror = keeper.letters
        keeper.watch()
        await keeper.recover()
        return keeper

    @property
    def backlog(self) -> int:
        """How many changes have been asked for and not been begun."""
        return self._store.backlog

    def watch(self) -> None:
        """Be told from here on when the store is behind."""
        self._store.watch(self.condition.behind)

    async def recover(self) -> None:
        """Put what the store held where it belongs, and count what had begun; raise StoreError if that is not kept."""
        counting = Keeping(self)
        for change in self.recovery.counted:
            counting.begun()
            self.submit(change, counting.ended)
        self.recovery.all()
        await counting.confirmed(Receipt())
        self._store.forget_begun()

    async def close(self, limit: float) -> None:
        """Have everything written that was to be written, and let go of the store, after *limit* seconds in any case.

        Idempotent; not to be cancelled. Publishers that wait for a commit then learn that nobody knows of it.
        """
        if self._closed is not None:
            with anyio.CancelScope(shield=True):
                await self._closed.wait()
            return
        self._closed = anyio.Event()
        try:
            with anyio.move_on_after(limit, shield=True) as patience:
                await self._store.close()
            if patience.cancelled_caught:
                self._leave(limit)
        finally:
            self._run.office.mirror = None
            self._closed.set()

    def _leave(self, limit: float) -> None:
        """Go without an answer of the store."""
        self._run.log.store_left(limit, self.unanswered)
        error = StoreFailed(
            self._run.name, f"no answer within {limit:g} s: whether it is kept, the next run will find out"
        )
        for keeping in tuple(self.waiting):
            keeping.give_up(error)

    # ── publishing ──

    def prepare(
        self,
        envelope: Envelope[Any],
        routed: Sequence[tuple[Actor, AnyDelivery]],
        *,
        may_wait: bool,
        handover: Handover | None = None,
    ) -> Keeping | None:
        """Get ready for the durable ones among *routed*; None: there is none.

        Raise EncodeError, CommitNeeded, or TypeError for a de-duplication key that cannot be kept; nothing has happened
        then.
        """
        durable = [(actor, delivery) for actor, delivery in routed if actor.settings.durable]
        if not durable:
            return None
        if not may_wait:
            raise CommitNeeded([actor.name for actor, _ in durable])
        event = self._as_stored(envelope)
        keeping = Keeping(self, is_relayed=handover is not None)
        if handover is not None:
            handover.keeping = keeping
        for actor, delivery in durable:
            key = None if actor.duplicates is None else plain_key(delivery.duplicate_key)
            delivery.kept = Kept(self, event, keeping, duplicate_key=key)
        return keeping

    def _as_stored(self, envelope: Envelope[Any]) -> StoredEvent:
        encoded = self._codecs.encode(envelope.event)
        self._last_event += 1
        return StoredEvent(
            id=self._last_event,
            event_id=envelope.id,
            type_name=encoded.name,
            version=encoded.version,
            body=encoded.data,
            topic=envelope.topic,
            priority=int(envelope.priority),  # not the member, whose name is no fact of the file
            published_at=envelope.published_wall,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.causation_id,
            headers=encode_headers(envelope.headers) if envelope.headers else None,
            schema_version=envelope.schema_version,
            expires_at=None if envelope.expires_at is None else self.wall_time(envelope.expires_at),
        )

    def accept(self, offered: Sequence[tuple[Actor, AnyDelivery]], keeping: Keeping) -> None:
        """Have *offered*, all of one event, committed together; each comes into its mailbox then."""
        records: list[StoredDelivery] = []
        seen: list[Seen] = []
        first = offered[0][1]
        assert first.kept is not None
        for actor, delivery in offered:
            assert delivery.kept is not None
            delivery.kept.record = self._new_record(delivery)
            records.append(delivery.kept.record)
            seen += self._new_seen(actor, delivery)
        change = Accept(
            event=first.kept.event,
            deliveries=tuple(records),
            seen=tuple(seen),
            replayed=None if first.replayed is None else first.replayed.id,
            relayed=keeping.is_relayed,
        )
        keeping.begun()
        self.submit(change, partial(self._accepted, offered, keeping))

    def _new_record(self, delivery: AnyDelivery) -> StoredDelivery:
        assert delivery.kept is not None
        self._last_delivery += 1
        return StoredDelivery(
            id=self._last_delivery,
            event=delivery.kept.event.id,
            subscription=delivery.subscription,
            letter=None if delivery.replayed is None else document_of(delivery.replayed),
        )

    def _new_seen(self, actor: Actor, delivery: AnyDelivery) -> list[Seen]:
        policy, kept = actor.settings.deduplicate, delivery.kept
        if policy is None or kept is None or kept.duplicate_key is None or not delivery.remembered:
            return []
        self._seen += 1
        if not self._seen % FORGET_SEEN_AFTER:
            self.submit(ForgetSeen(self._run.wall()), nobody_waits)
        return [Seen(actor.name, kept.duplicate_key, self._run.wall() + policy.window)]

    def _accepted(
        self, offered: Sequence[tuple[Actor, AnyDelivery]], keeping: Keeping, error: StoreError | None
    ) -> None:
        for actor, delivery in offered:
            if error is None:
                actor.kept(delivery)
            else:
                actor.not_kept(delivery)
        keeping.ended(error)

    # ── what becomes of a delivery ──

    def submit(self, change: Change, done: Callable[[StoreError | None], object]) -> None:
        """Have *change* kept; *done* is called then. Nothing is after the end: the next run finds it as it was."""
        self.unanswered += 1
        self._store.submit(change, partial(self._done, done))

    def _done(self, done: Callable[[StoreError | None], object], error: StoreError | None) -> None:
        self.unanswered -= 1
        done(error)
        if error is not None:
            self.condition.refused(error)
        if self._is_behind and self._store.backlog < FAR_BEHIND // 2:
            self._is_behind = False
            self.let_all_go_on()

    def begin(self, delivery: int, attempt: int) -> int | None:
        """Note that *attempt* of *delivery* is about to begin; None: that cannot be written down, and is not."""
        return self._noted(self._store.begin, delivery, attempt)

    def over(self, slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
        """Note that it has ended, before it is kept what follows."""
        self._noted(self._store.over, slot, delivery, attempt, handled=handled)

    def end(self, slot: int) -> None:
        """What became of the attempt in *slot* is kept, or need not be."""
        self._noted(self._store.end, slot)

    def _noted(self, note: Callable[P, R], *facts: P.args, **more: P.kwargs) -> R | None:
        """What is written in the loop may fail, too: the deliveries go on then, and an attempt may not be counted."""
        try:
            return note(*facts, **more)
        except OSError as error:  # also if a handler that hung has ended after the store was closed
            self._run.log.not_kept(error)
            return None

    def attempt_over(self, kept: Kept) -> None:
        """The attempt of a delivery has ended."""
        self.quarantine.attempt_over(kept)

    # ── servers ask whether they may go on ──

    def holds_up(self, actor: Actor) -> bool:
        """Tell whether *actor* may not take just anything now: suspects are tried, or the store is far behind."""
        if not actor.settings.durable:
            return False
        self._is_behind = self._is_behind or self._store.backlog > FAR_BEHIND
        return self._is_behind or self.quarantine.is_on

    def take_suspect(self, actor: Actor) -> AnyDelivery | None:
        """Give the suspect whose turn it is, if *actor* is to handle it now."""
        return None if self._is_behind else self.quarantine.take(actor)

    def let_all_go_on(self) -> None:
        """Let all servers that are held up look whether they still are."""
        for actor in self._run.actors.values():
            actor.let_go_on()

    def forget_relayed(self, event_ids: Sequence[str]) -> None:
        """These events have left the outbox."""
        self.submit(ForgetRelayed(tuple(event_ids)), nobody_waits)

    # ── the clocks ──

    def wall_time(self, monotonic: float) -> float:
        """Give the seconds since 1970 for a time on the clock of the run."""
        return self._run.wall() + monotonic - self._run.now()

    def monotonic_time(self, wall: float) -> float:
        """Give the time on the clock of the run for seconds since 1970."""
        return self._run.now() + wall - self._run.wall()
