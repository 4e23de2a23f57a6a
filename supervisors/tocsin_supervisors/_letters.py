"""A dead letter: what is kept of a delivery that could not be handled."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, final

import attrs

from ._failures import Failure
from ._retries import DeadLetterReason as DeadLetterReason
from ._text import json_safe, safe_text

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


def aware(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) is datetime and value.tzinfo is UTC:
        return  # as all are that we make ourselves
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


class _MadeLate:
    """Room for what makes those fields that are made when one of them is first read."""

    __slots__ = ("_source",)

    _source: Callable[[], Mapping[str, Any]]


@final
@attrs.frozen(kw_only=True, repr=False)
class DeadLetter(_MadeLate, Generic[T]):
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
    published_at: datetime = attrs.field(validator=aware)
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

    first_failed_at: datetime = attrs.field(validator=aware)
    last_failed_at: datetime = attrs.field(validator=aware)
    failure: Failure | None = None
    history: tuple[DeathCount, ...] = attrs.Factory(_own_history, takes_self=True)
    """Every death so far, one entry per subscription and reason, the latest first."""

    first_death: FirstDeath = attrs.Factory(_own_death, takes_self=True)
    replay_count: int = 0
    replayed_from: int | None = None
    """Number of the letter this one was a replay of."""

    if not TYPE_CHECKING:  # pragma: no branch  # or every misspelt name would pass as a field

        def __getattr__(self, name: str) -> Any:
            # Called for what is not there. Safe for readers in several threads: all of them make the same.
            if name not in _LATE_FIELDS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            _make_late_fields(self, self._source())
            return object.__getattribute__(self, name)

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


_EARLY_FIELDS = (
    *("id", "event", "subscription", "incarnation", "reason", "attempts"),
    *("first_failed_at", "last_failed_at", "failure"),
)
_LATE_FIELDS = frozenset(field.name for field in attrs.fields(DeadLetter)) - frozenset(_EARLY_FIELDS)


def first_letter(
    source: Callable[[], Mapping[str, Any]],
    *,
    event: object,
    subscription: str,
    incarnation: int,
    reason: DeadLetterReason,
    attempts: int,
    died: tuple[datetime, datetime],
    failure: Failure | None,
) -> DeadLetter[Any]:
    """Make the letter of an event that has not died before. *died*: when it failed first, and last.

    One is made for each delivery that is given up, and few are ever read. So what is said of the event is asked of
    *source* when it is first read: it has to give the same at any time, and is let go then. Nothing is checked.
    """
    letter = object.__new__(_OF_ANYTHING)
    _put(letter, "_source", source)
    _put(letter, "id", 0)
    _put(letter, "event", event)
    _put(letter, "subscription", subscription)
    _put(letter, "incarnation", incarnation)
    _put(letter, "reason", reason)
    _put(letter, "attempts", attempts)
    _put(letter, "first_failed_at", died[0])
    _put(letter, "last_failed_at", died[1])
    _put(letter, "failure", failure)
    return letter


_OF_ANYTHING: type[DeadLetter[Any]] = DeadLetter
_put = object.__setattr__  # the class is frozen for everybody else


def _make_late_fields(letter: DeadLetter[Any], facts: Mapping[str, Any]) -> None:
    made = {"history": _own_history(letter), "first_death": _own_death(letter), "replay_count": 0}
    for name, value in (*facts.items(), *made.items(), ("replayed_from", None)):
        _put(letter, name, value)
    _put(letter, "_source", dict)  # which gives nothing new to another thread that reads at the same time


def numbered(letter: DeadLetter[T], number: int) -> DeadLetter[T]:
    """Give a copy of *letter* with its number. Field by field: `evolve` would check again what was checked before, at
    ten times the cost."""
    copy = cast("DeadLetter[T]", object.__new__(DeadLetter))
    for name in _field_names():
        _put(copy, name, getattr(letter, name))
    number_in_place(copy, number)
    return copy


def number_in_place(letter: DeadLetter[Any], number: int) -> None:
    """Give *letter*, which nobody else has yet, its number: without a copy."""
    _put(letter, "id", number)


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
