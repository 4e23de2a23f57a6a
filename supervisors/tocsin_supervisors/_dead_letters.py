"""Where deliveries end that cannot be handled: letters, kept, bounded and counted."""

# The function at the end is the bus's side of an office, which users must not see on it.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TextIO, TypeAlias, TypedDict, TypeVar, Unpack, final

import attrs

from ._checks import count
from ._failures import Failure
from ._letters import DeadLetter as DeadLetter
from ._letters import DeadLetterNotFound, DeadLetterReason, DeadLetterRefused, aware, number_in_place, numbered
from ._text import qualified_name

T = TypeVar("T")


class DeadLetterSink(Protocol):
    """Something that keeps dead letters beyond the office's memory: a file, a database, an alarm."""

    def take(self, letter: DeadLetter[Any]) -> None:
        """Keep *letter*. Called in the event loop for each accepted letter, so it must not block."""


class DeadLetterMirror(Protocol):
    """Something that keeps what the office keeps, beyond its memory, and is told of what leaves it."""

    def left(self, numbers: Sequence[int]) -> None:
        """The letters of these numbers were evicted, purged or taken. Called in the event loop, must not block."""

    def came_back(self, letter: DeadLetter[Any]) -> None:
        """A letter that was taken is here again."""


class Conditions(TypedDict, total=False):
    """Which letters are meant: those that meet all that is given, at most *limit* of them.

    *ids* are numbers. Types are classes, or qualified names or the end of such after a dot: "shop.orders.OrderPlaced",
    "OrderPlaced". *since* and *until*, in UTC, bound the last failure, both included.
    """

    ids: Iterable[int] | None
    subscription: str | None
    reason: DeadLetterReason | str | None
    event_type: type | str | None
    error_type: type[BaseException] | str | None
    since: datetime | None
    until: datetime | None
    limit: int | None


def _means(wanted: type | str | None, name: str | None) -> bool:
    """Say whether *name*, of a class, is what is *wanted*."""
    if wanted is None or name is None:
        return wanted is None
    if isinstance(wanted, type):
        return name == qualified_name(wanted)
    return name == wanted or name.endswith(f".{wanted}")


def _numbers(ids: Iterable[int] | None) -> frozenset[int] | None:
    return None if ids is None else frozenset(ids)


@attrs.frozen(kw_only=True)
class _Filter:
    """The conditions, checked: a misspelt one must not come to mean "all letters"."""

    ids: frozenset[int] | None = attrs.field(default=None, converter=_numbers)
    subscription: str | None = None
    reason: str | None = attrs.field(default=None, converter=attrs.converters.optional(DeadLetterReason))
    event_type: type | str | None = None
    error_type: type | str | None = None
    since: datetime | None = attrs.field(default=None, validator=attrs.validators.optional(aware))
    until: datetime | None = attrs.field(default=None, validator=attrs.validators.optional(aware))
    limit: int | None = attrs.field(default=None, validator=count(at_least=0, or_none=True))

    def meets(self, letter: DeadLetter[Any]) -> bool:
        return (
            (self.ids is None or letter.id in self.ids)
            and self.subscription in (None, letter.subscription)
            and self.reason in (None, letter.reason)
            and _means(self.event_type, letter.event_type)
            and _means(self.error_type, None if letter.failure is None else letter.failure.type)
            and (self.since is None or letter.last_failed_at >= self.since)
            and (self.until is None or letter.last_failed_at <= self.until)
        )


_Letters: TypeAlias = list[DeadLetter[T]]  # the office has a method named list


