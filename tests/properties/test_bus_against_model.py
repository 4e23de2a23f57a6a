"""The running bus against the model of `tests/model.py`: whatever is done to both, at rest they are the same.

Handlers are gated and time stands still while anything runs, so the state at rest must not depend on the schedule:
the seed of the schedule is drawn, too. Times are multiples of powers of two, which floats add exactly, so that every
due moment is the same on both sides.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field, frozen
from hypothesis import given, settings

from tests.model import Config, Ending, Model, Publication
from tests.properties.programs import (
    KINDS,
    TICK,
    Advance,
    CancelPublish,
    Drain,
    Finish,
    Operate,
    Operation,
    Program,
    Publish,
    Replay,
    Subscribe,
    Unsubscribe,
    programs,
)
from tests.scheduling import play
from tocsin import (
    Backoff,
    BusClosed,
    Coalesce,
    DeadLettered,
    DeadLetterNewest,
    Deduplicate,
    Delivery,
    DropNewest,
    DropOldest,
    Dropped,
    EventBus,
    MailboxFull,
    Priority,
    Receipt,
    Reject,
    Rejected,
    RestartIntensity,
    RetryPolicy,
    Strategy,
    Subscription,
    WaitForRoom,
)
from tocsin.testing import cancel_as_a_stranger

pytestmark = pytest.mark.usefixtures("quiet")

# ── how it is done to the bus ─────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Base:
    number: int
    key: int


@frozen
class Child(Base):
    pass


@frozen
class Other:
    number: int
    key: int


CLASSES: dict[str, type[Base | Other]] = {"Base": Base, "Child": Child, "Other": Other}


class Boom(Exception):
    """Ends the block of `running()`."""


@frozen(eq=False)
class Gate:
    """One attempt that waits for its ending."""

    name: str
    event: int
    attempt: int | None
    opened: anyio.Event = field(factory=anyio.Event)
    ending: list[Ending] = field(factory=list[Ending])

    async def passed(self) -> None:
        await self.opened.wait()
        match self.ending[0]:
            case "ok":
                return
            case "raise":
                raise ConnectionError
            case "group":
                raise BaseExceptionGroup("two", [ConnectionError(), ValueError()])
            case "decode":
                raise UnicodeError
            case "cancel":
                await cancel_as_a_stranger()


@define(eq=False)
class Published:
    """One publish on the real bus."""

    receipt: Receipt = field(factory=Receipt)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    results: list[str] = field(factory=list[str])
    refused: tuple[str, ...] = ()  # what MailboxFull named


class Runner:
    """Does everything to the bus and to the model, and compares them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.model = Model(program.coupling)
        # Restarts are free of charge here: how often is too often is a matter of the supervisors' own tests.
        self.intensity = RestartIntensity(10_000, 1.0, max_consecutive=None)
        self.bus = EventBus("model", intensity=self.intensity)
        self.coupled = self.bus.group("coupled", strategy=Strategy(program.coupling), intensity=self.intensity)
        self.gates: dict[tuple[str, int], Gate] = {}
        self.published: list[Published] = []
        self.replayed: list[tuple[Publication, Published]] = []
        self.subscriptions: dict[str, Subscription] = {}
        self.names = 0

    def options(self, config: Config, *, coupling: str) -> tuple[Any, tuple[type, ...], dict[str, Any]]:
        self.names += 1
        name = f"s{self.names}"

        async def plain(event: Base | Other) -> None:
            await handle(event, None)

        async def handler(event: Base | Other, delivery: Delivery[Any]) -> None:
            await handle(event, delivery.attempt)

        async def handle(event: Base | Other, attempt: int | None) -> None:
            gate = Gate(name, event.number, attempt)
            assert (name, event.number) not in self.gates, "one delivery is handled twice at a time"
            self.gates[name, event.number] = gate
            try:
                await gate.passed()
            finally:
                del self.gates[name, event.number]

        interests = tuple(CLASSES[kind] for kind in KINDS if kind in config.kinds)
        may_be_dormant = config.concurrency == 1 and coupling == "one_for_one"
        deduplicate = None if config.window is None else Deduplicate(config.window, by=key_of)
        return (
            plain if self.program.plain and self.names % 2 else handler,
            interests,
            {
                "name": name,
                "mailbox": config.capacity,
                "overflow": overflow_of(config),
                "concurrency": config.concurrency,
                "key": key_of if config.keyed else None,
                "strict_order": config.strict,
                "retry": RetryPolicy(config.max_attempts, Backoff(config.backoff, factor=1.0, jitter=0.0)),
                "timeout": None if config.timeout == math.inf else config.timeout,
                "backoff": Backoff.none(),
                "intensity": self.intensity,
                "sick_after": 1_000_000,
                "grace_period": 0.0,
                "priorities": [Priority(each) for each in config.priorities],
                "deduplicate": deduplicate,
                "activation": "first_event" if may_be_dormant and self.program.dormant else "start",
            },
        )

    def config(self, config: Config) -> Config:
        """Give what is subscribed for *config*."""
        if not self.program.plain:
            return config
        policy = "drop_oldest" if config.policy == "coalesce" else config.policy
        strict = config.strict and config.concurrency == 1
        priorities = frozenset(range(4))
        return evolve(config, policy=policy, keyed=False, strict=strict, priorities=priorities, window=None)

    async def run(self) -> None:
        for config in map(self.config, self.program.first):
            if self.program.coupling != "one_for_one":
                config = evolve(config, concurrency=1)  # of several, the order in which they are put back is open
            handler, interests, options = self.options(config, coupling=self.program.coupling)
            self.subscriptions[options["name"]] = self.coupled.subscribe(handler, *interests, **options)
            self.model.subscribe(options["name"], config, is_coupled=True)
        try:
            async with anyio.create_task_group() as group, self.bus.running(drain_timeout=0.0):
                await self.rest()
                for operation in self.program.operations:
                    await self.do(operation, group)
                    await self.rest()
                await self.finish()
        except* Boom:
            pass
        returned = self.model.stop()
        report = self.bus.stop_report
        assert report is not None
        assert [(each.subscription, each.event.number, each.attempts) for each in report.returned] == returned
        assert report.unstopped == ()
        self.compare()
        assert self.bus.ledger().live == 0
        assert not self.gates

    async def finish(self) -> None:
        match self.program.end:
            case "stop":
                await self.bus.stop(drain_timeout=0.0)
            case "error":
                raise Boom
            case "finish":
                for name in self.model.subs:
                    await self.operate(name, "resume")
                    await self.operate(name, "restart")
                while self.bus.ledger().live:
                    for gate in list(self.gates.values()):
                        if gate in self.gates.values():  # and its time is not over meanwhile
                            self.open(gate, "ok")
                            await self.rest()
                    await anyio.sleep(1.0)
                    self.model.advance(1.0)
            case _:
                pass

    async def rest(self) -> None:
        await anyio.sleep(TICK)
        self.model.advance(TICK)
        self.compare()

    async def do(self, operation: Operation, group: anyio.abc.TaskGroup) -> None:
        match operation:
            case Publish():
                self.publish(operation, group)
            case Finish(which=which, ending=ending) if self.gates:
                gates = sorted(self.gates.values(), key=lambda gate: (gate.name, gate.event))
                self.open(gates[which % len(gates)], ending)
            case CancelPublish(which=which):
                waiting = [each for each in self.published if not each.results]
                if waiting:
                    chosen = waiting[which % len(waiting)]
                    chosen.scope.cancel()
                    self.model.cancel(self.model.publications[self.published.index(chosen)])
            case Advance(seconds=seconds):
                await anyio.sleep(seconds)
                self.model.advance(seconds)
            case Subscribe(config=drawn) if self.model.open:
                config = self.config(drawn)
                handler, interests, options = self.options(config, coupling="one_for_one")
                self.subscriptions[options["name"]] = await self.bus.subscribe_now(handler, *interests, **options)
                self.model.subscribe(options["name"], config)
            case Unsubscribe(which=which) if self.model.subs:
                name = list(self.model.subs)[which % len(self.model.subs)]
                await self.subscriptions[name].unsubscribe()
                self.model.unsubscribe(name)
                assert not [gate for gate in self.gates.values() if gate.name == name]
            case Operate(which=which, what=what) if self.model.subs:
                await self.operate(list(self.model.subs)[which % len(self.model.subs)], what)
            case Replay(which=which):
                self.replay(which, group)
            case Drain():
                group.start_soon(self.bus.drain, math.inf)
                self.model.drain()
            case _:
                pass

    async def operate(self, name: str, what: str) -> None:
        subscription, sub = self.subscriptions[name], self.model.subs[name]
        match what:
            case "pause":
                subscription.pause()
                self.model.pause(name)
            case "resume":
                subscription.resume()
                self.model.resume(name)
            # Of several that are cut, the order in which they are put back is open.
            case "stop" if len(sub.in_flight) <= 1:
                await subscription.stop()
                self.model.stop_actor(name)
            case "restart" if len(sub.in_flight) <= 1:
                await subscription.restart()
                self.model.restart(name)
            case _:
                pass

    def open(self, gate: Gate, ending: Ending) -> None:
        if ending == "cancel" and self.model.subs[gate.name].config.concurrency > 1:
            ending = "raise"  # a stranger would cancel the other servers of the incarnation, too
        gate.ending.append(ending)
        gate.opened.set()
        self.model.finish(gate.name, gate.event, ending)

    def publish(self, operation: Publish, group: anyio.abc.TaskGroup) -> None:
        number = len(self.published)
        event = CLASSES[operation.kind](number, operation.key)
        published = Published()
        self.published.append(published)
        options: Any = {"priority": Priority(operation.priority), "expires_in": operation.expires_in}
        expires_in = math.inf if operation.expires_in is None else operation.expires_in
        modelled = self.model.publish(
            number, operation.kind, operation.priority, operation.key, expires_in, nowait=operation.nowait
        )
        if self.program.plain and operation.priority == Priority.NORMAL and operation.expires_in is None:
            options = {}
            if modelled.result is not None and not operation.nowait:  # else its receipt is wanted while it waits
                group.start_soon(self.plain_publisher, event, published)
                return
        group.start_soon(self.publisher, event, published, options, operation.nowait)

    async def plain_publisher(self, event: object, published: Published) -> None:
        try:
            published.receipt = await self.bus.publish(event)
            published.results.append("ok")
        except MailboxFull as error:
            published.receipt, published.refused = error.receipt or Receipt(), error.subscriptions
            published.results.append("full")
        except BusClosed as error:
            published.receipt = error.receipt or Receipt()
            published.results.append("closed")

    async def publisher(self, event: object, published: Published, options: Any, nowait: bool) -> None:
        result = "cancelled"
        with published.scope:
            try:
                if nowait:
                    receipt = self.bus.publish_nowait(event, **options)
                else:
                    receipt = await self.bus.publish(event, receipt=published.receipt, **options)
                    assert receipt is published.receipt
                result = "ok"
            except MailboxFull as error:
                receipt, result, published.refused = error.receipt, "full", error.subscriptions
            except BusClosed as error:
                receipt, result = error.receipt or Receipt(), "closed"
            published.receipt = receipt
        published.results.append(result)

    def replay(self, which: int, group: anyio.abc.TaskGroup) -> None:
        # Coalescing mailboxes keep one event for each key, and a replay is an old one: which of both stays is open.
        possible = [
            letter
            for letter in self.model.letters
            if (sub := self.model.subs.get(letter.name)) is not None
            and sub.config.policy != "coalesce"
            and not sub.is_stopped
        ]
        if not possible or not self.model.open:
            return
        possible.sort(key=lambda letter: (letter.name, letter.pair.publication.event))
        chosen = possible[which % len(possible)]
        event = chosen.pair.publication.event
        [number] = [
            each.id for each in self.letters() if (each.subscription, each.event.number) == (chosen.name, event)
        ]
        published = Published()
        self.replayed.append((self.model.replay(chosen), published))
        group.start_soon(self.replayer, number, published)

    async def replayer(self, number: int, published: Published) -> None:
        report = await self.bus.replay(ids=[number])
        if report.replayed:
            [published.receipt] = report.receipts
        published.results.append("ok" if report.replayed else "closed")

    # ── comparing ──

    def compare(self) -> None:
        statistics = self.bus.statistics()
        for name, sub in self.model.subs.items():
            real = statistics.subscriptions[name]
            modelled = (len(sub.queued), len(sub.retries), len(sub.blocked), len(sub.in_flight))
            gauges = (real.depth, real.waiting_retry, real.blocked_publishers, real.in_flight)
            assert real.is_paused is sub.is_paused
            assert gauges == modelled, f"{name}: queued, waiting for retry, blocked, in flight"
            assert counters(real) == {each: sub.counts[each] for each in COUNTERS}, name
        in_flight = {(s.name, p.publication.event): p.attempt for s in self.model.subs.values() for p in s.in_flight}
        assert self.gates.keys() == in_flight.keys()
        for place, gate in self.gates.items():
            assert gate.attempt in (None, in_flight[place])
        self.compare_ledger()
        for publication, published in zip(self.model.publications, self.published, strict=True):
            compare_publication(publication, published)
        for publication, published in self.replayed:
            if "ok" in published.results:
                compare_publication(publication, published)
            else:
                assert bool(published.results) is (publication.result is not None)

    def compare_ledger(self) -> None:
        ledger = self.bus.ledger()
        assert ledger.balanced, str(ledger)
        counts = Counter(self.model.gone)
        for sub in self.model.subs.values():
            counts.update(sub.counts)
        assert {each: getattr(ledger, each) for each in LEDGER} == {each: counts[each] for each in LEDGER}
        letters = Counter((letter.subscription, letter.event.number, str(letter.reason)) for letter in self.letters())
        dead = Counter((each.name, each.pair.publication.event, each.reason) for each in self.model.letters)
        assert letters == dead

    def letters(self) -> list[Any]:
        return list(self.bus.dead_letters.list())


