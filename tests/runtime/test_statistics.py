"""The snapshots: every gauge and counter says what it claims to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from tests.virtual_time import backend_options
from tocsin import (
    Backoff,
    BusStatistics,
    DeadLetterOffice,
    DropNewest,
    EventBus,
    Ledger,
    MailboxFull,
    Reject,
    RestartIntensity,
    RetryPolicy,
    SubscriptionStatistics,
    handles,
)

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


class Gated:
    """A handler that waits for the test."""

    def __init__(self) -> None:
        self.gate = anyio.Event()

    async def __call__(self, event: int) -> None:
        await self.gate.wait()
        if event < 0:
            raise LookupError("no\nsuch row")


def of(bus: EventBus, name: str) -> SubscriptionStatistics:
    return bus.statistics().subscriptions[name]


def test_a_bus_that_never_ran_has_statistics_too(make_bus: MakeBus) -> None:
    office: DeadLetterOffice[Any] = DeadLetterOffice()
    bus = make_bus("shop", dead_letters=office)
    bus.subscribe(ignore, int)
    statistics = bus.statistics()
    assert (statistics.name, statistics.phase, statistics.published, statistics.undeliverable) == ("shop", "new", 0, 0)
    assert (statistics.ledger, dict(statistics.subscriptions), statistics.tree) == (Ledger(), {}, None)
    assert (statistics.dead_letters, statistics.reports_lost, statistics.observer_errors) == (0, 0, 0)
    assert statistics.ledger == bus.ledger()


async def test_the_gauges_say_where_the_deliveries_are(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    retry = RetryPolicy(backoff=Backoff(initial=100.0, maximum=100.0, jitter=0))
    bus.subscribe(handler, int, name="gated", mailbox=3, retry=retry)
    async with bus.running(drain_timeout=0), anyio.create_task_group() as group:
        await bus.publish(-1)
        await anyio.wait_all_tasks_blocked()
        handler.gate.set()
        await anyio.wait_all_tasks_blocked()
        handler.gate = anyio.Event()
        assert of(bus, "gated").waiting_retry == 1
        for number in range(5):
            group.start_soon(bus.publish, number)
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep(10)
        statistics = of(bus, "gated")
        assert (statistics.in_flight, statistics.depth, statistics.waiting_retry, statistics.capacity) == (1, 2, 1, 3)
        assert statistics.blocked_publishers == 2
        assert statistics.oldest_age == pytest.approx(10, abs=0.2)
        assert (statistics.handled, statistics.retried) == (0, 1)
        assert statistics.last_error == "builtins.LookupError: no\\nsuch row"
        ledger = bus.ledger()
        assert (ledger.queued, ledger.in_flight, ledger.waiting_retry, ledger.blocked) == (2, 1, 1, 2)
        group.cancel_scope.cancel()
    assert of(bus, "gated").oldest_age == 0.0


async def test_the_counters_say_how_deliveries_ended(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    handler.gate.set()
    once = RetryPolicy(max_attempts=1)
    bus.subscribe(handler, int, name="gated", retry=once)
    bus.subscribe(handler, int, name="drops", retry=once, mailbox=1, overflow=DropNewest())
    bus.subscribe(handler, int, name="rejects", retry=once, mailbox=1, overflow=Reject())
    async with bus.running():
        await (await bus.publish(-1)).settled()
        await (await bus.publish(1)).settled()
        handler.gate = anyio.Event()
        await bus.publish(2)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(3)
        with pytest.raises(MailboxFull):
            await bus.publish(4)
        handler.gate.set()
        await bus.drain()
        gated, drops, rejects = (of(bus, name) for name in ("gated", "drops", "rejects"))
        assert (gated.handled, gated.dead_lettered) == (4, 1)
        assert (drops.handled, drops.dead_lettered, drops.dropped) == (3, 1, 1)
        assert (rejects.handled, rejects.dead_lettered, rejects.rejected) == (3, 1, 1)
        assert bus.statistics().published == 5
        assert bus.statistics().dead_letters == 3


async def test_the_tree_is_that_of_the_groups(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    bus.subscribe(ignore, int, name="first")
    group = bus.group("payments")
    group.subscribe(ignore, int, name="second")
    async with bus.running():
        tree = bus.statistics().tree
        assert tree is not None
        assert (tree.id, tree.kind, tree.state, tree.strategy) == ("shop", "supervisor", "running", "one_for_one")
        first, payments = tree.children
        assert (first.id, first.kind, first.state) == ("first", "actor", "running")
        assert (payments.id, payments.kind, payments.strategy) == ("payments", "supervisor", "one_for_one")
        assert [child.id for child in payments.children] == ["second"]
        assert of(bus, "first").group is None
        assert of(bus, "second").group == "payments"
    assert of(bus, "second").state == "stopped"
    stopped = bus.statistics().tree
    assert stopped is not None
    assert stopped.state == "stopped"


async def test_the_state_of_an_actor_is_told_in_a_word(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        raise ConnectionError

    intensity = RestartIntensity(1, 600.0)
    bus.subscribe(fail, int, sick_after=1, intensity=intensity, on_exhausted="park")
    async with bus.running(drain_timeout=0):
        assert (of(bus, "fail").state, of(bus, "fail").restarts, of(bus, "fail").incarnation) == ("running", 0, 1)
        await bus.publish(1)
        await anyio.sleep(0.01)
        assert of(bus, "fail").state == "suspended"
        await anyio.sleep(60)
        assert (of(bus, "fail").state, of(bus, "fail").restarts, of(bus, "fail").incarnation) == ("parked", 1, 2)
        assert of(bus, "fail").depth == 1


async def test_an_actor_that_starts_is_there(make_bus: MakeBus) -> None:
    class Slow:
        @handles(int)
        async def on(self, event: int) -> None: ...

        async def started(self) -> None:
            states.append(of(bus, "Slow").state)

    bus, states = make_bus(), list[str]()
    bus.subscribe_actor(Slow)
    async with bus.running():
        assert states == ["starting"]


async def test_what_handlers_wait_for_their_key_counts_as_queued(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, int, name="keyed", key=lambda number: 0, concurrency=3)
    async with bus.running():
        await bus.publish_many(range(4))
        await anyio.wait_all_tasks_blocked()
        assert (of(bus, "keyed").in_flight, of(bus, "keyed").depth) == (1, 3)
        handler.gate.set()


async def test_a_snapshot_is_of_its_instant(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        before = bus.statistics()
        await (await bus.publish(1)).settled()
    assert before.published == 0
    assert before.subscriptions["ignore"].handled == 0
    assert before.phase == "running"
    for value in (before, before.subscriptions["ignore"]):
        anything: Any = value
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            anything.name = "x"
    subscriptions: Any = before.subscriptions
    with pytest.raises(TypeError):
        subscriptions["x"] = None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_statistics_of_the_last_run_can_be_read_when_its_loop_is_gone(make_bus: MakeBus, backend: str) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    bus.subscribe(ignore, int)

    async def main() -> None:
        async with bus.running():
            await bus.publish(1)
            await bus.publish("a")

    anyio.run(main, backend=backend, backend_options=backend_options(backend, real_time=False))
    statistics = bus.statistics()
    assert isinstance(statistics, BusStatistics)
    assert (statistics.phase, statistics.published, statistics.undeliverable) == ("stopped", 2, 1)
    assert statistics.subscriptions["ignore"].handled == 1
    assert statistics.dead_letters == 1
    assert bus.ledger().handled == 1
    assert "stopped" in repr(bus)
