"""Whoever asks for a start leaves before the answer: the child is undone, the supervisor and the siblings live on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.scenarios.cast_interruptions import NativeTask
from tests.supervisors.scripted import Gate, Theatre, settle
from tocsin_supervisors import (
    Backoff,
    ChildAlreadyStarted,
    ChildContext,
    ChildSpec,
    ChildStartError,
    RestartPolicy,
    Strategy,
    Supervisor,
)

Ask = Callable[[], Awaitable[object]]


async def leave(ask: Ask, how: str, after: float) -> None:
    """Ask, and have the one who asked cancelled after so many seconds."""
    async with anyio.create_task_group() as group:
        if how == "natively":
            task = NativeTask(group, ask)
            await anyio.sleep(after)
            task.cancel()
            await task.wait()
            assert task.was_cancelled
            return
        with anyio.CancelScope() as scope:
            if how == "time-out":
                scope.deadline = anyio.current_time() + after
            else:
                group.start_soon(_cancel_later, scope, after)
            await ask()
            pytest.fail("it was answered")
        assert scope.cancelled_caught


async def _cancel_later(scope: anyio.CancelScope, after: float) -> None:
    await anyio.sleep(after)
    scope.cancel()


how_to_leave = pytest.mark.parametrize("how", ["scope", "time-out", "natively"])
# In the step in which it was asked for, and in the middle of the start.
moments = pytest.mark.parametrize("after", [0.0, 0.5])


@how_to_leave
@moments
async def test_N9_a_start_whose_caller_leaves_is_undone_and_nobody_else_is_touched(how: str, after: float) -> None:
    theatre = Theatre("a", "new")
    theatre["new"].start_takes = 1.0
    supervisor = Supervisor("root", [theatre["a"].spec()], observer=theatre.record.observe)
    async with supervisor.running():
        spec = theatre["new"].spec(grace_period=1.0)
        await leave(lambda: supervisor.start_child(spec), how, after)
        await settle(10.0)
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("a", "running")]
        assert await supervisor.start_child(spec) is theatre["new"]
        assert theatre["a"].incarnation == 1
    assert theatre.record.told("new")[:2] == ["ChildStopped", "ChildRemoved"]


@how_to_leave
@moments
async def test_N9_a_restart_whose_caller_leaves_leaves_the_child_down(how: str, after: float) -> None:
    theatre = Theatre("a", "b")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("b")
        theatre["b"].start_takes = 1.0
        await leave(lambda: supervisor.restart_child("b"), how, after)
        await settle(10.0)
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("a", "running"), ("b", "stopped")]
        assert await supervisor.restart_child("b") is theatre["b"]
        assert theatre.incarnation("a") == 1


@how_to_leave
@moments
async def test_N9_a_start_from_the_template_whose_caller_leaves_is_undone(how: str, after: float) -> None:
    theatre = Theatre("connection")
    theatre["connection"].start_takes = 1.0
    supervisor = Supervisor("root", template=lambda: theatre["connection"].spec(restart=RestartPolicy.TEMPORARY))
    async with supervisor.running():
        await leave(supervisor.start_from_template, how, after)
        await settle(10.0)
        assert supervisor.count_children().specs == 1  # the template
        assert supervisor.which_children() == ()
        assert await supervisor.start_from_template() is not None


async def test_N9_a_start_that_waits_for_its_turn_in_a_round_can_be_left_too() -> None:
    theatre = Theatre("a", "b", spec={"backoff": Backoff(5.0, 5.0, jitter=0.0)}, strategy=Strategy.ONE_FOR_ALL)
    new = Theatre("new")["new"]
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].crash()
        await settle()
        with anyio.move_on_after(1.0) as patience:
            await supervisor.start_child(new.spec())
        assert patience.cancelled_caught
        await settle(10.0)
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("a", 2), ("b", 2)]
        assert new.incarnation == 0


async def test_N9_until_the_start_that_was_left_is_undone_the_id_is_taken() -> None:
    async def child(context: ChildContext) -> None:
        await context.wait_stop_requested()
        await anyio.sleep(3.0)

    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with anyio.move_on_after(1.0):
            await supervisor.start_child(ChildSpec("new", child))
        await settle()
        with pytest.raises(ChildAlreadyStarted):
            await supervisor.start_child(ChildSpec("new", child))
        await settle(3.0)
        with anyio.move_on_after(1.0):
            await supervisor.start_child(ChildSpec("new", child))
        await settle(4.0)
        assert [each.id for each in supervisor.which_children()] == ["a"]


async def test_N9_who_terminates_a_child_whose_starter_leaves_is_answered() -> None:
    theatre = Theatre("a", "new")
    theatre["new"].gate = Gate()
    supervisor = Supervisor("root", [theatre["a"].spec()])
    async with supervisor.running():
        with anyio.move_on_after(0.5):
            await supervisor.start_child(theatre["new"].spec(grace_period=2.0))
        with anyio.fail_after(2.5):
            await supervisor.terminate_child("new")
        assert [each.id for each in supervisor.which_children()] == ["a"]


async def test_N9_who_waits_for_a_start_that_another_terminates_is_told_so() -> None:
    theatre = Theatre("a", "new")
    theatre["new"].gate = Gate()
    supervisor = Supervisor("root", [theatre["a"].spec()])
    async with supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(_terminate_later, supervisor)
        began = anyio.current_time()
        with pytest.raises(ChildStartError, match="it was terminated before it was up"):
            await supervisor.start_child(theatre["new"].spec(grace_period=2.0))
        assert anyio.current_time() == pytest.approx(began + 0.5)


async def _terminate_later(supervisor: Supervisor) -> None:
    await anyio.sleep(0.5)
    await supervisor.terminate_child("new")
