"""Which rule ends a crash loop, and which can never trip: the sentences."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.supervisors.advising import found, leaves, only, rules, tree
from tocsin_supervisors import Backoff, RestartIntensity, RestartPolicy, Strategy
from tocsin_supervisors._advice_ends import ends_of_crash_loop
from tocsin_supervisors._advice_views import ChildView

OUTAGE = RestartIntensity.for_network_dependency()
QUICK = Backoff(0.1, 0.5)


def row_off(max_restarts: int, period: float, **options: Any) -> RestartIntensity:
    return RestartIntensity(max_restarts, period, max_consecutive=None, **options)


def test_a_child_that_no_rule_can_give_up_is_warned_of() -> None:
    finding = only(tree(ChildView("feed", intensity=row_off(10, 10.0))), "never_given_up")
    assert finding.severity == "warning"
    assert finding.children == ("feed",)
    assert str(finding) == (
        "root: crashes alone can never exceed the window of child 'feed' (10 restarts within 10 s): with a backoff of "
        "0.1 s to 30 s, 11 crashes take at least 60.8 s. Nor are they ever too many for the supervisor's own limit of "
        "30 restarts within 60 s, and with max_consecutive=None no row is too long: a child that can never work is "
        "restarted for ever. Set max_consecutive, lengthen the period, or say may_never_trip=True if that is meant."
    )


def test_who_says_that_it_is_meant_is_not_warned() -> None:
    assert found(tree(ChildView("feed", intensity=row_off(10, 10.0, may_never_trip=True)))) == []


@pytest.mark.parametrize(
    "options",
    [
        {"intensity": RestartIntensity(2, 5.0)},
        {"subtree_intensity": RestartIntensity(2, 5.0)},
        {"limits_above": (RestartIntensity(2, 5.0),)},
    ],
)
def test_a_child_is_not_restarted_for_ever_if_a_limit_over_many_gives_it_up(options: dict[str, Any]) -> None:
    view = tree(ChildView("feed", intensity=row_off(10, 10.0)), **options)
    finding = only(view, "window_never_trips")
    assert finding.severity == "note"
    assert "of 2 restarts within 5 s" in finding.text
    assert "after 3 crashes and at the earliest 0.225 s after the first" in finding.text


def test_a_window_that_the_row_comes_before_is_noted() -> None:
    finding = only(tree(ChildView("feed", intensity=RestartIntensity(10, 10.0))), "window_never_trips")
    assert finding.severity == "note"
    assert "is ended by max_consecutive=10, after 11 crashes and at the earliest 60.8 s after the first" in finding.text


def test_where_a_stable_life_fits_into_the_window_only_rows_of_crashes_are_spoken_of() -> None:
    finding = only(tree(ChildView("feed", intensity=RestartIntensity(40, 600.0))), "window_never_trips")
    assert finding.text.startswith("crashes without a life of 60 s between them can never exceed")


@pytest.mark.parametrize("stable_after", [0.0, 10.0, 60.0])
def test_where_none_fits_into_it_stable_lives_are_not_spoken_of(stable_after: float) -> None:
    child = ChildView("feed", intensity=row_off(5, 10.0), backoff=Backoff(4.0, 4.0), stable_after=stable_after)
    assert only(tree(child), "never_given_up").text.startswith("crashes alone can never exceed the window")


def test_a_crash_exactly_one_period_after_the_first_does_not_exceed_the_window() -> None:
    second = Backoff(1.0, 1.0, jitter=0)
    never, just = (ChildView("c", intensity=row_off(5, period), backoff=second) for period in (5.0, 5.001))
    assert rules(tree(never)) == [("window_never_trips", "note")]
    assert rules(tree(just)) == []


def test_at_one_crash_the_child_comes_before_its_supervisor_and_that_before_the_subtree() -> None:
    three = RestartIntensity(3, 5.0)
    view = tree(ChildView("c", intensity=RestartIntensity(3, 5.0, max_consecutive=3)), intensity=three)
    view = attrs.evolve(view, subtree_intensity=three, limits_above=(three,))
    ends = [end.rule for end in ends_of_crash_loop(view.children[0], view)]
    assert ends == ["window", "consecutive", "supervisor", "subtree", "subtree"]


def test_a_child_that_no_crash_loop_can_have_parked_is_warned_of() -> None:
    parking = ChildView("feed", intensity=row_off(10, 10.0), on_exhausted="park")
    finding = only(tree(parking, intensity=RestartIntensity(2, 5.0)), "window_never_trips")
    assert finding.severity == "warning"
    assert "so no crash loop ever has it parked, the supervisor is given up" in finding.text


def test_a_child_that_its_row_has_parked_is_not_warned_of() -> None:
    parking = ChildView("poller", intensity=RestartIntensity(100, 60.0), on_exhausted="park")
    assert rules(tree(parking)) == [("window_never_trips", "note")]


@pytest.mark.parametrize(
    ("child", "end"),
    [
        (ChildView("net", intensity=OUTAGE, backoff=Backoff(0.1, 5.0)), "its own limit of 40 restarts within 600 s"),
        (ChildView("net", intensity=RestartIntensity(40, 600, may_never_trip=True)), "max_consecutive=10"),
    ],
)
def test_a_limit_that_is_not_kept_clear_of_although_it_is_meant_is_warned_of(child: ChildView, end: str) -> None:
    finding = only(tree(child), "not_kept_clear")
    assert finding.severity == "warning"
    assert f"a crash loop is ended by {end}" in finding.text


def test_an_outage_that_a_limit_over_many_does_not_let_pass_is_noted() -> None:
    finding = only(tree(ChildView("net", intensity=OUTAGE), intensity=RestartIntensity(5, 60.0)), "not_kept_clear")
    assert finding.severity == "note"
    assert "a crash loop is ended by the supervisor's own limit of 5 restarts within 60 s" in finding.text


def test_it_is_warned_of_if_the_childs_own_limit_would_not_let_it_pass_either() -> None:
    child = ChildView("net", intensity=OUTAGE, backoff=Backoff(0.1, 5.0))
    finding = only(tree(child, intensity=RestartIntensity(5, 60.0)), "not_kept_clear")
    assert finding.severity == "warning"
    assert "the supervisor's own limit of 5 restarts" in finding.text


def test_an_outage_that_the_suspension_does_not_let_pass_is_warned_of() -> None:
    finding = only(tree(ChildView("net", intensity=OUTAGE, suspension=Backoff(1.0, 4.0))), "not_kept_clear")
    assert finding.severity == "warning"
    assert finding.text == (
        "may_never_trip=True says that child 'net' is meant to keep clear of the limit of 40 restarts within 600 s for "
        "ever, but with a suspension of 1 s to 4 s, 41 suspensions may take no longer than 116 s. Let the suspension "
        "grow further, allow more restarts, or take may_never_trip away."
    )


def test_a_suspension_that_was_not_chosen_is_noted() -> None:
    rare = ChildView("net", intensity=row_off(5, 60.0, may_never_trip=True), backoff=Backoff(30.0, 30.0))
    assert rules(tree(rare)) == [("not_kept_clear", "note")]


def test_a_window_that_the_supervisors_own_comes_before_is_noted() -> None:
    view = tree(ChildView("feed", intensity=RestartIntensity(100, 60.0), backoff=QUICK))
    finding = only(view, "supervisor_trips_first")
    assert finding.severity == "note"
    assert "first; a crash loop is ended by max_consecutive=10" in finding.text
    assert finding.text.endswith("Allow the child at most 30 within that time, or the supervisor at least 100.")


def test_it_is_warned_of_if_the_child_was_to_be_parked() -> None:
    child = ChildView("feed", intensity=row_off(100, 60.0), backoff=QUICK, on_exhausted="park")
    finding = only(tree(child), "supervisor_trips_first")
    assert finding.severity == "warning"
    assert "so no crash loop ever has it parked" in finding.text


@pytest.mark.parametrize("own", [RestartIntensity(100, 60.0), RestartIntensity(30, 59.0)])
def test_a_supervisor_that_allows_as_much_or_looks_back_less_far_does_not_come_first(own: RestartIntensity) -> None:
    view = tree(ChildView("feed", intensity=row_off(100, 60.0), backoff=QUICK), intensity=own)
    assert found(view, "supervisor_trips_first") == []


def test_a_hundred_restarts_without_a_pause_are_a_hot_loop() -> None:
    hot = ChildView("hot", intensity=row_off(101, 60.0), backoff=Backoff.none())
    finding = only(tree(hot, intensity=RestartIntensity(1000, 60.0)), "hot_loop")
    assert finding.severity == "warning"
    assert (
        "101 times with no delay between before its own limit of 101 restarts within 60 s is exceeded" in finding.text
    )


@pytest.mark.parametrize(
    ("child", "own"),
    [
        (ChildView("c", intensity=row_off(100, 60.0), backoff=Backoff.none()), RestartIntensity(1000, 60.0)),
        (ChildView("c", intensity=row_off(1000, 60.0), backoff=Backoff.none()), RestartIntensity(100, 60.0)),
        (ChildView("c", intensity=RestartIntensity(1000, 60.0), backoff=Backoff.none()), RestartIntensity(1000, 60.0)),
        (ChildView("c", intensity=row_off(1000, 60.0), backoff=Backoff(0.01, 0.01)), RestartIntensity(1000, 60.0)),
    ],
)
def test_a_loop_is_not_hot_if_any_limit_or_delay_cools_it(child: ChildView, own: RestartIntensity) -> None:
    assert found(tree(child, intensity=own), "hot_loop") == []


def test_a_row_of_which_each_life_is_stable_is_noted() -> None:
    finding = only(tree(ChildView("feed", stable_after=0.0)), "consecutive_never_trips")
    assert finding.severity == "note"
    assert "max_consecutive=10 can never be exceeded, as with stable_after=0" in finding.text


def test_a_row_of_stable_lives_is_noted_whatever_the_supervisor_allows() -> None:
    view = tree(ChildView("feed", stable_after=0.0), intensity=RestartIntensity(100, 1.0))
    assert ("consecutive_never_trips", "note") in rules(view)


def test_a_start_that_fails_lengthens_the_row_even_then() -> None:
    finding = only(tree(ChildView("feed", stable_after=0.0, wants_context=True)), "consecutive_never_trips")
    assert "max_consecutive=10 counts only starts that fail" in finding.text


@pytest.mark.parametrize("wants_context", [False, True])
def test_with_neither_row_nor_window_a_child_is_restarted_for_ever(wants_context: bool) -> None:
    child = ChildView("feed", stable_after=0.0, backoff=Backoff(4.0, 4.0), wants_context=wants_context)
    view = tree(child, intensity=RestartIntensity(30, 60.0))
    assert rules(view) == [("never_given_up", "warning")]
    assert "Give a stable_after above 0 s, lengthen" in only(view, "never_given_up").text


@pytest.mark.parametrize("row", [5, 20])
def test_a_row_that_the_window_always_comes_before_is_noted(row: int) -> None:
    child = ChildView("feed", intensity=RestartIntensity(5, 3600.0, max_consecutive=row))
    finding = only(tree(child), "consecutive_never_trips")
    assert finding.severity == "note"
    assert "6 crashes without a life of 60 s between them take 303.1 s at most" in finding.text


@pytest.mark.parametrize(
    ("child", "strategy"),
    [
        (ChildView("c", intensity=RestartIntensity(5, 3600.0)), Strategy.ONE_FOR_ONE),  # the default: not chosen
        (ChildView("c", intensity=row_off(5, 3600.0)), Strategy.ONE_FOR_ONE),
        (ChildView("c", intensity=RestartIntensity(0, 3600.0, max_consecutive=20)), Strategy.ONE_FOR_ONE),
        (ChildView("c", intensity=RestartIntensity(21, 3600.0, max_consecutive=20)), Strategy.ONE_FOR_ONE),
        (ChildView("c", intensity=RestartIntensity(5, 303.1, max_consecutive=20)), Strategy.ONE_FOR_ONE),
        (ChildView("c", intensity=RestartIntensity(5, 3600.0, max_consecutive=20)), Strategy.ONE_FOR_ALL),
        (
            ChildView(
                "c", intensity=RestartIntensity(5, 600, max_consecutive=20), wants_context=True, start_timeout=90
            ),
            Strategy.ONE_FOR_ONE,
        ),
    ],
)
def test_nothing_is_said_of_a_row_that_may_be_too_long_or_was_not_chosen(child: ChildView, strategy: Strategy) -> None:
    assert found(tree(child, strategy=strategy), "consecutive_never_trips") == []


def test_of_a_row_that_is_meant_never_to_end_nothing_is_said() -> None:
    child = ChildView("c", intensity=RestartIntensity(5, 3600.0, max_consecutive=20, may_never_trip=True))
    assert found(tree(child), "consecutive_never_trips") == []


def test_the_limits_of_a_temporary_child_are_not_spoken_of() -> None:
    child = ChildView("c", intensity=row_off(10, 10.0), restart=RestartPolicy.TEMPORARY)
    assert [rule for rule, _ in rules(tree(child))] == ["option_without_effect"]


def test_children_of_one_make_are_one_finding() -> None:
    view = tree(*leaves(100, intensity=row_off(10, 10.0), grace_period=0.0))
    (finding,) = found(view)
    assert len(finding.children) == 100
    assert "of children 'c0', 'c1', 'c2', 'c3' and 96 more (10" in finding.text


@pytest.mark.parametrize(
    "intensity", [RestartIntensity(), RestartIntensity.never(), RestartIntensity.for_worker(), OUTAGE]
)
@pytest.mark.parametrize("park", ["park", "escalate"])
def test_the_presets_are_not_spoken_of(intensity: RestartIntensity, park: Any) -> None:
    assert found(tree(ChildView("c", intensity=intensity, on_exhausted=park))) == []


def test_a_limit_too_large_to_be_printed_is_spoken_of_all_the_same() -> None:
    huge = ChildView("c", intensity=RestartIntensity(10**5000, 5.0, max_consecutive=10**5000))
    finding = only(tree(huge), "window_never_trips")
    assert "over 2^16609 restarts within 5 s" in finding.text
    assert "max_consecutive=over 2^16609" in finding.text
