"""Whether a bus lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.snapshots import actor, snapshot
from tocsin import BusStatistics, EventBus
from tocsin.cli._vigil import Vigil


def looks(*statistics: BusStatistics) -> list[str | None]:
    vigil = Vigil()
    return [vigil.look(each) for each in statistics]


@pytest.mark.parametrize("phase", ["running", "draining"])
@pytest.mark.parametrize("root", [None, "stopped"])
def test_a_bus_whose_tree_is_gone_does_not_live(phase: str, root: str | None) -> None:
    (trouble,) = looks(snapshot(phase=phase, root=root))
    assert trouble is not None
    assert "does not run" in trouble


@pytest.mark.parametrize("phase", ["starting", "stopping", "stopped"])
def test_a_bus_that_starts_or_stops_has_limits_of_its_own(phase: str) -> None:
    assert looks(*[snapshot(actor(depth=1), phase=phase, root="stopped")] * 5) == [None] * 5


def test_an_actor_that_takes_nothing_in_several_looks_does_not_live() -> None:
    trouble = "confirm has deliveries ready and does not take them (1 such)"
    assert looks(*[snapshot(actor(depth=1))] * 5) == [None, None, trouble, trouble, trouble]


def test_the_first_of_several_such_actors_is_named() -> None:
    both = snapshot(actor("a", depth=1), actor("b", depth=1))
    assert looks(both, both, both)[-1] == "a has deliveries ready and does not take them (2 such)"


@pytest.mark.parametrize("what", ["handled", "retried", "dead_lettered", "dropped", "returned", "incarnation"])
def test_whoever_moves_anything_lives(what: str) -> None:
    moves: list[dict[str, Any]] = [{"depth": 1, what: number} for number in range(9)]
    assert looks(*(snapshot(actor(**values)) for values in moves)) == [None] * 9


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 0},
        {"depth": 1, "in_flight": 1},
        {"depth": 1, "waiting_retry": 1},
        {"depth": 1, "state": "suspended"},
        {"depth": 1, "state": "parked"},
    ],
)
def test_whoever_has_a_reason_not_to_take_anything_lives(values: dict[str, Any]) -> None:
    assert looks(*[snapshot(actor(**values))] * 9) == [None] * 9


def test_one_look_at_which_it_could_move_begins_the_count_anew() -> None:
    stands, moves = snapshot(actor(depth=1)), snapshot(actor(depth=1, in_flight=1))
    assert looks(stands, stands, moves, stands, stands) == [None] * 5


async def test_a_bus_that_works_lives_at_every_look(make_bus: Callable[..., EventBus]) -> None:
    bus, vigil = make_bus(), Vigil()

    @bus.subscriber(int)
    async def take(number: int) -> None:
        assert vigil.look(bus.statistics()) is None

    async with bus.running():
        await bus.publish_many(range(200))
        assert vigil.look(bus.statistics()) is None
