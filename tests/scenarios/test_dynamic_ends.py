"""How children that were started while the supervisor runs are stopped: each kind of shutdown, and terminating them."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.scenarios.cast_dynamic import Agency, Way, ways
from tests.supervisors.scripted import Crash, Gate, Puppet, forever, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildCrashed,
    ChildFinished,
    ChildNotFound,
    ChildRef,
    ChildSpec,
    ChildStopped,
    RestartIntensity,
    RestartPolicy,
    StopFailed,
    StopTimedOut,
)

SLOW = Backoff(initial=1.0, maximum=1.0, jitter=0.0)

# ── each kind of shutdown ──


@frozen
class Leaving:
    """A child that takes its time when it is told to stop, or hears nothing, and may raise in the end."""

    takes: float = 0.0
    raises: bool = False
    is_deaf: bool = False
    lingers: float = 0.0  # in a shield, once it is cancelled

    async def __call__(self, context: ChildContext) -> None:
        context.started()
        try:
            if self.is_deaf:
                await anyio.sleep_forever()
            await context.wait_stop_requested()
            await anyio.sleep(self.takes)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self.lingers)
        if self.raises:
            raise Crash("on leaving")


@frozen
class Shutdown:
    """What is expected: how long it takes, which reports there are, and whether all was well."""

    child: Leaving
    grace_period: float
    seconds: float
    reports: tuple[type, ...] = (ChildStopped,)


SHUTDOWNS: dict[str, Shutdown] = {
    "no grace": Shutdown(Leaving(takes=3.0), grace_period=0.0, seconds=0.0),
    "no grace, and deaf": Shutdown(Leaving(is_deaf=True), grace_period=0.0, seconds=0.0),
    "no limit": Shutdown(Leaving(takes=500.0), grace_period=math.inf, seconds=500.0),
    "no limit, raises": Shutdown(Leaving(takes=500.0, raises=True), math.inf, 500.0, (StopFailed,)),
    "in time": Shutdown(Leaving(takes=3.0), grace_period=10.0, seconds=3.0),
    "in time, raises": Shutdown(Leaving(takes=3.0, raises=True), 10.0, 3.0, (StopFailed,)),
    "expired": Shutdown(Leaving(takes=3.0), grace_period=0.001, seconds=0.001),
    "expired, and deaf": Shutdown(Leaving(is_deaf=True), grace_period=0.001, seconds=0.001),
    "expired, and lingers": Shutdown(
        Leaving(is_deaf=True, lingers=5.0), grace_period=2.0, seconds=7.0, reports=(StopTimedOut, ChildStopped)
    ),
    "permanent, returns": Shutdown(Leaving(), grace_period=10.0, seconds=0.0),
}
shutdowns = pytest.mark.parametrize("shutdown", SHUTDOWNS.values(), ids=SHUTDOWNS)


async def _measure(agency: Agency, shutdown: Shutdown, *, whole: bool) -> float:
    """Stop the whole supervisor or one child, and give how long that took."""
    spec = ChildSpec("a", shutdown.child, grace_period=shutdown.grace_period)
    async with agency.supervisor.running() as supervisor:
        at, _ = await agency.start(spec)
        assert at is not None
        await settle()
        agency.record.reports.clear()
        began = anyio.current_time()
        if not whole:
            await supervisor.terminate_child(at)
            assert supervisor.state == "running"
            assert supervisor.count_children().active == 0
            return anyio.current_time() - began
    return anyio.current_time() - began


@shutdowns
@pytest.mark.parametrize("whole", [True, False], ids=["the supervisor", "the child"])
@ways
async def test_E9_a_shutdown_takes_its_time_and_no_more_and_is_told_as_what_it_was(
    way: Way, whole: bool, shutdown: Shutdown
) -> None:
    """Whatever a child raises or returns when it is told to stop, it has obeyed: none of it fails the stop."""
    agency = Agency(way, shutdown_deadline=math.inf)
    seconds = await _measure(agency, shutdown, whole=whole)
    assert seconds == pytest.approx(shutdown.seconds, abs=1e-6)
    ends = [each for each in agency.record.reports if getattr(each, "incarnation", None) == 1]
    assert tuple(map(type, ends)) == shutdown.reports
    failed = [each for each in ends if isinstance(each, StopFailed)]
    assert [each.failure.message for each in failed] == ["on leaving"] * shutdown.child.raises
    report = agency.supervisor.stop_report
    assert [*report.errors] == (failed if whole else [])
    assert len(report.unstopped) == (whole and StopTimedOut in shutdown.reports)


@pytest.mark.parametrize(("how", "report"), [("returns", ChildFinished), ("crashes", ChildCrashed)])
async def test_E9_a_permanent_child_that_ends_by_itself_during_the_stop_is_not_restarted(
    how: str, report: type
) -> None:
    agency = Agency("named")
    async with agency.supervisor.running() as supervisor:
        puppet, _ = await agency.engage("a")
        await agency.start(ChildSpec("last", forever(agency.record.note, "last", cleanup=2.0)))
        supervisor.request_stop()
        await settle()
        (puppet.finish if how == "returns" else puppet.crash)()
    assert [type(each) for each in agency.record.reports[-2:]] == [report, ChildStopped]
    assert agency.record.lines == ["a up", "a down", "last down"]
    assert supervisor.stop_report.is_clean


# ── terminating ──


@pytest.mark.parametrize(("grace_period", "seconds"), [(0.0, 0.0), (10.0, 3.0)], ids=["no grace", "in time"])
async def test_E10_terminating_a_child_of_a_template_may_be_repeated(grace_period: float, seconds: float) -> None:
    """As OTP has it; Elixir says not_found to the second."""
    agency = Agency("template")
    async with agency.supervisor.running() as supervisor:
        at, _ = await agency.start(ChildSpec("a", Leaving(takes=3.0), grace_period=grace_period))
        assert at is not None
        began = anyio.current_time()
        for _ in range(2):
            await supervisor.terminate_child(at)
            assert anyio.current_time() - began == pytest.approx(seconds)
            assert supervisor.count_children() == agency.counts(children=0, active=0)
            with pytest.raises(ChildNotFound):
                supervisor.which_child(at)


@pytest.mark.parametrize(("grace_period", "seconds"), [(0.0, 0.0), (10.0, 3.0)], ids=["no grace", "in time"])
async def test_E10_a_temporary_child_terminated_by_its_id_is_unknown_then(grace_period: float, seconds: float) -> None:
    agency = Agency("named")
    spec = ChildSpec("a", Leaving(takes=3.0), grace_period=grace_period, restart=RestartPolicy.TEMPORARY)
    async with agency.supervisor.running() as supervisor:
        await agency.start(spec)
        began = anyio.current_time()
        await supervisor.terminate_child("a")
        assert anyio.current_time() - began == pytest.approx(seconds)
        with pytest.raises(ChildNotFound) as caught:
            await supervisor.terminate_child("a")
        assert (caught.value.supervisor, caught.value.child) == ("root", "a")


async def test_E10_a_reference_to_a_child_of_another_supervisor_is_unknown_and_its_child_lives() -> None:
    here, there = Agency("template"), Agency("template")
    async with here.supervisor.running(), there.supervisor.running():
        _, at = await there.engage("a")
        await here.engage("a")
        with pytest.raises(ChildNotFound):
            await here.supervisor.terminate_child(at)
        for agency in (here, there):
            assert agency.supervisor.count_children() == agency.counts(children=1, active=1)


async def _restarting(agency: Agency, state: str) -> tuple[Puppet, str | ChildRef]:
    """Have a child that crashed, and now waits for its restart or is in it."""
    patient: dict[str, Any] = {"backoff": SLOW, "intensity": RestartIntensity(100, 1.0)}
    puppet, at = await agency.engage("a", **patient)
    if state == "starting":
        puppet.gate = Gate()
    puppet.refuses = True
    puppet.crash()
    await settle(1.5 if state == "starting" else 3.5)
    assert agency.info(at).state == state
    return puppet, at


@pytest.mark.parametrize("state", ["waiting", "starting"])
@ways
async def test_E11_a_child_that_is_being_restarted_can_be_terminated(way: Way, state: str) -> None:
    agency = Agency(way)
    async with agency.supervisor.running() as supervisor:
        await agency.engage("sibling")
        puppet, at = await _restarting(agency, state)
        assert supervisor.count_children() == agency.counts(children=2, active=1)
        incarnation = agency.info(at).incarnation
        await supervisor.terminate_child(at)
        left = 2 if way == "named" else 1  # a named child keeps its place
        assert supervisor.count_children() == agency.counts(children=left, active=1)
        puppet.refuses, puppet.gate = False, None
        await settle(100.0)
        assert supervisor.count_children() == agency.counts(children=left, active=1)
        if way == "named":
            assert (agency.info(at).state, agency.info(at).incarnation) == ("stopped", incarnation)
        assert agency.record.lines.count("a up") == 1


async def test_E11_a_child_in_its_last_restart_before_the_limit_can_be_terminated_too() -> None:
    agency = Agency("template")
    async with agency.supervisor.running() as supervisor:
        puppet, at = await agency.engage("a", backoff=SLOW, intensity=RestartIntensity(1, 1000.0))
        puppet.refuses = True
        puppet.crash()
        await settle(0.5)
        await supervisor.terminate_child(at)
        await settle(100.0)
        assert supervisor.state == "running"
