"""What goes wrong on purpose, and that a bus keeps its promises whatever does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import anyio
import anyio.lowlevel
import pytest

from tests.simulating import PLENTY, Work, nothing, twice
from tocsin import BusClosed, DeadLettered, EventBus, Handled, Priority
from tocsin.testing import (
    BACKENDS,
    Attempt,
    AttemptEnded,
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
    cancelled_at_every_step,
    simulate,
    simulated,
    sometimes,
)

pytestmark = pytest.mark.usefixtures("quiet")
OPTIONS = twice(restart=0.1, retry=0.2, jitter=0.5, grace_period=1.0, timeout=1.0)
ALL: tuple[Fault, ...] = (
    Crash(),
    Crash(late=True),
    CrashInGroup(),
    CrashInGroup(3),
    Slow(2.0),
    Slow(0.25),
    Hang(),
    ForeignCancel(),
    SwallowCancel(),
    Stubborn(0.25),
    LeakTask(0.5),
)


def trace_with(backend: Backend, *faults: Fault | None) -> Trace:
    """Run one event through a bus in which the first attempts go wrong like that."""

    async def main(simulation: Simulation) -> Trace:
        bus = EventBus("faulty", intensity=PLENTY)
        waiting: Iterator[Fault | None] = iter(faults)
        trace = simulation.watch(bus, faults=lambda _attempt: next(waiting, None))
        bus.subscribe(nothing, Work, name="s", **OPTIONS)
        async with bus.running():
            await bus.publish(Work(1))
            await simulation.settle(bus)
        return trace

    trace = simulate(main, backend=backend).value
    assert isinstance(trace, Trace)
    return trace


def hows(trace: Trace) -> list[str]:
    return [fact.how for fact in trace.of(AttemptEnded)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", [Crash(), Crash(late=True), CrashInGroup(), CrashInGroup(5), Slow(9.0), Hang()])
def test_after_a_failed_attempt_there_is_another(backend: Backend, fault: Fault) -> None:
    trace = trace_with(backend, fault)
    assert len(hows(trace)) == 2
    assert trace.of(Settled)[0].outcome == Handled()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", [ForeignCancel(), Stubborn()])
def test_what_was_cancelled_was_an_attempt(backend: Backend, fault: Fault) -> None:
    assert isinstance(trace_with(backend, fault, fault).of(Settled)[0].outcome, DeadLettered)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", [None, Slow(0.5), LeakTask(), SwallowCancel()])
def test_what_only_takes_longer_or_leaves_something_behind_is_handled(backend: Backend, fault: Fault | None) -> None:
    assert hows(trace_with(backend, fault)) == ["returned"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_of_ones_own_is_raised(backend: Backend) -> None:
    trace = trace_with(backend, Crash(LookupError), Crash(lambda: LookupError("second")))
    outcome = trace.of(Settled)[0].outcome
    assert isinstance(outcome, DeadLettered)
    assert outcome.reason.value == "handler_error"


def test_a_depth_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        CrashInGroup(-1)


def test_a_share_of_all_attempts_goes_wrong_in_one_of_the_ways() -> None:
    plan = sometimes(Random(1), 0.3, Hang(), Slow())
    drawn = [plan(Attempt("s", None, 1, 1)) for _ in range(2_000)]
    assert 500 < sum(fault is not None for fault in drawn) < 700
    assert set(drawn) == {None, Hang(), Slow()}


# ── whatever goes wrong ──


async def everything_goes_wrong(simulation: Simulation) -> None:
    """Four subscriptions of different kinds, three publishers, and every third attempt fails in some way."""
    bus = EventBus("faulty", intensity=PLENTY)
    simulation.watch(bus, faults=sometimes(simulation.random, 0.3, *ALL))

    async def slow(_event: Work) -> None:
        await anyio.sleep(0.5)

    async def quick(_event: Work) -> None:
        await anyio.lowlevel.checkpoint()

    bus.subscribe(slow, Work, name="slow", mailbox=1, **OPTIONS)
    bus.subscribe(slow, Work, name="keyed", mailbox=2, concurrency=2, key=lambda work: work.number % 2, **OPTIONS)
    bus.subscribe(quick, Work, name="strict", mailbox=1, strict_order=True, **OPTIONS)
    bus.subscribe(nothing, Work, name="plain", mailbox=3, **OPTIONS)

    async def publisher(first: int) -> None:
        with simulation.cancellable(f"publisher {first}"), suppress(BusClosed):
            if first == 0:
                simulation.offer_task("native")
            for number in range(first, first + 4):
                if number % 3:
                    await bus.publish(Work(number))
                else:
                    await bus.publish(Work(number), priority=Priority.HIGH)

    async def publishers() -> None:
        async with anyio.create_task_group() as group:
            for first in (0, 10, 20):
                group.start_soon(native_publisher if first == 0 else publisher, first)

    async def native_publisher(first: int) -> None:
        try:
            await publisher(first)
        except asyncio.CancelledError:
            if not simulation.was_cancelled_natively:
                raise

    async with bus.running():
        await publishers()
        await simulation.settle(bus)


test_a_bus_keeps_its_promises_whatever_goes_wrong = simulated(seeds=5)(everything_goes_wrong)

test_a_bus_keeps_its_promises_whoever_is_cancelled_meanwhile = pytest.mark.slow(
    cancelled_at_every_step(targets=("run", "publisher 10", "native"), runs=15)(everything_goes_wrong)
)

test_a_bus_keeps_its_promises_on_many_schedules = pytest.mark.slow(
    pytest.mark.timeout(600)(simulated(seeds=25)(everything_goes_wrong))
)
