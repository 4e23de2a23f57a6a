"""Temporary children beside one that is restarted: O42. They are stopped with their group, and do not come back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.scenarios.cast_restarts import at_most, gives_up
from tests.supervisors.scripted import Crash, Puppet, Theatre, settle
from tocsin_supervisors import ChildCounts, ChildSpec, ChildStartError, RestartPolicy, StopFailed, Strategy

GROUPS = pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])


def with_bystander(strategy: Strategy, *others: str, **options: Any) -> Theatre:
    """Give a theatre of `c1`, which is permanent, `c2`, which is temporary, and *others*, which are permanent."""
    theatre = Theatre("c1", strategy=strategy, intensity=at_most(2, 300.0), **options)
    theatre.puppets["c2"] = Puppet(theatre.record, "c2")
    theatre.supervisor.declare(theatre["c2"].spec(restart=RestartPolicy.TEMPORARY))
    for id in others:
        theatre.puppets[id] = Puppet(theatre.record, id)
        theatre.supervisor.declare(theatre[id].spec())
    return theatre


@GROUPS
async def test_O42_a_temporary_bystander_is_gone_for_good(strategy: Strategy) -> None:
    theatre = with_bystander(strategy)
    async with theatre.supervisor.running() as supervisor:
        theatre["c1"].finish()
        await settle(1000.0)
        assert theatre.record.lines == ["c1 up", "c2 up", "c1 down", "c2 down", "c1 up"]
        assert theatre.record.told("c2") == ["ChildStarted", "ChildStopped", "ChildRemoved"]
        assert [(each.id, each.state, each.incarnation) for each in supervisor.which_children()] == [
            ("c1", "running", 2)
        ]
        assert supervisor.count_children() == ChildCounts(specs=1, active=1, supervisors=0, actors=1)


@GROUPS
async def test_O42_a_bystander_that_is_gone_costs_nothing(strategy: Strategy) -> None:
    theatre = with_bystander(strategy)

    async def scene() -> None:
        for _ in range(2):
            theatre["c1"].finish()
            await settle()
        assert (theatre.state("c1"), theatre.incarnation("c1")) == ("running", 3)
        theatre["c1"].finish()

    error = await gives_up(theatre.supervisor, scene)
    assert (error.child, error.restarts, error.limit, error.of_supervisor) == ("c1", 3, 2, True)


@GROUPS
async def test_O42_those_behind_a_bystander_are_restarted(strategy: Strategy) -> None:
    theatre = with_bystander(strategy, "c3")
    async with theatre.supervisor.running() as supervisor:
        theatre.record.lines.clear()
        theatre["c1"].crash()
        await settle()
        assert theatre.record.lines == ["c1 down", "c3 down", "c2 down", "c1 up", "c3 up"]
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("c1", 2), ("c3", 2)]


async def test_O42_a_temporary_child_before_the_rest_stays() -> None:
    theatre = with_bystander(Strategy.REST_FOR_ONE, "c3")
    async with theatre.supervisor.running():
        theatre["c3"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in ("c1", "c2", "c3")] == [1, 1, 2]


async def test_O42_nobody_is_a_bystander_where_each_is_restarted_alone() -> None:
    theatre = with_bystander(Strategy.ONE_FOR_ONE)
    async with theatre.supervisor.running():
        theatre["c1"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in ("c1", "c2")] == [2, 1]


@GROUPS
async def test_O42_a_bystander_that_fails_while_it_is_stopped_is_reported_and_forgotten(strategy: Strategy) -> None:
    theatre = Theatre("c1", strategy=strategy, intensity=at_most(1, 300.0))
    async with theatre.supervisor.running() as supervisor:

        async def refuse_to_go_quietly() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise Crash("not quietly")

        await supervisor.start_child(ChildSpec("c2", refuse_to_go_quietly, restart=RestartPolicy.TEMPORARY))
        theatre["c1"].crash()
        await settle()
        assert theatre.record.told("c2") == ["ChildStarted", "StopFailed", "ChildRemoved"]
        assert theatre.record.only(StopFailed).failure.message == "not quietly"
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("c1", 2)]


@GROUPS
async def test_O42_a_bystander_that_crashes_in_the_same_moment_is_forgotten_too(strategy: Strategy) -> None:
    theatre = with_bystander(strategy, "c3")
    async with theatre.supervisor.running() as supervisor:
        theatre["c2"].crash()
        theatre["c1"].crash()
        await settle()
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("c1", 2), ("c3", 2)]


@GROUPS
async def test_O42_whoever_waits_for_the_start_of_a_bystander_is_told(strategy: Strategy) -> None:
    theatre = Theatre("c1", strategy=strategy)
    late = Puppet(theatre.record, "c2")
    late.start_takes = 1.0
    async with theatre.supervisor.running() as supervisor, anyio.create_task_group() as group:

        async def start() -> None:
            with pytest.raises(ChildStartError, match="it was stopped along with another child") as caught:
                await supervisor.start_child(late.spec(restart=RestartPolicy.TEMPORARY))
            assert (caught.value.supervisor, caught.value.child, caught.value.failure) == ("root", "c2", None)

        group.start_soon(start)
        await settle(0.5)
        theatre["c1"].crash()
        await settle()
        assert [(each.id, each.state) for each in supervisor.which_children()] == [
            ("c1", "waiting"),
            ("c2", "stopping"),
        ]
        await settle(1.0)
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("c1", 2)]
