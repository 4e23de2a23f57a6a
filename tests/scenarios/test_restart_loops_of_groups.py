"""A restart loop of a group leaves its supervisor in control: O63, and the same under one for all.

The group is `a`, `b`, `c`, and the starts of `b` fail. Under rest for one `a` stays up throughout; under one for all it
is up during each attempt of `b`, and stopped again when that has failed.
"""

from __future__ import annotations

from collections.abc import Awaitable

import anyio
import pytest

from tests.scenarios.cast_restarts import (
    ATTEMPT,
    GROUPS,
    MOMENTS,
    ONE_FOR_ALL,
    PAUSE,
    REST_FOR_ONE,
    WITHIN,
    Moment,
    group_loop,
    repair,
    states,
    taking,
)
from tests.supervisors.scripted import Puppet, settle
from tocsin_supervisors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildCounts,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    RestartPolicy,
    Strategy,
)


async def refusal(request: Awaitable[object], child: str) -> type[ChildError]:
    """Give the kind of error that a request about *child* is refused with."""
    with pytest.raises(ChildError) as caught:
        await request
    assert (caught.value.supervisor, caught.value.child) == ("root", child)
    return type(caught.value)


# ── looking on, and what is refused ──


@MOMENTS
@GROUPS
async def test_O63_each_child_of_the_group_is_shown_as_what_it_does(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        for failures in range(4):
            is_up = strategy is REST_FOR_ONE or moment.state == "starting"
            assert states(supervisor) == ["running" if is_up else "waiting", moment.state, "waiting"]
            assert supervisor.count_children() == ChildCounts(specs=3, active=int(is_up), supervisors=0, actors=3)
            attempts = failures + (moment.state == "starting")
            # Who stands before it is restarted with it under one for all; who stands behind it has never had a turn.
            before = 1 if strategy is REST_FOR_ONE else 1 + attempts
            assert [loop.incarnation(id) for id in "abc"] == [before, 1 + attempts, 1]
            await anyio.sleep(PAUSE + ATTEMPT)


@MOMENTS
@GROUPS
async def test_O63_what_needs_the_failing_child_up_or_down_is_refused_at_once(
    strategy: Strategy, moment: Moment
) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            assert await refusal(supervisor.start_child(loop["b"].spec()), "b") is ChildAlreadyPresent
            assert await refusal(supervisor.restart_child("b"), "b") is ChildRestarting
            assert await refusal(supervisor.delete_child("b"), "b") is ChildRestarting


@MOMENTS
@GROUPS
async def test_O63_who_waits_for_its_turn_is_refused_in_the_same_way(strategy: Strategy, moment: Moment) -> None:
    """Ours: in OTP those behind are `undefined` meanwhile, and can be restarted and deleted."""
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            assert await refusal(supervisor.start_child(loop["c"].spec()), "c") is ChildAlreadyPresent
            assert await refusal(supervisor.restart_child("c"), "c") is ChildRestarting
            assert await refusal(supervisor.delete_child("c"), "c") is ChildRestarting


@MOMENTS
async def test_O63_who_stands_before_it_is_up_for_all(moment: Moment) -> None:
    loop = group_loop(REST_FOR_ONE)
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            assert await refusal(supervisor.start_child(loop["a"].spec()), "a") is ChildAlreadyStarted
            assert await refusal(supervisor.restart_child("a"), "a") is ChildRunning
            assert await refusal(supervisor.delete_child("a"), "a") is ChildRunning
            assert await refusal(supervisor.restart_child("nobody"), "nobody") is ChildNotFound


# ── terminating ──


@MOMENTS
@GROUPS
async def test_O63_terminating_the_failing_child_ends_the_loop_and_lets_the_others_start(
    strategy: Strategy, moment: Moment
) -> None:
    """Ours: OTP forgets the whole restart, and leaves those down that stand behind."""
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        attempts = loop.incarnation("b")
        with taking(moment.rest):
            await supervisor.terminate_child("b")
        await settle(1000.0)
        assert states(supervisor) == ["running", "stopped", "running"]
        assert loop.incarnation("b") == attempts
        assert [loop.incarnation(id) for id in "ac"] == [1 if strategy is REST_FOR_ONE else 2, 2]


@MOMENTS
@GROUPS
async def test_O63_a_child_whose_loop_was_ended_can_be_restarted_alone(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        await supervisor.terminate_child("b")
        await settle(10.0)
        others = [loop.incarnation(id) for id in "ac"]
        repair(loop.of)
        with taking(0.0):
            assert await supervisor.restart_child("b") is loop.of
        assert states(supervisor) == ["running"] * 3
        assert [loop.incarnation(id) for id in "ac"] == others


@GROUPS
async def test_O63_who_is_terminated_while_it_waits_is_left_out_of_this_attempt(strategy: Strategy) -> None:
    loop = group_loop(strategy)
    async with loop.at(WITHIN) as supervisor:
        repair(loop.of)
        with taking(0.0):
            await supervisor.terminate_child("c")
        await settle(10.0)
        assert states(supervisor) == ["running", "running", "stopped"]
        await supervisor.delete_child("c")


@GROUPS
async def test_O63_who_is_terminated_while_it_waits_takes_part_in_the_next_attempt(strategy: Strategy) -> None:
    """As in OTP, where a restart of a group starts those that were terminated, too."""
    loop = group_loop(strategy)
    async with loop.at(WITHIN) as supervisor:
        await supervisor.terminate_child("c")
        assert states(supervisor) == ["running", "starting", "stopped"]
        await settle(ATTEMPT)
        assert states(supervisor)[1:] == ["waiting", "stopped"]
        repair(loop.of)
        await settle(10.0)
        assert states(supervisor) == ["running"] * 3


@MOMENTS
async def test_O63_who_stands_before_it_can_be_terminated_and_deleted(moment: Moment) -> None:
    loop = group_loop(REST_FOR_ONE)
    async with loop.at(moment) as supervisor:
        with taking(0.0):
            await supervisor.terminate_child("a")
            assert states(supervisor) == ["stopped", moment.state, "waiting"]
            await supervisor.delete_child("a")
        await settle(10.0)
        assert loop.failures == 3
        repair(loop.of)
        await settle(10.0)
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("b", "running"), ("c", "running")]


# ── starting others: who is asked for takes the last turn ──


@MOMENTS
async def test_O63_who_stands_before_it_can_be_restarted_after_the_others(moment: Moment) -> None:
    """Ours: OTP starts it between two attempts."""
    loop = group_loop(REST_FOR_ONE)
    async with loop.at(moment) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.terminate_child("a")
        loop.record.lines.clear()
        tasks.start_soon(supervisor.restart_child, "a")
        await settle(10.0)
        assert loop.failures == 3
        assert states(supervisor)[0] == states(supervisor)[2] == "waiting"
        assert await refusal(supervisor.restart_child("a"), "a") is ChildRestarting
        repair(loop.of)
        await settle(PAUSE + ATTEMPT)
        assert loop.record.lines == [*["b refuses"] * 3, "b up", "c up", "a up"]
        assert states(supervisor) == ["running"] * 3


@MOMENTS
@GROUPS
async def test_O63_a_new_child_is_started_after_the_others(strategy: Strategy, moment: Moment) -> None:
    """Ours: OTP starts it between two attempts, and restarts it with each further one."""
    loop = group_loop(strategy)
    late = Puppet(loop.record, "late")
    async with loop.at(moment) as supervisor, anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.start_child, late.spec())
        await settle(10.0)
        assert states(supervisor)[2:] == ["waiting", "waiting"]
        assert late.incarnation == 0
        repair(loop.of)
        await settle(PAUSE + ATTEMPT)
        assert loop.record.lines[-3:] == ["b up", "c up", "late up"]
        assert states(supervisor) == ["running"] * 4


