"""Children that are added to a supervisor without waiting for their start."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.runtime.helpers import quiet
from tests.supervisors.bench import Bench, spec
from tests.supervisors.stalling import block
from tocsin_supervisors import (
    Backoff,
    ChildAlreadyPresent,
    ChildContext,
    ChildSpec,
    ChildStarted,
    ChildStartFailed,
    DuplicateChild,
    Report,
    RestartIntensity,
    RestartIntensityExceeded,
    Strategy,
    Supervisor,
)
from tocsin_supervisors._directives import StopAsked
from tocsin_supervisors._requests import Added, StartAsked

SOON = Backoff(initial=1.0, maximum=1.0, factor=1.0, jitter=0.0)


async def idle(context: ChildContext) -> None:
    context.started()
    await context.wait_stop_requested()


async def fail(context: ChildContext) -> None:
    raise LookupError


def started(reports: list[Report]) -> list[str]:
    return [each.child for each in reports if isinstance(each, ChildStarted)]


def states(supervisor: Supervisor) -> dict[str, str]:
    return {each.id: each.state for each in supervisor.which_children()}


async def test_a_child_that_is_added_is_started_without_waiting_for_it() -> None:
    supervisor = Supervisor("test", [ChildSpec("first", idle)])
    async with supervisor.running():
        supervisor.start_child_soon(ChildSpec("second", idle))
        assert states(supervisor) == {"first": "running", "second": "starting"}
        await quiet()
        assert states(supervisor) == {"first": "running", "second": "running"}


async def test_a_child_that_is_added_is_one_of_every_later_run() -> None:
    supervisor = Supervisor("test")
    supervisor.start_child_soon(ChildSpec("before", idle))
    async with supervisor.running():
        supervisor.start_child_soon(ChildSpec("during", idle))
        await quiet()
    async with supervisor.running():
        assert states(supervisor) == {"before": "running", "during": "running"}


async def test_a_child_that_is_added_while_others_are_being_started_comes_last() -> None:
    reports: list[Report] = []

    async def first(context: ChildContext) -> None:
        supervisor.start_child_soon(ChildSpec("added", idle))
        await idle(context)

    supervisor = Supervisor("test", [ChildSpec("first", first), ChildSpec("last", idle)], observer=reports.append)
    async with supervisor.running():
        await quiet()
    assert started(reports) == ["first", "last", "added"]


async def test_a_child_may_be_added_in_the_very_step_in_which_the_supervisor_begins() -> None:
    reports: list[Report] = []
    supervisor = Supervisor("test", [ChildSpec("first", idle)], observer=reports.append)

    async def run() -> None:
        async with supervisor.running():
            await quiet()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while supervisor.state == "stopped":
            await anyio.lowlevel.checkpoint()
        supervisor.start_child_soon(ChildSpec("added", idle))
    assert started(reports) == ["first", "added"]


@pytest.mark.real_time
async def test_time_in_which_nobody_could_run_is_given_back_to_others_before_a_child_is_added() -> None:
    reports: list[Report] = []

    async def slow(context: ChildContext) -> None:
        await anyio.sleep(0.2)
        await idle(context)

    supervisor = Supervisor("test", observer=reports.append)
    async with supervisor.running():
        await anyio.sleep(0.01)
        supervisor.start_child_soon(ChildSpec("slow", slow, start_timeout=0.5))
        await anyio.sleep(0.1)
        block(0.6)
        supervisor.start_child_soon(ChildSpec("added", idle))
        await anyio.sleep(0.3)
    assert sorted(started(reports)) == ["added", "slow"]
    assert not [each for each in reports if isinstance(each, ChildStartFailed)]


async def test_a_child_that_is_added_while_a_group_restarts_comes_after_it() -> None:
    reports: list[Report] = []
    may_fail = anyio.Event()

    async def crash_once(context: ChildContext) -> None:
        context.started()
        if context.incarnation == 1:
            await may_fail.wait()
            raise LookupError
        await context.wait_stop_requested()

    children = [ChildSpec("crash", crash_once, backoff=SOON), ChildSpec("other", idle)]
    supervisor = Supervisor("test", children, strategy=Strategy.ONE_FOR_ALL, observer=reports.append)
    async with supervisor.running():
        may_fail.set()
        await anyio.sleep(0.5)
        supervisor.start_child_soon(ChildSpec("added", idle))
        assert states(supervisor)["added"] == "waiting"
        await anyio.sleep(1.0)
    assert started(reports) == ["crash", "other", "crash", "other", "added"]


async def test_a_first_start_that_fails_is_charged_and_made_again() -> None:
    reports: list[Report] = []
    supervisor = Supervisor("test", observer=reports.append)
    added = ChildSpec("added", fail, backoff=SOON, intensity=RestartIntensity(2, 100.0))

    async def run() -> None:
        async with supervisor.running():
            supervisor.start_child_soon(added)
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded):
        await run()
    assert sum(isinstance(each, ChildStartFailed) for each in reports) == 3


async def test_a_start_that_takes_too_long_is_noticed() -> None:
    reports: list[Report] = []

    async def never_up(context: ChildContext) -> None:
        await context.wait_stop_requested()

    supervisor = Supervisor("test", observer=reports.append)
    async with supervisor.running():
        await quiet()
        supervisor.start_child_soon(ChildSpec("added", never_up, start_timeout=2.0, backoff=Backoff(initial=9.0)))
        await anyio.sleep(3.0)
        assert sum(isinstance(each, ChildStartFailed) for each in reports) == 1


async def test_a_child_that_is_added_while_the_supervisor_stops_waits_for_its_next_run() -> None:
    reports: list[Report] = []

    async def add_when_stopped(context: ChildContext) -> None:
        await idle(context)
        supervisor.start_child_soon(ChildSpec("added", idle))

    supervisor = Supervisor("test", [ChildSpec("first", add_when_stopped)], observer=reports.append)
    async with supervisor.running():
        pass
    assert started(reports) == ["first"]
    assert states(supervisor) == {"first": "stopped", "added": "stopped"}


async def test_an_observer_may_add_a_child() -> None:
    def observe(report: Report) -> None:
        if isinstance(report, ChildStarted) and report.child == "first":
            supervisor.start_child_soon(ChildSpec("added", idle))

    supervisor = Supervisor("test", observer=observe)
    async with supervisor.running():
        await supervisor.start_child(ChildSpec("first", idle))
        await quiet()
        assert states(supervisor) == {"first": "running", "added": "running"}
    assert supervisor.observer_errors == 0


async def test_an_id_that_is_taken_is_refused() -> None:
    supervisor = Supervisor("test", [ChildSpec("declared", idle)])
    async with supervisor.running():
        await supervisor.start_child(ChildSpec("passing", idle))
        with pytest.raises(DuplicateChild):
            supervisor.start_child_soon(ChildSpec("declared", idle))
        with pytest.raises(ChildAlreadyPresent):
            supervisor.start_child_soon(ChildSpec("passing", idle))
        assert states(supervisor) == {"declared": "running", "passing": "running"}


def test_of_two_children_of_one_id_the_one_that_was_asked_for_first_is_started() -> None:
    bench = Bench().begin()
    assert bench.words(StartAsked(1, spec("twice"))) == ["start twice"]
    assert bench.words(Added(spec("twice"))) == []


def test_what_is_added_while_all_is_stopping_is_not_started() -> None:
    bench = Bench(spec("first")).begin()
    bench.on(StopAsked())
    assert bench.words(Added(spec("added"))) == []
    assert list(bench.machine.children.slots) == ["first"]
