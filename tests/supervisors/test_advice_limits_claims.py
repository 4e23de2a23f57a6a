"""What is said of limits, against crashes that are charged to real histories."""

from __future__ import annotations

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.supervisors.advising import MostJitter, found, tree
from tocsin_supervisors import Backoff, RestartHistory, RestartIntensity
from tocsin_supervisors._advice_ends import ends_of_crash_loop
from tocsin_supervisors._advice_views import ChildView, SupervisorView

# All durations are eighths of a second, so that sums are exact and fall on the very boundary of a window.

EIGHTHS = st.integers(min_value=0, max_value=80).map(lambda count: count / 8)
INTENSITIES = st.builds(
    RestartIntensity,
    st.integers(min_value=0, max_value=6),
    st.integers(min_value=1, max_value=160).map(lambda count: count / 8),
    max_consecutive=st.none() | st.integers(min_value=1, max_value=9),
)


def growing(initial: float, more: float, factor: float, jitter: float) -> Backoff:
    return Backoff(initial, initial + more, factor, jitter)


BACKOFFS = st.builds(
    growing,
    EIGHTHS,
    EIGHTHS,
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
CHILDREN = st.builds(
    ChildView,
    st.just("c"),
    intensity=INTENSITIES,
    backoff=BACKOFFS,
    stable_after=EIGHTHS,
    on_exhausted=st.sampled_from(["park", "escalate"]),
)
VIEWS = st.builds(
    SupervisorView,
    st.just("root"),
    st.tuples(CHILDREN),
    intensity=INTENSITIES,
    subtree_intensity=st.none() | INTENSITIES,
)
# Of each life: how long it was up, None if its start failed; and what came on top of the delay before it.
LIVES = st.lists(st.tuples(st.none() | EIGHTHS, EIGHTHS), min_size=16, max_size=16)


class Crashing:
    """A child that crashes, and the histories that it is charged to, as its supervisor does."""

    def __init__(self, view: SupervisorView) -> None:
        (self.child,) = view.children
        self.view = view
        self.own, self.supervisor, self.subtree = RestartHistory(), RestartHistory(), RestartHistory()
        self.now = 0.0

    def crash(self) -> list[str]:
        """Give the rules that trip, first the one charged first; then wait for the restart."""
        view, charged = self.view, list[str]()
        tripped = self.own.charge(self.now, self.child.intensity)
        if tripped is not None:
            charged.append(tripped.rule)
        if self.supervisor.charge(self.now, view.intensity, consecutive=False):
            charged.append("supervisor")
        if view.subtree_intensity and self.subtree.charge(self.now, view.subtree_intensity, consecutive=False):
            charged.append("subtree")
        self.now += self.child.backoff.delay(max(1, self.own.consecutive), MostJitter())
        return charged

    def live(self, uptime: float | None) -> None:
        """Come up for so long; None: fail the start."""
        if uptime is not None:
            self.now += uptime
            self.own.settled(uptime, self.child.stable_after)


def first_end(view: SupervisorView) -> tuple[str, int, float] | None:
    """Let each life end at once; give the rule that trips first, after how many restarts and seconds."""
    crashing = Crashing(view)
    for restarts in range(40):  # more than any limit here, with the delay at its most since long
        at = crashing.now
        if tripped := crashing.crash():
            return tripped[0], restarts, at
        crashing.live(0.0)
    return None


@given(VIEWS)
def test_a_crash_loop_ends_by_the_rule_and_at_the_time_that_are_foretold(view: SupervisorView) -> None:
    ends = ends_of_crash_loop(view.children[0], view)
    foretold = (ends[0].rule, ends[0].restarts, ends[0].after) if ends else None
    assert foretold == first_end(view)


@given(VIEWS)
def test_a_child_is_said_to_be_restarted_for_ever_exactly_if_its_crash_loop_never_ends(view: SupervisorView) -> None:
    assert bool(found(view, "never_given_up")) == (first_end(view) is None)


@given(CHILDREN, BACKOFFS)
def test_an_outage_is_said_not_to_pass_exactly_if_suspensions_exceed_the_window(
    child: ChildView, suspension: Backoff
) -> None:
    intensity = attrs.evolve(child.intensity, may_never_trip=True)
    child = attrs.evolve(child, intensity=intensity, suspension=suspension)
    history, now, row, exceeded = RestartHistory(), 0.0, 0, False
    for _ in range(40):
        exceeded = exceeded or history.charge(now, intensity, consecutive=False) is not None
        row = 1 if child.stable_after == 0 else row + 1
        now += suspension.delay(row, MostJitter())
    said = [each for each in found(tree(child), "not_kept_clear") if "suspension" in each.text]
    assert bool(said) == exceeded


@given(VIEWS, LIVES)
def test_a_window_that_can_never_be_exceeded_is_not_whatever_the_lives(
    view: SupervisorView, lives: list[tuple[float | None, float]]
) -> None:
    (child,) = view.children
    findings = found(view, "window_never_trips") + found(view, "never_given_up")
    assume(findings)
    crashing = Crashing(view)
    only_rows = "without a life of" in findings[0].text.partition(":")[0]
    for uptime, extra in lives:
        assert "window" not in crashing.crash()
        crashing.now += extra
        if not (only_rows and uptime is not None and uptime >= child.stable_after):
            crashing.live(uptime)


@given(VIEWS)
def test_a_window_of_which_nothing_is_said_is_exceeded_by_a_crash_loop(view: SupervisorView) -> None:
    assume(not found(view, "window_never_trips") and not found(view, "never_given_up"))
    crashing = Crashing(view)
    for _ in range(40):
        if "window" in crashing.crash():
            return
        crashing.live(0.0)
    raise AssertionError("40 crashes did not exceed it")


@given(VIEWS, LIVES, st.integers(1, 5), EIGHTHS)
def test_before_a_window_that_the_supervisors_own_comes_first_of_the_supervisor_has_given_up(
    view: SupervisorView, lives: list[tuple[float | None, float]], more: int, longer: float
) -> None:
    its = view.children[0].intensity
    own = RestartIntensity(its.max_restarts, its.period + longer)
    child = attrs.evolve(view.children[0], intensity=attrs.evolve(its, max_restarts=its.max_restarts + more))
    view = attrs.evolve(view, children=(child,), intensity=own)
    assume(found(view, "supervisor_trips_first"))
    crashing, given_up = Crashing(view), False
    for uptime, extra in lives:
        tripped = crashing.crash()
        assert given_up or "window" not in tripped
        given_up = given_up or "supervisor" in tripped
        crashing.live(uptime if extra > 7 else 0.0)


@given(VIEWS, LIVES, st.integers(min_value=1, max_value=160))
def test_a_row_that_can_never_be_too_long_is_not_before_the_window_is_exceeded(
    view: SupervisorView, lives: list[tuple[float | None, float]], longer: int
) -> None:
    its = view.children[0].intensity
    longest = its.max_restarts * view.children[0].stable_after
    intensity = attrs.evolve(
        its, period=its.period + longest + longer, max_consecutive=its.max_restarts + longer % 3 or 1
    )
    child = attrs.evolve(view.children[0], intensity=intensity)
    view = attrs.evolve(view, children=(child,))
    assume(found(view, "consecutive_never_trips"))
    crashing = Crashing(view)
    for uptime, _ in lives:
        tripped = crashing.crash()
        if "window" in tripped:
            return
        assert "consecutive" not in tripped
        if child.stable_after == 0:
            crashing.live(uptime or 0.0)
        elif uptime is not None and uptime < child.stable_after:
            crashing.live(uptime)
