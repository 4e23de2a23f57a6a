"""What type checkers must make of the public face. Read by mypy and pyright, never run."""

from __future__ import annotations

from typing import Any, assert_type

from attrs import frozen

from tocsin import (
    Backoff,
    BusStatistics,
    Coalesce,
    DeadLetter,
    Delivery,
    Envelope,
    EventBus,
    Group,
    Hooks,
    Ledger,
    Outcome,
    Plugin,
    Priority,
    Publication,
    Receipt,
    Reject,
    ReplayReport,
    RestartIntensity,
    RestartPolicy,
    RetryPolicy,
    StopReport,
    Strategy,
    Subscription,
    SubscriptionStatistics,
    handles,
    log_fields,
)


@frozen
class OrderPlaced:
    number: str


bus = EventBus("shop", strategy=Strategy.ONE_FOR_ONE, intensity=RestartIntensity(30, 60))


@bus.subscriber(OrderPlaced, "order.*", mailbox=10, overflow=Reject(), retry=RetryPolicy(max_attempts=2), timeout=None)
async def confirm(order: OrderPlaced) -> int:
    return len(order.number)


@bus.subscriber(object, when=lambda event: event is not None, overflow=Coalesce(by=id), restart=RestartPolicy.TRANSIENT)
def keep(event: object, delivery: Delivery[Any]) -> None:
    assert_type(delivery.envelope, Envelope[Any])


@bus.actor(name="statistics", backoff=Backoff(initial=0.5), on_failure="resume")
class Statistics:
    async def started(self) -> None: ...

    @handles(OrderPlaced)
    async def count(self, order: OrderPlaced) -> int:
        return len(order.number)


async def a_decorated_handler_keeps_its_type() -> None:
    assert_type(await confirm(OrderPlaced("1")), int)
    assert_type(await Statistics().count(OrderPlaced("1")), int)


async def publishing() -> None:
    receipt = await bus.publish(OrderPlaced("1"), priority=Priority.HIGH, topic=None, headers={"a": 1}, expires_in=3)
    assert_type(receipt, Receipt)
    assert_type(bus.publish_nowait(OrderPlaced("1")), Receipt)
    assert_type(bus.publish_from_thread(OrderPlaced("1"), timeout=1.0), Receipt)
    assert_type(await bus.publish_many([OrderPlaced("1")]), list[Receipt])


async def running() -> None:
    async with bus.running(drain_timeout=1.0, shutdown_deadline=1.0) as same:
        assert_type(same, EventBus)
        assert_type(await bus.drain(timeout=10), bool)
        assert_type(await bus.stop(), StopReport | None)
        assert_type(await bus.wait_stopped(), StopReport)
        bus.request_stop()


async def subscribing(payments: Group) -> None:
    assert_type(bus.group("payments", strategy=Strategy.ONE_FOR_ALL), Group)
    assert_type(payments.group("cards"), Group)
    subscription = bus.subscribe(confirm, OrderPlaced, concurrency=2)
    assert_type(subscription, Subscription)
    assert_type(await payments.subscribe_now(confirm, OrderPlaced), Subscription)
    await subscription.unsubscribe()


async def looking() -> None:
    assert_type(bus.statistics(), BusStatistics)
    assert_type(bus.statistics().subscriptions["confirm"], SubscriptionStatistics)
    assert_type(bus.ledger(), Ledger)
    assert_type(bus.ledger().balanced, bool)
    assert_type(bus.dead_letters.get(1), DeadLetter[Any])
    assert_type(await bus.replay(subscription="confirm", rate=10.0, dry_run=True), ReplayReport)


def an_outcome_belongs_to_the_closed_set(outcome: Outcome) -> str:
    return type(outcome).__name__


class Noting:
    """A plug-in needs no base class."""

    def hooks(self, bus: EventBus) -> Hooks:
        return Hooks(
            publishing=self.publishing, settled=self.settled, around_attempts=lambda _subscription, invoke: invoke
        )

    def publishing(self, publication: Publication) -> None:
        assert_type(publication.headers, dict[str, object])
        assert_type(publication.topic, str | None)

    def settled(self, delivery: Delivery[Any], outcome: Outcome) -> None:
        assert_type(delivery.attempt, int)


plugin: Plugin = Noting()
measured = EventBus("measured", plugins=[plugin], measure_times=True)


def times(statistics: SubscriptionStatistics) -> None:
    assert_type(statistics.p99, float | None)
    assert_type(log_fields(), dict[str, object])
