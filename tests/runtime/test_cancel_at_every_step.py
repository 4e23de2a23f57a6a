"""One cancellation before the k-th step of a run, for every k: of the whole run, of one publisher, of one actor.

Wherever it lands, what is promised must hold, at that step and at all later ones: the ledger balances between any two
steps (I1), nothing is handled that was not accepted or has ended (I2), a publisher knows who has taken its event (I3),
at most one life of an actor at a time and none after the end (I8), and the stop is complete, in bounded time (I15).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.scheduling import play
from tocsin import (
    Backoff,
    BusClosed,
    BusNotRunning,
    Delivery,
    EventBus,
    Receipt,
    RestartIntensity,
    RetryPolicy,
    Strategy,
    TocsinError,
    handles,
)
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import ChildStartError

pytestmark = pytest.mark.usefixtures("quiet")
RUNS = 6  # in the commit tier, of each scenario in each mode: spread over all steps
MANY = 60  # in the slow tier; the soak makes them all
PATIENCE = 300.0  # virtual seconds after which a run counts as hanging
ENDLESS = RestartIntensity(10_000, 1.0, max_consecutive=None)
OPTIONS: dict[str, Any] = {
    "intensity": ENDLESS,
    "backoff": Backoff(0.1, 0.1, jitter=0.0),
    "retry": RetryPolicy(2, Backoff(0.2, 0.2, jitter=0.0)),
    "grace_period": 1.0,
}


@frozen
class Work:
    number: int


@frozen
class Question:
    pass


class World:
    """One run, what it has seen, and the one who cancels."""

    def __init__(self, scenario: Scenario, mode: str, at: int | None) -> None:
        self.scenario = scenario
        self.mode = mode
        self.at = at
        self.bus = EventBus("cancelled", intensity=ENDLESS)
        self.steps = 0
        self.faults: list[str] = []
        self.receipts: dict[int, Receipt] = {}
        self.known: list[tuple[Receipt, tuple[str, ...]]] = []  # what publishers knew when they were through
        self.running: dict[str, int] = {}  # subscription → handlers that run now
        self.closed: set[str] = set()  # subscriptions whose end has been waited for
        self.is_over = False
        self.ended_in_time = True
        self.cancel: Callable[[], object] | None = None  # what to do at the chosen step

    # ── between two steps ──

    def on_step(self, step: int) -> None:
        self.steps = step
        if not (ledger := self.bus.ledger()).balanced:
            self.faults.append(f"step {step}: {ledger}")
        if step == self.at and self.cancel is not None:
            self.cancel()

    # ── handlers ──

    def begin(self, delivery: Delivery[Any], concurrency: int = 1) -> None:
        name = delivery.subscription
        self.running[name] = self.running.get(name, 0) + 1
        self.expect(self.running[name] <= concurrency, f"{name} handles {self.running[name]} at a time")
        self.expect(not self.is_over and name not in self.closed, f"{name} handles after its end")
        if isinstance(delivery.event, Work):
            receipt = self.receipts[delivery.event.number]
            self.expect(name in receipt.accepted, f"{name} handles what it has not accepted")
            self.expect(name not in receipt.outcomes, f"{name} handles what has ended")

    def end(self, delivery: Delivery[Any]) -> None:
        self.running[delivery.subscription] -= 1
        self.expect(not self.is_over, f"{delivery.subscription} is at work after the end")

    def expect(self, fact: bool, fault: str) -> None:
        if not fact:
            self.faults.append(f"step {self.steps}: {fault}")

    # ── publishers ──

    async def publisher(self, first: int, count: int) -> None:
        with anyio.CancelScope() as scope:
            if first == 0 and self.mode == "publisher":
                self.cancel = scope.cancel
            if first == 0 and self.mode == "native publisher":
                self.cancel = cancel_of_this_task()
            try:
                for number in range(first, first + count):
                    await self.publish(number)
            except asyncio.CancelledError:
                if self.mode != "native publisher":
                    raise

    async def publish(self, number: int) -> None:
        receipt = self.receipts[number] = Receipt()
        try:
            with suppress(BusClosed):
                await self.bus.publish(Work(number), receipt=receipt)
        finally:
            self.known.append((receipt, receipt.accepted))
            left = set(receipt.matched) - set(receipt.accepted) - set(receipt.outcomes)
            self.expect(not left, f"the publisher of {number} is through, and does not know of {left}")

    # ── the run ──

    async def run(self) -> None:
        if self.mode == "native":
            self.cancel = cancel_of_this_task()
        with anyio.move_on_after(PATIENCE) as patience, anyio.CancelScope() as scope:
            if self.mode == "run":
                self.cancel = scope.cancel
            try:
                await self.scenario(self)
            finally:
                self.is_over = True
        self.ended_in_time = not patience.cancelled_caught

    def check(self) -> None:
        ledger = self.bus.ledger()
        assert self.faults == []
        assert self.ended_in_time
        assert ledger.balanced, str(ledger)
        assert ledger.live == 0, str(ledger)
        assert not any(self.running.values())
        report = self.bus.stop_report
        if report is not None:
            assert report.unstopped == ()
            assert len(report.returned) <= ledger.returned
            assert self.bus.statistics().phase == "stopped"
        for receipt, accepted in self.known:
            assert receipt.accepted == accepted, "taken after its publisher was through"
            assert receipt.is_settled


def cancel_of_this_task() -> Callable[[], object]:
    task = asyncio.current_task()
    assert task is not None
    return task.cancel


Scenario = Callable[[World], Awaitable[None]]

# ── scenarios ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def full_mailboxes(world: World) -> None:
    """Publishers wait for room with a slow actor, one with keys, and one whose deliveries fail once."""
    bus = world.bus

    async def slow(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery)
        try:
            if event.number == 1 and world.mode == "actor" and delivery.attempt == 1:
                world.cancel = cancel_of_this_task()
            await anyio.sleep(0.5)
        finally:
            world.end(delivery)

    async def keyed(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery, 2)
        try:
            await anyio.sleep(0.3)
            if event.number % 2 and delivery.attempt == 1:
                raise ConnectionError
        finally:
            world.end(delivery)

    bus.subscribe(slow, Work, mailbox=1, **OPTIONS)
    bus.subscribe(keyed, Work, mailbox=2, concurrency=2, key=lambda work: work.number % 2, **OPTIONS)
    bus.subscribe(slow, Work, name="strict", mailbox=1, strict_order=True, **OPTIONS)
    async with bus.running(), anyio.create_task_group() as group:
        for first in (0, 10, 20):
            group.start_soon(world.publisher, first, 3)


async def restarts(world: World) -> None:
    """Actors crash and are built anew, alone and as a group; one is subscribed and unsubscribed meanwhile."""
    bus = world.bus
    group = bus.group("group", strategy=Strategy.ONE_FOR_ALL, intensity=ENDLESS)

    async def crashing(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery)
        try:
            if event.number == 1 and world.mode == "actor" and delivery.attempt == 1:
                world.cancel = cancel_of_this_task()
            await anyio.sleep(0.1)
            if event.number == 1 and delivery.attempt == 1:
                await cancel_as_a_stranger()
        finally:
            world.end(delivery)

    async def sibling(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery)
        try:
            await anyio.sleep(0.15)
        finally:
            world.end(delivery)

    @bus.actor(mailbox=2, **OPTIONS)
    class Stateful:  # pyright: ignore[reportUnusedClass]  # the decorator has it
        async def started(self) -> None:
            await anyio.sleep(0.05)

        @handles(Work)
        async def work(self, event: Work, delivery: Delivery[Work]) -> None:
            world.begin(delivery)
            try:
                await anyio.sleep(0.05)
                if event.number % 3 == 0:
                    raise ConnectionError
            finally:
                world.end(delivery)

        @handles(Question)
        async def answer(self, event: Question) -> int:
            await anyio.sleep(0.05)
            return 42

        async def stopping(self) -> None:
            await anyio.sleep(0.05)

    group.subscribe(crashing, Work, mailbox=2, **OPTIONS)
    group.subscribe(sibling, Work, mailbox=2, **OPTIONS)
    async with bus.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(world.publisher, 0, 4)
        guest = await bus.subscribe_now(sibling, Work, name="guest", mailbox=1, **OPTIONS)
        tasks.start_soon(world.publisher, 10, 2)
        with suppress(TocsinError):  # when it is down at that moment
            assert await bus.ask(Question(), to="Stateful", timeout=1.0) == 42
        await anyio.sleep(0.2)
        await guest.unsubscribe()
        world.closed.add("guest")


async def stops(world: World) -> None:
    """A handler asks for the stop while publishers wait for room; a drain and a second stop come at the same time."""
    bus = world.bus

    async def first(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery)
        try:
            if event.number == 1 and world.mode == "actor" and delivery.attempt == 1:
                world.cancel = cancel_of_this_task()
            await anyio.sleep(0.4)
            if event.number == 1:
                await bus.stop(drain_timeout=1.0)
        finally:
            world.end(delivery)

    async def stubborn(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery)
        try:
            await anyio.sleep(3.0)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
            world.end(delivery)

    bus.subscribe(first, Work, mailbox=1, **OPTIONS)
    bus.subscribe(stubborn, Work, mailbox=1, **OPTIONS)
    async with bus.running(drain_timeout=2.0, shutdown_deadline=10.0), anyio.create_task_group() as group:
        group.start_soon(world.publisher, 0, 3)
        group.start_soon(world.publisher, 10, 3)
        await anyio.sleep(1.0)
        group.start_soon(bus.stop)
        await bus.wait_stopped()


async def operations(world: World) -> None:
    """An operator pauses, resumes, restarts and stops actors with full mailboxes, and is the one who is cancelled."""
    bus = world.bus

    async def slow(event: Work, delivery: Delivery[Work]) -> None:
        world.begin(delivery, 2)
        world.expect(delivery.subscription not in paused, f"{delivery.subscription} begins although it is paused")
        try:
            if event.number == 1 and world.mode == "actor" and delivery.attempt == 1:
                world.cancel = cancel_of_this_task()
            await anyio.sleep(0.3)
            if event.number == 2 and delivery.attempt == 1:
                raise ConnectionError
        finally:
            world.end(delivery)

    paused: set[str] = set()
    pooled = bus.subscribe(slow, Work, name="pooled", mailbox=2, **OPTIONS)
    pinned = bus.subscribe(slow, Work, name="pinned", mailbox=2, concurrency=2, **OPTIONS)

    async def operator() -> None:
        await anyio.sleep(0.1)
        with anyio.CancelScope() as scope:
            if world.mode == "publisher":
                world.cancel = scope.cancel
            for subscription in (pooled, pinned):
                subscription.pause()
                paused.add(subscription.name)
                await anyio.sleep(0.5)
                await subscription.restart()
                paused.discard(subscription.name)
                subscription.resume()
                await subscription.restart()
            await pinned.stop()
            await pinned.restart()
        paused.clear()
        with anyio.CancelScope(shield=True), suppress(BusNotRunning, ChildStartError):
            pooled.resume()
            pinned.resume()
            await pinned.restart()

    async with bus.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(world.publisher, 10, 4)
        tasks.start_soon(world.publisher, 1, 3)
        tasks.start_soon(operator)


SCENARIOS: list[Scenario] = [full_mailboxes, restarts, stops, operations]
MODES = [
    ("asyncio", "run"),
    ("asyncio", "publisher"),
    ("asyncio", "native"),
    ("asyncio", "native publisher"),
    ("asyncio", "actor"),
    ("trio", "run"),
    ("trio", "publisher"),
]


def run_world(backend: str, scenario: Scenario, mode: str, seed: int, at: int | None) -> World:
    world = World(scenario, mode, at)
    try:
        play(world.run, backend, seed, world.on_step)
    except asyncio.CancelledError:
        assert mode == "native"
    return world


def cancel_everywhere(backend: str, scenario: Scenario, mode: str, seed: int, runs: int | None) -> None:
    whole = run_world(backend, scenario, mode, seed, None)
    whole.check()
    stride = 1 if runs is None else max(1, whole.steps // runs)
    for step in range(1 + seed % stride, whole.steps + 1, stride):
        world = run_world(backend, scenario, mode, seed, step)
        try:
            world.check()
        except AssertionError as error:
            error.add_note(f"replay: run_world({backend!r}, {scenario.__name__}, {mode!r}, {seed}, {step})")
            raise


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_fault_B17_promises_hold_after_a_cancellation_at_any_step(backend: str, mode: str, scenario: Scenario) -> None:
    cancel_everywhere(backend, scenario, mode, 1, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_promises_hold_after_a_cancellation_at_many_steps(backend: str, mode: str, scenario: Scenario) -> None:
    cancel_everywhere(backend, scenario, mode, 2, MANY)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("backend", "mode"), MODES)
def test_promises_hold_after_a_cancellation_at_every_step(
    backend: str, mode: str, scenario: Scenario, seed: int
) -> None:
    cancel_everywhere(backend, scenario, mode, seed, None)
