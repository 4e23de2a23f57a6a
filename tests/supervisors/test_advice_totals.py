"""Limits over several children: the sentences, and what they let through against real histories."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.supervisors.advising import found, leaves, nested, only, tree
from tocsin_supervisors import Backoff, RestartHistory, RestartIntensity, RestartPolicy, Strategy
from tocsin_supervisors._advice_totals import most_below, most_restarts
from tocsin_supervisors._advice_views import ChildView, SupervisorView

MANY = RestartIntensity(100, 60.0)


# ── the supervisor's own limit ──


def test_a_supervisor_whose_children_give_up_first_is_noted() -> None:
    finding = only(tree(*leaves(3), intensity=MANY), "supervisor_never_trips")
    assert finding.severity == "note"
    assert finding.children == ("c0", "c1", "c2")
    assert finding.text == (
        "the limit of 100 restarts within 60 s can never be exceeded by 3 children: their own limits let through at "
        "most 30 restarts in that time, and whichever asks for more is given up or parked first. Lower it if it is to "
        "count."
    )


@pytest.mark.parametrize(
    "view",
    [
        tree(*leaves(3)),  # the default is not spoken of
        tree(intensity=MANY),
        tree(*leaves(3), intensity=MANY, is_template=True),
        tree(*leaves(11), intensity=MANY),
        tree(*leaves(3, on_exhausted="park", unpark_after=0.0), intensity=MANY),
    ],
)
def test_nothing_is_said_where_more_restarts_may_come(view: SupervisorView) -> None:
    assert found(view, "supervisor_never_trips") == []


@pytest.mark.parametrize(
    ("options", "within", "most"),
    [
        ({}, 60.0, 10),
        ({}, 61.0, 20),  # a stable life fits in
        ({}, 5.0, 3),
        ({}, 5.1, 6),
        ({"stable_after": 0.0}, 60.0, 36),
        ({"stable_after": math.inf}, 1e300, 10),
        ({"intensity": RestartIntensity(3, 5.0, max_consecutive=None)}, 60.0, 36),
        ({"intensity": RestartIntensity(0, 5.0)}, 60.0, 0),
        ({"restart": RestartPolicy.TEMPORARY}, 60.0, 0),
        ({"on_exhausted": "park"}, 60.0, 10),
        ({"on_exhausted": "park", "unpark_after": 30.0}, 60.0, 20),
        ({"on_exhausted": "park", "unpark_after": 0.0}, 60.0, None),
        ({"on_exhausted": "escalate", "unpark_after": 0.0}, 60.0, 10),
        ({"intensity": RestartIntensity(3, 5e-324, max_consecutive=None)}, 1e308, 3 * int(1e308) * 2**1074),
    ],
)
def test_a_childs_own_limit_lets_so_many_restarts_through(
    options: dict[str, Any], within: float, most: int | None
) -> None:
    assert most_restarts(ChildView("c", **options), within) == most


# ── the limit over the subtree ──


def test_a_subtree_limit_that_only_repeats_the_supervisors_own_is_noted() -> None:
    finding = only(tree(*leaves(50), subtree_intensity=MANY), "subtree_never_trips")
    assert finding.severity == "note"
    assert finding.text == (
        "crashes alone can never exceed subtree_intensity (100 restarts within 60 s): the supervisor's own limit (30 "
        "restarts within 60 s) lets through at most 30 restarts in that time. Lower it if it is to count."
    )


def test_a_subtree_limit_counts_what_the_supervisors_below_let_through() -> None:
    view = tree(nested("n", ChildView("c"), intensity=RestartIntensity(2, 60.0)), subtree_intensity=MANY)
    finding = only(view, "subtree_never_trips")
    assert finding.children == ("n",)
    # 30 of its own; 11 lives of the one below, each with 2.
    assert "and those below it let through at most 52 restarts" in finding.text


def test_with_its_siblings_a_supervisor_below_is_restarted_more_often() -> None:
    child = nested("n", ChildView("c"), intensity=RestartIntensity(2, 60.0))
    assert most_below(tree(child), 60.0) == 30 + (1 + 10) * 2
    assert most_below(tree(child, strategy=Strategy.ONE_FOR_ALL), 60.0) == 30 + (1 + 30) * 2


@pytest.mark.parametrize(
    "child",
    [
        nested("n", is_template=True),
        nested("n", ChildView("c"), spec={"on_exhausted": "park", "unpark_after": 0.0}),
    ],
)
def test_what_may_be_restarted_any_number_of_times_has_no_bound(child: ChildView) -> None:
    assert most_below(tree(child), 60.0) is None
    assert found(tree(child, subtree_intensity=MANY), "subtree_never_trips") == []


def test_a_subtree_limit_that_more_restarts_may_exceed_is_not_noted() -> None:
    assert found(tree(ChildView("c"), subtree_intensity=RestartIntensity(29, 60.0)), "subtree_never_trips") == []


def test_a_subtree_limit_below_that_of_a_single_child_is_noted() -> None:
    deep = nested("n", ChildView("a"), ChildView("b", intensity=RestartIntensity(15, 60.0), backoff=Backoff.none()))
    finding = only(tree(deep, subtree_intensity=RestartIntensity(14, 60.0)), "subtree_trips_first")
    assert finding.severity == "note"
    assert finding.children == ("n/b",)
    assert finding.text == (
        "crashes alone can never exceed the window of child 'n/b': they exceed subtree_intensity (14 restarts within "
        "60 s) first, and with it the whole subtree is given up. Raise it, or allow a single child at most 14 in that "
        "time."
    )


@pytest.mark.parametrize(
    ("child", "subtree"),
    [
        (ChildView("c", intensity=RestartIntensity(15, 60.0), backoff=Backoff.none()), RestartIntensity(15, 60.0)),
        (ChildView("c", intensity=RestartIntensity(15, 60.0), backoff=Backoff.none()), RestartIntensity(14, 59.0)),
        (ChildView("c", intensity=RestartIntensity(15, 60.0)), RestartIntensity(14, 60.0)),  # it never trips anyway
        (
            ChildView("c", intensity=RestartIntensity(5, 5.0), backoff=Backoff(1.0, 1.0, jitter=0)),
            RestartIntensity(4, 60.0),
        ),
        (
            ChildView("c", intensity=RestartIntensity(15, 60.0), restart=RestartPolicy.TEMPORARY),
            RestartIntensity(14, 60.0),
        ),
    ],
)
def test_a_subtree_limit_that_does_not_come_first_is_not_noted(child: ChildView, subtree: RestartIntensity) -> None:
    assert found(tree(child, subtree_intensity=subtree), "subtree_trips_first") == []


# ── the claims ──

SECONDS = st.integers(min_value=1, max_value=20).map(float)
INTENSITIES = st.builds(
    RestartIntensity, st.integers(0, 4), SECONDS, max_consecutive=st.none() | st.integers(min_value=1, max_value=4)
)
LEAVES = st.builds(
    ChildView,
    st.just("leaf"),
    intensity=INTENSITIES,
    stable_after=SECONDS,
    on_exhausted=st.sampled_from(["park", "escalate"]),
    unpark_after=st.just(math.inf) | SECONDS,
)
CRASHES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 20)), min_size=20, max_size=40)


class Tree:
    """A tree whose leaves crash whenever they are told, charged as supervisors do; without any backoff."""

    def __init__(self, view: SupervisorView, above: Tree | None = None, slot: ChildView | None = None) -> None:
        self.view, self.above, self.slot = view, above, slot
        self.has_given_up = self.exceeded = self.subtree_exceeded = False
        self.subtree = RestartHistory()
        self.revive()

    def revive(self) -> None:
        """Begin a new life."""
        self.own = RestartHistory()
        self.histories: defaultdict[str, RestartHistory] = defaultdict(RestartHistory)
        self.parked: dict[str, float] = {}
        self.below = {
            child.id: Tree(child.supervisor, self, child)
            for child in self.view.children
            if child.supervisor is not None
        }

    def crash(self, child: ChildView, now: float, uptime: float) -> None:
        """Charge a crash of *child* after a life of *uptime*, and restart or give up whom it has to."""
        if child.id in self.parked:
            if now < self.parked[child.id] + child.unpark_after:
                return None
            del self.parked[child.id]
            self.histories[child.id].clear()
        history = self.histories[child.id]
        history.settled(uptime, child.stable_after)
        if history.charge(now, child.intensity):
            self.parked[child.id] = now
            return None if child.on_exhausted == "park" else self.give_up(now)
        if self.own.charge(now, self.view.intensity, consecutive=False):
            self.exceeded = True
            return self.give_up(now)
        node: Tree | None = self
        while node is not None:
            limit = node.view.subtree_intensity
            node.subtree_exceeded |= bool(limit and node.subtree.charge(now, limit, consecutive=False))
            node = node.above
        for id, below in self.below.items():
            if self.view.couples or id == child.id:
                below.revive()
        return None

    def give_up(self, now: float) -> None:
        """End, and have the supervisor above restart this one."""
        self.has_given_up = self.above is None
        if self.above is not None:
            assert self.slot is not None
            self.above.crash(self.slot, now, 0.0)


def play(tree: Tree, crashes: list[tuple[int, int, int]]) -> None:
    """Let leaves crash until the tree is given up: which one, seconds since the last, how long it had been up."""
    now, last = 0.0, defaultdict[int, float](float)
    for which, gap, _ in crashes:
        now += gap
        homes = [(tree, child) for child in tree.view.children if child.supervisor is None]
        homes += [(below, child) for below in tree.below.values() for child in below.view.children]
        home, child = homes[which % len(homes)]
        home.crash(child, now, now - last[which % len(homes)])
        last[which % len(homes)] = now
        if tree.has_given_up:
            return


@given(st.lists(LEAVES, min_size=1, max_size=4), st.integers(0, 3), SECONDS, CRASHES)
def test_a_supervisors_limit_that_can_never_be_exceeded_is_not(
    children: list[ChildView], more: int, period: float, crashes: list[tuple[int, int, int]]
) -> None:
    children = [attrs.evolve(child, id=f"c{number}") for number, child in enumerate(children)]
    most = sum(most_restarts(child, period) or 0 for child in children)
    view = tree(*children, intensity=RestartIntensity(most + more, period))
    assert found(view, "supervisor_never_trips")
    top = Tree(view)
    play(top, crashes)
    assert not top.exceeded


@pytest.mark.slow
@given(st.lists(LEAVES, min_size=1, max_size=2), LEAVES, INTENSITIES, INTENSITIES, st.sampled_from(Strategy), CRASHES)
def test_a_subtree_limit_that_can_never_be_exceeded_is_not(
    inside: list[ChildView],
    beside: ChildView,
    own: RestartIntensity,
    below: RestartIntensity,
    strategy: Strategy,
    crashes: list[tuple[int, int, int]],
) -> None:
    inside = [attrs.evolve(child, id=f"c{number}") for number, child in enumerate(inside)]
    spec = {"intensity": own, "stable_after": 5.0}
    view = tree(nested("n", *inside, intensity=below, spec=spec), beside, intensity=own, strategy=strategy)
    most = most_below(view, 10.0)
    assert most is not None
    view = attrs.evolve(view, subtree_intensity=RestartIntensity(most, 10.0))
    assert found(view, "subtree_never_trips")
    top = Tree(view)
    play(top, crashes)
    assert not top.subtree_exceeded


@given(LEAVES, st.integers(1, 3), SECONDS, CRASHES)
def test_before_a_window_that_a_subtree_limit_comes_first_of_that_is_exceeded(
    leaf: ChildView, more: int, longer: float, crashes: list[tuple[int, int, int]]
) -> None:
    its = leaf.intensity
    leaf = attrs.evolve(leaf, backoff=Backoff.none(), intensity=attrs.evolve(its, max_restarts=its.max_restarts + more))
    view = tree(leaf, intensity=MANY, subtree_intensity=RestartIntensity(its.max_restarts, its.period + longer))
    assume(found(view, "subtree_trips_first"))
    history, subtree, now, exceeded = RestartHistory(), RestartHistory(), 0.0, False
    assert view.subtree_intensity is not None
    for _, gap, uptime in crashes:
        now += gap
        history.settled(uptime, leaf.stable_after)
        tripped = history.charge(now, leaf.intensity)
        assert exceeded or tripped is None or tripped.rule == "consecutive"
        exceeded = exceeded or subtree.charge(now, view.subtree_intensity, consecutive=False) is not None
