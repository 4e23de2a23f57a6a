"""The restart history against a list that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsin_supervisors import RestartHistory, RestartIntensity

INTENSITIES = st.builds(
    RestartIntensity,
    st.integers(min_value=0, max_value=5),
    st.integers(min_value=1, max_value=8),
    max_consecutive=st.none() | st.integers(min_value=1, max_value=6),
)
# (seconds since the last restart, whether it counts as consecutive, uptime told afterwards): whole numbers, so that
# restarts fall exactly on the window's boundary.
STEPS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.none() | st.integers(0, 5)), max_size=40)


@given(INTENSITIES, STEPS)
def test_the_history_agrees_with_a_list_of_all_restarts(
    intensity: RestartIntensity, steps: list[tuple[int, bool, int | None]]
) -> None:
    history, now, times, row = RestartHistory(), 0, list[int](), 0
    for gap, consecutive, uptime in steps:
        now += gap
        times.append(now)
        row += consecutive
        window = sum(now - intensity.period < time <= now for time in times)
        tripped = history.charge(now, intensity, consecutive=consecutive)
        limit = intensity.max_consecutive
        rule = tripped and tripped.rule
        if window > intensity.max_restarts:
            assert rule == "window"
        else:
            assert rule == ("consecutive" if consecutive and limit is not None and row > limit else None)
        assert history.restarts_within(intensity.period, now) == min(window, intensity.max_restarts + 1)
        if uptime is not None:
            history.settled(uptime, stable_after=3)
            row = 0 if uptime >= 3 else row
        assert history.consecutive == row
