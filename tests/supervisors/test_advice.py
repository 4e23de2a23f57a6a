"""The advice as a whole: what it walks, what it never says, and how it reads."""

from __future__ import annotations

import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.advising import found, leaves, nested, tree, warnings_of
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    Finding,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    SupervisionWarning,
    Supervisor,
)
from tocsin_supervisors._advice import explain, explain_own
from tocsin_supervisors._advice_views import ChildView, SupervisorView

ENDLESS = RestartIntensity(10, 10.0, max_consecutive=None)


def test_a_finding_reads_as_its_path_and_its_sentences() -> None:
    finding = Finding("hot_loop", "warning", "root/feeds", ("a",), "it is hot. Cool it.")
    assert str(finding) == "root/feeds: it is hot. Cool it."


def test_a_finding_can_be_warned_of() -> None:
    with pytest.warns(SupervisionWarning, match="^root: "):
        warnings.warn(str(Finding("hot_loop", "warning", "root", (), "x")), SupervisionWarning, stacklevel=1)


def test_a_tree_is_explained_from_the_root_down() -> None:
    endless = ChildView("feed", intensity=ENDLESS)
    view = tree(endless, nested("inner", nested("deep", endless), endless))
    assert [each.supervisor for each in explain(view)] == ["root", "root/inner", "root/inner/deep"]


def test_of_a_supervisor_alone_what_is_below_is_left_out() -> None:
    endless = ChildView("feed", intensity=ENDLESS)
    assert [each.supervisor for each in explain_own(tree(endless, nested("inner", endless)))] == ["root"]


def test_the_limits_over_subtrees_reach_down_to_the_leaves() -> None:
    below = nested("inner", nested("deep", ChildView("feed", intensity=ENDLESS)), subtree_intensity=ENDLESS)
    assert [each.rule for each in found(tree(below))][-1] == "never_given_up"
    given_up = tree(below, subtree_intensity=RestartIntensity(2, 5.0))
    assert [(each.supervisor, each.rule) for each in explain(given_up)][-1] == ("root/inner/deep", "window_never_trips")


# ── what is never said ──


SOME = st.integers(min_value=0, max_value=30).flatmap(
    lambda count: st.lists(st.booleans(), min_size=count, max_size=count).map(
        lambda contexts: [ChildView(f"c{number}", wants_context=wants) for number, wants in enumerate(contexts)]
    )
)
DEFAULT_TREES = st.recursive(
    SOME,
    lambda below: st.lists(below, max_size=4).map(lambda all: [nested(f"n{n}", *each) for n, each in enumerate(all)]),
)


@pytest.mark.slow
@given(DEFAULT_TREES, st.sampled_from(Strategy))
def test_a_tree_of_defaults_is_never_warned_of(children: list[ChildView], strategy: Strategy) -> None:
    assert warnings_of(tree(*children, strategy=strategy)) == []


PRESETS = [
    RestartIntensity(),
    RestartIntensity.never(),
    RestartIntensity.for_worker(),
    RestartIntensity.for_network_dependency(),
]


@pytest.mark.parametrize("of_supervisor", PRESETS)
def test_a_preset_is_never_warned_of(of_supervisor: RestartIntensity) -> None:
    children = [ChildView(f"c{number}", intensity=each) for number, each in enumerate(PRESETS)]
    assert warnings_of(tree(*children, intensity=of_supervisor, subtree_intensity=of_supervisor)) == []


FLOATS = st.floats(min_value=0, allow_nan=False)
FINITE = st.floats(min_value=0, allow_infinity=False)
COUNTS = st.integers(min_value=0, max_value=10**400)
PERIODS = st.floats(min_value=5e-324, allow_infinity=False)


def growing(low: float, high: float, factor: float, jitter: float) -> Backoff:
    return Backoff(min(low, high), max(low, high), 1 + factor, jitter)


ODD_CHILDREN = st.builds(
    ChildView,
    st.just("c"),
    restart=st.sampled_from(RestartPolicy),
    intensity=st.builds(
        RestartIntensity,
        COUNTS,
        PERIODS,
        max_consecutive=st.none() | COUNTS.map(lambda count: count + 1),
        may_never_trip=st.booleans(),
    ),
    backoff=st.builds(growing, FINITE, FINITE, FINITE, st.floats(min_value=0, max_value=1)),
    stable_after=FLOATS,
    on_exhausted=st.sampled_from(["park", "escalate"]),
    unpark_after=FLOATS,
    grace_period=FLOATS,
    cleanup_period=FLOATS,
    start_timeout=FLOATS,
    wants_context=st.booleans(),
    significant=st.booleans(),
    needs=st.lists(st.sampled_from(["c0", "c1", "c2", "elsewhere"])).map(tuple),
)


def supervisors_of(children: st.SearchStrategy[ChildView]) -> st.SearchStrategy[SupervisorView]:
    return st.builds(
        SupervisorView,
        st.just("root"),
        st.lists(children, max_size=4).map(
            lambda all: tuple(attrs.evolve(each, id=f"c{number}") for number, each in enumerate(all))
        ),
        strategy=st.sampled_from(Strategy),
        intensity=st.builds(RestartIntensity, COUNTS, PERIODS),
        shutdown_deadline=FLOATS,
        auto_shutdown=st.sampled_from(["never", "any_significant", "all_significant"]),
        subtree_intensity=st.none() | st.builds(RestartIntensity, COUNTS, PERIODS),
        is_template=st.booleans(),
    )


@pytest.mark.slow
@given(supervisors_of(ODD_CHILDREN | supervisors_of(ODD_CHILDREN).map(lambda view: ChildView("n", supervisor=view))))
def test_whatever_is_declared_can_be_spoken_of(view: SupervisorView) -> None:
    for finding in explain(view):
        assert str(finding).isprintable()
        assert finding.text.endswith(".")
        assert "  " not in finding.text


@pytest.mark.slow
def test_ten_thousand_children_are_explained_while_nobody_waits() -> None:
    views = [tree(*leaves(10_000, wants_context=True), strategy=strategy) for strategy in Strategy]
    began = time.process_time()
    for view in views:
        explain_own(view)
    assert time.process_time() - began < 5.0


# ── the views ──


async def told(context: ChildContext) -> None:
    context.started()


@pytest.mark.parametrize("start", [told, Supervisor("n")])
def test_a_view_of_a_child_has_the_defaults_of_its_spec(start: Any) -> None:
    spec = ChildSpec("c", start)
    view = nested("c") if isinstance(start, Supervisor) else ChildView("c", wants_context=True)
    shared = {field.name for field in attrs.fields(ChildView)} & {field.name for field in attrs.fields(ChildSpec)}
    assert len(shared) >= 11
    assert {name: getattr(view, name) for name in shared} == {name: getattr(spec, name) for name in shared}


def test_a_view_of_a_supervisor_has_the_defaults_of_a_supervisor() -> None:
    assert Supervisor().advice_view() == SupervisorView("supervisor")


def test_every_file_of_the_advice_is_held_to_purity() -> None:
    root = Path(__file__).resolve().parents[2]
    configuration = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    pure = configuration["tool"]["importlinter"]["contracts"][1]["source_modules"]
    files = (root / "supervisors" / "tocsin_supervisors").glob("_advice*.py")
    assert {f"tocsin_supervisors.{file.stem}" for file in files} <= set(pure)
