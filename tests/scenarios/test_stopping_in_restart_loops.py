"""A supervisor stops promptly in the restart loop of a child: O62 and O63, whoever asks for the stop.

At once between two attempts; in an attempt when that is over, or the grace period of the child. The same of a template
is among `test_restart_loops_of_templates.py`, of a loop without any delay among `test_hot_restart_loops.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.scenarios.cast_restarts import (
    GROUPS,
    MOMENTS,
    WITHIN,
    Loop,
    Moment,
    break_down,
    group_loop,
    repair,
    states,
    taking,
)
from tests.supervisors.scripted import Puppet, settle
from tocsin_supervisors import ChildSpec, Strategy, Supervisor, SupervisorNotRunning

Stop = Callable[[Supervisor], Awaitable[object]]


# ── each restarted alone ──


async def leave(supervisor: Supervisor) -> None:
    """Leave the body of `running()`."""


async def stop(supervisor: Supervisor) -> None:
    """Stop it in the body."""
    await supervisor.stop()
    assert supervisor.state == "stopped"


STOPS = pytest.mark.parametrize("how", [leave, stop], ids=["leaving", "stop()"])


@STOPS
@MOMENTS
async def test_O62_the_supervisor_stops_promptly_in_a_loop(moment: Moment, how: Stop) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        attempts = loop.incarnation("c1")
        began = anyio.current_time()
        await how(supervisor)
    assert anyio.current_time() - began == pytest.approx(moment.rest, abs=1e-6)
    assert (loop.supervisor.state, loop.state("c1"), loop.incarnation("c1")) == ("stopped", "stopped", attempts)


@STOPS
@MOMENTS
async def test_O62_the_supervisor_stops_promptly_in_a_second_loop(moment: Moment, how: Stop) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        await supervisor.terminate_child("c1")
        repair(loop.of)
        await supervisor.restart_child("c1")
        break_down(loop.of)
        await anyio.sleep(moment.at)
        assert loop.state("c1") == moment.state
        began = anyio.current_time()
        await how(supervisor)
    assert anyio.current_time() - began == pytest.approx(moment.rest, abs=1e-6)
    assert loop.supervisor.state == "stopped"


@MOMENTS
async def test_O62_a_requested_stop_ends_the_loop(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    with taking(1.0 + moment.at + moment.rest):
        async with anyio.create_task_group() as group:
            group.start_soon(loop.supervisor.run)
            await settle(1.0)
            break_down(loop.of)
            await anyio.sleep(moment.at)
            loop.supervisor.request_stop()
            assert loop.state("c1") == moment.state
    assert loop.supervisor.state == "stopped"


@MOMENTS
async def test_O62_an_outer_cancellation_ends_the_loop(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    with taking(moment.at + moment.rest), anyio.CancelScope() as scope:
        async with loop.at(moment):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert (loop.supervisor.state, loop.state("c1")) == ("stopped", "stopped")


@MOMENTS
async def test_O62_the_supervisor_above_stops_promptly_too(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with Supervisor("top", [ChildSpec("branch", loop.supervisor)]).running() as top:
        break_down(loop.of)
        await anyio.sleep(moment.at)
        assert loop.state("c1") == moment.state
        with taking(moment.rest):
            await top.terminate_child("branch")
        assert [each.state for each in top.which_children()] == ["stopped"]
        assert loop.supervisor.state == "stopped"


@STOPS
async def test_O62_a_start_that_never_ends_costs_its_grace_period_and_no_more(how: Stop) -> None:
    loop = Loop("c1", of="c1", spec={"grace_period": 3.0})
    async with loop.supervisor.running() as supervisor:
        loop.of.start_takes = 1e9
        loop.of.crash()
        await anyio.sleep(WITHIN.at)
        assert loop.state("c1") == "starting"
        began = anyio.current_time()
        await how(supervisor)
    assert anyio.current_time() - began == pytest.approx(3.0, abs=1e-6)
    assert loop.supervisor.stop_report.is_clean


@MOMENTS
async def test_O62_an_attempt_that_fails_in_the_stop_is_in_its_report(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        report = await supervisor.stop()
    assert report.unstopped == ()
    assert [(each.child, each.failure.message) for each in report.errors] == (
        [("c1", "c1 refuses")] if moment.state == "starting" else []
    )


# ── groups ──


@MOMENTS
@GROUPS
async def test_O63_the_supervisor_stops_promptly_in_a_loop(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        attempts = loop.incarnation("b")
        with taking(moment.rest):
            await supervisor.stop()
        assert states(supervisor) == ["stopped"] * 3
        assert [loop.incarnation(id) for id in "bc"] == [attempts, 1]
        assert loop.record.lines[-1] == "a down"
    assert loop.supervisor.stop_report.unstopped == ()


@MOMENTS
@GROUPS
async def test_O63_the_supervisor_stops_promptly_in_a_second_loop(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        await supervisor.terminate_child("b")
        await settle(10.0)
        repair(loop.of)
        await supervisor.restart_child("b")
        break_down(loop.of)
        await anyio.sleep(moment.at)
        assert states(supervisor)[1:] == [moment.state, "waiting"]
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(moment.rest, abs=1e-6)


@MOMENTS
@GROUPS
async def test_O63_who_waits_for_a_start_is_told_when_the_supervisor_stops(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor, anyio.create_task_group() as tasks:

        async def start() -> None:
            with pytest.raises(SupervisorNotRunning), taking(1.0):
                await supervisor.start_child(Puppet(loop.record, "late").spec())

        tasks.start_soon(start)
        await settle(1.0)
        supervisor.request_stop()
