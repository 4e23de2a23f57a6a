"""Every matched pair of event and subscription ends exactly once, whatever happens: 100,000 deliveries through a bus
whose handlers fail in all ways, whose mailboxes overflow, whose publishers give up and whose subscriptions come and go.

The ledger is looked at between the steps of tasks; at the end it is compared with what publishers and handlers know.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.scheduling import play
from tocsin import (
    Backoff,
    BusClosed,
    Coalesce,
    DeadLetterNewest,
    DeadLetterOffice,
    Deduplicate,
    Delivery,
    DropNewest,
    DropOldest,
    EventBus,
    Handled,
    MailboxFull,
    Priority,
    Receipt,
    Reject,
    RestartIntensity,
    RetryPolicy,
    Strategy,
    Subscription,
    TocsinError,
    WaitForRoom,
    WouldDeadlock,
    handles,
)
from tocsin.testing import cancel_as_a_stranger

pytestmark = pytest.mark.usefixtures("quiet")

LOOK_EVERY = 61  # steps of tasks between two looks at the ledger: a prime, so that it keeps step with nothing
ENDLESS = RestartIntensity(100_000, 1.0, max_consecutive=None)
RETRY = RetryPolicy(3, Backoff(0.25, 1.0))


@frozen
class Work:
    """An event; its number decides nothing, the seed does."""

    number: int

    @property
    def key(self) -> int:
        return self.number % 5


def key_of(work: Work) -> int:
    return work.key


@frozen
class MoreWork(Work):
    """What handlers publish: nobody publishes because of it, so there is an end."""


class Storm:
    """One run of a bus under everything at once, from one seed."""

    def __init__(self, seed: int, deliveries: int) -> None:
        self.random = Random(seed)
        self.wanted = deliveries
        self.bus = EventBus("storm", intensity=ENDLESS, random=Random(seed), dead_letters=DeadLetterOffice(50))
        self.receipts: list[Receipt] = []
        self.returned_normally: Counter[tuple[str, str]] = Counter()  # (subscription, event id) → times
        self.unbalanced: list[str] = []
        self.guests: list[Subscription] = []
        self.sick: set[str] = set()  # subscriptions that have an outage
        self.numbers = 0
        self.over = False
        self._declare()

    def look(self, step: int) -> None:
        if step % LOOK_EVERY == 0 and not (ledger := self.bus.ledger()).balanced:
            self.unbalanced.append(f"step {step}: {ledger}")

    # ── the bus ──

    def _declare(self) -> None:
        bus, group = self.bus, self.bus.group("group", strategy=Strategy.ONE_FOR_ALL, intensity=ENDLESS)
        always: dict[str, Any] = {"retry": RETRY, "intensity": ENDLESS, "backoff": Backoff(0.1, 0.5), "timeout": 2.0}
        options: dict[str, dict[str, Any]] = {
            "patient": {"mailbox": 5, "concurrency": 3},
            "limited": {"mailbox": 3, "overflow": WaitForRoom(0.3), "priorities": [Priority.HIGH, Priority.NORMAL]},
            "keyed": {"mailbox": 20, "concurrency": 4, "key": key_of},
            "strict": {"mailbox": 8, "concurrency": 2, "key": key_of, "strict_order": True},
            "refusing": {"mailbox": 4, "overflow": Reject()},
            "newest": {"mailbox": 4, "overflow": DropOldest()},
            "first": {"mailbox": 4, "overflow": DropNewest(), "deduplicate": Deduplicate(1.0, by=key_of)},
            "kept": {"mailbox": 4, "overflow": DeadLetterNewest(), "sick_after": 1000},
            "state": {"mailbox": 4, "overflow": Coalesce(key_of), "context": "delivery"},
            "parked": {"mailbox": 6, "intensity": RestartIntensity(3, 60.0), "on_exhausted": "park"},
        }
        for name, own in options.items():
            registry = group if name in ("strict", "kept") else bus
            every: dict[str, Any] = {**always, "name": name, **own}
            registry.subscribe(self.handle, Work, **every)
        storm = self

        class Stateful:
            @handles(Work)
            async def work(self, event: Work, delivery: Delivery[Work]) -> None:
                await storm.handle(event, delivery)

        bus.subscribe_actor(Stateful, name="stateful", mailbox=3, concurrency=2, **always)

    async def handle(self, event: Work, delivery: Delivery[Work]) -> str:
        chance = self.random.random()
        if delivery.subscription in self.sick:
            raise ConnectionError(event.number)
        if delivery.subscription == "parked" and chance > 0.9:
            await cancel_as_a_stranger()
        elif chance < 0.3:
            await anyio.sleep(self.random.random() * 0.05)
        elif chance < 0.37:
            raise ConnectionError(event.number)
        elif chance < 0.39:
            raise ExceptionGroup("two", [ValueError(), KeyError()])
        elif chance < 0.40:
            raise UnicodeError
        elif chance < 0.405:
            await anyio.sleep(3.0)  # longer than its time limit
        elif chance < 0.41:
            await cancel_as_a_stranger()
        elif chance < 0.45 and type(event) is Work:
            await self.publish(MoreWork(event.number))
        self.returned_normally[delivery.subscription, delivery.envelope.id] += 1
        return "done"

    # ── publishers ──

    async def publish(self, event: Work) -> None:
        receipt = Receipt()
        options: Any = {"priority": self.random.choice(list(Priority))}
        if self.random.random() < 0.1:
            options["expires_in"] = self.random.random()
        try:
            if self.random.random() < 0.3:
                receipt = self.bus.publish_nowait(event, **options)
            else:
                with anyio.move_on_after(self.random.choice([0.001, 0.1, 5.0])):
                    await self.bus.publish(event, receipt=receipt, **options)
        except (MailboxFull, WouldDeadlock) as refusal:
            receipt = refusal.receipt or receipt
        except BusClosed:
            self.over = True
        finally:
            self.receipts.append(receipt)

    async def publisher(self) -> None:
        while not self.over and self.bus.ledger().matched < self.wanted:
            self.numbers += 1
            await self.publish(Work(self.numbers))
            if self.random.random() < 0.2:
                await anyio.sleep(self.random.random() * 0.2)

    async def asker(self) -> None:
        while not self.over and self.bus.ledger().matched < self.wanted:
            await anyio.sleep(self.random.random())
            to = self.random.choice(["patient", "keyed", "stateful", "parked", "newest"])
            try:
                await self.bus.ask(MoreWork(0), to=to, timeout=self.random.choice([0.01, 1.0]))
            except TocsinError:
                continue

    async def operator(self) -> None:
        """Subscribe and unsubscribe, begin and end outages, start what was parked, and replay, at any time."""
        while not self.over and self.bus.ledger().matched < self.wanted:
            await anyio.sleep(self.random.random() * 3)
            name = f"guest {len(self.guests)}"
            self.guests.append(
                await self.bus.subscribe_now(self.handle, Work, name=name, mailbox=2, retry=RETRY, intensity=ENDLESS)
            )
            self.sick = set(self.random.sample(["patient", "keyed", "strict", "stateful", "state"], 2))
            await anyio.sleep(self.random.random() * 2)
            self.sick.clear()
            parked = self.bus.subscriptions["parked"]
            if parked.statistics().state == "parked":
                await parked.restart()
            if self.random.random() < 0.8:
                await self.random.choice(self.guests).unsubscribe()
            with anyio.move_on_after(1.0):
                report = await self.bus.replay(limit=3)
                self.receipts += report.receipts

    # ── the run ──

    async def run(self) -> None:
        drain_timeout = self.random.choice([0.0, 0.5, 600.0])
        async with anyio.create_task_group() as group, self.bus.running(drain_timeout=drain_timeout):
            async with anyio.create_task_group() as busy:
                for _ in range(6):
                    busy.start_soon(self.publisher)
                busy.start_soon(self.asker)
                busy.start_soon(self.operator)
                if self.random.random() < 0.5:
                    busy.cancel_scope.deadline = anyio.current_time() + 3.0
            group.start_soon(self.publisher)
        self.check()

    def check(self) -> None:
        ledger, report = self.bus.ledger(), self.bus.stop_report
        assert self.unbalanced == []
        assert ledger.balanced, str(ledger)
        assert ledger.live == 0, str(ledger)
        assert ledger.dead_lettered == self.bus.dead_letters.added
        assert report is not None
        assert report.unstopped == ()
        assert len(report.returned) <= ledger.returned
        assert all(receipt.is_settled for receipt in self.receipts)
        handled = Counter(
            (name, receipt.event_id)
            for receipt in self.receipts
            for name, outcome in receipt.outcomes.items()
            if isinstance(outcome, Handled)
        )
        for pair, times in handled.items():
            assert pair[1] is not None
            assert self.returned_normally[pair[0], pair[1]] == times, f"{pair}: handled once, returned otherwise"


def run_storm(backend: str, seed: int, deliveries: int) -> Storm:
    storm = Storm(seed, deliveries)
    play(storm.run, backend, seed, storm.look)
    return storm


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_N15_nothing_is_lost_in_a_storm(backend: str, seed: int) -> None:
    run_storm(backend, seed, 1_500)


# A hundred thousand in the long runs.
@pytest.mark.slow
@pytest.mark.parametrize("deliveries", [8_000, pytest.param(100_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_N15_nothing_is_lost_in_very_many_deliveries(backend: str, deliveries: int) -> None:
    matched = seed = 0
    while matched < deliveries:
        seed += 1
        matched += run_storm(backend, seed, 5_000).bus.ledger().matched
