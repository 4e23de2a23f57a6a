"""Metrics: counted in each attempt, or read from the statistics by whoever collects, in whatever thread."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.opentelemetry.spans import Spans
from tests.runtime.failing import ONCE
from tocsin import EventBus, FinishActor
from tocsin.opentelemetry import OpenTelemetryPlugin, _metrics, _reading

MakeBus = Callable[..., EventBus]
SUBSCRIPTION = "messaging.destination.subscription.name"


async def ignore(event: object) -> None: ...


class Collector:
    """A meter provider of its own, and what is collected from it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def plugin(self, **options: Any) -> OpenTelemetryPlugin:
        """Give a plug-in that counts into this, without traces unless they are asked for."""
        options.setdefault("traces", False)
        return OpenTelemetryPlugin(meter_provider=self.provider, **options)

    def points(self, name: str) -> list[Any]:
        """Collect, and give the points of the metric *name*."""
        data = self._reader.get_metrics_data()  # None if there is nothing
        resources: list[Any] = [] if data is None else list(data.resource_metrics)
        return [
            point
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def values(self, name: str, *labels: str) -> dict[Any, Any]:
        """Collect, and give the values of *name* by the values of *labels*."""
        found: dict[Any, Any] = {}
        for point in self.points(name):
            described: dict[str, Any] = point.attributes or {}
            key = tuple(described.get(label) for label in labels)
            assert key not in found
            found[key] = point.value if hasattr(point, "value") else (point.count, point.sum)
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.provider.shutdown()


@pytest.mark.parametrize("traces", [False, True])
async def test_attempts_are_counted_and_timed_with_how_they_ended(
    make_bus: MakeBus, collector: Collector, traces: bool
) -> None:
    plugin = OpenTelemetryPlugin(Spans().provider, collector.provider, traces=traces)
    bus = make_bus("shop", plugins=[plugin])

    @bus.subscriber(int, name="sleep", timeout=5, retry=ONCE, grace_period=1)
    async def sleep(seconds: int) -> None:
        await anyio.sleep(abs(seconds))
        if seconds < 0:
            raise LookupError(seconds)

    async with bus.running():
        for seconds in (1, 2, -3, 60):
            await (await bus.publish(seconds)).settled()
        await bus.publish(4)
        await anyio.sleep(1)
        await bus.stop(drain_timeout=0)
    labels = ("tocsin.bus", SUBSCRIPTION, "error.type")
    expected = {
        ("shop", "sleep", None): (2, pytest.approx(3.0)),
        ("shop", "sleep", "builtins.LookupError"): (1, pytest.approx(3.0)),
        ("shop", "sleep", "timeout"): (1, pytest.approx(5.0)),
        ("shop", "sleep", "interrupted"): (1, pytest.approx(2.0, abs=1.0)),
    }
    assert collector.values("messaging.process.duration", *labels) == expected
    counts = {key: count for key, (count, _) in expected.items()}
    assert collector.values("messaging.client.consumed.messages", *labels) == counts
    (point, *_) = collector.points("messaging.process.duration")
    assert point.explicit_bounds[0] == 0.005
    assert dict(point.attributes)["messaging.system"] == "tocsin"


async def test_an_actor_that_says_it_is_through_has_not_failed(make_bus: MakeBus, collector: Collector) -> None:
    bus = make_bus(plugins=[collector.plugin()])

    @bus.subscriber(int, name="once")
    async def once(event: int) -> None:
        raise FinishActor

    async with bus.running():
        await (await bus.publish(1)).settled()
    assert collector.values("messaging.client.consumed.messages", "error.type") == {(None,): 1}


async def test_what_the_bus_counts_anyway_is_read_when_somebody_collects(
    make_bus: MakeBus, collector: Collector
) -> None:
    bus = make_bus("shop", plugins=[collector.plugin()])

    @bus.subscriber(int, name="work", retry=ONCE, mailbox=7)
    async def work(event: int) -> None:
        if event < 0:
            raise LookupError

    @bus.subscriber(str, name="wait")
    async def wait(event: str) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        for number in (1, -1, 2):
            await (await bus.publish(number)).settled()
        for _ in range(3):
            await bus.publish("x")
        await anyio.sleep(5)
        assert collector.values("messaging.client.sent.messages", "tocsin.bus") == {("shop",): 6}
        ended = collector.values("tocsin.deliveries", SUBSCRIPTION, "tocsin.outcome")
        assert (ended["work", "handled"], ended["work", "dead_lettered"], ended["wait", "handled"]) == (2, 1, 0)
        expected = {
            "tocsin.mailbox.depth": {("work",): 0, ("wait",): 2},
            "tocsin.mailbox.capacity": {("work",): 7, ("wait",): 1000},
            "tocsin.mailbox.oldest_age": {("work",): 0, ("wait",): pytest.approx(5, abs=1)},
            "tocsin.deliveries.in_flight": {("work",): 0, ("wait",): 1},
            "tocsin.actor.restarts": {("work",): 0, ("wait",): 0},
            "tocsin.actor.up": {("work",): 1, ("wait",): 1},
            "tocsin.delivery.retries": {("work",): 0, ("wait",): 0},
            "tocsin.publishers.blocked": {("work",): 0, ("wait",): 0},
        }
        assert {name: collector.values(name, SUBSCRIPTION) for name in expected} == expected
        assert collector.values("tocsin.dead_letters", "tocsin.bus") == {("shop",): 1}
        await bus.stop(drain_timeout=0)


async def test_a_dormant_actor_is_none_that_is_down(make_bus: MakeBus, collector: Collector) -> None:
    bus = make_bus(plugins=[collector.plugin()])

    @bus.subscriber(int, name="work", activation="first_event")
    async def work(event: int) -> None: ...

    async with bus.running():
        assert bus.statistics().subscriptions["work"].state == "dormant"
        assert collector.values("tocsin.actor.up", SUBSCRIPTION) == {("work",): 1}
        await (await bus.publish(1)).settled()
        assert collector.values("messaging.client.consumed.messages", SUBSCRIPTION) == {("work",): 1}


async def test_with_metrics_alone_events_go_the_fast_way(make_bus: MakeBus, collector: Collector) -> None:
    bus = make_bus(plugins=[collector.plugin()])

    @bus.subscriber(int, name="work")
    async def work(event: int) -> None: ...

    async with bus.running():
        await bus.publish(1)
        assert bus.offer(deque([2]), 1)
        await bus.drain()
    assert collector.values("messaging.client.consumed.messages", SUBSCRIPTION) == {("work",): 2}


async def test_several_buses_are_told_apart_and_a_second_run_counts_on(
    make_bus: MakeBus, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = collector.plugin()
    for name in ("one", "other"):
        bus = make_bus(name, plugins=[plugin])
        bus.subscribe(ignore, str, name="quiet")
        for _ in range(2):
            async with bus.running():
                await bus.publish(7)
    assert collector.values("messaging.client.sent.messages", "tocsin.bus") == {("one",): 1, ("other",): 1}
    assert caplog.records == []


async def test_only_so_many_subscriptions_have_series_of_their_own(
    make_bus: MakeBus, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_metrics, "MAX_SUBSCRIPTIONS", 2)
    bus = make_bus(plugins=[collector.plugin()])

    async def work(event: int) -> None: ...

    for name in "abcd":
        bus.subscribe(work, int, name=name)
    async with bus.running():
        await (await bus.publish(1)).settled()
    counts = collector.values("messaging.client.consumed.messages", SUBSCRIPTION)
    assert counts == {("a",): 1, ("b",): 1, ("other",): 2}
    assert collector.values("tocsin.mailbox.depth", SUBSCRIPTION) == {("a",): 0, ("b",): 0}


def test_a_bus_that_nobody_holds_any_more_is_forgotten(collector: Collector) -> None:
    plugin = collector.plugin()
    bus = EventBus("shop", plugins=[plugin])

    async def main(bus: EventBus) -> None:
        async with bus.running():
            pass

    anyio.run(main, bus)
    forgotten = weakref.ref(bus)
    assert collector.values("tocsin.dead_letters", "tocsin.bus") == {("shop",): 0}
    del bus
    gc.collect()
    assert forgotten() is None
    assert collector.points("tocsin.dead_letters") == []


# ── threads ──


@pytest.mark.real_time
async def test_who_collects_in_another_thread_gets_what_the_loop_has_taken(
    make_bus: MakeBus, collector: Collector
) -> None:
    bus = make_bus(plugins=[collector.plugin()])
    threads: list[int] = []
    plain = bus.statistics

    def statistics() -> Any:
        threads.append(threading.get_ident())
        return plain()

    vars(bus)["statistics"] = statistics
    async with bus.running():
        await bus.publish(7)
        found = await anyio.to_thread.run_sync(collector.values, "messaging.client.sent.messages")
    assert found == {(): 1}
    assert threads == [threading.get_ident()]


@pytest.mark.real_time
async def test_a_loop_that_is_blocked_does_not_hold_up_who_collects(
    make_bus: MakeBus, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reading, "PATIENCE", 0.01)
    monkeypatch.setattr(_reading, "FRESH", 0.0)
    bus = make_bus(plugins=[collector.plugin()])
    found: list[Any] = []
    async with bus.running():
        thread = threading.Thread(target=lambda: found.append(collector.points("messaging.client.sent.messages")))
        thread.start()
        thread.join()  # in the loop
        await bus.publish(7)
        await anyio.lowlevel.checkpoint()
        assert collector.values("messaging.client.sent.messages") == {(): 1}
        thread = threading.Thread(target=lambda: found.append(collector.values("messaging.client.sent.messages")))
        thread.start()
        thread.join()
    assert found == [[], {(): 1}]


@pytest.mark.real_time
def test_after_the_end_of_the_loop_the_last_numbers_are_there_for_any_thread(collector: Collector) -> None:
    bus = EventBus("shop", plugins=[collector.plugin()])

    async def main() -> None:
        async with bus.running():
            await bus.publish(7)

    found: list[Any] = []
    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)
        thread = threading.Thread(target=lambda: found.append(collector.values("messaging.client.sent.messages")))
        thread.start()
        thread.join()
    assert found == [{(): 1}, {(): 1}]
