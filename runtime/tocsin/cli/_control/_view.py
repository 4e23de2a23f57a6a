"""What `status` and `top` show of a bus, taken from the document that the daemon gives of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from attrs import frozen

from ._protocol import Json
from ._reading import Reading


@final
@frozen(kw_only=True)
class ActorView:
    """The numbers of one subscription, under the names of `SubscriptionStatistics`."""

    depth: int
    capacity: int
    oldest_age: float
    in_flight: int
    waiting_retry: int
    blocked_publishers: int
    handled: int
    retried: int
    dead_lettered: int
    dropped: int
    p50: float | None
    """Seconds that half of the attempts took at most; None if nobody measures it."""
    p99: float | None
    last_error: str | None


@final
@frozen(kw_only=True)
class Row:
    """One line of the tree: a supervisor or an actor. Texts are not escaped."""

    level: int
    """How deep it is in the tree."""
    name: str
    state: str
    is_paused: bool
    restarts: int
    actor: ActorView | None
    """None for a supervisor."""
    last_error: str | None
    """Of an actor the last failure of a delivery, or else of itself; of a supervisor why it was restarted."""


@final
@frozen(kw_only=True)
class BusView:
    """A bus at one instant."""

    name: str
    phase: str
    process: int
    """Its id."""
    clock: float
    """When that was, on the monotonic clock of the process: seconds."""
    published: int
    undeliverable: int
    handled: int
    dead_lettered: int
    dropped: int
    rejected: int
    returned: int
    queued: int
    in_flight: int
    waiting_retry: int
    dead_letters: int
    dead_letters_evicted: int
    reports_lost: int
    observer_errors: int
    store_is_behind: bool
    """The store cannot keep what has happened; False without a store."""
    store_errors: int
    store_backlog: int
    rows: tuple[Row, ...]
    """In the order of the tree; empty before the first run."""


def view_of(document: Json) -> BusView:
    """Read *document*; raise BrokenConversation if it is none."""
    bus = Reading(document)
    ledger = bus.object("ledger")
    actors = bus.object("subscriptions")
    tree = bus.optional_object("tree")
    return BusView(
        name=bus.text("name"),
        phase=bus.text("phase"),
        process=bus.count("process"),
        clock=bus.number("clock"),
        published=bus.count("published"),
        undeliverable=bus.count("undeliverable"),
        handled=ledger.count("handled"),
        dead_lettered=ledger.count("dead_lettered"),
        dropped=ledger.count("dropped"),
        rejected=ledger.count("rejected"),
        returned=ledger.count("returned"),
        queued=ledger.count("queued"),
        in_flight=ledger.count("in_flight"),
        waiting_retry=ledger.count("waiting_retry"),
        dead_letters=bus.count("dead_letters"),
        dead_letters_evicted=bus.count("dead_letters_evicted"),
        reports_lost=bus.count("reports_lost"),
        observer_errors=bus.count("observer_errors"),
        store_is_behind=bus.is_false("store_up"),
        store_errors=bus.count("store_errors"),
        store_backlog=bus.count("store_backlog"),
        rows=() if tree is None else tuple(_rows(tree, actors, 0)),
    )


def _rows(node: Reading, actors: Reading, level: int) -> Iterator[Row]:
    name = node.text("id")
    is_actor = node.text("kind") == "actor"
    numbers = actors.optional_object(name) if is_actor else None
    actor = None if numbers is None else _actor(numbers)
    yield Row(
        level=level,
        name=name,
        state=node.text("state"),
        is_paused=numbers is not None and numbers.flag("is_paused"),
        restarts=node.count("restarts"),
        actor=actor,
        last_error=(actor.last_error if actor is not None else None) or node.optional_text("last_failure"),
    )
    for child in node.objects("children"):
        yield from _rows(child, actors, level + 1)


def _actor(numbers: Reading) -> ActorView:
    return ActorView(
        depth=numbers.count("depth"),
        capacity=numbers.count("capacity"),
        oldest_age=numbers.optional_number("oldest_age") or 0.0,
        in_flight=numbers.count("in_flight"),
        waiting_retry=numbers.count("waiting_retry"),
        blocked_publishers=numbers.count("blocked_publishers"),
        handled=numbers.count("handled"),
        retried=numbers.count("retried"),
        dead_lettered=numbers.count("dead_lettered"),
        dropped=numbers.count("dropped"),
        p50=numbers.optional_number("p50"),
        p99=numbers.optional_number("p99"),
        last_error=numbers.optional_text("last_error"),
    )
