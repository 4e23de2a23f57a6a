"""The machine alone, where failures have a cause that is not the child's own: who is held, for whom, and until when."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.supervisors.bench import FAILURE, Bench, spec
from tocsin_supervisors import (
    Backoff,
    ChildHeld,
    ChildState,
    Crashed,
    Exit,
    RestartIntensity,
    RestartScheduled,
    Strategy,
    SuspendChild,
    Suspended,
)
from tocsin_supervisors._requests import DeleteAsked, RestartAsked, TerminateAsked

SLOW = Backoff(5.0, 5.0, jitter=0.0)


def crash(cause: str) -> Crashed:
    """Give a crash of a cause."""
    return Crashed(attrs.evolve(FAILURE, type=cause))


def suspension(cause: str) -> Suspended:
    """Give a suspension of a cause."""
    return Suspended(attrs.evolve(FAILURE, type=cause))


def bench(ids: str, **options: Any) -> Bench:
    """Give children that are all up, and take five seconds before each restart."""
    return Bench(*(spec(id, backoff=SLOW, suspension=SLOW) for id in ids), **options).begin()


def fail(bench: Bench, ids: str, exit: Exit) -> None:
    """Have several fail at once."""
    for id in ids:
        bench.ended(id, exit)


def held(bench: Bench) -> dict[str, str]:
    """Give who was held, and for whom."""
    return {each.child: each.canary for each in bench.reports if isinstance(each, ChildHeld)}


def test_a_child_that_was_held_and_started_by_hand_is_not_made_the_canary_of_the_others() -> None:
    stage = bench("abcd")
    fail(stage, "abcd", crash("X"))
    assert held(stage) == {"b": "a", "c": "a", "d": "a"}
    stage.on(TerminateAsked(1, "b"))
    stage.on(RestartAsked(2, "b"))
    stage.up("b")
    stage.on(TerminateAsked(3, "a"))
    assert stage.later(0.0) == ["start c"]


def test_a_child_that_was_held_and_terminated_is_not_made_the_canary_of_the_others() -> None:
    stage = bench("abcd")
    fail(stage, "abcd", crash("X"))
    stage.on(TerminateAsked(1, "b"))
    stage.on(TerminateAsked(2, "a"))
    assert stage.later(0.0) == ["start c"]


def test_a_child_that_has_failed_by_itself_since_it_was_held_keeps_to_its_own_backoff() -> None:
    stage = bench("abcd")
    fail(stage, "abcd", crash("X"))
    stage.on(TerminateAsked(1, "b"))
    stage.on(RestartAsked(2, "b"))
    stage.up("b")
    assert stage.later(5.0) == ["start a"]
    stage.up("a")
    stage.later(0.5)
    stage.ended("b", crash("its own"))
    stage.later(0.5)  # the canary has proved itself
    stage.reports.clear()
    stage.later(1.0)
    assert {stage.state(id) for id in "cd"} == {ChildState.STARTING}
    assert stage.state("b") is ChildState.WAITING
    assert stage.later(3.5) == ["start b"]


def test_who_fails_of_a_cause_that_only_held_ones_and_canaries_have_failed_of_is_the_canary() -> None:
    stage = Bench(*(spec(id, backoff=SLOW) for id in "pxyz"), spec("q", needs=("p",)), spec("c", backoff=SLOW)).begin()
    stage.ended("q", crash("X"))
    stage.later(0.0)
    stage.up("q")
    stage.ended("p", crash("X"))
    stage.ended("q", crash("of p"))
    assert held(stage) == {"q": "p"}
    fail(stage, "xyc", crash("Y"))
    assert held(stage) == {"q": "p", "y": "x", "c": "x"}
    stage.on(TerminateAsked(1, "c"))
    stage.on(RestartAsked(2, "c"))
    stage.up("c")
    stage.ended("c", crash("X"))
    stage.ended("z", crash("X"))
    assert held(stage) == {"q": "p", "y": "x", "c": "x", "z": "c"}


def test_what_is_forgiven_when_the_cause_is_seen_to_be_common_is_taken_back_above() -> None:
    stage = bench("abcd")
    fail(stage, "abc", crash("X"))
    assert set(held(stage)) == {"b", "c"}
    assert stage.told_above == 1


def test_a_suspended_child_may_name_its_cause_whatever_it_raised() -> None:
    stage = bench("abc")
    for id in "abc":
        failure = attrs.evolve(FAILURE, type=f"of {id}")
        stage.ended(id, Suspended(failure, SuspendChild("no database", cause="database")))
    assert set(held(stage)) == {"b", "c"}


def test_who_takes_the_place_of_a_lost_canary_starts_at_once() -> None:
    stage = bench("abcd")
    fail(stage, "abcd", crash("X"))
    stage.reports.clear()
    stage.on(TerminateAsked(1, "a"))
    assert [(each.child, each.delay) for each in stage.reports if isinstance(each, RestartScheduled)] == [("b", 0.0)]


def test_those_that_were_held_start_soon_after_the_canary_and_never_in_the_past() -> None:
    stage = bench("abcdefghijklmnop")
    fail(stage, "abcdefghijklmnop", crash("X"))
    stage.later(5.0)
    stage.up("a")
    stage.reports.clear()
    stage.later(1.0)  # the canary has proved itself
    delays = [each.delay for each in stage.reports if isinstance(each, RestartScheduled)]
    assert len(delays) == 15
    assert all(0.0 <= delay <= 1.0 for delay in delays)


def test_what_is_forgiven_counts_no_more_towards_the_limit_of_the_subtree() -> None:
    stage = bench("abcdef", subtree_intensity=RestartIntensity(3, 60.0))
    fail(stage, "abc", crash("X"))
    for id in "de":
        stage.ended(id, crash(f"of {id}"))
    assert not stage.machine.is_ending
    stage.ended("f", crash("one too many"))
    assert stage.machine.is_ending


def test_who_needs_one_that_is_just_starting_waits_for_it() -> None:
    stage = Bench(spec("p"), spec("q", needs=("p",))).begin()
    stage.ended("p", crash("X"))
    assert stage.later(0.0) == ["start p"]
    stage.ended("q", crash("of p"))
    assert held(stage) == {"q": "p"}


def test_where_children_are_restarted_together_nobody_waits_for_whom_it_needs() -> None:
    stage = Bench(spec("a", needs=("b",)), spec("b"), strategy=Strategy.ONE_FOR_ALL).begin()
    stage.ended("b", crash("X"))
    stage.ended("a")
    stage.later(0.0)
    stage.up("a")
    assert stage.state("b") is ChildState.STARTING
    stage.ended("a", crash("Y"))
    assert held(stage) == {}


def test_a_canary_waits_for_nobody_that_it_needs() -> None:
    stage = Bench(spec("a", backoff=SLOW, needs=("d",)), *(spec(id, backoff=SLOW) for id in "bcd")).begin()
    fail(stage, "abc", crash("X"))
    assert held(stage) == {"b": "a", "c": "a"}
    stage.later(5.0)
    stage.up("a")
    stage.ended("d", crash("Y"))
    stage.ended("a", crash("X"))
    assert "a" not in held(stage)


def test_who_needs_one_that_there_is_not_waits_for_nobody() -> None:
    stage = Bench(spec("p"), spec("q", needs=("p",))).begin()
    stage.on(TerminateAsked(1, "p"))
    stage.ended("p")
    stage.on(DeleteAsked(2, "p"))
    stage.ended("q", crash("X"))
    assert held(stage) == {}
    assert stage.later(0.0) == ["start q"]


@pytest.mark.parametrize("exits", ["ssc", "scs", "css", "ccs", "scc", "csc", "ccc"])
def test_what_was_not_charged_is_not_forgiven_when_the_cause_is_seen_to_be_common(exits: str) -> None:
    stage = bench("abcdefgh", intensity=RestartIntensity(3, 60.0))
    stage.ended("d", crash("its own"))
    for id, exit in zip("abc", exits, strict=True):
        stage.ended(id, suspension("X") if exit == "s" else crash("X"))
    assert set(held(stage)) == {"b", "c"}
    charged = 1 + (exits[0] == "c")  # of an outbreak the canary's failure alone, if it was a crash
    for id in "efg"[: 3 - charged]:
        stage.ended(id, crash(f"of {id}"))
    assert not stage.machine.is_ending
    stage.ended("h", crash("one too many"))
    assert stage.machine.is_ending
