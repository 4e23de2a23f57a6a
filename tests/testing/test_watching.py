"""Buses under watch: their traces, and that a bus which breaks its promises is found."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import pytest

from tests.simulating import PLENTY, Work, nothing, twice
from tests.testing.faulty import sabotaged
from tocsin import (
    Backoff,
    BusClosed,
    Delivery,
    EventBus,
    Handled,
    MailboxFull,
    Priority,
    Receipt,
    Reject,
    RetryPolicy,
    handles,
)
from tocsin.testing import (
    BACKENDS,
    Accepted,
    AttemptEnded,
    AttemptStarted,
    Backend,
    Matched,
    PromiseBroken,
    Published,
    PublishEnded,
    Reported,
    Settled,
    Simulation,
    simulate,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)
OPTIONS = twice(restart=0.125, retry=0.25)


def kinds(facts: list[Any]) -> list[type]:
    return [type(fact) for fact in facts if not isinstance(fact, Reported)]


def test_one_event_leaves_its_trace(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)
        bus.subscribe(nothing, Work, name="s")
        async with bus.running():
            await bus.publish(Work(1))
        return trace

    trace = simulate(main, backend=backend).value
    assert kinds(trace.facts) == [Published, Matched, Accepted, PublishEnded, AttemptStarted, AttemptEnded, Settled]
    assert trace.of(Settled)[0].outcome == Handled()
    assert trace.ledger.handled == 1


def test_the_fast_way_is_taken_under_watch_too(backend: Backend) -> None:
    async def main(simulation: Simulation) -> tuple[Any, list[Receipt]]:
        bus = EventBus("watched")
        trace = simulation.watch(bus)
        bus.subscribe(nothing, Work, name="s")
        async with bus.running():
            receipts = await bus.publish_many([Work(number) for number in range(3)])
            receipts.append(bus.publish_nowait(Work(3)))
        return trace, receipts

    trace, receipts = simulate(main, backend=backend).value
    assert [fact.number for fact in trace.of(Settled)] == [0, 1, 2, 3]
    assert all(receipt.accepted == ("s",) for receipt in receipts)


def test_attempts_are_traced_with_their_numbers_and_incarnations(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched", intensity=PLENTY)
        trace = simulation.watch(bus)

        @bus.actor(name="s", **OPTIONS)
        class Fragile:  # pyright: ignore[reportUnusedClass]  # the decorator has it
            @handles(Work)
            async def work(self, _event: Work, delivery: Delivery[Work]) -> None:
                if delivery.attempt == 1:
                    raise ConnectionError

        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
        return trace

    trace = simulate(main, backend=backend).value
    assert [(each.attempt, each.incarnation) for each in trace.of(AttemptStarted)] == [(1, 1), (2, 2)]
    assert [each.how for each in trace.of(AttemptEnded)] == ["raised", "returned"]
    assert "ChildRenewed" in [type(fact.report).__name__ for fact in trace.of(Reported)]


def test_a_publish_that_is_cancelled_while_it_waits_is_known(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)

        async def slow(_event: Work) -> None:
            await anyio.sleep(1)

        bus.subscribe(slow, Work, name="s", mailbox=1)
        async with bus.running():
            for number in range(4):
                with anyio.move_on_after(0.25):
                    await bus.publish(Work(number))
        return trace

    trace = simulate(main, backend=backend).value
    assert [fact.error for fact in trace.of(PublishEnded)] == [None, None, "cancelled", "cancelled"]
    assert [fact.number for fact in trace.of(Matched)] == [0, 1, 2, 3]


def test_a_publish_that_is_refused_is_known(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)

        async def slow(_event: Work) -> None:
            await anyio.sleep(1)

        bus.subscribe(slow, Work, name="s", mailbox=1, overflow=Reject())
        async with bus.running():
            with suppress(MailboxFull):
                for number in range(4):
                    bus.publish_nowait(Work(number))
            with suppress(MailboxFull):
                await bus.publish(Work(9))
        with suppress(BusClosed):
            await bus.publish(Work(10))
        return trace

    trace = simulate(main, backend=backend).value
    assert [fact.error for fact in trace.of(PublishEnded)][-3:] == ["MailboxFull", "MailboxFull", "BusClosed"]


def test_what_a_predicate_publishes_is_seen_in_the_middle_of_another_publish(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)

        def publishes(event: Work) -> bool:
            if event.number == 1:
                bus.publish_nowait(Work(2))
            return True

        bus.subscribe(nothing, Work, name="s", when=publishes)
        async with bus.running():
            await bus.publish(Work(1))
        return trace

    trace = simulate(main, backend=backend).value
    assert [(type(fact).__name__, fact.number) for fact in trace.facts if isinstance(fact, Published | Accepted)] == [
        ("Published", 0),
        ("Published", 1),
        ("Accepted", 1),
        ("Accepted", 0),
    ]


def test_questions_are_seen_when_they_are_handled(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)

        async def answer(event: Work) -> int:
            return event.number

        bus.subscribe(answer, Work, name="s")
        async with bus.running():
            assert await bus.ask(Work(3)) == 3
        return trace

    trace = simulate(main, backend=backend).value
    assert [fact.number for fact in trace.of(AttemptStarted)] == [-1]


def test_blocking_handlers_are_seen(backend: Backend) -> None:
    async def main(simulation: Simulation) -> Any:
        bus = EventBus("watched")
        trace = simulation.watch(bus)

        def blocking(_event: Work) -> None:
            """Block for no time."""

        bus.subscribe(blocking, Work, name="s")
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
        return trace

    trace = simulate(main, backend=backend).value
    assert [each.how for each in trace.of(AttemptEnded)] == ["returned"]


def test_jitter_is_the_same_for_the_same_seed(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        bus = EventBus("watched", intensity=PLENTY)
        simulation.watch(bus)

        async def fails(_event: Work) -> None:
            raise ConnectionError

        bus.subscribe(fails, Work, retry=RetryPolicy(5, Backoff(1.0, 8.0, jitter=0.5)), intensity=PLENTY)
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
            return simulation.now()

    seconds = [simulate(main, backend=backend, seed=seed).value for seed in (1, 1, 2)]
    assert seconds[0] == seconds[1] != seconds[2]


# ── settling ──


def test_settled_is_when_the_last_retry_has_ended_in_that_very_instant(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        bus = EventBus("watched", intensity=PLENTY)

        async def slow(_event: Work, delivery: Delivery[Work]) -> None:
            await anyio.sleep(0.5)
            if delivery.attempt == 1:
                raise ConnectionError

        bus.subscribe(slow, Work, **OPTIONS)
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
            return simulation.now()

    assert simulate(main, backend=backend).value == 0.5 + 0.25 + 0.5


def test_a_bus_that_has_nothing_to_do_is_settled_at_once(backend: Backend) -> None:
    async def main(simulation: Simulation) -> float:
        bus = EventBus("watched")
        await simulation.settle(bus)
        bus.subscribe(nothing, Work)
        async with bus.running():
            await simulation.settle(bus)
        return simulation.now()

    assert simulate(main, backend=backend).value == 0


def test_what_an_audit_has_checked_it_forgets(backend: Backend) -> None:
    async def main(simulation: Simulation) -> list[int]:
        bus = EventBus("watched")
        trace = simulation.watch(bus)
        bus.subscribe(nothing, Work)
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
            simulation.audit()
            assert trace.facts == []
            await bus.publish(Work(2))
        return [fact.number for fact in trace.of(Settled)]

    assert simulate(main, backend=backend).value == [1]


def test_an_audit_finds_a_broken_promise_before_the_end(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotaged["what is handled at the second attempt is counted twice"].apply(monkeypatch)

    async def main(simulation: Simulation) -> None:
        bus = EventBus("watched", intensity=PLENTY)
        simulation.watch(bus)

        async def handler(_event: Work, delivery: Delivery[Work]) -> None:
            if delivery.attempt == 1:
                raise ConnectionError

        bus.subscribe(handler, Work, **OPTIONS)
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
            with pytest.raises(PromiseBroken):
                simulation.audit()

    with pytest.raises(PromiseBroken):  # once more at the end: nothing was forgotten
        simulate(main, backend=backend)


# ── broken promises ──


@pytest.mark.parametrize("fault", sabotaged.keys())
def test_a_bus_that_breaks_a_promise_is_found(backend: Backend, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotaged[fault].apply(monkeypatch)

    async def main(simulation: Simulation) -> None:
        bus = EventBus("watched", intensity=PLENTY)
        simulation.watch(bus)

        async def handler(_event: Work, delivery: Delivery[Work]) -> None:
            await anyio.sleep(0.25)
            if delivery.attempt == 1 and delivery.event.number % 2:
                raise ConnectionError

        bus.subscribe(handler, Work, mailbox=2, **OPTIONS)
        async with bus.running(), anyio.create_task_group() as group:
            for first in (0, 10):
                group.start_soon(publish, bus, first)
            await anyio.sleep(0.1)
            with anyio.move_on_after(0.2):
                await bus.publish(Work(20))

    async def publish(bus: EventBus, first: int) -> None:
        for number in range(first, first + 4):
            if number % 3:
                await bus.publish(Work(number))
            else:
                await bus.publish(Work(number), priority=Priority.HIGH)

    def on_many_schedules() -> None:
        for seed in range(20):
            simulate(main, backend=backend, seed=seed)

    with pytest.raises(PromiseBroken) as caught:
        on_many_schedules()
    assert sabotaged[fault].breaks & {each.invariant for each in caught.value.violations}
