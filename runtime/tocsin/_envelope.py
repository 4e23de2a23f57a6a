"""An event on its way: the envelope around it, its priority, and where its id comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast, final

from tocsin_supervisors._text import qualified_name, safe_repr, safe_text

from .exceptions import InvalidPriority

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND_BITS = 48  # as in UUID version 7: enough until the year 10889
_SERIAL_BITS = 80  # the rest of 128
_LAST_MILLISECOND = (1 << _MILLISECOND_BITS) - 1

Moment: TypeAlias = tuple[float, float]  # the wall clock, and the latest time it has shown so far


@final
class Priority(IntEnum):
    """How urgent an event is. Each priority has a lane of its own in every mailbox; the smaller number goes first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


NORMAL = Priority.NORMAL  # a global is read faster than a member of an enum
NO_HEADERS: Mapping[str, object] = MappingProxyType({})  # one for all envelopes without headers


def check_priority(value: object) -> Priority:
    """Return *value* as a `Priority`: a member, or one of the plain integers 0 to 3.

    Raise `InvalidPriority` for everything else, `True` and `1.0` included: what is nearly a priority is a mistake.
    """
    if type(value) is Priority:
        return value
    if type(value) is int and 0 <= value < len(Priority):
        return Priority(value)
    allowed = ", ".join(f"{member.name}={member.value}" for member in Priority)
    raise InvalidPriority(f"priority={safe_repr(value, 60)}: must be a member of Priority or its number ({allowed})")


def read_only_headers(headers: Mapping[str, object]) -> Mapping[str, object]:
    """Return a read-only copy of *headers*, so that no subscriber can change what the others see.

    Raise TypeError unless it is a mapping with text as keys. Values are shared, not copied.
    """
    if not isinstance(cast("object", headers), Mapping):
        raise TypeError(f"headers={safe_repr(headers, 60)}: must be a mapping of text to values")
    copied = dict(headers)
    for key in copied:
        if type(cast("object", key)) is not str:
            raise TypeError(f"the header {safe_repr(key, 60)} is no text: headers are addressed by text")
    return MappingProxyType(copied)


@final
class IdSource:
    """Where the envelopes of one bus get their ids from: 32 hexadecimal digits each, in order of creation.

    48 bits are the wall clock in milliseconds, 80 bits a serial number that starts at random and grows by one. Ids of
    one source never decrease, also when the wall clock is set back: then their time stands still until the clock has
    caught up. Ids of different sources (other buses, other processes) are ordered by the millisecond. Ids are unique,
    not secret: who knows one can guess the next.

    *wall* gives seconds since 1970; *random_bits* as many random bits as asked for (`secrets.randbits`). A source is
    used by one thread. After a fork, parent and child would go on with the same serial numbers: make one for each run
    of a bus.
    """

    __slots__ = ("_latest", "_wall", "base", "count")

    def __init__(self, wall: Callable[[], float], random_bits: Callable[[int], int]) -> None:
        self._wall = wall
        self._latest = 0.0  # the latest time seen; starts in 1970, so that the time in an id is never negative
        # The highest bit stays free, so that counting upwards never overflows into the milliseconds.
        self.base: int = random_bits(_SERIAL_BITS - 1)
        # Apart from it, as small numbers are counted and kept at a fraction of the cost. Who takes one counts up.
        self.count: int = 0

    def look(self) -> Moment:
        """Look at the wall clock."""
        wall = self._wall()
        if wall > self._latest:
            self._latest = wall
        return wall, self._latest

    def issue(self) -> tuple[float, float, int]:
        """Return the wall clock, the latest time the wall clock has shown so far, and the next serial number."""
        wall, latest = self.look()
        self.count += 1
        return wall, latest, self.base + self.count


def id_of(latest: float, serial: int) -> str:
    """Write down the id of the envelope with *serial*, made when the wall clock had come to *latest*."""
    milliseconds = min(int(latest * 1000), _LAST_MILLISECOND)
    # By way of bytes, which is three times as fast as formatting a number of 128 bits.
    return (milliseconds << _SERIAL_BITS | serial).to_bytes(16, "big").hex()


