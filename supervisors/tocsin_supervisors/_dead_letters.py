"""Where deliveries end that cannot be handled: letters, kept, bounded and counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Generic, Protocol, TextIO, TypeAlias, TypedDict, TypeVar, Unpack, cast, final

import attrs

from ._checks import count
from ._failures import Failure
from ._retries import DeadLetterReason as DeadLetterReason
from ._text import json_safe, qualified_name, safe_text

T = TypeVar("T")
_identity = id  # letters have a field named id


class DeadLetterRefused(ValueError):
    """A dead letter of a dead letter was offered: it would circle for ever. `letter` holds it."""

    def __init__(self, letter: DeadLetter[Any]) -> None:
        super().__init__(f"a dead letter of a dead letter is refused: {letter!r}; handle such failures in its handler")
        self.letter = letter


class DeadLetterNotFound(LookupError):
    """No letter of that number is in the office: evicted, purged, or taken by another. `id` holds the number."""

    def __init__(self, id: int, hint: str) -> None:
        super().__init__(f"there is no dead letter {id} in the office: {hint}")
        self.id = id


def _aware(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, datetime) or value.utcoffset() != timedelta(0):
        raise ValueError(f"{attribute.name}={value!r} must be an aware datetime in UTC: datetime.now(timezone.utc)")


def _read_only(headers: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(headers))


@final
@attrs.frozen
class FirstDeath:
    """Where, why and when an event died first. Replays never change it."""

    subscription: str
    reason: DeadLetterReason
    at: datetime


@final
@attrs.frozen
class DeathCount:
    """How often an event died of one reason at one subscription, and when first and last."""

    subscription: str
    reason: DeadLetterReason
    count: int
    first: datetime
    last: datetime


def _own_history(letter: DeadLetter[Any]) -> tuple[DeathCount, ...]:
    at = letter.last_failed_at
    return (DeathCount(letter.subscription, letter.reason, 1, at, at),)


def _own_death(letter: DeadLetter[Any]) -> FirstDeath:
    return FirstDeath(letter.subscription, letter.reason, letter.last_failed_at)


@final
@attrs.frozen(kw_only=True, repr=False)
class DeadLetter(Generic[T]):
    """An event that one subscription could not handle, with everything needed to understand and to replay it.

    Events are compared by identity, never by their own ``==``. All times are aware and in UTC.
    """

    id: int = 0
    """Number in its office, unique and increasing; 0 until an office has accepted the letter."""

    event: T = attrs.field(eq=_identity)
    event_id: str
    event_type: str
    """Qualified name of the event's class."""

    topic: str | None = None
    priority: int = 0
    published_at: datetime = attrs.field(validator=_aware)
    correlation_id: str | None = None
    causation_id: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_read_only, hash=False)
    schema_version: int | None = None
    subscription: str
    incarnation: int = 0
    """Which life of the actor had it last; 0 if it never reached one."""

    reason: DeadLetterReason
    attempts: int = 0
    """Handler runs, the first one included; 0 if it never reached one."""

    first_failed_at: datetime = attrs.field(validator=_aware)
    last_failed_at: datetime = attrs.field(validator=_aware)
    failure: Failure | None = None
    history: tuple[DeathCount, ...] = attrs.Factory(_own_history, takes_self=True)
    """Every death so far, one entry per subscription and reason, the latest first."""

    first_death: FirstDeath = attrs.Factory(_own_death, takes_self=True)
    replay_count: int = 0
    replayed_from: int | None = None
    """Number of the letter this one was a replay of."""

    def after(self, earlier: DeadLetter[T]) -> DeadLetter[T]:
        """Return this letter as what became of the replay of *earlier*: with its history, first death and count."""
        return attrs.evolve(
            self,
            history=_merged(self.history, earlier.history),
            first_death=earlier.first_death,
            replay_count=earlier.replay_count + 1,
            replayed_from=earlier.id,
        )

    def to_json_line(self, encode: Callable[[Any], Any] | None = None) -> str:
        """Return the letter as one JSON object on one line of ASCII, without line end.

        *encode* turns the event into what JSON can hold. Without it, and when it raises, the event's fields are written
        as far as JSON can hold them and by their repr beyond that. Whatever Exception the event or *encode* raises, the
        line is made; NaN and infinities become text.
        """
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        if encode is not None:
            try:
                fields["event"] = encode(self.event)
            except Exception as error:  # whatever the user's encoder fails with, the letter must still be written
                fields["encode_error"] = str(Failure.of(error))
        return json.dumps({name: json_safe(value) for name, value in fields.items()}, allow_nan=False)

    def __repr__(self) -> str:
        what = f"{self.id or 'not yet numbered'}: {safe_text(self.event_type)} for {safe_text(self.subscription)}"
        why = f"{self.reason.value} after {self.attempts} attempts" + (f", {self.failure.type}" if self.failure else "")
        return f"<DeadLetter {what}, {why}>"


