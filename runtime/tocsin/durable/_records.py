"""What a store keeps, and what it can be asked to change: a closed set of plain values, without any database.

Whoever writes them (a file, the memory of a test) and whoever asks for it (the bus) know nothing else of each other.
Times are seconds since 1970, as the clock of the process starts anew with it.
"""

from __future__ import annotations

from typing import TypeAlias, final

from attrs import frozen


@final
@frozen(kw_only=True)
class StoredEvent:
    """An event, once for all its deliveries, with what its envelope said."""

    id: int
    """Its number in the store, unique for ever."""
    event_id: str
    type_name: str
    """By which its codec is found; see `tocsin.codecs`."""
    version: int
    """Of the form of `body`."""
    body: bytes
    topic: str | None = None
    priority: int = 2
    published_at: float
    correlation_id: str | None = None
    causation_id: str | None = None
    headers: bytes | None = None
    schema_version: int = 1
    expires_at: float | None = None


@final
@frozen(kw_only=True)
class StoredDelivery:
    """One delivery that has not ended."""

    id: int
    """Its number in the store, unique for ever; deliveries are in order of acceptance by it."""
    event: int
    """The number of its `StoredEvent`."""
    subscription: str
    attempts: int = 0
    """How many attempts have begun and count."""
    due: float | None = None
    """Before when it is not to be attempted again."""
    first_failed_at: float | None = None
    letter: bytes | None = None
    """The dead letter that it is a replay of, if it is one: its document, without the event."""


@final
@frozen(kw_only=True)
class StoredLetter:
    """A dead letter: its document is everything but the event."""

    number: int
    document: bytes
    type_name: str
    version: int
    body: bytes


@final
@frozen
class Seen:
    """One key in the window of duplicates of a subscription, and until when it counts."""

    subscription: str
    key: str
    until: float


# ── changes: each is whole or not at all ──


@final
@frozen(kw_only=True)
class Accept:
    """Deliveries are accepted, and their event if it is not here yet; with them their keys against duplicates, and the
    end of the letter that is replayed.
    """

    event: StoredEvent
    deliveries: tuple[StoredDelivery, ...]
    seen: tuple[Seen, ...] = ()
    replayed: int | None = None
    relayed: bool = False
    """It came out of an outbox: remember, until that is told to be over, which subscriptions have it."""


@final
@frozen
class Settle:
    """A delivery has ended; its event goes with the last one."""

    delivery: int
    event: int


@final
@frozen
class Update:
    """An attempt of a delivery has ended, and there will be another one."""

    delivery: StoredDelivery


@final
@frozen
class Bury:
    """A letter is kept; if it is that of a delivery here, that one ends with it."""

    letter: StoredLetter
    delivery: Settle | None = None


@final
@frozen
class ForgetLetters:
    """Letters were evicted, purged, or replayed to somebody who is not durable."""

    numbers: tuple[int, ...]


@final
@frozen
class ForgetSeen:
    """Keys against duplicates whose time is over at *now*."""

    now: float


@final
@frozen
class ForgetRelayed:
    """Events that are not in the outbox any more, by their ids: nobody can relay them once more."""

    event_ids: tuple[str, ...]


Change: TypeAlias = Accept | Settle | Update | Bury | ForgetLetters | ForgetSeen | ForgetRelayed


@final
@frozen
class Damaged:
    """A delivery or letter that cannot be read, and why."""

    table: str
    number: int
    subscription: str
    event: int
    """Of a delivery: the number of its event, as far as that can be trusted."""
    why: str
    row: str
    """The row as it is, shortened: for people."""


@final
@frozen
class Begun:
    """The last attempt of a delivery that had begun when the process ended, or shortly before."""

    attempt: int
    has_ended: bool
    """False: it may be what has ended the process."""
    was_handled: bool = False
    """True: the handler had returned, and only that this is kept was missing."""


@final
@frozen(kw_only=True)
class Contents:
    """All that a store holds when it is opened."""

    events: dict[int, StoredEvent]
    deliveries: tuple[StoredDelivery, ...]
    """In order of acceptance."""
    letters: tuple[StoredLetter, ...]
    seen: tuple[Seen, ...]
    damaged: tuple[Damaged, ...] = ()
    begun: dict[int, Begun]
    """Of deliveries that are here, by number: attempts of which it was not kept what became of them."""
    relayed: frozenset[tuple[str, str]] = frozenset()
    """Ids of events that may still be in the outbox, each with a subscription that was given it already."""
    last_event: int = 0
    """The highest number that was ever given to an event; deliveries and letters likewise."""
    last_delivery: int = 0
    last_letter: int = 0
