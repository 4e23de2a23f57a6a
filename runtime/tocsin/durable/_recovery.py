"""What a store held when it was opened, on its way back into mailboxes and the dead-letter office."""

from __future__ import annotations

import ast
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast, final

from attrs import evolve

from tocsin._delivery import Delivery
from tocsin._envelope import Envelope
from tocsin._receipt import Receipt, open_receipt
from tocsin._unreadable import Unreadable
from tocsin.codecs import DecodeError, DuplicateTypeName, decode_headers
from tocsin_supervisors import DeadLetter, DeadLetterReason

from ._documents import letter_of
from ._kept import Kept
from ._records import Settle, Update

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tocsin._actor import Actor
    from tocsin._delivery import AnyDelivery
    from tocsin._run import Run
    from tocsin._subscription import Subscription
    from tocsin.codecs import CodecRegistry

    from ._keeper import Keeper
    from ._records import Contents, Damaged, Seen, StoredDelivery, StoredEvent, StoredLetter

PLAIN = (str, int, float, bytes, bool, type(None))


def plain_key(key: Hashable) -> str:
    """Write down a key against duplicates; raise TypeError unless it is text, a number, bytes, or a tuple of such."""
    if not _is_plain(key):
        raise TypeError(
            f"the de-duplication key {key!r} of a durable subscription cannot be kept: "
            "let by=… give text, a number, bytes, or a tuple of these"
        )
    return repr(key)


def _is_plain(key: object) -> bool:
    if type(key) is tuple:
        return all(_is_plain(each) for each in cast("tuple[object, ...]", key))
    return type(key) in PLAIN


