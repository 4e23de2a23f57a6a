"""Tasks under a supervisor, where Elixir has its Task.Supervisor: temporary children of a template."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.scenarios.cast_dynamic import Agency
from tests.supervisors.scripted import Crash, Record, settle
from tocsin_supervisors import (
    ChildContext,
    ChildCounts,
    ChildCrashed,
    ChildSpec,
    RestartIntensity,
    RestartPolicy,
    Supervisor,
    TooManyChildren,
)

Job = Callable[..., Awaitable[object]]


def task(job: Job, *args: object) -> ChildSpec:
    return ChildSpec("task", partial(job, *args), restart=RestartPolicy.TEMPORARY)


def task_supervisor(record: Record, **options: Any) -> Supervisor:
    return Supervisor("tasks", template=task, observer=record.observe, **options)


async def fail_after(seconds: float) -> None:
    await anyio.sleep(seconds)
    raise Crash("the task")


async def test_E13_a_task_beyond_the_limit_is_refused_until_another_has_ended() -> None:
    record = Record()
    async with task_supervisor(record, max_children=2).running() as supervisor:
        for seconds in (1.0, 2.0):
            await supervisor.start_from_template(anyio.sleep, seconds)
        with pytest.raises(TooManyChildren) as caught:
            await supervisor.start_from_template(anyio.sleep, 3.0)
        assert (caught.value.supervisor, caught.value.limit) == ("tasks", 2)
        assert supervisor.count_children() == ChildCounts(specs=1, active=2, supervisors=0, actors=2)
        await settle(1.5)
        assert supervisor.count_children().actors == 1
        await supervisor.start_from_template(anyio.sleep, 3.0)
        assert supervisor.count_children().actors == 2
    assert record.told().count("ChildStarted") == 3


async def test_E13_a_task_that_crashes_does_not_harm_who_started_it() -> None:
    """It has no link to its starter, which goes on; what it died of is told to the observer."""
    record, lives = Record(), 0

    async def starter(context: ChildContext) -> None:
        nonlocal lives
        lives += 1
        context.started()
        assert await tasks.start_from_template(fail_after, 1.0) is not None
        await anyio.sleep(2.0)
        record.note("the starter goes on")
        await context.wait_stop_requested()

    tasks = task_supervisor(record, intensity=RestartIntensity.never())
    children = [ChildSpec("tasks", tasks), ChildSpec("starter", starter)]
    async with Supervisor("root", children, observer=record.observe).running() as root:
        await settle(3.0)
        assert (lives, record.lines) == (1, ["the starter goes on"])
        assert [each.incarnation for each in root.which_children()] == [1, 1]
        assert tasks.count_children() == ChildCounts(specs=1, active=0, supervisors=0, actors=0)
        crashed = record.only(ChildCrashed)
        assert (crashed.child, crashed.failure.message) == ("task-1", "the task")


async def test_E13_any_number_of_crashing_tasks_uses_up_no_limit() -> None:
    record = Record()
    async with task_supervisor(record, intensity=RestartIntensity.never()).running() as supervisor:
        await supervisor.start_from_template(anyio.sleep_forever)
        for _ in range(100):
            await supervisor.start_from_template(fail_after, 0.0)
        await settle()
        assert supervisor.state == "running"
        assert [each.id for each in supervisor.which_children()] == ["task-1"]
        assert record.told().count("ChildCrashed") == 100


@pytest.mark.parametrize("how", ["crashes", "is terminated"])
async def test_E13_a_task_outlives_who_started_it(how: str) -> None:
    record = Record()

    async def starter() -> None:
        await tasks.start_from_template(anyio.sleep, 5.0)
        await anyio.sleep(1.0)
        raise Crash("the starter")

    tasks = task_supervisor(record)
    spec = ChildSpec("starter", starter, restart=RestartPolicy.TEMPORARY)
    async with Supervisor("root", [ChildSpec("tasks", tasks), spec]).running() as root:
        await settle(0.5)
        if how == "is terminated":
            await root.terminate_child("starter")
        await settle(2.0)
        assert [each.id for each in root.which_children()] == ["tasks"]
        assert tasks.count_children().active == 1
        await settle(5.0)
        assert record.told("task-1") == ["ChildStarted", "ChildFinished", "ChildRemoved"]


async def test_E13_a_task_that_is_given_a_time_limit_fails_by_it_alone() -> None:
    record = Record()

    async def limited() -> None:
        with anyio.fail_after(2.0):
            await anyio.sleep_forever()

    async with task_supervisor(record).running() as supervisor:
        await supervisor.start_from_template(limited)
        await supervisor.start_from_template(anyio.sleep_forever)
        await settle(3.0)
        crashed = record.only(ChildCrashed)
        assert (crashed.child, crashed.failure.type, crashed.foreign_cancel) == (
            "task-1",
            "builtins.TimeoutError",
            False,
        )
        assert [each.id for each in supervisor.which_children()] == ["task-2"]


async def test_E13_the_tasks_of_a_supervisor_end_with_it() -> None:
    agency = Agency("template")
    async with agency.supervisor.running():
        for name in ("a", "b"):
            await agency.engage(name, restart=RestartPolicy.TEMPORARY)
    assert sorted(agency.record.lines[2:]) == ["a down", "b down"]
