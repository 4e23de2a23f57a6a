"""How many restarts survive, and which one does not."""

from __future__ import annotations

import math
from random import Random
from typing import Any, cast

import pytest

from tocsin_supervisors import Backoff, Exceeded, RestartHistory, RestartIntensity

WINDOW_ONLY = RestartIntensity(3, 5.0, max_consecutive=None)


def test_as_many_restarts_as_allowed_survive_and_the_next_one_trips() -> None:
    history = RestartHistory()
    assert [history.charge(now, WINDOW_ONLY) for now in (0.0, 1.0, 2.0)] == [None, None, None]
    assert history.charge(3.0, WINDOW_ONLY) == Exceeded("window", restarts=4, limit=3, period=5.0)


def test_a_restart_exactly_one_period_ago_no_longer_counts() -> None:
    history = RestartHistory()
    for now in (0.0, 1.0, 2.0):
        history.charge(now, WINDOW_ONLY)
    assert history.charge(5.0, WINDOW_ONLY) is None


def test_a_restart_just_inside_the_period_counts() -> None:
    history = RestartHistory()
    for now in (0.0, 1.0, 2.0):
        history.charge(now, WINDOW_ONLY)
    assert history.charge(math.nextafter(5.0, 0), WINDOW_ONLY) is not None


def test_a_slow_drip_never_trips_the_window() -> None:
    history = RestartHistory()
    assert all(history.charge(4.0 * n, WINDOW_ONLY) is None for n in range(1000))


def test_no_restart_allowed_means_the_first_trips() -> None:
    assert RestartHistory().charge(0.0, RestartIntensity.never()) == Exceeded("window", 1, 0, 5.0)


def test_restarts_in_a_row_trip_even_when_they_are_far_apart() -> None:
    history, intensity = RestartHistory(), RestartIntensity(3, 5.0, max_consecutive=2)
    assert [history.charge(now, intensity) for now in (0.0, 100.0)] == [None, None]
    assert history.charge(200.0, intensity) == Exceeded("consecutive", restarts=3, limit=2, period=5.0)


def test_a_stable_life_ends_the_row() -> None:
    history, intensity = RestartHistory(), RestartIntensity(3, 5.0, max_consecutive=2)
    history.charge(0.0, intensity)
    history.charge(100.0, intensity)
    history.settled(uptime=60.0, stable_after=60.0)
    assert history.consecutive == 0
    assert history.charge(200.0, intensity) is None


def test_a_short_life_does_not_end_the_row() -> None:
    history = RestartHistory()
    history.charge(0.0, WINDOW_ONLY)
    history.settled(uptime=59.9, stable_after=60.0)
    assert history.consecutive == 1


def test_a_suspension_charges_the_window_but_not_the_row() -> None:
    history, intensity = RestartHistory(), RestartIntensity(2, 5.0, max_consecutive=1)
    assert [history.charge(now, intensity, consecutive=False) for now in (0.0, 0.0)] == [None, None]
    assert history.consecutive == 0
    tripped = history.charge(0.0, intensity, consecutive=False)
    assert tripped is not None
    assert tripped.rule == "window"


def test_a_suspension_does_not_trip_a_row_that_is_already_too_long() -> None:
    history, intensity = RestartHistory(), RestartIntensity(3, 5.0, max_consecutive=1)
    history.charge(0.0, intensity)
    history.charge(10.0, intensity)
    assert history.charge(20.0, intensity, consecutive=False) is None


def test_the_window_is_named_before_the_row() -> None:
    history, intensity = RestartHistory(), RestartIntensity(1, 5.0, max_consecutive=1)
    history.charge(0.0, intensity)
    tripped = history.charge(0.0, intensity)
    assert tripped is not None
    assert tripped.rule == "window"


def test_a_cleared_history_starts_anew() -> None:
    history = RestartHistory()
    for _ in range(3):
        history.charge(0.0, WINDOW_ONLY)
    history.clear()
    assert history.restarts_within(5.0, now=0.0) == 0
    assert history.consecutive == 0


def test_a_storm_is_remembered_only_as_far_as_the_limit_reaches() -> None:
    history = RestartHistory()
    for _ in range(1000):
        history.charge(0.0, WINDOW_ONLY)
    assert history.restarts_within(5.0, now=0.0) == 4


def test_the_restarts_within_a_period_can_be_asked_for() -> None:
    history = RestartHistory()
    history.charge(0.0, WINDOW_ONLY)
    history.charge(2.0, WINDOW_ONLY)
    assert history.restarts_within(1.0, now=2.5) == 1


def test_an_outage_of_any_length_stays_below_the_limit_for_network_dependencies() -> None:
    history, intensity, random, now = RestartHistory(), RestartIntensity.for_network_dependency(), Random(0), 0.0
    for attempt in range(1, 2000):
        now += Backoff().delay(attempt, random)
        assert history.charge(now, intensity) is None


def test_a_crash_loop_without_backoff_trips_every_preset() -> None:
    for intensity in (RestartIntensity(), RestartIntensity.for_worker(), RestartIntensity.for_network_dependency()):
        history = RestartHistory()
        assert any(history.charge(0.01 * n, intensity) for n in range(50))


def test_of_the_presets_only_that_for_network_dependencies_is_meant_to_be_kept_clear_of() -> None:
    presets = [RestartIntensity(), RestartIntensity.never(), RestartIntensity.for_worker()]
    assert not any(preset.may_never_trip for preset in presets)
    assert RestartIntensity.for_network_dependency().may_never_trip


def test_a_limit_that_is_meant_to_be_kept_clear_of_trips_as_any_other() -> None:
    history, intensity = RestartHistory(), RestartIntensity(0, 5.0, may_never_trip=True)
    assert history.charge(0.0, intensity) == Exceeded("window", 1, 0, 5.0)


def test_whether_it_may_never_trip_is_said_by_a_bool() -> None:
    with pytest.raises(TypeError, match="may_never_trip"):
        RestartIntensity(may_never_trip=cast("Any", 1))


@pytest.mark.parametrize(
    ("exceeded", "text"),
    [
        (Exceeded("window", 4, 3, 5.0), "4 restarts within 5 s, 3 are allowed"),
        (Exceeded("consecutive", 11, 10, 5.0), "11 restarts in a row without a stable life between, 10 are allowed"),
    ],
)
def test_what_was_exceeded_reads_as_a_sentence(exceeded: Exceeded, text: str) -> None:
    assert str(exceeded) == text


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": True}, TypeError),
        ({"max_restarts": 1.0}, TypeError),
        ({"period": 0}, ValueError),
        ({"period": -1.0}, ValueError),
        ({"period": math.inf}, ValueError),
        ({"period": math.nan}, ValueError),
        ({"period": "5"}, TypeError),
        ({"max_consecutive": 0}, ValueError),
        ({"max_consecutive": False}, TypeError),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    (name,) = options
    with pytest.raises(error, match=f"^{name}="):
        RestartIntensity(**options)
