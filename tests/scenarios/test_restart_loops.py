"""A restart loop that fails again and again leaves its supervisor in control: O62, where each is restarted alone.

OTP's attempts follow each other at once, and its calls wait for the one under way. Ours have pauses between them, and
calls are answered at any moment, so each is tried in both: while the child waits, and while it starts.
"""

from __future__ import annotations

from collections.abc import Awaitable

import anyio
import pytest

from tests.scenarios.cast_restarts import (
    ATTEMPT,
    BETWEEN,
    MOMENTS,
    PAUSE,
    WITHIN,
    Loop,
    Moment,
    at_most,
    break_down,
    gives_up,
    repair,
    taking,
)
from tests.supervisors.scripted import Puppet, settle
from tocsin_supervisors import (
    Backoff,
    ChildAlreadyPresent,
    ChildContext,
    ChildCounts,
    ChildError,
    ChildRestarting,
    ChildSpec,
    RestartIntensity,
    RestartPolicy,
    SuspendChild,
)

DOWN = ChildCounts(specs=1, active=0, supervisors=0, actors=1)


async def refusal(request: Awaitable[object]) -> type[ChildError]:
    """Give the kind of error that a request about `c1` is refused with."""
    with pytest.raises(ChildError) as caught:
        await request
    assert (caught.value.supervisor, caught.value.child) == ("root", "c1")
    return type(caught.value)


# ── looking on, and what is refused ──


