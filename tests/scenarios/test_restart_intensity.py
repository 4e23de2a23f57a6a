"""How many restarts are too many: O47 to O54.

Ours is OTP's window with two differences that are tested here. Each child has a limit besides that of its supervisor;
and whoever gives up raises `RestartIntensityExceeded`, where OTP ends with the reason `shutdown`, as if all were well.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.cast_restarts import PLENTY, STRATEGIES, Troupe, at_most, gives_up
from tests.supervisors.scripted import Crash, Theatre, settle
from tocsin_supervisors import (
    ChildCounts,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartScheduled,
    Strategy,
    SupervisorGaveUp,
)

WHOSE = pytest.mark.parametrize("whose", ["child", "supervisor"])


def limited(whose: str, limit: RestartIntensity, **options: Any) -> dict[str, Any]:
    """Give the options of a theatre in which only that limit can be exceeded."""
    of_child, of_supervisor = (limit, PLENTY) if whose == "child" else (PLENTY, limit)
    return {"spec": {"intensity": of_child}, "intensity": of_supervisor, **options}


def facts_of(error: RestartIntensityExceeded) -> tuple[str, str, str, int, int, bool]:
    return error.supervisor, error.child, error.rule, error.restarts, error.limit, error.of_supervisor


@WHOSE
@STRATEGIES
async def test_fault_D11_O47_restarts_that_are_far_enough_apart_are_never_too_many(
    strategy: Strategy, whose: str
) -> None:
    theatre = Theatre("a", **limited(whose, at_most(1, 1.0), strategy=strategy))
    async with theatre.supervisor.running():
        for number in (2, 3, 4, 5):
            theatre["a"].crash()
            await settle(2.1)
            assert (theatre.state("a"), theatre.incarnation("a")) == ("running", number)


@WHOSE
async def test_O47_restarts_that_are_far_enough_apart_are_never_too_many_under_a_template(whose: str) -> None:
    troupe = Troupe("a", **limited(whose, at_most(1, 1.0)))
    async with troupe.supervisor.running() as supervisor:
        (ref,) = await troupe.hire("a")
        for number in (2, 3, 4, 5):
            troupe["a"].crash()
            await settle(2.1)
            child = supervisor.which_child(ref)
            assert (child.state, child.incarnation) == ("running", number)


async def test_O48_the_third_crash_is_too_much_where_two_restarts_are_allowed() -> None:
    theatre = Theatre("c1", "c2", **limited("supervisor", at_most(2, 3600.0)))

    async def scene() -> None:
        theatre["c1"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in ("c1", "c2")] == [2, 1]
        assert theatre.supervisor.count_children() == ChildCounts(specs=2, active=2, supervisors=0, actors=2)
        theatre["c2"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in ("c1", "c2")] == [2, 2]
        theatre.record.lines.clear()
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c1", "window", 3, 2, True)
    assert isinstance(error.__cause__, Crash)
    assert theatre.record.lines == ["c1 down", "c2 down"]
    assert theatre.supervisor.state == "stopped"
    assert [each.state for each in theatre.supervisor.which_children()] == ["stopped", "stopped"]


@WHOSE
async def test_O48_giving_up_is_reported_before_anybody_is_stopped(whose: str) -> None:
    theatre = Theatre("c1", "c2", **limited(whose, RestartIntensity.never()))

    async def scene() -> None:
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c1", "window", 1, 0, whose == "supervisor")
    assert theatre.record.told()[2:] == ["ChildCrashed", "SupervisorGaveUp", "SupervisorStopping", "ChildStopped"]
    report = theatre.record.only(SupervisorGaveUp)
    assert (report.supervisor, report.child, report.of_supervisor) == ("root", "c1", whose == "supervisor")
    assert (report.exceeded, report.failure) == (error.exceeded, error.failure)
    assert report.failure.message == "c1"


async def test_O49_crashes_of_different_children_add_up() -> None:
    theatre = Theatre("a", "b", "c", **limited("supervisor", at_most(2, 3600.0)))

    async def scene() -> None:
        for id in "abc":
            theatre[id].crash()
            await settle(2.0)  # at once, they would be of one cause

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c", "window", 3, 2, True)
    assert theatre.record.lines == [
        "a up",
        "b up",
        "c up",
        "a down",
        "a up",
        "b down",
        "b up",
        "c down",
        "b down",
        "a down",
    ]


async def test_O49_limits_of_children_are_their_own() -> None:
    """Ours: OTP has no limit of a child."""
    theatre = Theatre("a", "b", "c", **limited("child", at_most(2, 3600.0)))
    async with theatre.supervisor.running():
        for id in "abcabc":
            theatre[id].crash()
            await settle(2.0)
        assert [theatre.incarnation(id) for id in "abc"] == [3, 3, 3]


async def test_O49_many_that_crash_at_once_of_one_cause_are_charged_once() -> None:
    """Ours: OTP charges each, so that whatever they all need takes their supervisor down with it."""
    theatre = Theatre("a", "b", "c", "d", **limited("supervisor", at_most(2, 3600.0)))
    async with theatre.supervisor.running():
        for id in "abcd":
            theatre[id].crash()
        await settle(5.0)
        theatre["a"].crash()
        await settle(5.0)
        assert [theatre.incarnation(id) for id in "abcd"] == [3, 2, 2, 2]


# The clocks of both backends count exactly in halves, quarters, eighths.
GAPS = pytest.mark.parametrize(("gap", "survives"), [(1.0, True), (0.9375, False)], ids=["a period", "less"])


@GAPS
@pytest.mark.parametrize("whose", ["child", "supervisor", "subtree"])
async def test_fault_D10_O50_a_restart_exactly_one_period_ago_no_longer_counts(
    whose: str, gap: float, survives: bool
) -> None:
    """Ours: the window is half-open; OTP's is inclusive and counts in whole seconds, so it may span nearly one more."""
    limit = at_most(1, 1.0)
    subtree = {"subtree_intensity": limit} if whose == "subtree" else {}
    theatre = Theatre("a", **limited(whose, PLENTY if subtree else limit, **subtree))

    async def scene() -> None:
        for _ in range(3):
            await settle(gap)
            theatre["a"].crash()
        await settle(gap)
        assert (theatre.state("a"), theatre.incarnation("a")) == ("running", 4)

    if survives:
        async with theatre.supervisor.running():
            await scene()
    else:
        error = await gives_up(theatre.supervisor, scene)
        assert error.rule == ("subtree" if subtree else "window")
        assert (error.restarts, theatre["a"].incarnation) == (2, 2)