@final
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)  # its counters need no validation
class DeadLetterOffice(Generic[T]):
    """Keeps the latest *capacity* dead letters in memory, oldest first, and hands each to *sink*.

    It counts what it has ``added``, ``evicted``, ``purged`` and ``refused``, and ``sink_errors``; the last of these is
    ``sink_failure``. Not thread-safe.
    """

    capacity: int = attrs.field(default=1000, validator=count(at_least=1))
    """Letters kept; the oldest is evicted for a new one. A thousand of them are some megabytes."""

    sink: DeadLetterSink | None = None
    added: int = attrs.field(default=0, init=False)
    evicted: int = attrs.field(default=0, init=False)
    purged: int = attrs.field(default=0, init=False)
    refused: int = attrs.field(default=0, init=False)
    sink_errors: int = attrs.field(default=0, init=False)
    sink_failure: Failure | None = attrs.field(default=None, init=False)
    mirror: DeadLetterMirror | None = attrs.field(default=None, init=False)  # set by a bus that has a store
    # number -> letter, ascending. No plain dict: to find the first key of one costs what was deleted before it.
    _letters: OrderedDict[int, DeadLetter[T]] = attrs.field(factory=OrderedDict[int, DeadLetter[T]], init=False)

    def add(self, letter: DeadLetter[T]) -> DeadLetter[T]:
        """Keep *letter* under a number of its own and return it with that number.

        A sink that raises is counted, the letter is kept all the same. Raise `DeadLetterRefused` for a letter whose
        event is itself a dead letter.
        """
        if issubclass(type(letter.event), DeadLetter):
            self.refused += 1
            raise DeadLetterRefused(letter)
        kept = numbered(letter, self.added + 1)
        self._keep(kept)
        return kept

    def _keep(self, letter: DeadLetter[T]) -> None:
        self.added = letter.id
        self._letters[letter.id] = letter
        self._evict()
        if self.sink is not None:
            try:
                self.sink.take(letter)
            except Exception as error:  # user code may fail in any way; the ring is the last resort and has the letter
                self.sink_errors += 1
                self.sink_failure = Failure.of(error)

    def get(self, id: int) -> DeadLetter[T]:
        """Return the letter of that number and leave it there. Raise `DeadLetterNotFound` if it is gone."""
        try:
            return self._letters[id]
        except KeyError:
            raise DeadLetterNotFound(id, self._why_missing(id)) from None

    def take(self, id: int) -> DeadLetter[T]:
        """Remove the letter of that number and return it, so that nobody else can.

        Raise `DeadLetterNotFound` if it is gone. `put_back` undoes it.
        """
        letter = self.get(id)
        self._leave([id])
        return letter

    def put_back(self, letter: DeadLetter[T]) -> None:
        """Return a taken letter to its old place, without telling the sink again.

        In a full office the oldest letter is evicted, which may be this one. Raise `ValueError` for a letter that was
        not taken from here.
        """
        if letter.id in self._letters or not 0 < letter.id <= self.added:
            raise ValueError(f"{letter!r} was not taken from this office: only what take() returned can be put back")
        self._insert([letter])
        if self.mirror is not None:
            self.mirror.came_back(letter)
        self._evict()

    def restore(self, letters: Sequence[DeadLetter[T]], last: int = 0) -> None:
        """Take in letters that were kept elsewhere, under the numbers that they have, without telling the sink.

        *last*: the highest number ever given, so that no number is given twice. Those whose number is in use here stay
        as they are; in a full office the oldest are evicted.
        """
        self.added = max(self.added, last, *(letter.id for letter in letters))
        self._insert([letter for letter in letters if letter.id not in self._letters])
        self._evict()

    def list(self, **conditions: Unpack[Conditions]) -> _Letters[T]:
        """Return the letters that meet every condition given, oldest first, at most *limit*."""
        wanted = _Filter(**conditions)
        return [letter for letter in self if wanted.meets(letter)][: wanted.limit]

    def purge(self, **conditions: Unpack[Conditions]) -> int:
        """Delete the letters that `list` returns for the same conditions, all without any; return how many."""
        doomed = self.list(**conditions)
        self._leave([letter.id for letter in doomed])
        self.purged += len(doomed)
        return len(doomed)

    def export(self, target: Callable[[str], object] | TextIO, *, encode: Callable[[T], Any] | None = None) -> int:
        """Write every letter as a JSON line, oldest first, and return how many; the letters stay.

        A callable *target* gets each line without line end, a text file with one. What it raises ends the export.
        """
        letters = tuple(self)
        for letter in letters:
            line = letter.to_json_line(encode)
            target(line) if callable(target) else target.write(line + "\n")
        return len(letters)

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter[T]]:
        return iter(tuple(self._letters.values()))

    def __contains__(self, letter: object) -> bool:
        """Return whether the letter of a number, or one with the number of the letter given, is here."""
        return getattr(letter, "id", letter) in self._letters

    def __repr__(self) -> str:
        return f"<DeadLetterOffice holding {len(self)} of at most {self.capacity} letters, {self.evicted} evicted>"

    def _insert(self, letters: Sequence[DeadLetter[T]]) -> None:
        items = [*self._letters.items(), *((letter.id, letter) for letter in letters)]
        self._letters = OrderedDict(sorted(items, key=lambda item: item[0]))

    def _evict(self) -> None:
        while len(self._letters) > self.capacity:
            self._leave([next(iter(self._letters))])
            self.evicted += 1

    def _leave(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            del self._letters[number]
        if self.mirror is not None:
            self.mirror.left(numbers)

    def _why_missing(self, id: int) -> str:
        if 0 < id <= self.added:
            return "it was evicted, purged, or is taken by another replay"
        return f"numbers run from 1 to {self.added} so far"


def add_new(office: DeadLetterOffice[Any], letter: DeadLetter[Any]) -> None:
    """Keep *letter*, which nobody else has yet, under a number of its own; see `DeadLetterOffice.add`, which makes a
    copy to number."""
    if issubclass(type(letter.event), DeadLetter):
        office.add(letter)  # to be refused there
    number_in_place(letter, office.added + 1)
    office._keep(letter)
