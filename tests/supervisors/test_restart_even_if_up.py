"""A restart by request of a child that may be up: stopped first, then started, whatever it is about."""

from __future__ import annotations

import anyio
import pytest

from tests.supervisors.bench import CRASHED, Bench, spec
from tests.supervisors.scripted import Puppet, Theatre, settle
from tocsin_supervisors import (
    Backoff,
    ChildNotFound,
    ChildRunning,
    ChildSpec,
    ChildState,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
)
from tocsin_supervisors._directives import Begin, CutAsked, StopAsked
from tocsin_supervisors._requests import DeleteAsked, RestartAsked, StartAsked, TerminateAsked, Withdrawn

LONG = Backoff(initial=1000.0, maximum=1000.0, jitter=0.0)


def again(token: int, child: str) -> RestartAsked:
    return RestartAsked(token, child, even_if_up=True)


def test_one_that_is_up_is_stopped_and_started_as_soon_as_it_is_down() -> None:
    bench = Bench(spec("a"), spec("b"), strategy=Strategy.ONE_FOR_ALL).begin()
    assert bench.words(again(1, "a")) == ["stop a"]
    assert bench.ended("a") == []
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["answer 1"]


def test_it_is_not_charged_even_if_it_crashes_while_it_is_stopped() -> None:
    never = RestartIntensity.never()
    bench = Bench(spec("a", intensity=never), intensity=never).begin()
    for token in (1, 2):
        bench.on(again(token, "a"))
        bench.ended("a", CRASHED)
        bench.later(0.0)
        assert bench.up("a") == [f"answer {token}"]
    assert bench.told_above == 0


def test_one_that_waits_for_its_restart_is_started_at_once() -> None:
    bench = Bench(spec("a", backoff=LONG)).begin()
    bench.ended("a", CRASHED)
    assert bench.state("a") is ChildState.WAITING
    assert bench.words(again(1, "a")) == ["start a"]
    bench.up("a")
    assert bench.later(2000.0) == []


def test_one_that_starts_by_itself_begins_anew() -> None:
    bench = Bench(spec("a", backoff=Backoff.none())).begin()
    bench.ended("a", CRASHED)
    assert bench.later(0.0) == ["start a"]
    assert bench.words(again(1, "a")) == ["stop a"]
    assert bench.ended("a") == []
    assert bench.later(0.0) == ["start a"]


def test_one_whose_start_somebody_waits_for_is_left_alone() -> None:
    bench = Bench(spec("b")).begin()
    bench.on(StartAsked(1, spec("a")))
    assert bench.words(again(2, "a")) == ["refuse 2 ChildRestarting"]
    bench.up("a")
    bench.on(again(3, "a"))
    assert bench.words(again(4, "a")) == ["refuse 4 ChildRestarting"]
    assert bench.words(RestartAsked(5, "a")) == ["refuse 5 ChildRestarting"]
    assert bench.words(DeleteAsked(6, "a")) == ["refuse 6 ChildRestarting"]


def test_one_that_is_being_terminated_comes_back_and_both_are_told() -> None:
    bench = Bench(spec("a")).begin()
    assert bench.words(TerminateAsked(1, "a")) == ["stop a"]
    assert bench.words(again(2, "a")) == []
    assert bench.ended("a") == ["answer 1"]
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["answer 2"]


def test_whoever_terminates_it_meanwhile_wins() -> None:
    bench = Bench(spec("a")).begin()
    bench.on(again(1, "a"))
    assert bench.words(TerminateAsked(2, "a")) == ["refuse 1 ChildStartError"]
    assert bench.ended("a") == ["answer 2"]
    assert bench.state("a") is ChildState.STOPPED


def test_withdrawn_it_stays_down() -> None:
    bench = Bench(spec("a")).begin()
    bench.on(again(1, "a"))
    assert bench.words(Withdrawn(1, "a")) == []
    assert bench.ended("a") == []
    assert bench.state("a") is ChildState.STOPPED


@pytest.mark.parametrize("end", [StopAsked(), CutAsked()])
def test_the_end_of_the_supervisor_refuses_it(end: StopAsked | CutAsked) -> None:
    bench = Bench(spec("a")).begin()
    bench.on(again(1, "a"))
    assert "refuse 1 SupervisorNotRunning" in bench.words(end)
    assert bench.ended("a") == ["End"]


def test_a_member_of_a_round_takes_its_turn_last() -> None:
    bench = Bench(spec("a"), spec("b"), spec("c"), strategy=Strategy.ONE_FOR_ALL).begin()
    bench.ended("c", CRASHED)
    assert bench.words(again(1, "b")) == []
    assert bench.ended("b") == ["stop a"]
    bench.ended("a")
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["start c"]
    assert bench.up("c") == ["start b"]
    assert bench.up("b") == ["answer 1"]


def test_in_the_initial_start_the_others_go_on() -> None:
    bench = Bench(spec("a"), spec("b"))
    bench.on(Begin())
    assert bench.words(again(1, "a")) == ["stop a", "start b"]
    assert bench.ended("a") == bench.later(0.0) == []
    assert bench.up("b") == ["start a"]
    assert bench.up("a") == ["answer 1", "Ready"]


def test_one_that_is_unknown_is_not_found() -> None:
    assert Bench().begin().words(again(1, "a")) == ["refuse 1 ChildNotFound"]


async def test_a_fresh_incarnation_is_up_when_it_returns() -> None:
    theatre = Theatre("a", "b")
    async with theatre.supervisor.running() as supervisor:
        assert await supervisor.restart_child("a", even_if_up=True) is theatre["a"]
        assert (theatre["a"].incarnation, theatre["b"].incarnation) == (2, 1)
        with pytest.raises(ChildRunning):
            await supervisor.restart_child("a")
        with pytest.raises(ChildNotFound):
            await supervisor.restart_child("nobody", even_if_up=True)


async def test_a_temporary_child_that_was_declared_comes_back_and_one_started_later_is_refused() -> None:
    theatre = Theatre()
    declared = Puppet(theatre.record, "declared")
    theatre.supervisor.declare(declared.spec(restart=RestartPolicy.TEMPORARY))
    async with theatre.supervisor.running() as supervisor:
        await supervisor.restart_child("declared", even_if_up=True)
        assert declared.incarnation == 2
        await supervisor.start_child(Puppet(theatre.record, "passing").spec(restart=RestartPolicy.TEMPORARY))
        with pytest.raises(ChildRunning):
            await supervisor.restart_child("passing", even_if_up=True)


async def test_cancelled_the_child_is_brought_down() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with anyio.move_on_after(0.0):
            await supervisor.restart_child("a", even_if_up=True)
        await settle()
        assert supervisor.which_child("a").state == "stopped"


async def test_a_branch_is_restarted_with_all_that_is_below_it() -> None:
    theatre = Theatre("leaf")
    root = Supervisor("root", [ChildSpec("branch", theatre.supervisor)])
    async with root.running():
        await root.restart_child("branch", even_if_up=True)
        assert theatre["leaf"].incarnation == 2