@final
class Envelope(Generic[T]):
    """An event and what the bus knows about it. Shared by all its deliveries; read it, do not write to it.

    `event` is the published object itself, not a copy. `expires_at` is a time on the monotonic clock of the bus, or
    None. `causation_id` is the id of the envelope whose handling led to this one, or None. `schema_version` belongs
    to the event's type and is 1 unless somebody said otherwise.
    """

    __slots__ = (
        "_correlation_id",
        "_id",
        "_latest",
        "_serial",
        "_wall",
        "causation_id",
        "event",
        "expires_at",
        "headers",
        "priority",
        "schema_version",
        "topic",
    )

    # Written by hand and lazily filled, because one is made for each event: a frozen attrs class costs three times as
    # much, and rendering an id costs more than everything else here together. What must be true of the moment of
    # publishing (clock, serial number) is taken at once, only its text is made on demand.
    def __init__(
        self,
        event: T,
        ids: IdSource,
        priority: Priority = NORMAL,
        topic: str | None = None,
        *,
        headers: Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        expires_at: float | None = None,
        schema_version: int = 1,
    ) -> None:
        self.event: T = event
        self.priority: Priority = priority
        self.topic: str | None = topic
        self.headers: Mapping[str, object] = NO_HEADERS if headers is None else read_only_headers(headers)
        self.causation_id: str | None = causation_id
        self.expires_at: float | None = expires_at
        self.schema_version: int = schema_version
        self._correlation_id = correlation_id
        self._wall, self._latest, self._serial = ids.issue()
        self._id: str | None = None

    @classmethod
    def restored(
        cls, event: T, ids: IdSource, *, event_id: str, published_at: datetime, priority: int = NORMAL, **rest: Any
    ) -> Self:
        """Make the envelope of an event anew, with the id and time it had; *rest* as in the constructor."""
        envelope = cls(event, ids, check_priority(priority), **rest)
        envelope._id = event_id
        envelope._wall = (published_at - _EPOCH).total_seconds()
        return envelope

    @classmethod
    def of_publish(cls, event: T, moment: Moment, serial: int) -> Self:
        """Make the envelope of an event that was published without options, with the *serial* it took then."""
        envelope = cls.__new__(cls)
        envelope.event = event
        envelope.priority = NORMAL
        envelope.topic = envelope.causation_id = envelope.expires_at = None
        envelope.headers = NO_HEADERS
        envelope.schema_version = 1
        envelope._correlation_id = envelope._id = None
        envelope._wall, envelope._latest = moment
        envelope._serial = serial
        return envelope

    @property
    def serial(self) -> int:
        """Its place in the order of publishing."""
        return self._serial

    @property
    def id(self) -> str:
        """32 hexadecimal digits, unique, ordered by creation; see `IdSource`."""
        if self._id is None:
            self._id = id_of(self._latest, self._serial)
        return self._id

    @property
    def correlation_id(self) -> str:
        """What ties together all envelopes of one business process: as given, otherwise the own `id`."""
        return self.id if self._correlation_id is None else self._correlation_id

    @property
    def published_at(self) -> datetime:
        """When it was published, by the wall clock, in UTC. For people and other systems; nothing is timed by it.

        The clock is read once in a turn of the event loop, as libuv does: events of one turn have one time.
        """
        return _EPOCH + timedelta(seconds=self._wall)

    @property
    def published_wall(self) -> float:
        """The same in seconds since 1970."""
        return self._wall

    def is_expired(self, now: float) -> bool:
        """Tell whether its time is over at *now* (monotonic seconds): from `expires_at` on, that moment included."""
        return self.expires_at is not None and now >= self.expires_at

    def __repr__(self) -> str:
        # Not the event's own repr: it may be huge, secret, or raise.
        topic = "" if self.topic is None else f" on {safe_text(self.topic)}"
        return f"<Envelope {self.id} of {qualified_name(type(self.event))}{topic}, {self.priority.name}>"
