"""A store that is no file, for tests: as exact as one, and on virtual time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, assert_never, final

from tocsin._backends import waker
from tocsin.codecs import CodecRegistry
from tocsin.durable import (
    Accept,
    Begun,
    Bury,
    Contents,
    ForgetLetters,
    ForgetRelayed,
    ForgetSeen,
    Seen,
    Settle,
    StoredDelivery,
    StoredEvent,
    StoredLetter,
    StoreError,
    StoreUnavailable,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.durable import Change


@final
class MemoryStore:
    """A `Store` that keeps everything in memory: give it to one bus after the other, to test a durable subscription
    over the end of a process.

    What is asked for is kept a turn of the event loop later, as by a disk that is very fast. `copy()` gives what would
    be found if the process ended now. *codecs*: as of `SQLiteStore`.
    """

    def __init__(self, codecs: CodecRegistry | None = None) -> None:
        self._codecs = CodecRegistry() if codecs is None else codecs
        self.events: dict[int, StoredEvent] = {}
        self.deliveries: dict[int, StoredDelivery] = {}
        self.letters: dict[int, StoredLetter] = {}
        self.seen: dict[tuple[str, str], float] = {}
        self.relayed: set[tuple[str, str]] = set()  # event id, subscription
        self.begun: dict[int, tuple[int, Begun]] = {}  # slot → delivery, attempt
        self.last: dict[str, int] = {"event": 0, "delivery": 0, "letter": 0}
        self.refuse_with: StoreError | None = None
        """While this is set, nothing is accepted, as when a disk is full."""
        self.fail_with: StoreError | None = None
        """While this is set, nothing at all is kept, as after the disk has failed."""
        self.notes_fail_with: OSError | None = None
        """While this is set, it cannot be noted that attempts begin and end."""
        self._opened: OpenMemoryStore | None = None
        self._is_held = False

    @property
    def codecs(self) -> CodecRegistry:
        """How events become bytes, and come back."""
        return self._codecs

    async def open(self) -> OpenMemoryStore:
        """Open it for one run; raise StoreUnavailable if another run has it."""
        if self._opened is not None:
            raise StoreUnavailable("memory", "it is in use by another run")
        self._opened = OpenMemoryStore(self)
        return self._opened

    def let_go(self) -> None:
        """Its run has ended."""
        self._opened = None

    @property
    def is_held(self) -> bool:
        """True after `hold`."""
        return self._is_held

    def hold(self) -> None:
        """Keep nothing more, as a disk that hangs, until `release` or the end of the run."""
        self._is_held = True

    def release(self) -> None:
        """Keep what was asked for meanwhile, and go on."""
        self._is_held = False
        if self._opened is not None:
            self._opened.keep()

    def copy(self) -> MemoryStore:
        """Give a store that holds what this one holds now: what the next process would find, if this one ended."""
        copy = MemoryStore(self._codecs)
        for name in ("events", "deliveries", "letters", "seen", "begun", "last"):
            setattr(copy, name, dict(getattr(self, name)))
        copy.relayed = set(self.relayed)
        return copy

    def contents(self) -> Contents:
        """Give all that it holds."""
        return Contents(
            events=dict(self.events),
            deliveries=tuple(delivery for _, delivery in sorted(self.deliveries.items())),
            letters=tuple(letter for _, letter in sorted(self.letters.items())),
            seen=tuple(sorted((Seen(*key, until) for key, until in self.seen.items()), key=lambda each: each.until)),
            begun=self._latest_begun(),
            relayed=frozenset(self.relayed),
            last_event=self.last["event"],
            last_delivery=self.last["delivery"],
            last_letter=self.last["letter"],
        )

    def _latest_begun(self) -> dict[int, Begun]:
        found = [(number, begun) for number, begun in self.begun.values() if number in self.deliveries]
        return dict(sorted(found, key=lambda each: each[1].attempt))

    def apply(self, change: Change) -> None:
        """Keep *change*."""
        match change:
            case Accept():
                self._accept(change)
            case Settle(delivery=delivery, event=event):
                self._settle(delivery, event)
            case Update(delivery=delivery):
                self.deliveries |= {delivery.id: delivery} if delivery.id in self.deliveries else {}
            case Bury(letter=letter, delivery=settle):
                self.letters[letter.number] = letter
                self._number("letter", letter.number)
                if settle is not None:
                    self._settle(settle.delivery, settle.event)
            case ForgetLetters(numbers=numbers):
                for number in numbers:
                    self.letters.pop(number, None)
            case ForgetRelayed(event_ids=event_ids):
                self.relayed = {mark for mark in self.relayed if mark[0] not in event_ids}
            case ForgetSeen(now=now):
                self.seen = {key: until for key, until in self.seen.items() if until > now}
            case _:
                assert_never(change)

    def _accept(self, change: Accept) -> None:
        self.events.setdefault(change.event.id, change.event)
        self._number("event", change.event.id)
        for delivery in change.deliveries:
            self.deliveries[delivery.id] = delivery
            self._number("delivery", delivery.id)
        if change.relayed:
            self.relayed |= {(change.event.event_id, delivery.subscription) for delivery in change.deliveries}
        for seen in change.seen:
            self.seen[seen.subscription, seen.key] = seen.until
        if change.replayed is not None:
            self.letters.pop(change.replayed, None)

    def _settle(self, delivery: int, event: int) -> None:
        self.deliveries.pop(delivery, None)
        if all(each.event != event for each in self.deliveries.values()):
            self.events.pop(event, None)

    def _number(self, kind: str, number: int) -> None:
        self.last[kind] = max(number, self.last[kind])


@final
class OpenMemoryStore:
    """An open one; see `tocsin.durable.OpenStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._contents = store.contents()
        self._requests: deque[tuple[Change, Callable[[StoreError | None], object]]] = deque()
        self._wake = waker(self._keep_unless_held)
        self._last_slot = 0

    @property
    def contents(self) -> Contents:
        """What it held when it was opened."""
        return self._contents

    @property
    def backlog(self) -> int:
        """How many changes have been asked for and not been begun."""
        return len(self._requests)

    def submit(self, change: Change, done: Callable[[StoreError | None], object]) -> None:
        """Keep *change* in the next turn of the event loop."""
        self._requests.append((change, done))
        self._wake()

    def begin(self, delivery: int, attempt: int) -> int:
        """Keep that an attempt begins."""
        self._check_notes()
        self._last_slot += 1
        self._store.begun[self._last_slot] = delivery, Begun(attempt, has_ended=False)
        return self._last_slot

    def over(self, slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
        """Keep that it has ended."""
        self._check_notes()
        self._store.begun[slot] = delivery, Begun(attempt, has_ended=True, was_handled=handled)

    def end(self, slot: int) -> None:
        """Forget that it had begun: what became of it is kept."""
        self._check_notes()
        del self._store.begun[slot]

    def _check_notes(self) -> None:
        if self._store.notes_fail_with is not None:
            raise self._store.notes_fail_with

    def forget_begun(self) -> None:
        """Forget all that had begun in an earlier run."""
        self._store.begun.clear()

    def watch(self, behind: Callable[[StoreError | None], object]) -> None:
        """It is never behind: what it does not keep, it refuses."""

    async def close(self) -> None:
        """Keep what was submitted, and let go."""
        self.keep()
        self._store.let_go()

    def _keep_unless_held(self) -> None:
        if not self._store.is_held:
            self.keep()

    def keep(self) -> None:
        """Keep all that was submitted."""
        requests = list(self._requests)
        self._requests.clear()
        for change, done in requests:
            refusal = self._store.fail_with or (self._store.refuse_with if isinstance(change, Accept) else None)
            if refusal is None:
                self._store.apply(change)
            done(refusal)
