"""Parked children: down for exceeding their limit, until somebody restarts them, or they have rested."""

from __future__ import annotations

from typing import Any

from tests.supervisors.scripted import Theatre, settle
from tocsin_supervisors import RestartIntensity, RestartScheduled, Strategy

RESTING: dict[str, Any] = {"on_exhausted": "park", "intensity": RestartIntensity(1, 60.0), "unpark_after": 100.0}


async def parked(theatre: Theatre) -> None:
    """Crash a beyond its limit."""
    for _ in range(2):
        theatre["a"].crash()
        await settle()
    assert theatre.state("a") == "parked"


async def test_a_parked_child_is_started_again_when_it_has_rested() -> None:
    theatre = Theatre("a", "b", spec=RESTING)
    async with theatre.supervisor.running():
        await parked(theatre)
        await settle(99.0)
        assert theatre.state("a") == "parked"
        await settle(2.0)
        assert theatre.state("a") == "running"
        assert theatre["b"].incarnation == 1


async def test_it_then_has_all_its_restarts_to_spare() -> None:
    theatre = Theatre("a", spec=RESTING)
    async with theatre.supervisor.running():
        for _ in range(3):
            await parked(theatre)
            await settle(101.0)
        assert theatre.state("a") == "running"
        assert theatre.incarnation("a") == 7


async def test_the_end_of_a_rest_is_reported_as_a_restart() -> None:
    theatre = Theatre("a", spec=RESTING)
    async with theatre.supervisor.running():
        await parked(theatre)
        await settle(101.0)
    scheduled = [each for each in theatre.record.reports if isinstance(each, RestartScheduled)]
    assert [(each.delay, each.restarts) for each in scheduled] == [(0.0, 1), (0.0, 2)]


async def test_who_was_restarted_by_hand_is_not_started_a_second_time() -> None:
    theatre = Theatre("a", spec=RESTING)
    async with theatre.supervisor.running() as supervisor:
        await parked(theatre)
        await supervisor.restart_child("a")
        await settle(200.0)
        assert theatre.incarnation("a") == 3


async def test_who_was_terminated_meanwhile_stays_down() -> None:
    theatre = Theatre("a", spec=RESTING)
    async with theatre.supervisor.running() as supervisor:
        await parked(theatre)
        await supervisor.terminate_child("a")
        await settle(200.0)
        assert theatre.state("a") == "stopped"


async def test_who_was_deleted_meanwhile_stays_gone() -> None:
    theatre = Theatre("a", spec=RESTING)
    async with theatre.supervisor.running() as supervisor:
        await parked(theatre)
        await supervisor.delete_child("a")
        await settle(200.0)
        assert supervisor.which_children() == ()


async def test_a_stop_wins_over_the_end_of_a_rest() -> None:
    theatre = Theatre("a", "b", spec=RESTING, cleanup=3.0)
    async with theatre.supervisor.running():
        await parked(theatre)
        await settle(90.0)
    assert theatre.incarnation("a") == 2


async def test_a_rest_that_ends_while_its_group_is_being_restarted_ends_with_that() -> None:
    theatre = Theatre("a", "b", spec=RESTING, cleanup=2.0, strategy=Strategy.ONE_FOR_ALL)
    async with theatre.supervisor.running():
        theatre["a"].cleanup = 0.0
        theatre["a"].crash()
        await settle(3.0)
        theatre["a"].crash()
        await settle(99.5)
        assert theatre.state("a") == "parked"
        theatre["b"].crash()
        await settle(0.2)
        await settle(10.0)
        assert (theatre.state("a"), theatre.state("b")) == ("running", "running")
