"""The machine alone: facts in, directives out, time as an argument."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.supervisors.bench import CRASHED, FAILURE, RENEWED, SUSPENDED, Bench, spec, told
from tocsin_supervisors import (
    Backoff,
    ChildParked,
    ChildSpec,
    ChildStartError,
    ChildState,
    Exit,
    Fatal,
    Finished,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Stopped,
    Strategy,
)
from tocsin_supervisors._alarms import Alarms
from tocsin_supervisors._directives import (
    Begin,
    Broke,
    CameUp,
    CutAsked,
    End,
    Ended,
    Hangs,
    RestartsBelow,
    StopAsked,
    Tick,
)
from tocsin_supervisors._requests import RestartAsked, StartAsked, TerminateAsked, Withdrawn

# ── start ──


def test_nobody_to_start_is_ready_at_once() -> None:
    assert Bench().words(Begin()) == ["Ready"]


def test_each_start_waits_for_the_one_before() -> None:
    bench = Bench(spec("a"), spec("b"))
    assert not bench.machine.is_ready
    assert bench.words(Begin()) == ["start a"]
    assert bench.up("a") == ["start b"]
    assert not bench.machine.is_ready
    assert bench.up("b") == ["Ready"]
    assert bench.machine.is_ready


def test_a_failed_first_start_rolls_back_in_reverse() -> None:
    bench = Bench(spec("a"), spec("b"), spec("c"))
    bench.on(Begin())
    bench.up("a")
    bench.up("b")
    assert bench.ended("c", CRASHED) == ["stop b"]
    assert bench.ended("b") == ["stop a"]
    (end,) = bench.on(Ended("a", 1, Stopped()))
    assert isinstance(end, End)
    assert isinstance(end.error, ChildStartError)


@pytest.mark.parametrize("exit", [CRASHED, SUSPENDED, RENEWED, Finished()])
def test_whatever_ends_a_first_start_fails_it(exit: Exit) -> None:
    bench = Bench(spec("a"))
    bench.on(Begin())
    (end,) = bench.on(Ended("a", 1, exit))
    assert isinstance(end, End)
    assert isinstance(end.error, ChildStartError)


def test_a_late_start_is_stopped_and_cancelled_and_counts_as_failed() -> None:
    bench = Bench(spec("a", start_timeout=5.0))
    bench.on(Begin())
    assert bench.later(4.9) == []
    assert bench.later(0.1) == ["stop a", "cancel a"]
    assert bench.up("a") == []
    assert bench.ended("a") == ["End"]


def test_while_somebodys_time_is_measured_the_clock_is_looked_at_every_quarter_of_a_second() -> None:
    bench = Bench(spec("a", start_timeout=5.0, grace_period=math.inf))
    bench.on(Begin())
    assert bench.machine.next_due() == 100.25
    assert bench.later(0.25) == []
    assert bench.machine.next_due() == 100.5
    bench.up("a")
    assert bench.machine.next_due() is None
    bench.on(TerminateAsked(1, "a"))
    assert bench.machine.next_due() is None


@pytest.mark.parametrize(("now", "late"), [(1.0, 6.75), (100.0, 6.75), (100.0, 0.26)])
def test_what_a_child_may_take_is_prolonged_by_the_time_in_which_nobody_could_run(now: float, late: float) -> None:
    bench = Bench(spec("a", start_timeout=5.0))
    bench.now = now
    bench.on(Begin())
    bench.now += 7.0
    assert bench.words(Tick(late=late)) == []
    assert bench.later(4.9) == []
    assert bench.later(0.1) == ["stop a", "cancel a"]


def test_a_little_late_is_not_blocked() -> None:
    bench = Bench(spec("a", start_timeout=5.0))
    bench.on(Begin())
    bench.now += 5.25
    assert bench.words(Tick(late=0.25)) == ["stop a", "cancel a"]


def test_a_child_is_not_excused_for_ever() -> None:
    bench = Bench(spec("a", start_timeout=5.0))
    bench.on(Begin())
    for _ in range(10):
        bench.now += 7.0
        assert bench.words(Tick(late=6.75)) == []
    bench.now += 7.0
    assert bench.words(Tick(late=6.75)) == ["stop a", "cancel a"]


def test_who_is_late_when_the_end_has_begun_is_stopped_in_its_turn() -> None:
    bench = Bench(spec("a", start_timeout=5.0))
    bench.on(Begin())
    bench.up("a")
    bench.on(StartAsked(1, spec("b", start_timeout=5.0)))
    bench.on(StartAsked(2, spec("c", grace_period=60.0)))
    bench.up("c")
    assert bench.words(StopAsked()) == ["refuse 1 SupervisorNotRunning", "stop c"]
    assert bench.later(10.0) == []
    assert bench.ended("c") == ["stop b"]


def test_a_crash_of_one_that_is_up_does_not_disturb_the_initial_start() -> None:
    bench = Bench(spec("a"), spec("b"))
    bench.on(Begin())
    bench.up("a")
    assert bench.ended("a", CRASHED) == []
    assert bench.later(0.0) == ["start a"]
    assert bench.up("b") == ["Ready"]


def test_a_restart_that_fails_during_the_initial_start_is_a_crash_like_any_other() -> None:
    bench = Bench(spec("a"), spec("b"))
    bench.on(Begin())
    bench.up("a")
    bench.ended("a", CRASHED)
    bench.later(0.0)
    assert bench.ended("a", CRASHED) == []
    assert bench.later(0.0) == ["start a"]


def test_a_group_restart_during_the_initial_start_starts_everybody_and_is_then_ready() -> None:
    bench = Bench(spec("a"), spec("b"), spec("c"), strategy=Strategy.ONE_FOR_ALL)
    bench.on(Begin())
    bench.up("a")
    assert bench.ended("a", CRASHED) == ["stop b"]
    assert bench.ended("b") == []
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["start b"]
    assert bench.up("b") == ["start c"]
    assert bench.up("c") == ["Ready"]


def test_a_late_word_of_a_former_life_says_nothing() -> None:
    bench = Bench(spec("a")).begin()
    bench.ended("a", CRASHED)
    bench.later(0.0)
    assert bench.words(CameUp("a", 1)) == []
    assert bench.words(Ended("a", 1, CRASHED)) == []
    assert bench.words(Hangs("a", 1)) == []
    assert bench.state("a") is ChildState.STARTING


# ── restarts ──


def test_a_restart_is_never_in_the_step_that_decides_it() -> None:
    bench = Bench(spec("a")).begin()
    assert bench.ended("a", CRASHED) == []
    assert bench.machine.next_due() == bench.now
    assert bench.later(0.0) == ["start a"]


def test_a_failure_while_the_round_stops_children_joins_it_uncharged() -> None:
    specs = [spec(id) for id in "abc"]
    bench = Bench(*specs, strategy=Strategy.REST_FOR_ONE, intensity=RestartIntensity(1, 60.0)).begin()
    assert bench.ended("b", CRASHED) == ["stop c"]
    assert bench.ended("c", CRASHED) == []
    assert bench.later(0.0) == ["start b"]
    assert bench.up("b") == ["start c"]


def test_an_earlier_failure_widens_the_round_that_stops_children() -> None:
    bench = Bench(*[spec(id) for id in "abcd"], strategy=Strategy.REST_FOR_ONE).begin()
    assert bench.ended("c", CRASHED) == ["stop d"]
    assert bench.ended("a", CRASHED) == []
    assert bench.ended("d") == ["stop b"]
    assert bench.ended("b") == []
    assert bench.later(0.0) == ["start a"]


def test_a_failure_during_the_backoff_of_a_round_begins_a_wider_one_that_waits_as_long() -> None:
    slow = Backoff(initial=10.0, maximum=10.0, jitter=0.0)
    bench = Bench(spec("a"), spec("b", backoff=slow), strategy=Strategy.REST_FOR_ONE).begin()
    bench.ended("b", CRASHED)
    bench.now += 1.0
    assert bench.ended("a", CRASHED) == []
    assert bench.later(8.0) == []
    assert bench.later(1.0) == ["start a"]


def test_a_renewal_in_a_round_that_stops_children_waits_for_its_turn() -> None:
    slow = Backoff(initial=10.0, maximum=10.0, jitter=0.0)
    bench = Bench(spec("a", backoff=slow), spec("b"), spec("c"), strategy=Strategy.ONE_FOR_ALL).begin()
    assert bench.ended("a", CRASHED) == ["stop c"]
    assert bench.ended("b", RENEWED) == []
    assert bench.ended("c") == []
    assert bench.later(1.0) == []
    assert bench.later(9.0) == ["start a"]
    assert bench.up("a") == ["start b"]


def test_a_renewal_while_the_round_starts_children_is_not_in_the_same_step() -> None:
    bench = Bench(spec("a"), spec("b"), strategy=Strategy.ONE_FOR_ALL).begin()
    bench.ended("a", CRASHED)
    bench.ended("b")
    bench.later(0.0)
    bench.up("a")
    assert bench.ended("a", RENEWED) == []
    assert bench.up("b") == []
    assert bench.later(0.0) == ["start a"]


def test_a_child_parked_in_its_turn_is_passed_over() -> None:
    once = RestartIntensity(1, 60.0)
    specs = [spec("a"), spec("b", on_exhausted="park", intensity=once), spec("c")]
    bench = Bench(*specs, strategy=Strategy.REST_FOR_ONE).begin()
    assert bench.ended("b", CRASHED) == ["stop c"]
    bench.ended("c")
    assert bench.later(0.0) == ["start b"]
    assert bench.ended("b", CRASHED) == ["start c"]
    assert bench.state("b") is ChildState.PARKED
    assert isinstance(bench.reports[-1], ChildParked)
    assert bench.up("c") == []
    bench.ended("a", CRASHED)
    bench.ended("c")
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["start c"]


def test_a_temporary_child_that_does_not_come_up_in_a_later_start_is_forgotten() -> None:
    bench = Bench(spec("a"), strategy=Strategy.ONE_FOR_ALL).begin()
    assert bench.words(StartAsked(1, spec("t", restart=RestartPolicy.TEMPORARY))) == ["start t"]
    assert bench.ended("t", CRASHED) == ["refuse 1 ChildStartError"]
    assert list(bench.machine.children.slots) == ["a"]


def test_an_unstarted_temporary_child_whose_turn_comes_in_a_second_round_fails_the_start() -> None:
    bench = Bench(spec("a"), spec("t", restart=RestartPolicy.TEMPORARY), strategy=Strategy.ONE_FOR_ALL)
    bench.on(Begin())
    bench.up("a")
    bench.ended("a", CRASHED)
    bench.ended("t")
    assert list(bench.machine.children.slots) == ["a"]


def test_suspensions_charge_the_windows_but_not_the_row() -> None:
    intensity = RestartIntensity(5, 60.0, max_consecutive=1)
    bench = Bench(spec("a", intensity=intensity, suspension=Backoff.none())).begin()
    for _ in range(5):
        bench.ended("a", SUSPENDED)
        assert bench.state("a") is ChildState.SUSPENDED
        assert bench.later(0.0) == ["start a"]
        bench.up("a")
    (end,) = bench.on(Ended("a", 6, SUSPENDED))
    assert isinstance(end, End)
    assert isinstance(end.error, RestartIntensityExceeded)
    assert end.error.rule == "window"


def test_a_suspension_at_a_later_start_suspends_again() -> None:
    suspension = Backoff(initial=4.0, jitter=0.0)
    bench = Bench(spec("a", suspension=suspension)).begin()
    bench.ended("a", SUSPENDED)
    bench.later(4.0)
    bench.ended("a", SUSPENDED)
    assert bench.state("a") is ChildState.SUSPENDED
    assert bench.machine.next_due() == bench.now + 8.0


def test_a_stable_life_ends_a_row_of_suspensions() -> None:
    suspension = Backoff(initial=4.0, jitter=0.0)
    bench = Bench(spec("a", suspension=suspension, stable_after=60.0)).begin()
    for _ in range(2):
        bench.ended("a", SUSPENDED)
        bench.later(4.0)
        bench.up("a")
        bench.now += 60.0
    bench.ended("a", SUSPENDED)
    assert bench.machine.next_due() == bench.now + 4.0


def test_a_permanent_child_that_returns_too_often_is_given_up_without_a_failure() -> None:
    bench = Bench(spec("a", intensity=RestartIntensity.never())).begin()
    (end,) = bench.on(Ended("a", 1, Finished()))
    assert isinstance(end, End)
    assert isinstance(end.error, RestartIntensityExceeded)
    assert end.error.failure is None


# ── stopping ──


def test_the_ladder_of_a_child_with_a_context() -> None:
    bench = Bench(spec("a", grace_period=5.0)).begin()
    assert bench.words(StopAsked()) == ["stop a"]
    assert bench.words(StopAsked()) == []
    assert bench.later(4.9) == []
    assert bench.later(0.1) == ["cancel a"]
    assert bench.later(0.9) == []
    assert bench.later(0.1) == ["a hangs", "AllHang"]
    assert bench.later(100.0) == []
    assert bench.ended("a") == ["End"]
    assert bench.words(StopAsked()) == []


def test_the_ladder_of_a_child_without_a_context() -> None:
    bench = Bench(ChildSpec("a", told, grace_period=5.0)).begin()
    assert bench.words(StopAsked()) == ["stop a", "cancel a"]
    assert bench.later(5.0) == ["a hangs", "AllHang"]
    assert bench.ended("a") == ["End"]


def test_a_child_that_hangs_is_passed_over() -> None:
    bench = Bench(spec("a"), spec("b", grace_period=0.0)).begin()
    assert bench.words(StopAsked()) == ["stop b"]
    assert bench.later(0.0) == ["cancel b"]
    assert bench.later(1.0) == ["b hangs", "stop a"]
    assert bench.ended("a") == ["AllHang"]
    assert bench.ended("b") == ["End"]


def test_dynamic_children_that_still_stop_do_not_hang() -> None:
    bench = Bench(template=spec)
    bench.on(Begin())
    for token, id in enumerate("ab"):
        bench.on(StartAsked(token, spec(id)))
        bench.up(id)
    assert bench.words(StopAsked()) == ["stop b", "stop a"]
    assert bench.ended("b") == []
    assert bench.ended("a") == ["End"]


def test_a_supervisor_that_says_it_hangs_is_passed_over_unnamed() -> None:
    bench = Bench(spec("a"), spec("b", grace_period=math.inf)).begin()
    bench.on(StopAsked())
    assert bench.words(Hangs("b", 1)) == ["stop a"]
    assert bench.words(Hangs("b", 1)) == []


def test_a_supervisor_that_says_twice_that_it_hangs_counts_once() -> None:
    bench = Bench(spec("a"), spec("b", grace_period=math.inf)).begin()
    bench.on(StopAsked())
    bench.on(Hangs("b", 1))
    bench.on(Hangs("b", 1))
    assert bench.ended("a") == ["AllHang"]


def test_hundreds_of_children_that_hang_are_counted() -> None:
    bench = Bench(*[spec(str(each), grace_period=math.inf) for each in range(300)], shutdown_deadline=10.0).begin()
    bench.on(StopAsked())
    bench.later(10.0)
    assert bench.later(1.0)[-1] == "AllHang"


def test_a_child_in_its_hundreds_of_lives_is_still_listened_to() -> None:
    bench = Bench(spec("a"), incarnations={"a": 998}).begin()
    bench.on(Ended("a", int("999"), CRASHED))
    assert bench.later(0.0) == ["start a"]


def test_a_child_that_is_not_being_stopped_cannot_hang() -> None:
    bench = Bench(spec("a")).begin()
    assert bench.words(Hangs("a", 1)) == []


def test_at_the_deadline_all_that_is_left_is_cancelled_at_once() -> None:
    bench = Bench(*[spec(id, grace_period=math.inf) for id in "abc"], shutdown_deadline=10.0).begin()
    bench.on(StopAsked())
    assert bench.later(10.0) == ["cancel c", "stop b", "cancel b", "stop a", "cancel a"]
    assert bench.later(1.0) == ["c hangs", "b hangs", "a hangs", "AllHang"]


def test_a_cut_stops_and_cancels_at_once_and_leaves_alone_who_hangs() -> None:
    bench = Bench(spec("a"), spec("b", grace_period=0.0)).begin()
    bench.on(StopAsked())
    bench.later(0.0)
    bench.later(1.0)
    assert bench.words(CutAsked()) == ["cancel a"]
    fresh = Bench(spec("a")).begin()
    assert fresh.words(CutAsked()) == ["stop a", "cancel a"]


def test_the_first_fatal_error_wins_over_all_others() -> None:
    first, second = KeyboardInterrupt(), SystemExit()
    bench = Bench(spec("a", intensity=RestartIntensity.never()), spec("b"), spec("c")).begin()
    bench.ended("a", CRASHED)
    bench.ended("b", Fatal(first, FAILURE))
    (end,) = bench.on(Ended("c", 1, Fatal(second, FAILURE)))
    assert end == End(first)
    broken = Bench().begin()
    assert broken.on(Broke(first)) == [End(first)]


def test_an_error_after_the_end_has_begun_is_not_raised() -> None:
    bench = Bench(spec("a"), spec("b")).begin()
    bench.on(StopAsked())
    bench.on(Broke(ValueError()))
    bench.ended("b")
    assert bench.on(Ended("a", 1, Finished())) == [End(None)]
    assert bench.state("a") is ChildState.FINISHED


# ── requests ──


def test_a_withdrawn_start_takes_its_child_away_again_even_when_it_is_up() -> None:
    bench = Bench().begin()
    bench.on(StartAsked(1, spec("a")))
    assert bench.up("a") == ["answer 1"]
    assert bench.words(Withdrawn(1, "a")) == ["stop a"]
    bench.ended("a")
    assert not bench.machine.children.slots


def test_a_withdrawn_start_that_waits_for_its_turn_is_forgotten_at_once() -> None:
    bench = Bench(spec("a"))
    bench.on(Begin())
    assert bench.words(StartAsked(1, spec("b"))) == []
    assert bench.words(Withdrawn(1, "b")) == []
    assert list(bench.machine.children.slots) == ["a"]
    assert bench.up("a") == ["Ready"]


@pytest.mark.parametrize("withdrawn", [Withdrawn(9, "a"), Withdrawn(9, "nobody")])
def test_a_withdrawal_of_another_request_changes_nothing(withdrawn: Withdrawn) -> None:
    bench = Bench(spec("a")).begin()
    assert bench.words(withdrawn) == []
    assert bench.state("a") is ChildState.RUNNING


def test_a_withdrawal_while_stopping_changes_nothing() -> None:
    bench = Bench(spec("a")).begin()
    bench.on(StopAsked())
    assert bench.words(Withdrawn(9, "a")) == []


def test_a_start_that_waits_is_refused_when_the_end_begins() -> None:
    bench = Bench(spec("a"))
    bench.on(Begin())
    bench.on(StartAsked(1, spec("b")))
    assert bench.words(StopAsked()) == ["refuse 1 SupervisorNotRunning", "stop a"]


def test_a_transient_child_that_has_nothing_to_do_answers_its_start() -> None:
    bench = Bench().begin()
    bench.on(StartAsked(1, spec("a", restart=RestartPolicy.TRANSIENT)))
    assert bench.ended("a", Finished()) == ["answer 1"]
    assert bench.state("a") is ChildState.FINISHED


def test_a_temporary_child_that_has_nothing_to_do_is_forgotten() -> None:
    bench = Bench().begin()
    bench.on(StartAsked(1, spec("a", restart=RestartPolicy.TEMPORARY)))
    assert bench.ended("a", Finished()) == ["answer 1"]
    assert not bench.machine.children.slots


def test_a_restarted_child_takes_its_turn_in_a_round_even_if_it_was_a_member() -> None:
    bench = Bench(spec("a"), spec("b"), strategy=Strategy.ONE_FOR_ALL).begin()
    bench.on(TerminateAsked(1, "b"))
    bench.ended("b")
    bench.ended("a", CRASHED)
    assert bench.words(RestartAsked(2, "b")) == []
    assert bench.later(0.0) == ["start a"]
    assert bench.up("a") == ["start b"]
    assert bench.up("b") == ["answer 2"]


def test_a_start_that_was_withdrawn_and_asked_for_again_takes_the_last_turn() -> None:
    bench = Bench(spec("a"))
    bench.on(Begin())
    bench.on(StartAsked(1, spec("b")))
    bench.on(StartAsked(2, spec("c")))
    bench.on(Withdrawn(1, "b"))
    bench.on(StartAsked(3, spec("b")))
    assert bench.up("a") == ["start c"]
    assert bench.up("c") == ["answer 2", "start b"]


# ── alarms ──


def test_alarms_are_due_in_order_and_only_once() -> None:
    alarms: Alarms[str] = Alarms(str.isupper)
    alarms.set("late", 3.0)
    alarms.set("early", 1.0)
    alarms.set("early", 2.0)
    alarms.set("never", math.inf)
    alarms.set("cleared", 1.0)
    alarms.clear("cleared")
    assert alarms.next_due() == 2.0
    assert alarms.pop_due(1.9) is None
    assert [alarms.pop_due(5.0) for _ in range(3)] == ["early", "late", None]
    assert alarms.next_due() is None


def test_alarms_that_are_set_and_cleared_over_and_over_disturb_none_that_is_set() -> None:
    alarms: Alarms[str] = Alarms(str.isupper)
    alarms.set("first", 1.0)
    for number in range(1000):
        alarms.set("again", 2000.0 - number)
        alarms.set("cleared", 2.0)
        alarms.clear("cleared")
    alarms.set("last", 3000.0)
    assert [alarms.pop_due(3000.0) for _ in range(4)] == ["first", "again", "last", None]


def test_alarms_about_somebodys_patience_are_known_as_long_as_they_are_set() -> None:
    alarms: Alarms[str] = Alarms(str.isupper)
    alarms.set("backoff", 1.0)
    assert not alarms.has_patience
    for key in ("PAST", "CLEARED", "NEVER", "OPEN"):
        alarms.set(key, 2.0)
    alarms.clear("CLEARED")
    alarms.set("NEVER", math.inf)
    alarms.put_off("OPEN", 10.0)
    assert [alarms.pop_due(3.0) for _ in range(3)] == ["backoff", "PAST", None]
    assert alarms.patience == ("OPEN",)
    assert alarms.next_due() == 12.0
    assert alarms.has_patience


# ── restarts below ──


def test_restarts_below_count_in_the_life_of_the_one_who_tells_of_them_and_before_the_end() -> None:
    bench = Bench(spec("a"), subtree_intensity=RestartIntensity(1, 60.0)).begin()
    assert bench.words(RestartsBelow("a", 7, 5, FAILURE)) == []
    assert bench.words(RestartsBelow("b", 1, 5, FAILURE)) == []
    assert bench.words(RestartsBelow("a", 1, 1, FAILURE)) == []
    assert bench.words(StopAsked()) == ["stop a"]
    assert bench.words(RestartsBelow("a", 1, 1, FAILURE)) == []
    (end,) = bench.on(Ended("a", 1, Stopped()))
    assert isinstance(end, End)
    assert end.error is None


def test_restarts_below_that_are_too_many_end_the_supervisor() -> None:
    bench = Bench(spec("a"), subtree_intensity=RestartIntensity(1, 60.0)).begin()
    assert bench.words(RestartsBelow("a", 1, 1, FAILURE)) == []
    assert bench.words(RestartsBelow("a", 1, 1, FAILURE)) == ["stop a"]


def test_each_restart_is_told_above_as_one() -> None:
    bench = Bench(spec("a")).begin()
    bench.ended("a", CRASHED)
    assert bench.told_above == 1


@pytest.mark.parametrize("limit", ["intensity", "subtree_intensity"])
def test_the_limit_of_failures_in_a_row_is_for_one_child_and_not_for_all_of_a_supervisor(limit: str) -> None:
    options: dict[str, Any] = {limit: RestartIntensity(100, 60.0, max_consecutive=2)}
    bench = Bench(spec("a"), spec("b"), **options).begin()
    for id in "abababab":
        bench.ended(id, CRASHED)
        assert bench.later(0.0) == [f"start {id}"]
        bench.up(id)


def test_a_restart_along_with_a_sibling_is_counted_as_one() -> None:
    bench = Bench(spec("a"), spec("b"), strategy=Strategy.ONE_FOR_ALL).begin()
    bench.ended("a", CRASHED)
    bench.ended("b")
    assert [slot.restarts for slot in bench.machine.children.slots.values()] == [1, 1]


# ── parked ──


def parked(rest: float) -> Bench:
    options: dict[str, Any] = {"intensity": RestartIntensity.never(), "on_exhausted": "park", "unpark_after": rest}
    bench = Bench(spec("a", **options)).begin()
    assert bench.ended("a", CRASHED) == []
    assert bench.state("a") is ChildState.PARKED
    return bench


def test_a_parked_child_is_started_at_once_when_it_has_rested() -> None:
    bench = parked(10.0)
    assert bench.machine.next_due() == bench.now + 10.0
    assert bench.later(10.0) == ["start a"]


def test_a_parked_child_that_need_not_rest_is_waited_for_by_nobody() -> None:
    assert parked(math.inf).machine.next_due() is None
