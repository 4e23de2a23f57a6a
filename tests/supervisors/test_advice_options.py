"""Options that are never consulted, or overruled by another."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.supervisors.advising import found, leaves, nested, only, tree
from tocsin_supervisors import Backoff, RestartIntensity, RestartPolicy
from tocsin_supervisors._advice_views import ChildView, SupervisorView

TEMPORARY = RestartPolicy.TEMPORARY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("intensity", RestartIntensity(5, 5.0)),
        ("backoff", Backoff.none()),
        ("suspension", Backoff.none()),
        ("stable_after", 5.0),
        ("on_exhausted", "park"),
        ("unpark_after", 5.0),
    ],
)
def test_a_restart_option_of_a_temporary_child_is_warned_of(name: str, value: Any) -> None:
    options: Any = {name: value}
    finding = only(tree(ChildView("once", restart=TEMPORARY, **options)), "option_without_effect")
    assert finding.severity == "warning"
    assert finding.children == ("once",)
    assert finding.text == (
        f"child 'once' is temporary and never restarted, so {name} will not be consulted. Take it away, or make the "
        "restart policy transient."
    )


def test_temporary_children_with_the_same_useless_options_are_one_finding() -> None:
    children = leaves(2, restart=TEMPORARY, backoff=Backoff.none(), stable_after=5.0)
    finding = only(tree(*children), "option_without_effect")
    assert finding.text.startswith(
        "children 'c0' and 'c1' are temporary and never restarted, so backoff, stable_after will"
    )


def test_a_temporary_child_of_defaults_is_not_spoken_of() -> None:
    assert found(tree(ChildView("once", restart=TEMPORARY, grace_period=1.0))) == []


def test_unparking_what_is_never_parked_is_warned_of() -> None:
    finding = only(tree(ChildView("c", unpark_after=60.0)), "option_without_effect")
    assert finding.severity == "warning"
    assert finding.text.startswith("unpark_after=60 of child 'c' will not be consulted: with on_exhausted='escalate'")


def test_unparking_what_may_be_parked_is_not_spoken_of() -> None:
    assert found(tree(ChildView("c", unpark_after=60.0, on_exhausted="park"))) == []


@pytest.mark.parametrize("option", ["intensity", "subtree_intensity"])
def test_a_row_of_a_supervisor_is_warned_of(option: str) -> None:
    options: Any = {option: RestartIntensity(1, 5.0, max_consecutive=3)}
    finding = only(tree(*leaves(2), **options), "option_without_effect")
    assert finding.severity == "warning"
    assert finding.text.startswith(f"max_consecutive in {option} of a supervisor will not be consulted")


@pytest.mark.parametrize("row", [None, 10])
def test_a_row_of_a_supervisor_that_is_off_or_the_default_is_not_spoken_of(row: int | None) -> None:
    view = tree(*leaves(2), intensity=RestartIntensity(1, 5.0, max_consecutive=row))
    assert found(view, "option_without_effect") == []


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
def test_an_automatic_shutdown_that_no_child_can_cause_is_warned_of(auto_shutdown: Any) -> None:
    finding = only(tree(*leaves(2), auto_shutdown=auto_shutdown), "auto_shutdown_never_comes")
    assert finding.severity == "warning"
    assert finding.children == ("c0", "c1")
    assert finding.text.startswith(f"auto_shutdown={auto_shutdown} never comes: children 'c0' and 'c1' are not")


def test_all_significant_of_one_child_is_noted() -> None:
    view = tree(ChildView("a", significant=True), ChildView("b"), auto_shutdown="all_significant")
    finding = only(view, "all_significant_is_any")
    assert finding.severity == "note"
    assert finding.children == ("a",)


@pytest.mark.parametrize(
    "view",
    [
        tree(*leaves(2)),
        tree(auto_shutdown="any_significant"),  # whoever is significant will be started by request
        tree(ChildView("a", significant=True), auto_shutdown="any_significant"),
        tree(*leaves(2, significant=True), auto_shutdown="all_significant"),
        tree(ChildView("a", significant=True), auto_shutdown="all_significant", is_template=True),
    ],
)
def test_an_automatic_shutdown_that_may_come_as_it_says_is_not_spoken_of(view: SupervisorView) -> None:
    assert found(view) == []


def test_a_start_that_the_supervisor_above_cuts_short_is_noted() -> None:
    slow = ChildView("slow", wants_context=True, start_timeout=60.0)
    child = nested("group", ChildView("quick"), slow, spec={"start_timeout": 40.0})
    finding = only(tree(child), "start_cut_short")
    assert finding.severity == "note"
    assert finding.children == ("group",)
    assert finding.text == (
        "supervisor 'group' has to be up within its start_timeout of 40 s, but child 'slow' in it may take 60 s alone; "
        "the start of all that is in it fails then. Raise the start_timeout of the supervisor, or lower that of its "
        "children."
    )


def test_a_start_without_limit_below_one_with_a_limit_is_noted() -> None:
    finding = only(tree(nested("group", nested("inner"), spec={"start_timeout": 40.0})), "start_cut_short")
    assert "child 'inner' in it may take unlimited time alone" in finding.text


@pytest.mark.parametrize(
    "child",
    [
        nested("group", *leaves(3, wants_context=True, start_timeout=math.inf)),
        nested("group", *leaves(3, wants_context=True, start_timeout=40.0), spec={"start_timeout": 40.0}),
        nested("group", *leaves(3, start_timeout=60.0), spec={"start_timeout": 40.0}),  # they are up at once
    ],
)
def test_a_start_that_has_its_time_is_not_spoken_of(child: ChildView) -> None:
    assert found(tree(child)) == []
