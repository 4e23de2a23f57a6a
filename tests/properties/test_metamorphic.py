"""What must not change: in a run repeated, beside a bad neighbour, on the other backend, under another clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from tests.simulating import PLENTY, Work, twice
from tocsin import Backoff, Delivery, DropOldest, EventBus, RetryPolicy
from tocsin.testing import (
    BACKENDS,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Backend,
    Crash,
    CrashInGroup,
    Fault,
    ForeignCancel,
    Hang,
    LeakTask,
    Settled,
    Simulation,
    Slow,
    Stubborn,
    SwallowCancel,
    Trace,
    simulate,
    sometimes,
)

backends = pytest.mark.parametrize("backend", BACKENDS)
pytestmark = pytest.mark.usefixtures("quiet")
OPTIONS = twice(restart=0.2519, retry=0.5077, timeout=2.0, grace_period=1.0)
NEIGHBOURS: list[Fault] = [
    Crash(),
    Crash(late=True),
    CrashInGroup(4),
    Slow(1.0),
    Hang(),
    ForeignCancel(),
    SwallowCancel(),
    Stubborn(0.5),
    LeakTask(3.0),
]


def name_of(fault: Fault | None) -> str:
    return "late crash" if isinstance(fault, Crash) and fault.late else type(fault).__name__


async def steady(event: Work, delivery: Delivery[Work]) -> None:
    """Take as long as the number says, and fail each fifth one once.

    No two things happen at the same instant here, so no schedule decides which of them is first.
    """
    await anyio.sleep((1 + event.number % 4) / 8 + event.number % 1000 / 3001)
    if event.number % 5 == 0 and delivery.attempt == 1:
        raise ConnectionError


async def nothing(_bus: EventBus) -> None:
    """Let it be."""


def trace_of(
    backend: Backend,
    seed: int,
    fault: Fault | None,
    *,
    with_neighbour: bool = True,
    operate: Callable[[EventBus], Coroutine[Any, Any, None]] = nothing,
) -> Trace:
    """Run twenty events, at their times, through a subscriber and its neighbour, with which something is wrong, or to
    which somebody does something.
    """

    async def main(simulation: Simulation) -> Trace:
        bus = EventBus("metamorphic", intensity=PLENTY)

        def faults(attempt: Attempt) -> Fault | None:
            return fault if attempt.subscription == "neighbour" and attempt.event.number % 3 == 0 else None

        trace = simulation.watch(bus, faults=faults)
        if with_neighbour:
            bus.subscribe(steady, Work, name="neighbour", mailbox=2, overflow=DropOldest(), **OPTIONS)
        bus.subscribe(steady, Work, name="subject", **OPTIONS)
        async with bus.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(operate, bus)
            for number in range(20):
                await bus.publish(Work(number))
                await anyio.sleep(0.1373)
            await simulation.settle(bus)
        return trace

    trace = simulate(main, backend=backend, seed=seed).value
    assert isinstance(trace, Trace)
    return trace


def seen_by(trace: Trace, subscription: str = "subject") -> list[tuple[Any, ...]]:
    """Give what one subscription has seen, and when."""
    return [
        (type(fact).__name__, fact.at, fact.number, fact.attempt)
        for fact in trace.facts
        if isinstance(fact, AttemptStarted | AttemptEnded) and fact.subscription == subscription
    ]


def ends_of(trace: Trace) -> list[tuple[Any, ...]]:
    ends = [(fact.number, fact.subscription, type(fact.outcome).__name__) for fact in trace.of(Settled)]
    return sorted(ends)


@backends
@pytest.mark.parametrize("fault", NEIGHBOURS, ids=name_of)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_neighbour_with_which_something_is_wrong_changes_nothing_for_others(
    backend: Backend, fault: Fault, seed: int
) -> None:
    alone = seen_by(trace_of(backend, 1, None, with_neighbour=False))
    assert seen_by(trace_of(backend, seed, fault)) == alone


@backends
def test_a_neighbour_that_is_paused_restarted_and_stopped_changes_nothing_for_others(backend: Backend) -> None:
    alone = seen_by(trace_of(backend, 1, None, with_neighbour=False))

    async def operate(bus: EventBus) -> None:
        neighbour = bus.subscriptions["neighbour"]
        for _ in range(2):
            await anyio.sleep(0.3011)
            neighbour.pause()
            await anyio.sleep(0.4019)
            await neighbour.restart()
            neighbour.resume()
        await neighbour.stop()
        await anyio.sleep(0.7013)
        await neighbour.restart()

    beside = trace_of(backend, 3, None, operate=operate)
    assert seen_by(beside, "neighbour") != seen_by(trace_of(backend, 3, None), "neighbour")
    assert seen_by(beside) == alone


@backends
def test_a_run_is_the_same_when_it_is_repeated(backend: Backend) -> None:
    assert trace_of(backend, 5, Crash()).of(AttemptStarted) == trace_of(backend, 5, Crash()).of(AttemptStarted)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize("fault", [None, *NEIGHBOURS], ids=name_of)
def test_both_backends_come_to_the_same_end_at_the_same_times(seed: int, fault: Fault | None) -> None:
    on_asyncio, on_trio = (trace_of(backend, seed, fault) for backend in BACKENDS)
    assert seen_by(on_asyncio) == seen_by(on_trio)
    assert ends_of(on_asyncio) == ends_of(on_trio)


@backends
@pytest.mark.parametrize("years", [-31, 31])
def test_the_wall_clock_decides_nothing(backend: Backend, years: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen_by(trace_of(backend, 2, Hang()))
    real, calls = time.time, [0]

    def jumping() -> float:
        calls[0] += 1
        return real() + (calls[0] % 2) * years * 365 * 86_400

    monkeypatch.setattr("time.time", jumping)
    assert seen_by(trace_of(backend, 2, Hang())) == before


# ── a month ──


@pytest.mark.soak
@backends
def test_in_thirty_days_with_faults_of_all_kinds_nothing_is_lost_and_nobody_is_down(backend: Backend) -> None:
    simulate(lambda simulation: days(simulation, 30), backend=backend, seed=1, max_steps=1_000_000_000)


@pytest.mark.slow
@backends
def test_in_six_hours_with_faults_of_all_kinds_nothing_is_lost_and_nobody_is_down(backend: Backend) -> None:
    simulate(lambda simulation: days(simulation, 0.25), backend=backend, seed=1)


async def days(simulation: Simulation, count: float) -> None:
    """Publish an event each two minutes, more or less; each hour everything must have ended well."""
    bus = EventBus("a month", intensity=PLENTY)
    simulation.watch(bus, faults=sometimes(simulation.random, 0.1, *NEIGHBOURS))
    options: dict[str, Any] = {**OPTIONS, "backoff": Backoff(1.0, 60.0), "retry": RetryPolicy(3, Backoff(1.0, 60.0))}
    bus.subscribe(steady, Work, name="plain", **options)
    bus.subscribe(steady, Work, name="keyed", concurrency=3, key=lambda work: work.number % 3, **options)
    bus.subscribe(steady, Work, name="strict", strict_order=True, **options)
    group = bus.group("group", intensity=PLENTY)
    group.subscribe(steady, Work, name="in a group", **options)
    published = 0
    async with bus.running():
        for _ in range(round(count * 24)):
            for _ in range(30):
                await bus.publish(Work(published))
                published += 1
                await anyio.sleep(simulation.random.uniform(0.0, 240.0))
            await simulation.settle(bus)
            simulation.audit()
            ledger = bus.ledger()
            assert ledger.live == 0, str(ledger)
            assert ledger.matched == published * 4
            states = {each.state for each in bus.statistics().subscriptions.values()}
            assert states <= {"running", "suspended", "waiting", "starting"}, states
