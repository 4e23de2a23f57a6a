"""When a loop counts as stalled: decided without threads, from times alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors._pulse import Pulse, Suspicion


def pulse_of(threshold: float = 1.0) -> Pulse:
    """Give a pulse that last beat at 0, when no work had been done yet."""
    return Pulse(threshold, 0.0, 0.0)


def look_as_planned(pulse: Pulse, now: float) -> Suspicion | None:
    """Look at the time for which the look was planned, just before."""
    pulse.seconds_to_look(now)
    return pulse.look(now, worked=0.0)


def stalled_pulse(now: float) -> Pulse:
    """Give a pulse with a stall that was seen at *now*."""
    pulse = pulse_of()
    suspicion = look_as_planned(pulse, now)
    assert suspicion is not None
    assert pulse.confirm(suspicion)
    return pulse


def test_a_loop_beats_twice_per_threshold() -> None:
    assert pulse_of(threshold=3.0).period == 1.5


def test_a_beat_that_is_younger_than_the_threshold_makes_no_suspicion() -> None:
    assert look_as_planned(pulse_of(), 0.999) is None


def test_a_beat_that_is_as_old_as_the_threshold_makes_a_suspicion() -> None:
    assert look_as_planned(pulse_of(), 1.0) == Suspicion(beat=0, seconds=1.0)


def test_the_beat_after_a_stall_tells_how_long_it_was() -> None:
    assert stalled_pulse(1.0).beat(4.5, worked=0.0) == 4.5


def test_a_stall_is_over_only_once() -> None:
    pulse = stalled_pulse(1.0)
    pulse.beat(2.0, worked=0.0)
    assert pulse.beat(2.5, worked=0.0) is None


def test_a_stall_is_seen_only_once() -> None:
    pulse = stalled_pulse(1.0)
    assert [look_as_planned(pulse, now) for now in (1.25, 2.0, 3600.0)] == [None] * 3


def test_the_next_stall_is_a_new_one() -> None:
    pulse = stalled_pulse(1.0)
    pulse.beat(2.0, worked=0.0)
    assert look_as_planned(pulse, 3.5) == Suspicion(beat=1, seconds=1.5)


def test_a_suspicion_that_nobody_confirms_is_no_stall() -> None:
    pulse = pulse_of()
    assert look_as_planned(pulse, 1.0) is not None
    assert pulse.beat(1.5, worked=0.0) is None


def test_a_suspicion_that_nobody_confirmed_comes_again() -> None:
    pulse = pulse_of()
    look_as_planned(pulse, 1.0)
    assert look_as_planned(pulse, 1.25) == Suspicion(beat=0, seconds=1.25)


def test_a_suspicion_is_not_confirmed_once_the_loop_has_beaten() -> None:
    pulse = pulse_of()
    suspicion = look_as_planned(pulse, 1.0)
    assert suspicion is not None
    pulse.beat(1.001, worked=0.0)
    assert not pulse.confirm(suspicion)
    assert pulse.beat(1.5, worked=0.0) is None


def test_a_look_is_planned_for_when_the_last_beat_will_be_too_old() -> None:
    pulse = pulse_of()
    pulse.beat(10.0, worked=0.0)
    assert pulse.seconds_to_look(10.25) == 0.75


def test_a_loop_that_is_overdue_is_looked_at_again_soon() -> None:
    assert pulse_of(threshold=4.0).seconds_to_look(9.0) == 1.0


@pytest.mark.parametrize("worked", [0.75, 3.0])
def test_what_was_over_before_it_was_seen_is_a_stall_if_the_process_has_worked(worked: float) -> None:
    assert pulse_of().beat(3.0, worked) == 3.0


@pytest.mark.parametrize("worked", [0.0, 0.5, 0.74])
def test_what_was_over_before_it_was_seen_is_no_stall_if_the_loop_can_have_been_busy_only_until_it_was_to_beat(
    worked: float,
) -> None:
    assert pulse_of().beat(3.0, worked) is None


def test_work_before_the_last_beat_proves_nothing() -> None:
    pulse = pulse_of()
    pulse.beat(0.5, worked=0.5)
    assert pulse.beat(3.0, worked=1.0) is None


def test_a_look_that_comes_late_forgives_a_process_that_has_slept() -> None:
    pulse = pulse_of()
    pulse.seconds_to_look(0.0)
    assert pulse.look(8.0, worked=0.1) is None
    assert pulse.beat(8.4, worked=0.5) is None


def test_a_loop_that_was_forgiven_has_one_period_to_beat() -> None:
    pulse = pulse_of()
    pulse.seconds_to_look(0.0)
    pulse.look(8.0, worked=0.1)
    assert pulse.seconds_to_look(8.0) == 0.5
    assert pulse.look(8.5, worked=0.1) == Suspicion(beat=0, seconds=1.0)


def test_a_look_that_comes_late_suspects_a_process_that_has_worked() -> None:
    pulse = pulse_of()
    pulse.seconds_to_look(0.0)
    assert pulse.look(8.0, worked=7.0) == Suspicion(beat=0, seconds=8.0)


def test_a_look_that_is_a_little_late_suspects_a_process_that_has_slept() -> None:
    pulse = pulse_of()
    pulse.seconds_to_look(0.0)
    assert pulse.look(1.2, worked=0.0) == Suspicion(beat=0, seconds=1.2)


# What happens next, how long after the last, and the work done meanwhile: in 1024ths of a second, which are exact.
STEPS = st.lists(
    st.tuples(st.sampled_from(["beat", "look", "look and confirm"]), st.integers(0, 3000), st.integers(0, 6000)),
    max_size=40,
)


@given(STEPS)
def test_no_stall_is_shorter_than_the_threshold_or_told_twice(steps: list[tuple[str, int, int]]) -> None:
    pulse, now, worked, last_beat = Pulse(1.0, 0.0, 0.0), 0.0, 0.0, 0.0
    for step, gap, work in steps:
        wait = pulse.seconds_to_look(now)
        assert 0 < wait <= 1.0
        now, worked = now + gap / 1024, worked + work / 1024
        if step == "beat":
            seconds = pulse.beat(now, worked)
            assert seconds is None or 1.0 <= seconds <= now - last_beat
            last_beat = now
            continue
        suspicion = pulse.look(now, worked)
        if suspicion is not None:
            assert 1.0 <= suspicion.seconds <= now - last_beat
            if step == "look and confirm":
                assert pulse.confirm(suspicion)
                assert pulse.look(now + 10.0, worked + 10.0) is None


@pytest.mark.parametrize("looks_at", [0.3, 0.5, 1.0])
def test_a_loop_that_beats_in_time_is_never_suspected(looks_at: float) -> None:
    pulse = pulse_of()
    for number in range(1, 20):
        start = (number - 1) * pulse.period
        assert look_as_planned(pulse, start + looks_at * pulse.period) is None
        assert pulse.beat(number * pulse.period, worked=number * pulse.period) is None
