"""Strategies against the needs that are declared: the sentences, and whom each crash restarts."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.advising import chain, found, leaves, nested, only, rules, tree
from tocsin_supervisors import RestartPolicy, Strategy
from tocsin_supervisors._advice_coupling import transitive_needs
from tocsin_supervisors._advice_views import ChildView, SupervisorView

ALONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE


# ── needs that are not met ──


@pytest.mark.parametrize("strategy", Strategy)
def test_a_child_that_needs_a_later_one_is_warned_of(strategy: Strategy) -> None:
    finding = only(chain("api < db", "db", strategy=strategy), "needs_a_later_one")
    assert finding.severity == "warning"
    assert finding.children == ("api", "db")
    assert finding.text == (
        "'api' needs 'db', declared after it: it is started before what it needs, and stopped after it. "
        "Declare it last."
    )


@pytest.mark.parametrize("need", ["elsewhere", "api"])
def test_a_need_of_somebody_unknown_or_of_itself_is_not_one_of_a_later_one(need: str) -> None:
    assert found(chain(f"api < {need}"), "needs_a_later_one") == []


def test_a_needed_child_that_is_restarted_alone_is_noted() -> None:
    finding = only(chain("db", "api < db", "mail", "web < db"), "needs_restarted_alone")
    assert finding.severity == "note"
    assert finding.children == ("db", "api", "web")
    assert finding.text.startswith("'db' is restarted alone, though it is needed by 'api' and 'web', running on")


def test_a_needed_child_that_is_never_restarted_is_not_spoken_of() -> None:
    view = tree(ChildView("db", restart=RestartPolicy.TEMPORARY), ChildView("api", needs=("db",)))
    assert found(view) == []


def test_needs_are_those_of_what_is_needed_as_well() -> None:
    view = chain("a", "b < a", "c < b", "d < d c x")
    assert transitive_needs(view) == {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a", "b", "c"}}


def test_needs_in_a_circle_are_followed_once() -> None:
    assert transitive_needs(chain("a < b", "b < a")) == {"a": {"b"}, "b": {"a"}}


# ── parked in a group ──


@pytest.mark.parametrize(("strategy", "left"), [(ALL, "'a' and 'c' would"), (REST, "'c' would")])
def test_a_child_that_is_parked_and_left_behind_is_warned_of(strategy: Strategy, left: str) -> None:
    view = tree(ChildView("a"), ChildView("b", on_exhausted="park"), ChildView("c"), strategy=strategy)
    finding = only(view, "parked_in_a_group")
    assert finding.severity == "warning"
    assert finding.children == ("b",)
    assert finding.text.startswith(f"once 'b' is parked, {left} run without it, although {strategy.name} says")


@pytest.mark.parametrize(
    "view",
    [
        tree(*leaves(2, on_exhausted="park")),
        tree(*leaves(1, on_exhausted="park"), strategy=ALL),
        tree(ChildView("a"), ChildView("b", on_exhausted="park"), strategy=REST),
        tree(ChildView("a", on_exhausted="park", restart=RestartPolicy.TEMPORARY), ChildView("b"), strategy=ALL),
    ],
)
def test_parking_that_leaves_nobody_behind_is_not_spoken_of(view: SupervisorView) -> None:
    assert found(view, "parked_in_a_group") == []


# ── coupled ──


@pytest.mark.parametrize(("strategy", "crash"), [(ALL, "any one"), (REST, "'c0'")])
def test_a_coupling_of_which_no_needs_are_declared_is_noted(strategy: Strategy, crash: str) -> None:
    finding = only(tree(*leaves(5), strategy=strategy), "coupling_unchecked")
    assert finding.severity == "note"
    assert finding.text.startswith(f"a crash of {crash} restarts all 5 children, as {strategy.name} says")


@pytest.mark.parametrize("view", [tree(*leaves(5)), tree(*leaves(1), strategy=ALL), tree(strategy=REST)])
def test_where_nobody_is_coupled_nothing_is_said(view: SupervisorView) -> None:
    assert found(view) == []


def test_groups_that_need_nothing_of_each_other_are_warned_of() -> None:
    finding = only(chain("metrics", "db", "api < db", strategy=ALL), "unrelated_but_coupled")
    assert finding.severity == "warning"
    assert finding.children == ("metrics",)
    assert finding.text == (
        "the children fall into 2 groups that need nothing of each other ('db' and 'api'; 'metrics'), but ONE_FOR_ALL "
        "restarts them together: a crash of 'metrics' restarts 'db' and 'api' for nothing, and the other way round. "
        "Put each group under a supervisor of its own, or declare the needs that are missing."
    )


def test_a_child_after_those_that_it_does_not_need_is_warned_of() -> None:
    view = chain("db", "api < db", "metrics", strategy=REST)
    finding = only(view, "unrelated_but_coupled")
    assert finding.severity == "warning"
    assert finding.children == ("metrics", "db", "api")
    assert finding.text.startswith(
        "a crash of 'db' or 'api' restarts 'metrics' for nothing, as REST_FOR_ONE restarts all that is declared after "
        "it: it needs none of them."
    )


def test_where_needs_branch_it_is_noted() -> None:
    finding = only(chain("db", "api < db", "web < db", strategy=REST), "unrelated_but_coupled")
    assert finding.severity == "note"
    assert finding.children == ("web", "api")
    assert "of these it needs only 'db'" in finding.text


@pytest.mark.parametrize(
    "view", [chain("a", "b < a", "c < b", strategy=REST), chain("a", "b < a c", "c", "d < a", strategy=ALL)]
)
def test_a_coupling_that_the_needs_bear_out_is_not_spoken_of(view: SupervisorView) -> None:
    assert found(view, "unrelated_but_coupled") == []


def test_a_subtree_that_a_single_sibling_restarts_is_noted() -> None:
    view = tree(ChildView("a"), nested("group", *leaves(4)), ChildView("b"), strategy=ALL)
    finding = only(view, "subtree_coupled")
    assert finding.severity == "note"
    assert finding.children == ("group", "a", "b")
    assert finding.text.startswith("a crash of 'a' or 'b' restarts the whole of 'group' with its 4 children")


def test_the_children_of_a_subtree_are_counted_at_every_depth() -> None:
    deep = nested("group", ChildView("x"), nested("inner", *leaves(3)))
    assert "with its 4 children" in only(tree(ChildView("a"), deep, strategy=REST), "subtree_coupled").text


@pytest.mark.parametrize(
    "view",
    [
        tree(ChildView("a"), nested("group", *leaves(3)), strategy=ALL),
        tree(ChildView("a"), nested("group", *leaves(4)), strategy=ALONE),
        tree(nested("group", *leaves(4)), ChildView("a"), strategy=REST),
        tree(nested("group", *leaves(4)), nested("other", *leaves(4)), strategy=ALL),
        tree(ChildView("a"), nested("group", *leaves(4), spec={"needs": ("a",)}), strategy=ALL),
    ],
)
def test_a_small_a_needing_or_an_uncoupled_subtree_is_not_spoken_of(view: SupervisorView) -> None:
    assert found(view, "subtree_coupled") == []


# ── the claims ──

IDS = "abcdef"
NEEDS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), min_size=1)


def group_of(needs: list[tuple[str, str]], strategy: Strategy) -> SupervisorView:
    children = [ChildView(id, needs=tuple(need for user, need in needs if user == id)) for id in IDS]
    return tree(*children, strategy=strategy)


def connected(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Give the pairs that lead from one to the other in any number of steps."""
    while longer := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs = pairs | longer
    return pairs