LEDGER = ("matched", "handled", "dead_lettered", "dropped", "rejected", "returned")
COUNTERS = ("handled", "retried", "dead_lettered", "dropped", "rejected", "returned")


def counters(statistics: object) -> dict[str, int]:
    return {each: getattr(statistics, each) for each in COUNTERS}


def compare_publication(modelled: Publication, published: Published) -> None:
    receipt = published.receipt
    assert published.results == ([] if modelled.result is None else [modelled.result]), modelled
    full = [name for name, outcome in receipt.outcomes.items() if text_of(outcome) == "rejected:full"]
    assert sorted(published.refused) == (sorted(full) if modelled.result == "full" else [])
    assert list(receipt.matched) == list(modelled.outcomes)
    assert list(receipt.accepted) == modelled.accepted
    outcomes = {name: outcome for name, outcome in modelled.outcomes.items() if outcome is not None}
    assert {name: text_of(outcome) for name, outcome in receipt.outcomes.items()} == outcomes
    assert receipt.is_settled is (len(outcomes) == len(modelled.outcomes))


def text_of(outcome: object) -> str:
    match outcome:
        case DeadLettered(reason=reason):
            return f"dead_lettered:{reason.value}"
        case Dropped(reason=reason):
            return f"dropped:{reason.value}"
        case Rejected(reason=reason):
            return f"rejected:{reason.value}"
        case _:
            return type(outcome).__name__.lower()


def key_of(event: Base | Other) -> int:
    return event.key


def overflow_of(config: Config) -> Any:
    match config.policy:
        case "wait":
            return WaitForRoom(config.limit)
        case "reject":
            return Reject()
        case "drop_oldest":
            return DropOldest()
        case "drop_newest":
            return DropNewest()
        case "dead_letter":
            return DeadLetterNewest()
        case "coalesce":
            return Coalesce(key_of)


def conform(program: Program) -> None:
    play(Runner(program).run, program.backend, program.seed)


# The most programs in the long runs.
@pytest.mark.parametrize("times", [1, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_at_rest_the_bus_is_what_the_model_says(backend: str, times: int) -> None:
    assert settings.default is not None

    @settings(max_examples=times * settings.default.max_examples)
    @given(programs(backend))
    def check(program: Program) -> None:
        conform(program)

    check()
