"""The metrics of all buses that one plug-in serves.

Numbers that the bus counts anyway are read from its statistics when somebody collects, and cost nothing in between.
What takes part in each attempt is one histogram, and one number that grows.
"""

from __future__ import annotations

import threading
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final
from weakref import WeakKeyDictionary

from opentelemetry.metrics import Observation

from tocsin._statistics import WELL

from . import _attributes as names
from ._reading import Reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions, Histogram, Meter

    from tocsin import BusStatistics, EventBus, Subscription, SubscriptionStatistics

    Call = Callable[[Any], Awaitable[Any]]
    OfBus = Callable[[BusStatistics], Iterator[tuple[float, dict[str, str]]]]
    OfSubscription = Callable[[SubscriptionStatistics], float]

# As the conventions for messaging advise.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
MAX_SUBSCRIPTIONS: Final = 1000  # that have series of their own, as in `tocsin.web`
OTHER: Final = "other"  # stands for the rest, where numbers can be added up


@final
class Metrics:
    """See the module. A bus is forgotten with the last one who holds it."""

    def __init__(self, meter: Meter) -> None:
        self._readings: WeakKeyDictionary[EventBus, Reading] = WeakKeyDictionary()
        self._lock = threading.Lock()  # over the table: it is read by whoever collects
        # (bus, subscription, type of the error) → attempts; only ever added to in the thread of that bus
        self._attempts: Counter[tuple[str, str, str | None]] = Counter()
        self._names: set[str] = set()  # of subscriptions that have series of their own
        self._duration: Histogram = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Time that an attempt takes.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._observe(meter)

    def watch(self, bus: EventBus) -> None:
        """A run of *bus* begins: read its numbers from now on."""
        with self._lock:
            self._readings[bus] = Reading(bus)

    # ── attempts ──

    def around(self, subscription: Subscription, call: Call) -> Call:
        """See `Hooks`."""
        actor = subscription.actor
        assert actor is not None
        bus, name, now, limit = actor.run.name, self._shown(subscription), actor.run.now, actor.settings.timeout
        attributes = names.of_operation(bus, "process", **{names.SUBSCRIPTION: name})
        record, attempts = self._duration.record, self._attempts

        async def measured(argument: Any) -> Any:
            began = now()
            try:
                answer = await call(argument)
            except BaseException as error:
                seconds = now() - began
                kind = names.error_type_of(error, is_late=limit is not None and seconds >= limit)
                attempts[bus, name, kind] += 1
                record(seconds, attributes if kind is None else {**attributes, names.ERROR_TYPE: kind})
                raise
            attempts[bus, name, None] += 1
            record(now() - began, attributes)
            return answer

        return measured

    def _shown(self, subscription: Subscription) -> str:
        """Give the name of *subscription*, if it is one of the first: dynamic ones must not fill the memory."""
        if len(self._names) < MAX_SUBSCRIPTIONS:
            self._names.add(subscription.name)
        return subscription.name if subscription.name in self._names else OTHER

    # ── what is read when somebody collects ──

    def _observe(self, meter: Meter) -> None:
        def count(name: str, unit: str, text: str, read: OfBus) -> None:
            meter.create_observable_counter(name, [self._callback(read)], unit, text)

        def gauge(name: str, unit: str, text: str, read: OfBus) -> None:
            meter.create_observable_gauge(name, [self._callback(read)], unit, text)

        meter.create_observable_counter(
            "messaging.client.consumed.messages", [self._consumed], "{message}", "Attempts of deliveries."
        )
        count("messaging.client.sent.messages", "{message}", "Events taken from publishers.", _sent)
        count("tocsin.deliveries", "{delivery}", "Deliveries that ended, by outcome.", _outcomes)
        count(
            "tocsin.delivery.retries", "{attempt}", "Failed attempts followed by another.", _each(lambda s: s.retried)
        )
        count("tocsin.actor.restarts", "{restart}", "Restarts of actors.", _each(lambda s: s.restarts))
        gauge(
            "tocsin.actor.up",
            "1",
            "1 while the actor runs, or waits for its first event.",
            _each(lambda s: int(s.state in WELL)),
        )
        gauge("tocsin.mailbox.depth", "{delivery}", "Deliveries ready to be taken.", _each(lambda s: s.depth))
        gauge("tocsin.mailbox.capacity", "{delivery}", "Deliveries it holds at most.", _each(lambda s: s.capacity))
        gauge("tocsin.mailbox.oldest_age", "s", "Age of the oldest delivery.", _each(lambda s: s.oldest_age))
        gauge("tocsin.deliveries.in_flight", "{delivery}", "Deliveries being handled.", _each(lambda s: s.in_flight))
        gauge("tocsin.publishers.blocked", "{publisher}", "They wait for room.", _each(lambda s: s.blocked_publishers))
        gauge("tocsin.dead_letters", "{letter}", "Dead letters held now.", _letters)

    def _callback(self, read: OfBus) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for statistics in self._all_statistics():
                for value, attributes in read(statistics):
                    yield Observation(value, {names.BUS: statistics.name, **attributes})

        return observe

    def _all_statistics(self) -> Iterator[BusStatistics]:
        with self._lock:
            readings = list(self._readings.values())
        for reading in readings:
            statistics = reading.statistics()
            if statistics is not None:
                yield statistics

    def _consumed(self, _options: CallbackOptions) -> Iterable[Observation]:
        for (bus, name, error), count in self._attempts.copy().items():
            attributes = names.of_operation(bus, "process", **{names.SUBSCRIPTION: name})
            yield Observation(count, attributes if error is None else {**attributes, names.ERROR_TYPE: error})


def _each(read: OfSubscription) -> OfBus:
    def of_bus(statistics: BusStatistics) -> Iterator[tuple[float, dict[str, str]]]:
        for each in islice(statistics.subscriptions.values(), MAX_SUBSCRIPTIONS):
            yield read(each), {names.SUBSCRIPTION: each.name}

    return of_bus


def _outcomes(statistics: BusStatistics) -> Iterator[tuple[float, dict[str, str]]]:
    for each in islice(statistics.subscriptions.values(), MAX_SUBSCRIPTIONS):
        for outcome in ("handled", "dead_lettered", "dropped", "rejected", "returned"):
            yield getattr(each, outcome), {names.SUBSCRIPTION: each.name, names.OUTCOME: outcome}


def _sent(statistics: BusStatistics) -> Iterator[tuple[float, dict[str, str]]]:
    yield statistics.published, {names.SYSTEM: "tocsin", names.OPERATION: "send"}


def _letters(statistics: BusStatistics) -> Iterator[tuple[float, dict[str, str]]]:
    yield statistics.dead_letters, {}