# ── failing restarts ──


@WHOSE
async def test_O51_failing_restarts_use_up_the_limit_one_for_one(whose: str) -> None:
    theatre = Theatre("c1", "c2", **limited(whose, at_most(4, 3600.0)))

    async def scene() -> None:
        theatre["c1"].refuses = True
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c1", "window", 5, 4, whose == "supervisor")
    assert str(error.__cause__) == "c1 refuses"
    assert theatre.record.lines == ["c1 up", "c2 up", "c1 down", *["c1 refuses"] * 4, "c2 down"]
    scheduled = [each for each in theatre.record.reports if isinstance(each, RestartScheduled)]
    assert [each.restarts for each in scheduled] == [1, 2, 3, 4]


async def test_O52_failing_restarts_use_up_the_limit_one_for_all() -> None:
    theatre = Theatre("c1", "c2", **limited("supervisor", at_most(4, 3600.0), strategy=Strategy.ONE_FOR_ALL))

    async def scene() -> None:
        theatre["c2"].refuses = True
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c2", "window", 5, 4, True)
    attempt = ["c1 up", "c2 refuses", "c1 down"]
    assert theatre.record.lines == ["c1 up", "c2 up", "c1 down", "c2 down", *attempt * 4]


async def test_O53_failing_restarts_use_up_the_limit_rest_for_one() -> None:
    theatre = Theatre("c1", "c2", **limited("supervisor", at_most(4, 3600.0), strategy=Strategy.REST_FOR_ONE))

    async def scene() -> None:
        theatre["c2"].refuses = True
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c2", "window", 5, 4, True)
    assert theatre.record.lines == [
        *("c1 up", "c2 up", "c1 down", "c2 down"),
        *("c1 up", *["c2 refuses"] * 4, "c1 down"),
    ]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE], ids=["O52", "O53"])
async def test_a_limit_of_the_child_counts_only_its_own_failures(strategy: Strategy) -> None:
    """Ours: that the crash of another one began the group's restart is not charged to it."""
    theatre = Theatre("c1", "c2", **limited("child", at_most(4, 3600.0), strategy=strategy))

    async def scene() -> None:
        theatre["c2"].refuses = True
        theatre["c1"].crash()

    error = await gives_up(theatre.supervisor, scene)
    assert facts_of(error) == ("root", "c2", "window", 5, 4, False)
    assert theatre.record.lines.count("c2 refuses") == 5


@WHOSE
async def test_O54_failing_restarts_use_up_the_limit_template(whose: str) -> None:
    troupe = Troupe("c1", "c2", **limited(whose, at_most(4, 3600.0)))

    async def scene() -> None:
        await troupe.hire("c1", "c2")
        troupe["c1"].refuses = True
        troupe["c1"].crash()

    error = await gives_up(troupe.supervisor, scene)
    assert facts_of(error) == ("root", "c1-1", "window", 5, 4, whose == "supervisor")
    assert troupe.record.lines == ["c1 up", "c2 up", "c1 down", *["c1 refuses"] * 4, "c2 down"]
    assert troupe.supervisor.which_children() == ()
