"""Frozen snapshots of a bus: what an operator, a test or an exporter reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import frozen

from tocsin_supervisors._children import ChildState

from ._ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin_supervisors import TreeNode

DORMANT = "dormant"  # the state of a subscription that has no actor before its first event
WELL = frozenset({ChildState.RUNNING.value, DORMANT})  # states in which an event finds somebody


@final
@frozen(kw_only=True)
class SubscriptionStatistics:
    """One subscription at one instant. Counters count from the start of the run."""

    name: str
    group: str | None
    """The group it was declared on; None for the bus itself."""
    state: str
    """The state of its actor: starting, running, stopping, waiting, suspended, parked, stopped, finished.
    Or "dormant": it has none before its first event (`activation="first_event"`).
    """
    is_paused: bool
    """True: it begins nothing until it is resumed."""
    depth: int
    """Deliveries ready to be taken."""
    capacity: int
    oldest_age: float
    """Seconds since the oldest delivery in the mailbox was put there; 0.0 when empty."""
    in_flight: int
    waiting_retry: int
    blocked_publishers: int
    handled: int
    retried: int
    dead_lettered: int
    dropped: int
    rejected: int
    returned: int
    restarts: int
    incarnation: int
    last_error: str | None
    """Type and message of the failure last seen, escaped and cut."""
    p50: float | None = None
    """Seconds that half of the attempts of the last 30 to 60 seconds did not exceed, at most a quarter beside the
    truth; None if there were none, or their times are not measured (`measure_times`)."""
    p99: float | None = None
    """The same for 99 of 100."""
    measured: int = 0
    """Attempts whose time was measured, failed and interrupted ones included."""
    handling_time: float = 0.0
    """Seconds that these took, all together."""


@final
@frozen(kw_only=True)
class BusStatistics:
    """A whole bus at one instant."""

    name: str
    phase: str
    published: int
    """Events taken from publishers, each counted once."""
    undeliverable: int
    """Events among them that no subscription matched."""
    ledger: Ledger
    subscriptions: Mapping[str, SubscriptionStatistics]
    """In the order in which their actors were made; those that are dormant come last."""
    tree: TreeNode | None
    """The supervision tree; None before the first run. What is dormant is behind the other children of its group."""
    dead_letters: int
    """Letters in the office now."""
    dead_letters_evicted: int
    """Letters that the office had to let go of, because it was full: they cannot be replayed."""
    reports_lost: int
    """Reports that the observer was too slow for."""
    observer_errors: int
    """Times that the observer raised."""
    store_up: bool | None = None
    """False while the store cannot keep what has happened; None: the bus has none."""
    store_errors: int = 0
    """Changes that the store has refused, and times that it was found to be behind."""
    store_backlog: int = 0
    """Changes that wait to be written."""


NEVER_RAN = Ledger()