@MOMENTS
@GROUPS
async def test_O63_a_start_that_is_not_waited_for_any_longer_is_undone(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    late = Puppet(loop.record, "late")
    async with loop.at(moment) as supervisor:
        with anyio.move_on_after(10.0) as scope:
            await supervisor.start_child(late.spec())
        assert scope.cancelled_caught
        await settle()
        assert [each.id for each in supervisor.which_children()] == ["a", "b", "c"]
        repair(loop.of)
        await settle(10.0)
        assert states(supervisor) == ["running"] * 3
        assert late.incarnation == 0


# ── other options meanwhile ──


@GROUPS
async def test_O63_under_one_for_one_the_others_start_and_the_pauses_are_kept(strategy: Strategy) -> None:
    loop = group_loop(strategy)
    async with loop.at(WITHIN) as supervisor:
        with taking(0.0):
            await supervisor.reconfigure(strategy=Strategy.ONE_FOR_ONE)
        await settle(ATTEMPT)  # the attempt has failed
        assert states(supervisor) == ["running", "waiting", "running"]
        others = [loop.incarnation(id) for id in "ac"]
        await settle(10 * (PAUSE + ATTEMPT))
        assert loop.failures == 11
        assert states(supervisor) == ["running", "waiting", "running"]
        assert [loop.incarnation(id) for id in "ac"] == others
        repair(loop.of)
        await settle(PAUSE + ATTEMPT)
        assert states(supervisor) == ["running"] * 3


async def test_O63_under_one_for_all_the_next_attempt_is_of_all() -> None:
    loop = group_loop(REST_FOR_ONE)
    async with loop.at(WITHIN) as supervisor:
        await supervisor.reconfigure(strategy=ONE_FOR_ALL)
        assert states(supervisor) == ["running", "starting", "waiting"]
        await settle(ATTEMPT)
        assert states(supervisor) == ["waiting"] * 3
        repair(loop.of)
        await settle(PAUSE)
        assert [(each.state, each.incarnation) for each in supervisor.which_children()] == [
            ("running", 2),
            ("running", 3),
            ("running", 2),
        ]


@MOMENTS
@GROUPS
async def test_O63_a_failing_child_that_becomes_temporary_holds_up_nobody(strategy: Strategy, moment: Moment) -> None:
    loop = group_loop(strategy)
    async with loop.at(moment) as supervisor:
        await supervisor.reconfigure([loop["b"].spec(restart=RestartPolicy.TEMPORARY)])
        await settle(1000.0)
        assert loop.failures == 1
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("a", "running"), ("c", "running")]
