"""Who is restarted along with whom, and in which order: O55 to O61."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel

from tests.scenarios.cast_restarts import PLENTY, Troupe, at_most, gives_up
from tests.supervisors.scripted import Gate, Theatre, settle
from tocsin_supervisors import (
    ChildCounts,
    RestartIntensity,
    Strategy,
    Supervisor,
)

LIMIT: dict[str, Any] = {"spec": {"intensity": PLENTY}, "intensity": at_most(2, 3600.0)}


def states(supervisor: Supervisor) -> list[tuple[str, str, int]]:
    return [(each.id, each.state, each.incarnation) for each in supervisor.which_children()]


async def arrival(gate: Gate) -> None:
    """Wait until a start has come to *gate*."""
    while not gate.arrivals:
        await anyio.lowlevel.checkpoint()


async def test_O55_one_for_all_restarts_everybody() -> None:
    theatre = Theatre("c1", "c2", strategy=Strategy.ONE_FOR_ALL, **LIMIT)
    async with theatre.supervisor.running() as supervisor:
        theatre["c1"].crash()
        await settle()
        assert theatre.record.lines == ["c1 up", "c2 up", "c1 down", "c2 down", "c1 up", "c2 up"]
        assert theatre.record.told("c1") == ["ChildStarted", "ChildCrashed", "RestartScheduled", "ChildStarted"]
        assert theatre.record.told("c2") == ["ChildStarted", "ChildStopped", "ChildStarted"]
        assert states(supervisor) == [("c1", "running", 2), ("c2", "running", 2)]
        assert supervisor.count_children() == ChildCounts(specs=2, active=2, supervisors=0, actors=2)


async def test_O55_a_round_of_one_for_all_is_one_restart() -> None:
    theatre = Theatre("c1", "c2", strategy=Strategy.ONE_FOR_ALL, **LIMIT)

    async def scene() -> None:
        for id in ("c1", "c2", "c1"):
            theatre[id].crash()
            await settle()

    error = await gives_up(theatre.supervisor, scene)
    assert (error.child, error.restarts, error.limit) == ("c1", 3, 2)
    assert [theatre[id].incarnation for id in ("c1", "c2")] == [3, 3]
    assert theatre.record.lines[-2:] == ["c1 down", "c2 down"]


async def test_fault_D17_O55_crashes_in_one_moment_make_one_round() -> None:
    """Ours: OTP makes a round, and charges a restart, for each."""
    theatre = Theatre("a", "b", "c", strategy=Strategy.ONE_FOR_ALL, intensity=RestartIntensity(1, 60.0))
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].crash()
        theatre["c"].crash()
        await settle()
        assert [number for _, _, number in states(supervisor)] == [2, 2, 2]


async def test_O56_one_for_all_begins_again_when_another_ones_restart_fails() -> None:
    theatre = Theatre("c1", "c2", strategy=Strategy.ONE_FOR_ALL, **LIMIT)
    gate = theatre["c2"].gate = Gate()
    gate.open()
    async with theatre.supervisor.running() as supervisor:
        theatre.record.lines.clear()
        gate = theatre["c2"].gate = Gate()
        theatre["c2"].refuses = True
        theatre["c1"].crash()
        await arrival(gate)
        assert states(supervisor) == [("c1", "running", 2), ("c2", "starting", 2)]
        again = theatre["c2"].gate = Gate()
        gate.open()
        await arrival(again)
        assert theatre.record.lines == ["c1 down", "c2 down", "c1 up", "c2 refuses", "c1 down", "c1 up"]
        assert states(supervisor) == [("c1", "running", 3), ("c2", "starting", 3)]
        theatre["c2"].refuses = False
        again.open()
        await settle()
        assert theatre.record.lines[6:] == ["c2 up"]
        assert states(supervisor) == [("c1", "running", 3), ("c2", "running", 3)]
        assert theatre.record.told("c1")[-2:] == ["ChildStopped", "ChildStarted"]


async def test_O57_rest_for_one_restarts_those_behind() -> None:
    theatre = Theatre("c1", "c2", "c3", strategy=Strategy.REST_FOR_ONE, **LIMIT)
    async with theatre.supervisor.running() as supervisor:
        theatre.record.lines.clear()
        theatre["c2"].crash()
        await settle()
        assert theatre.record.lines == ["c2 down", "c3 down", "c2 up", "c3 up"]
        assert states(supervisor) == [("c1", "running", 1), ("c2", "running", 2), ("c3", "running", 2)]
        assert supervisor.count_children() == ChildCounts(specs=3, active=3, supervisors=0, actors=3)


async def test_O57_a_round_of_rest_for_one_is_one_restart() -> None:
    theatre = Theatre("c1", "c2", "c3", strategy=Strategy.REST_FOR_ONE, **LIMIT)

    async def scene() -> None:
        for id in ("c2", "c3", "c2"):
            theatre[id].crash()
            await settle()

    error = await gives_up(theatre.supervisor, scene)
    assert (error.child, error.restarts, error.limit) == ("c2", 3, 2)
    assert [theatre[id].incarnation for id in ("c1", "c2", "c3")] == [1, 2, 3]
    assert theatre.record.lines[-3:] == ["c2 down", "c3 down", "c1 down"]


async def test_O58_rest_for_one_goes_on_from_the_one_whose_restart_failed() -> None:
    theatre = Theatre("c1", "c2", strategy=Strategy.REST_FOR_ONE, **LIMIT)
    async with theatre.supervisor.running() as supervisor:
        theatre.record.lines.clear()
        gate = theatre["c2"].gate = Gate()
        theatre["c2"].refuses = True
        theatre["c1"].crash()
        await arrival(gate)
        assert states(supervisor) == [("c1", "running", 2), ("c2", "starting", 2)]
        again = theatre["c2"].gate = Gate()
        gate.open()
        await arrival(again)
        assert states(supervisor) == [("c1", "running", 2), ("c2", "starting", 3)]
        theatre["c2"].refuses = False
        again.open()
        await settle()
        assert theatre.record.lines == ["c1 down", "c2 down", "c1 up", "c2 refuses", "c2 up"]
        assert states(supervisor) == [("c1", "running", 2), ("c2", "running", 3)]


async def test_O59_a_template_restarts_one_alone() -> None:
    troupe = Troupe("c1", "c2", **LIMIT)
    async with troupe.supervisor.running() as supervisor:
        first, second = await troupe.hire("c1", "c2")
        troupe["c1"].crash()
        await settle()
        assert states(supervisor) == [("c1-1", "running", 2), ("c2-2", "running", 1)]
        assert [supervisor.which_child(ref).incarnation for ref in (first, second)] == [2, 1]
        assert supervisor.count_children() == ChildCounts(specs=1, active=2, supervisors=0, actors=2)


async def test_O59_children_of_a_template_share_a_limit() -> None:
    troupe = Troupe("c1", "c2", **LIMIT)

    async def scene() -> None:
        await troupe.hire("c1", "c2")
        for name in ("c1", "c2", "c1"):
            troupe[name].crash()
            await settle()

    error = await gives_up(troupe.supervisor, scene)
    assert (error.child, error.restarts, error.limit, error.of_supervisor) == ("c1-1", 3, 2, True)
    assert troupe.record.lines[-2:] == ["c1 down", "c2 down"]
    assert troupe.supervisor.count_children() == ChildCounts(specs=1, active=0, supervisors=0, actors=0)


async def test_O60_each_start_of_a_child_of_a_template_gives_its_value() -> None:
    troupe = Troupe("c1", "c2", **LIMIT)
    async with troupe.supervisor.running():
        for name in ("c1", "c2", "c1"):
            troupe[name].value = f"extra of {name}"
            (ref,) = await troupe.hire(name)
            assert ref.value == f"extra of {name}"


async def test_O60_a_child_that_gives_a_value_is_restarted_like_any_other() -> None:
    """A reference keeps the value of the start that it came from; who needs that of each life has to ask the child."""
    troupe = Troupe("c1", "c2", **LIMIT)
    async with troupe.supervisor.running() as supervisor:
        troupe["c1"].value = "extra 1"
        first, _ = await troupe.hire("c1", "c2")
        troupe["c1"].value = "extra 2"
        troupe["c1"].crash()
        await settle()
        assert states(supervisor) == [("c1-1", "running", 2), ("c2-2", "running", 1)]
        assert first.value == "extra 1"


async def test_O60_a_restart_by_request_gives_the_value_of_the_new_life() -> None:
    """Ours: in OTP nothing of a template can be down and come back; here it can have been parked."""
    troupe = Troupe("c1", spec={"on_exhausted": "park", "intensity": RestartIntensity.never()})
    async with troupe.supervisor.running() as supervisor:
        (ref,) = await troupe.hire("c1")
        troupe["c1"].crash()
        await settle()
        assert states(supervisor) == [("c1-1", "parked", 1)]
        troupe["c1"].value = "extra 2"
        assert await supervisor.restart_child(ref) == "extra 2"
        assert states(supervisor) == [("c1-1", "running", 2)]


async def test_O61_children_are_restarted_and_stopped_in_the_order_they_were_given_in() -> None:
    theatre = Theatre("ch7", "ch3", "ch10", "ch2", "ch5", strategy=Strategy.REST_FOR_ONE)
    async with theatre.supervisor.running() as supervisor:
        assert theatre.record.lines == ["ch7 up", "ch3 up", "ch10 up", "ch2 up", "ch5 up"]
        theatre.record.lines.clear()
        theatre["ch10"].crash()
        await settle()
        assert theatre.record.lines == ["ch10 down", "ch5 down", "ch2 down", "ch10 up", "ch2 up", "ch5 up"]
        assert [number for _, _, number in states(supervisor)] == [1, 1, 2, 2, 2]
        theatre.record.lines.clear()
    assert theatre.record.lines == ["ch5 down", "ch2 down", "ch10 down", "ch3 down", "ch7 down"]


async def test_O61_each_is_down_before_the_one_before_it_is_stopped_and_up_before_the_next_is_started() -> None:
    ids = ("ch7", "ch3", "ch10", "ch2", "ch5")
    theatre = Theatre(*ids, strategy=Strategy.REST_FOR_ONE, cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        for id in ids:
            theatre[id].start_takes = 1.0
        theatre["ch10"].crash()
        seen: list[list[str]] = []
        for _ in range(5):
            await settle(0.5)
            seen.append([state for _, state, _ in states(supervisor)][2:])
            await settle(0.5)
        assert seen == [
            ["waiting", "running", "stopping"],
            ["waiting", "stopping", "waiting"],
            ["starting", "waiting", "waiting"],
            ["running", "starting", "waiting"],
            ["running", "running", "starting"],
        ]