@given(NEEDS)
def test_children_are_called_unrelated_exactly_if_a_crash_restarts_one_that_no_need_connects(
    needs: list[tuple[str, str]],
) -> None:
    view = group_of(needs, ALL)
    if not any(transitive_needs(view).values()):
        return
    both_ways = connected({*needs, *((need, user) for user, need in needs)})
    unrelated = {(a, b) for a in IDS for b in ALL.affected(IDS, a) if a != b and (a, b) not in both_ways}
    assert bool(found(view, "unrelated_but_coupled")) == bool(unrelated)


@given(NEEDS)
def test_of_a_rest_each_restart_for_nothing_is_named(needs: list[tuple[str, str]]) -> None:
    view = group_of(needs, REST)
    if not any(transitive_needs(view).values()):
        return
    for_nothing = {(a, b) for a in IDS for b in REST.affected(IDS, a) if a != b and (b, a) not in connected({*needs})}
    named = {(cause, each.children[0]) for each in found(view, "unrelated_but_coupled") for cause in each.children[1:]}
    assert named == for_nothing


@given(NEEDS, st.sampled_from([ALL, REST]))
def test_every_child_of_one_group_is_named_once_at_most(needs: list[tuple[str, str]], strategy: Strategy) -> None:
    findings = found(group_of(needs, strategy), "unrelated_but_coupled")
    assert all(len(set(each.children)) == len(each.children) for each in findings)


def test_a_group_of_one_kind_is_spoken_of_the_same_under_another_order() -> None:
    view = chain("db", "api < db", "mail", strategy=ALL)
    backwards = attrs.evolve(view, children=view.children[::-1])
    assert [rule for rule, _ in rules(backwards)] == ["needs_a_later_one", *(rule for rule, _ in rules(view))]