def _numbered(letter: DeadLetter[T], number: int) -> DeadLetter[T]:
    """Give a copy of *letter* with its number. Field by field: `evolve` would check again what was checked before, at
    ten times the cost."""
    copy = cast("DeadLetter[T]", object.__new__(DeadLetter))
    for name in _field_names():
        object.__setattr__(copy, name, getattr(letter, name))
    object.__setattr__(copy, "id", number)
    return copy


@cache
def _field_names() -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(DeadLetter))


def _merged(new: tuple[DeathCount, ...], old: tuple[DeathCount, ...]) -> tuple[DeathCount, ...]:
    merged = {(entry.subscription, entry.reason): entry for entry in new}
    for entry in old:
        key = entry.subscription, entry.reason
        later = merged.get(key)
        if later is not None:
            entry = attrs.evolve(later, count=later.count + entry.count, first=entry.first)
        merged[key] = entry
    return tuple(merged.values())


class DeadLetterSink(Protocol):
    """Something that keeps dead letters beyond the office's memory: a file, a database, an alarm."""

    def take(self, letter: DeadLetter[Any]) -> None:
        """Keep *letter*. Called in the event loop for each accepted letter, so it must not block."""


class Conditions(TypedDict, total=False):
    """Which letters are meant. Types are classes or qualified names; *since*, in UTC, bounds the last failure."""

    subscription: str | None
    reason: DeadLetterReason | str | None
    event_type: type | str | None
    error_type: type[BaseException] | str | None
    since: datetime | None
    limit: int | None


def _name(kind: type | str | None) -> str | None:
    return qualified_name(kind) if isinstance(kind, type) else kind


@attrs.frozen(kw_only=True)
class _Filter:
    """The conditions, checked: a misspelt one must not come to mean "all letters"."""

    subscription: str | None = None
    reason: str | None = attrs.field(default=None, converter=attrs.converters.optional(DeadLetterReason))
    event_type: str | None = attrs.field(default=None, converter=_name)
    error_type: str | None = attrs.field(default=None, converter=_name)
    since: datetime | None = attrs.field(default=None, validator=attrs.validators.optional(_aware))
    limit: int | None = attrs.field(default=None, validator=count(at_least=0, or_none=True))

    def meets(self, letter: DeadLetter[Any]) -> bool:
        return (
            self.subscription in (None, letter.subscription)
            and self.reason in (None, letter.reason)
            and self.event_type in (None, letter.event_type)
            and (self.error_type is None or (letter.failure is not None and letter.failure.type == self.error_type))
            and (self.since is None or letter.last_failed_at >= self.since)
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
    # number -> letter, ascending
    _letters: dict[int, DeadLetter[T]] = attrs.field(factory=dict[int, DeadLetter[T]], init=False)

    def add(self, letter: DeadLetter[T]) -> DeadLetter[T]:
        """Keep *letter* under a number of its own and return it with that number.

        A sink that raises is counted, the letter is kept all the same. Raise `DeadLetterRefused` for a letter whose
        event is itself a dead letter.
        """
        if issubclass(type(letter.event), DeadLetter):
            self.refused += 1
            raise DeadLetterRefused(letter)
        self.added += 1
        numbered = _numbered(letter, self.added)
        self._letters[numbered.id] = numbered
        self._evict()
        if self.sink is not None:
            try:
                self.sink.take(numbered)
            except Exception as error:  # user code may fail in any way; the ring is the last resort and has the letter
                self.sink_errors += 1
                self.sink_failure = Failure.of(error)
        return numbered

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
        del self._letters[id]
        return letter

    def put_back(self, letter: DeadLetter[T]) -> None:
        """Return a taken letter to its old place, without telling the sink again.

        In a full office the oldest letter is evicted, which may be this one. Raise `ValueError` for a letter that was
        not taken from here.
        """
        if letter.id in self._letters or not 0 < letter.id <= self.added:
            raise ValueError(f"{letter!r} was not taken from this office: only what take() returned can be put back")
        self._letters = dict(sorted([*self._letters.items(), (letter.id, letter)], key=lambda item: item[0]))
        self._evict()

    def list(self, **conditions: Unpack[Conditions]) -> _Letters[T]:
        """Return the letters that meet every condition given, oldest first, at most *limit*."""
        wanted = _Filter(**conditions)
        return [letter for letter in self if wanted.meets(letter)][: wanted.limit]

    def purge(self, **conditions: Unpack[Conditions]) -> int:
        """Delete the letters that `list` returns for the same conditions, all without any; return how many."""
        doomed = self.list(**conditions)
        for letter in doomed:
            del self._letters[letter.id]
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

    def _evict(self) -> None:
        if len(self._letters) > self.capacity:
            del self._letters[next(iter(self._letters))]
            self.evicted += 1

    def _why_missing(self, id: int) -> str:
        if 0 < id <= self.added:
            return "it was evicted, purged, or is taken by another replay"
        return f"numbers run from 1 to {self.added} so far"
