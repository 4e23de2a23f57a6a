"""How long a stop may take: the sentences, and the times of real stops in which nobody ends by itself."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.advising import found, leaves, nested, only, rules, tree
from tocsin_supervisors import ChildContext, ChildSpec, Options, Supervisor
from tocsin_supervisors._advice_stops import cut_after, longest_stop, needed_stop
from tocsin_supervisors._advice_views import ChildView, SupervisorView
from tocsin_supervisors._decisions import Machine
from tocsin_supervisors._directives import AllHang, Begin, CameUp, NoteHanging, StartChild, StopAsked, Tick

# ── the sentences ──


def test_a_child_that_alone_may_take_longer_than_the_deadline_is_warned_of() -> None:
    children = [
        ChildView("a", grace_period=40.0),
        ChildView("b", grace_period=60.0, cleanup_period=5.0, wants_context=True),
        ChildView("c"),
    ]
    finding = only(tree(*children), "stop_of_one_too_long")
    assert finding.severity == "warning"
    assert finding.children == ("a", "b")
    assert finding.text == (
        "children 'a' and 'b' may take longer to stop than the shutdown_deadline of 30 s: 'b' has a grace_period of "
        "60 s and a cleanup_period of 5 s, but is cut at the deadline even when it is stopped alone. Raise the "
        "deadline, or shorten what it has."
    )


def test_of_a_child_without_a_context_only_the_grace_period_is_spoken_of() -> None:
    finding = only(tree(ChildView("a", grace_period=40.0)), "stop_of_one_too_long")
    assert "'a' has a grace_period of 40 s, but" in finding.text


@pytest.mark.parametrize(
    "view", [tree(*leaves(1, grace_period=40.0)), tree(*leaves(2, grace_period=40.0), is_template=True)]
)
def test_what_is_not_stopped_one_after_the_other_is_not_added_up(view: SupervisorView) -> None:
    assert rules(view) == [("stop_of_one_too_long", "warning")]


def test_children_that_together_may_take_longer_than_the_deadline_are_noted() -> None:
    finding = only(tree(*leaves(10, wants_context=True)), "stop_of_all_too_long")
    assert finding.severity == "note"
    assert finding.children == ("c0", "c1", "c2", "c3", "c4")  # started first, stopped last
    assert finding.text == (
        "stopping 10 children one after the other may take 60 s, longer than the shutdown_deadline of 30 s: children "
        "'c0', 'c1', 'c2', 'c3' and 'c4', stopped last, may be cut. Raise the deadline, or shorten grace periods."
    )


@pytest.mark.parametrize(
    "view",
    [
        tree(*leaves(9, wants_context=True), ChildView("c", grace_period=4.0)),
        tree(*leaves(9, wants_context=True), ChildView("c", cleanup_period=2.0)),
        tree(*leaves(10, wants_context=True), shutdown_deadline=20.0),
        tree(*leaves(9), nested("n", ChildView("c", grace_period=4.0))),
        tree(*leaves(9), nested("n", ChildView("c"), shutdown_deadline=20.0)),
        tree(*leaves(9), nested("n", ChildView("c"), spec={"grace_period": 20.0})),
        tree(*leaves(9), nested("n", ChildView("c"), spec={"cleanup_period": 2.0})),
    ],
)
def test_they_are_warned_of_if_any_of_the_numbers_was_chosen(view: SupervisorView) -> None:
    assert ("stop_of_all_too_long", "warning") in rules(view)


def test_a_second_grace_period_for_the_cleanup_is_not_a_choice() -> None:
    assert rules(tree(*leaves(10, wants_context=True, cleanup_period=6.0))) == [("stop_of_all_too_long", "note")]


@pytest.mark.parametrize(
    "view",
    [
        tree(*leaves(6)),  # 30 s: just in time
        tree(ChildView("c", grace_period=30.0)),
        tree(*leaves(100), is_template=True),
        tree(*leaves(100), shutdown_deadline=500.0),
        tree(*leaves(100, wants_context=True), shutdown_deadline=math.inf),
        tree(*leaves(100), shutdown_deadline=0.0),
        tree(ChildView("c", grace_period=math.inf), shutdown_deadline=0.0),
        tree(nested("n", *leaves(6)), shutdown_deadline=0.0),
        tree(),
    ],
)
def test_a_stop_in_time_or_without_waiting_is_not_spoken_of(view: SupervisorView) -> None:
    assert rules(view) == []


def test_a_child_that_only_the_deadline_limits_is_noted_with_those_it_may_leave_no_time() -> None:
    children = [ChildView("a"), ChildView("b", grace_period=math.inf), ChildView("c")]
    (finding,) = found(tree(*children))
    assert (finding.rule, finding.severity) == ("stop_without_limit", "note")
    assert finding.children == ("b",)
    assert finding.text == (
        "only the shutdown_deadline of 30 s limits how long child 'b' may take to stop, and child 'a', stopped after "
        "that, may be left no time at all. Give a finite grace_period if that is not meant."
    )


def test_one_that_is_stopped_last_leaves_nobody_without_time() -> None:
    finding = only(tree(ChildView("a", grace_period=math.inf), ChildView("b")), "stop_without_limit")
    assert "limits how long child 'a' may take to stop. Give" in finding.text


def test_a_stop_that_nothing_limits_is_warned_of() -> None:
    view = tree(ChildView("a", cleanup_period=math.inf, wants_context=True), shutdown_deadline=math.inf)
    finding = only(view, "stop_without_limit")
    assert finding.severity == "warning"
    assert finding.text.startswith("a stop may take for ever: there is no limit to how long child 'a' may take")


def test_a_supervisor_without_limits_is_spoken_of_on_both_levels() -> None:
    endless = nested("n", ChildView("a", grace_period=math.inf), shutdown_deadline=math.inf)
    severities = [(each.supervisor, each.severity) for each in found(tree(endless), "stop_without_limit")]
    assert severities == [("root", "note"), ("root/n", "warning")]


def test_a_supervisor_that_the_deadline_above_cuts_is_warned_of_with_the_paths() -> None:
    view = tree(ChildView("a"), nested("n", *leaves(10), shutdown_deadline=45.0))
    finding = only(view, "stop_of_subtree_cut")
    assert finding.severity == "warning"
    assert finding.children == ("n/c0", "n/c1", "n/c2", "n/c3")
    assert finding.text == (
        "supervisor 'n' may need 45 s to stop (its children 50 s in all, its own shutdown_deadline gives 45 s), but "
        "the shutdown_deadline above it ends after 30 s: then 'n/c0', 'n/c1', 'n/c2' and 'n/c3' may be cut. Raise "
        "that, or let what is below take less."
    )


def test_a_supervisor_that_its_grace_period_cuts_is_warned_of() -> None:
    finding = only(tree(nested("n", *leaves(3), spec={"grace_period": 7.0})), "stop_of_subtree_cut")
    assert finding.children == ("n/c0", "n/c1")
    assert "but its own grace_period ends after 7 s" in finding.text


@pytest.mark.parametrize(
    "child",
    [
        nested("n", *leaves(100)),  # by its own deadline, as long as the one above
        nested("n", *leaves(3), spec={"grace_period": 15.0}),
        nested("n", *leaves(3), spec={"grace_period": 0.0}),  # says that it is to be cut at once
        nested("n", *leaves(100), shutdown_deadline=45.0, is_template=True),
    ],
)
def test_a_supervisor_that_nothing_above_cuts_is_not_spoken_of(child: ChildView) -> None:
    assert found(tree(child), "stop_of_subtree_cut") == []


# ── the times ──


async def told(context: ChildContext) -> None:
    context.started()


async def untold() -> None: ...


GRACE = st.integers(min_value=0, max_value=20).map(float)
LEAVES = st.builds(ChildView, st.just("c"), grace_period=GRACE, cleanup_period=GRACE, wants_context=st.booleans())


def machine_of(view: SupervisorView) -> Machine:
    """Make the machine of a supervisor of such children, all up."""
    specs = [
        ChildSpec(
            child.id,
            told if child.wants_context else untold,
            grace_period=child.grace_period,
            cleanup_period=child.cleanup_period,
        )
        for child in view.children
    ]
    machine = Machine(
        "root",
        specs,
        options=Options(shutdown_deadline=view.shutdown_deadline),
        random=Random(0),
        incarnations={},
    )
    directives = machine.on(Begin(), 0.0)
    while directives:
        starts = [each for each in directives if isinstance(each, StartChild)]
        directives = [one for each in starts for one in machine.on(CameUp(each.spec.id, each.incarnation, None), 0.0)]
    return machine


def stop_of(view: SupervisorView) -> tuple[float, dict[str, float]]:
    """Stop children that do not end; give when there is no more to be done, and when each was found to hang."""
    machine, now, hangs = machine_of(view), 0.0, dict[str, float]()
    directives = machine.on(StopAsked(), now)
    while not any(isinstance(each, AllHang) for each in directives):
        due = machine.next_due()
        assert due is not None
        now = due
        directives = machine.on(Tick(), now)
        hangs |= {each.child: now for each in directives if isinstance(each, NoteHanging)}
    return now, hangs


@given(st.lists(LEAVES, min_size=1, max_size=6), st.integers(0, 120))
def test_a_stop_takes_as_long_as_is_foretold_and_the_deadline_cuts_whom_it_is_said_to(
    children: list[ChildView], deadline: int
) -> None:
    children = [attrs.evolve(child, id=f"c{number}") for number, child in enumerate(children)]
    # Half seconds: whether a child that is done with in the very step of the deadline was in time is no matter.
    view = tree(*children, shutdown_deadline=deadline + 0.5)
    end, hangs = stop_of(view)
    needed = needed_stop(view)
    assert end == (needed if needed <= view.shutdown_deadline else view.shutdown_deadline + 1.0)
    assert cut_after(view, view.shutdown_deadline) == tuple(
        child.id for child in children if hangs[child.id] > view.shutdown_deadline
    )


@given(st.lists(LEAVES, min_size=2, max_size=6), st.integers(0, 120))
def test_children_are_said_to_take_too_long_exactly_if_the_deadline_cuts_one(
    children: list[ChildView], deadline: int
) -> None:
    children = [attrs.evolve(child, id=f"c{number}") for number, child in enumerate(children)]
    view = tree(*children, shutdown_deadline=deadline + 0.5)
    _, hangs = stop_of(view)
    cut = [child.id for child in children if hangs[child.id] > view.shutdown_deadline]
    assert [list(finding.children) for finding in found(view, "stop_of_all_too_long")] == ([cut] if cut else [])


def test_a_supervisor_without_children_takes_no_time() -> None:
    assert longest_stop(nested("n", shutdown_deadline=0.0)) == 0


async def stubborn(context: ChildContext) -> None:
    """Neither end when told to nor when cancelled, for longer than any deadline here."""
    context.started()
    with anyio.CancelScope(shield=True):
        await anyio.sleep(1000.0)


BELOW: list[dict[str, Any]] = [
    {"below": {"shutdown_deadline": 100.0}, "spec": {}},
    {"below": {"shutdown_deadline": 10.0}, "spec": {}},
    {"below": {"shutdown_deadline": 0.0}, "spec": {}},
    {"below": {"shutdown_deadline": 18.0}, "spec": {}},
    {"below": {"shutdown_deadline": 100.0}, "spec": {"grace_period": 18.0}},
    {"below": {"shutdown_deadline": 100.0}, "spec": {"grace_period": 10.0}},
    {"below": {"shutdown_deadline": 100.0}, "spec": {"grace_period": 10.0, "cleanup_period": 0.25}},
    {"below": {"shutdown_deadline": 100.0}, "spec": {"grace_period": 10.0, "cleanup_period": 7.0}},
    {"below": {"shutdown_deadline": 7.0}, "spec": {"grace_period": 10.0}},
]


@pytest.mark.parametrize("options", BELOW)
async def test_a_supervisor_below_takes_as_long_as_is_foretold(options: dict[str, Any]) -> None:
    view = nested("n", *leaves(3, wants_context=True), **options["below"], spec=options["spec"])
    specs = [ChildSpec(f"c{number}", stubborn) for number in range(3)]
    below = ChildSpec("n", Supervisor("n", specs, **options["below"]), **options["spec"])
    async with Supervisor("root", [below], shutdown_deadline=500.0).running() as root:
        began = anyio.current_time()
        await root.stop()
        assert anyio.current_time() - began == pytest.approx(longest_stop(view))
