"""Which metrics a bus has: from a snapshot of it to families of samples. Pure; plain counters, read when asked for.

A subscription costs about 20 series. So that dynamic subscriptions cannot fill somebody's database, only the first ones
have series of their own, and the rest is added up under `subscription="other"`.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Final, final

from attrs import frozen

from tocsin._lifecycle import Phase
from tocsin._statistics import WELL

from ._exposition import Family, rendered
from ._health import liveness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin._statistics import BusStatistics, SubscriptionStatistics

    from ._exposition import Kind, Labels, Sample

OTHER: Final = "other"  # the subscription that stands for all that are not shown


@final
@frozen
class _Column:
    """One series of each subscription."""

    name: str
    kind: Kind
    read: Callable[[SubscriptionStatistics], float]
    help: str
    more_labels: str = ""
    unit: str = ""
    suffix: str = ""
    together: Callable[[float, float], float] = operator.add
    """How the values of those under `OTHER` become one."""


def _greater(one: float, other: float) -> float:
    """Give the greater one of those that are numbers: quantiles cannot be added up, and this one is not too small."""
    return max((each for each in (one, other) if not math.isnan(each)), default=math.nan)


def _outcome(outcome: str, read: Callable[[SubscriptionStatistics], float]) -> _Column:
    return _Column("tocsin_deliveries", "counter", read, "Deliveries that ended, by outcome.", f',outcome="{outcome}"')


_COLUMNS: Final = (
    _outcome("handled", lambda each: each.handled),
    _outcome("dead_lettered", lambda each: each.dead_lettered),
    _outcome("dropped", lambda each: each.dropped),
    _outcome("rejected", lambda each: each.rejected),
    _outcome("returned", lambda each: each.returned),
    _Column(
        "tocsin_delivery_retries",
        "counter",
        lambda each: each.retried,
        "Attempts that failed and were followed by another.",
    ),
    _Column(
        "tocsin_deliveries_in_flight", "gauge", lambda each: each.in_flight, "Deliveries that handlers work on now."
    ),
    _Column(
        "tocsin_deliveries_waiting_retry",
        "gauge",
        lambda each: each.waiting_retry,
        "Deliveries that wait for their next attempt; they take room in the mailbox.",
    ),
    _Column("tocsin_mailbox_depth", "gauge", lambda each: each.depth, "Deliveries ready to be taken."),
    _Column("tocsin_mailbox_capacity", "gauge", lambda each: each.capacity, "Deliveries the mailbox holds at most."),
    _Column(
        "tocsin_mailbox_oldest_age_seconds",
        "gauge",
        lambda each: each.oldest_age,
        "Time since the oldest delivery in the mailbox was put there; 0 when empty.",
        unit="seconds",
        together=max,
    ),
    _Column(
        "tocsin_publishers_blocked", "gauge", lambda each: each.blocked_publishers, "Publishers that wait for room."
    ),
    _Column(
        "tocsin_actor_up",
        "gauge",
        lambda each: int(each.state in WELL),
        "1 while the actor runs, or waits for its first event; of several, while all do.",
        together=min,
    ),
    _Column(
        "tocsin_subscription_paused",
        "gauge",
        lambda each: int(each.is_paused),
        "1 while it is paused by an operator; of several, while any is.",
        together=max,
    ),
    _Column("tocsin_actor_restarts", "counter", lambda each: each.restarts, "Restarts after crashes and suspensions."),
    _Column(
        "tocsin_actor_incarnation",
        "gauge",
        lambda each: each.incarnation,
        "Number of the life the actor is in, from 1.",
        together=max,
    ),
    _Column(
        "tocsin_handling_seconds",
        "summary",
        lambda each: math.nan if each.p50 is None else each.p50,
        "Time that an attempt takes: quantiles of the last 30 to 60 seconds, sums of all. Only if it is measured.",
        ',quantile="0.5"',
        unit="seconds",
        together=_greater,
    ),
    _Column(
        "tocsin_handling_seconds",
        "summary",
        lambda each: math.nan if each.p99 is None else each.p99,
        "",
        ',quantile="0.99"',
        together=_greater,
    ),
    _Column("tocsin_handling_seconds", "summary", lambda each: each.handling_time, "", suffix="_sum"),
    _Column("tocsin_handling_seconds", "summary", lambda each: each.measured, "", suffix="_count"),
)


def _by_name() -> dict[str, list[tuple[int, _Column]]]:
    """Give the columns of each metric, with their places among the values of a row."""
    found: dict[str, list[tuple[int, _Column]]] = {}
    for place, column in enumerate(_COLUMNS):
        found.setdefault(column.name, []).append((place, column))
    return found


_FAMILIES: Final = _by_name()


def families(statistics: BusStatistics, max_subscriptions: int) -> Iterator[Family]:
    """Give all metrics of *statistics*; the first *max_subscriptions* subscriptions have series of their own."""
    bus: Labels = (("bus", statistics.name),)
    yield from _of_bus(statistics, bus)
    rows = _rows(statistics.subscriptions.values(), bus, max_subscriptions)
    if not rows:
        return  # a metric without a sample tells nothing
    is_measured = any(each.measured for each in statistics.subscriptions.values())
    for name, columns in _FAMILIES.items():
        _, first = columns[0]
        if is_measured or first.kind != "summary":
            yield Family(name, first.kind, first.help, tuple(_samples(rows, columns)), first.unit)


def _samples(rows: dict[str, tuple[float, ...]], columns: list[tuple[int, _Column]]) -> Iterator[Sample]:
    for labels, values in rows.items():
        for place, column in columns:
            sample = (labels + column.more_labels, values[place])
            yield (*sample, column.suffix) if column.suffix else sample


def _rows(
    subscriptions: Iterable[SubscriptionStatistics], bus: Labels, max_subscriptions: int
) -> dict[str, tuple[float, ...]]:
    """Give the values in the order of the columns, by their labels.

    Two names that are written alike (a subscription may really be called "other") must not become two samples of one
    series, for which the whole answer would be refused: they are added up.
    """
    rows: dict[str, tuple[float, ...]] = {}
    for number, each in enumerate(subscriptions):
        name, group = (each.name, each.group or "") if number < max_subscriptions else (OTHER, "")
        labels = rendered((*bus, ("subscription", name), ("group", group)))
        values = tuple(column.read(each) for column in _COLUMNS)
        rows[labels] = _together(rows[labels], values) if labels in rows else values
    return rows


def _together(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(column.together(*values) for column, *values in zip(_COLUMNS, one, other, strict=True))


def _of_bus(statistics: BusStatistics, bus: Labels) -> Iterator[Family]:
    labels, ledger = rendered(bus), statistics.ledger

    def one(name: str, kind: Kind, value: float, text: str) -> Family:
        return Family(name, kind, text, ((labels, value),))

    yield one(
        "tocsin_bus_up",
        "gauge",
        liveness(statistics.name, statistics.phase).is_well,
        "1 while /livez says that the bus lives.",
    )
    phases = tuple(
        (rendered((*bus, ("tocsin_bus_phase", str(phase)))), int(str(phase) == statistics.phase)) for phase in Phase
    )
    yield Family("tocsin_bus_phase", "stateset", "The phase of the bus: 1 at the one it is in.", phases)
    yield one("tocsin_events_published", "counter", statistics.published, "Events taken from publishers.")
    yield one("tocsin_events_undeliverable", "counter", statistics.undeliverable, "Events that matched nobody.")
    yield one("tocsin_deliveries_matched", "counter", ledger.matched, "Pairs of event and subscription.")
    yield one("tocsin_ledger_balanced", "gauge", ledger.balanced, "1 while every delivery is accounted for.")
    yield one("tocsin_dead_letters", "gauge", statistics.dead_letters, "Dead letters held now.")
    yield one(
        "tocsin_dead_letters_evicted",
        "counter",
        statistics.dead_letters_evicted,
        "Dead letters let go of because the office was full.",
    )
    yield one("tocsin_reports_lost", "counter", statistics.reports_lost, "Reports the observer was too slow for.")
    yield one("tocsin_observer_errors", "counter", statistics.observer_errors, "Times that the observer raised.")
    if statistics.store_up is not None:
        yield one("tocsin_store_up", "gauge", statistics.store_up, "1 while the store keeps what has happened.")
        yield one("tocsin_store_errors", "counter", statistics.store_errors, "Changes refused, times it was behind.")
        yield one("tocsin_store_backlog", "gauge", statistics.store_backlog, "Changes that wait to be written.")