@MOMENTS
async def test_O62_a_child_in_a_loop_is_shown_as_what_it_does(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        for failures in range(5):
            child = supervisor.which_child("c1")
            attempts = failures + (moment.state == "starting")
            assert (child.state, child.incarnation, child.restarts) == (moment.state, 1 + attempts, 1 + failures)
            assert child.last_failure is not None
            assert child.last_failure.message == ("c1 refuses" if failures else "c1")
            assert supervisor.which_children() == (child,)
            assert supervisor.count_children() == DOWN
            assert supervisor.tree().children[0].state == moment.state
            assert repr(supervisor) == "<Supervisor root: running, one_for_one, 0 of 1 children up>"
            await anyio.sleep(PAUSE + ATTEMPT)


@MOMENTS
async def test_O62_what_needs_the_child_up_or_down_is_refused_at_once(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            assert await refusal(supervisor.start_child(loop.of.spec())) is ChildAlreadyPresent
            assert await refusal(supervisor.restart_child("c1")) is ChildRestarting
            assert await refusal(supervisor.delete_child("c1")) is ChildRestarting
        assert loop.state("c1") == moment.state
        await settle(10.0)
        assert loop.failures == 3


async def test_O62_a_suspended_child_is_refused_and_terminated_in_the_same_way() -> None:
    loop = Loop("c1", of="c1", spec={"suspension": Backoff(initial=10.0)})
    async with loop.supervisor.running() as supervisor:
        loop.of.crash(SuspendChild("not now"))
        await settle()
        assert loop.state("c1") == "suspended"
        assert supervisor.count_children() == DOWN
        assert await refusal(supervisor.start_child(loop.of.spec())) is ChildAlreadyPresent
        assert await refusal(supervisor.restart_child("c1")) is ChildRestarting
        assert await refusal(supervisor.delete_child("c1")) is ChildRestarting
        with taking(0.0):
            await supervisor.terminate_child("c1")
        await settle(1000.0)
        assert (loop.state("c1"), loop.incarnation("c1")) == ("stopped", 1)


@MOMENTS
async def test_O62_the_others_are_administered_as_ever(moment: Moment) -> None:
    loop = Loop("c1", "other", of="c1")
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            assert await supervisor.start_child(Puppet(loop.record, "new").spec()) is not None
            await supervisor.terminate_child("other")
            assert await supervisor.restart_child("other") is loop["other"]
            await supervisor.terminate_child("other")
            await supervisor.delete_child("other")
        assert [(each.id, each.state) for each in supervisor.which_children()] == [
            ("c1", moment.state),
            ("new", "running"),
        ]


# ── terminating ──


@MOMENTS
async def test_O62_terminating_the_child_ends_the_loop(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        attempts = loop.incarnation("c1")
        with taking(moment.rest):  # an attempt may be finished within the grace period
            await supervisor.terminate_child("c1")
        assert (loop.state("c1"), supervisor.count_children()) == ("stopped", DOWN)
        with taking(0.0):
            await supervisor.terminate_child("c1")
        await settle(1000.0)
        assert (loop.state("c1"), loop.incarnation("c1")) == ("stopped", attempts)


@pytest.mark.parametrize("grace", [0.0, 0.5])
async def test_O62_an_attempt_is_given_no_more_than_the_grace_period(grace: float) -> None:
    loop = Loop("c1", of="c1", spec={"grace_period": grace})
    async with loop.at(WITHIN) as supervisor:
        with taking(grace):
            await supervisor.terminate_child("c1")
        assert loop.state("c1") == "stopped"
        assert loop.failures == 0


async def test_O62_an_attempt_that_succeeds_after_all_does_not_bring_the_child_back() -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(WITHIN) as supervisor:
        repair(loop.of)
        with taking(WITHIN.rest):
            await supervisor.terminate_child("c1")
        assert loop.record.lines[-2:] == ["c1 up", "c1 down"]
        assert loop.record.told("c1")[-2:] == ["RestartScheduled", "ChildStopped"]
        await settle(1000.0)
        assert (loop.state("c1"), loop.incarnation("c1")) == ("stopped", 2)


@MOMENTS
async def test_O62_whoever_terminates_it_too_waits_for_the_same_end(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        with taking(moment.rest):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(supervisor.terminate_child, "c1")
        assert loop.state("c1") == "stopped"


async def test_O62_a_termination_that_is_not_waited_for_ends_the_loop_as_well() -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(WITHIN) as supervisor:
        with anyio.move_on_after(0.5) as scope:
            await supervisor.terminate_child("c1")
        assert scope.cancelled_caught
        assert loop.state("c1") == "stopping"
        await settle(1000.0)
        assert (loop.state("c1"), loop.incarnation("c1")) == ("stopped", 2)


@MOMENTS
async def test_O62_a_child_whose_loop_was_ended_can_be_restarted(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        await supervisor.terminate_child("c1")
        repair(loop.of)
        attempts = loop.incarnation("c1")
        with taking(0.0):
            assert await supervisor.restart_child("c1") is loop.of
        assert (loop.state("c1"), loop.incarnation("c1")) == ("running", attempts + 1)
        loop.of.crash()
        await settle(PAUSE + 0.5)
        assert (loop.state("c1"), loop.incarnation("c1")) == ("running", attempts + 2)


@MOMENTS
async def test_O62_a_child_whose_loop_was_ended_can_be_deleted(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        await supervisor.terminate_child("c1")
        with taking(0.0):
            await supervisor.delete_child("c1")
        assert supervisor.which_children() == ()
        await settle(1000.0)
        repair(loop.of)
        await supervisor.start_child(loop.of.spec())
        assert (loop.state("c1"), loop.incarnation("c1")) == ("running", 1)


# ── ending it in other ways ──


@MOMENTS
async def test_O62_the_loop_is_over_when_its_cause_is(moment: Moment) -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(moment):
        repair(loop.of)
        await settle(PAUSE + ATTEMPT)
        assert (loop.state("c1"), loop.incarnation("c1"), loop.failures) == ("running", 2, 0)


@MOMENTS
async def test_O62_the_next_attempt_is_made_with_a_new_spec(moment: Moment) -> None:
    async def mended(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()

    loop = Loop("c1", of="c1")
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            await supervisor.reconfigure([ChildSpec("c1", mended)])
        await settle(10.0)
        attempts = 2 if moment.state == "waiting" else 3
        assert (loop.state("c1"), loop.incarnation("c1"), loop.failures) == ("running", attempts, attempts - 2)


@MOMENTS
async def test_O62_a_child_that_becomes_temporary_is_not_attempted_again(moment: Moment) -> None:
    loop = Loop("c1", "other", of="c1")
    async with loop.at(moment) as supervisor:
        await supervisor.reconfigure([loop.of.spec(restart=RestartPolicy.TEMPORARY)])
        await settle(1000.0)
        assert loop.failures == 1
        assert loop.record.told("c1")[-2:] == ["ChildStartFailed", "ChildRemoved"]
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("other", 1)]


@MOMENTS
async def test_O62_a_lower_limit_counts_from_the_next_attempt_on(moment: Moment) -> None:
    loop = Loop("c1", of="c1")

    async def scene() -> None:
        break_down(loop.of)
        await anyio.sleep(moment.at)
        await loop.supervisor.reconfigure(intensity=at_most(1, 3600.0))

    error = await gives_up(loop.supervisor, scene)
    assert (error.restarts, error.limit, error.of_supervisor, loop.failures) == (2, 1, True, 1)


@pytest.mark.slow
async def test_O62_a_loop_below_its_limit_goes_on_for_ever() -> None:
    loop = Loop("c1", of="c1")
    async with loop.at(BETWEEN):
        await settle(3600.0)
        assert loop.failures == 1200
        repair(loop.of)
        await settle(PAUSE + ATTEMPT)
        assert loop.state("c1") == "running"


async def test_O62_a_loop_below_its_limit_ends_when_its_row_of_failures_is_too_long() -> None:
    """Ours: with pauses between the attempts no window may ever be exceeded, so rows have a limit, too."""
    loop = Loop("c1", of="c1", spec={"intensity": RestartIntensity(8, 10.0)})

    async def scene() -> None:
        break_down(loop.of)

    error = await gives_up(loop.supervisor, scene)
    assert (error.rule, error.restarts, error.limit, loop.failures) == ("consecutive", 11, 10, 10)