@final
class Recovery:
    """See the module."""

    def __init__(self, run: Run, keeper: Keeper, contents: Contents, codecs: CodecRegistry) -> None:
        self._run = run
        self._keeper = keeper
        self._contents = contents
        self._codecs = codecs
        # Name of the subscription → its deliveries; what nobody asks for stays in the store.
        self._waiting: dict[str, list[StoredDelivery]] = defaultdict(list)
        self._seen: dict[str, list[Seen]] = defaultdict(list)  # the same, of its keys against duplicates
        for seen in contents.seen:
            self._seen[seen.subscription].append(seen)
        self.counted: list[Settle | Update] = []  # what is known of attempts that had begun when the process ended
        for delivery in contents.deliveries:
            counted = self._count(delivery)
            if counted is not None:
                self._waiting[delivery.subscription].append(counted)

    def _count(self, delivery: StoredDelivery) -> StoredDelivery | None:
        """Give *delivery* with all attempts that had begun; None: it was handled."""
        begun = self._contents.begun.get(delivery.id)
        if begun is None:
            return delivery
        if begun.was_handled:
            self.counted.append(Settle(delivery.id, delivery.event))
            return None
        counted = evolve(delivery, attempts=max(begun.attempt, delivery.attempts))
        self.counted.append(Update(counted))
        return counted

    def all(self) -> None:
        """Put everything where it belongs; what belongs to nobody is told of, and stays."""
        for actor in self._run.actors.values():
            self._know(actor.types)
        for subscription in list(self._run.dormant):
            if self.wakes(subscription):
                self._run.dormant.activate(subscription)
        self._restore_letters()
        for actor in self._run.actors.values():
            self._restore(actor, is_start=True)
        for damaged in self._contents.damaged:
            self._set_aside(damaged)
        for name, deliveries in self._waiting.items():
            self._run.log.nobody_asks_for(name, len(deliveries))

    def _know(self, types: tuple[type, ...]) -> None:
        """Be able to read events of *types*. Of two classes with one name, the first one has it: see `register`."""
        for kind in _with_subclasses(types):
            with suppress(DuplicateTypeName):
                self._codecs.know([kind])

    # ── deliveries ──

    def of(self, actor: Actor) -> None:
        """Put what is kept for *actor*, which was subscribed while the bus runs, into its mailbox."""
        self._know(actor.types)
        self._restore(actor, is_start=False)

    def wakes(self, subscription: Subscription) -> bool:
        """Tell whether letters were replayed to *subscription* while no bus ran; from now on its events can be read."""
        self._know(subscription.types)
        return any(each.letter is not None for each in self._waiting.get(subscription.name, ()))

    def _restore(self, actor: Actor, *, is_start: bool) -> None:
        """Put what is kept for *actor* into its mailbox, in the order of acceptance.

        *is_start*: nobody handles anything yet, so that suspects can be tried alone.
        """
        if actor.settings.durable:
            self._restore_window(actor)
        for record in self._wanted_by(actor):
            begun = self._contents.begun.get(record.id)
            is_suspect = begun is not None and not begun.has_ended
            delivery = self._delivery(actor, record, self._contents.events[record.event])
            actor.routed(delivery)
            actor.accepted(delivery)
            if type(delivery.event) is Unreadable:
                actor.bury(delivery, DeadLetterReason.UNREADABLE)
            elif record.attempts >= actor.settings.retry.max_attempts:
                reason = DeadLetterReason.KILLED_PROCESS if is_suspect else DeadLetterReason.HANDLER_ERROR
                actor.bury(delivery, reason)
            else:
                self._queue(actor, delivery, record, is_suspect=is_suspect and is_start and actor.settings.durable)

    def _wanted_by(self, actor: Actor) -> list[StoredDelivery]:
        """Take what is kept for *actor*: if it is not durable, only what was replayed while no bus ran. Its letters are
        in the file, too, and a letter does not say whether its subscription is durable.
        """
        waiting = self._waiting.pop(actor.name, [])
        if actor.settings.durable:
            return waiting
        left = [each for each in waiting if each.letter is None]
        if left:
            self._waiting[actor.name] = left
        return [each for each in waiting if each.letter is not None]

    def _queue(self, actor: Actor, delivery: AnyDelivery, record: StoredDelivery, *, is_suspect: bool) -> None:
        due = None if record.due is None else self._keeper.monotonic_time(record.due)
        if is_suspect:
            actor.mailbox.put(delivery)
            self._keeper.quarantine.suspects.append((actor, delivery))
        elif due is not None and due > self._run.now():
            actor.mailbox.put_for_retry(delivery, due)
        else:
            actor.mailbox.put(delivery)

    def _delivery(self, actor: Actor, record: StoredDelivery, stored: StoredEvent) -> AnyDelivery:
        envelope = self.envelope(stored)
        receipt = Receipt()
        open_receipt(receipt, envelope.id, [actor.name])
        delivery: AnyDelivery = Delivery(envelope, actor.name, receipt, envelope.serial)
        if type(envelope.event) is not Unreadable and actor.is_keyed:
            delivery.key = actor.key_of(envelope.event)
        delivery.attempt = record.attempts
        if record.first_failed_at is not None:
            delivery.first_failed_at = datetime.fromtimestamp(record.first_failed_at, UTC)
        if record.letter is not None:
            delivery.replayed = letter_of(record.letter, envelope.event)
        delivery.kept = Kept(self._keeper, stored, None, record)
        return delivery

    def envelope(self, stored: StoredEvent) -> Envelope[Any]:
        """Make the envelope of *stored* anew; what cannot be read has an `Unreadable` for an event."""
        headers: Any = None
        try:
            event = self._codecs.decode(stored.type_name, stored.version, stored.body)
            headers = None if stored.headers is None else decode_headers(stored.headers)
        except DecodeError as error:
            event = _unreadable(stored, error)
        return Envelope[Any].restored(
            event,
            self._run.ids,
            event_id=stored.event_id,
            published_at=datetime.fromtimestamp(stored.published_at, UTC),
            priority=stored.priority,
            topic=stored.topic,
            headers=headers,
            correlation_id=stored.correlation_id,
            causation_id=stored.causation_id,
            expires_at=None if stored.expires_at is None else self._keeper.monotonic_time(stored.expires_at),
            schema_version=stored.schema_version,
        )

    def _restore_window(self, actor: Actor) -> None:
        if actor.duplicates is None or actor.settings.deduplicate is None:
            return
        for seen in self._seen[actor.name]:
            at = self._keeper.monotonic_time(seen.until) - actor.settings.deduplicate.window
            actor.duplicates.remember(ast.literal_eval(seen.key), at)

    def _set_aside(self, damaged: Damaged) -> None:
        """Make a dead letter of a delivery that was damaged, as far as it can be told whose it is."""
        self._run.log.damaged(damaged.table, damaged.number, damaged.why)
        if damaged.table == "deliveries":
            now = self._run.wall_now()
            letter: DeadLetter[Any] = DeadLetter(
                event=Unreadable("", damaged.why, damaged.row.encode()),
                event_id="",
                event_type="",
                published_at=now,
                subscription=damaged.subscription,
                reason=DeadLetterReason.UNREADABLE,
                first_failed_at=now,
                last_failed_at=now,
            )
            self._keeper.letters.set_aside(self._run.office.add(letter), Settle(damaged.number, damaged.event))

    # ── letters ──

    def _restore_letters(self) -> None:
        letters = [self._letter(stored) for stored in self._contents.letters]
        self._run.office.restore([letter for letter in letters if letter is not None], self._contents.last_letter)

    def _letter(self, stored: StoredLetter) -> DeadLetter[Any] | None:
        try:
            event = self._codecs.decode(stored.type_name, stored.version, stored.body)
        except DecodeError as error:
            event = _unreadable(stored, error)
        try:
            return letter_of(stored.document, event)
        except (ValueError, KeyError, TypeError) as error:
            self._run.log.damaged("letters", stored.number, f"its document cannot be read: {error!r}")
            return None


def _unreadable(stored: StoredEvent | StoredLetter, error: DecodeError) -> Unreadable:
    return Unreadable(stored.type_name, str(error), stored.body, stored.version)


def _with_subclasses(types: tuple[type, ...]) -> list[type]:
    """Give *types* and all classes made from them by now: an event of any of these may have been kept."""
    found: dict[type, None] = {}
    left = [each for each in types if each is not object]
    while left:
        each = left.pop()
        if each not in found:
            found[each] = None
            left += each.__subclasses__()
    return list(found)
