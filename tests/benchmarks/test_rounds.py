"""How rounds become medians and ratios, and how a contender that fails leaves the others alone."""

from __future__ import annotations

from benchmarks.cases import Case, Figures, Workload
from benchmarks.rounds import CaseFailed, Plan, measure, medians, rotated


def figures(us: float, **more: float) -> Figures:
    return {"us": us, "seconds": us, "operations": 1.0, **more}


def unused(backend: str, size: int) -> Figures:
    raise AssertionError("the harness runs cases in processes of their own")


def workload(*cases: Case) -> Workload:
    return Workload(key="W0", title="nothing", what="nothing", size=1000, quick=10, cases=cases, targets=())


def test_each_round_begins_with_another_contender_and_runs_all() -> None:
    assert [rotated("abc", number) for number in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_nobody_can_be_rotated_as_well() -> None:
    assert rotated([], 3) == []


def test_a_figure_is_the_median_of_its_rounds() -> None:
    found = medians([{"a": figures(us)} for us in (1.0, 9.0, 2.0)], ["a"])
    assert found["a"]["us"] == 2.0


def test_contenders_are_compared_within_each_round_so_a_slow_round_changes_nothing() -> None:
    slow = 100
    pairs = [(1.0, 2.0), (3.0 * slow, 6.0 * slow), (5.0, 10.0)]
    found = medians([{"a": figures(mine), "b": figures(other)} for mine, other in pairs], ["a", "b"])
    assert found["a"]["x b"] == 0.5
    assert found["b"]["x a"] == 2.0


def test_a_figure_that_one_round_lacks_is_left_out() -> None:
    found = medians([{"a": figures(1.0, p99_us=5.0)}, {"a": figures(1.0)}], ["a"])
    assert "p99_us" not in found["a"]


def test_one_who_missed_a_round_has_no_median_and_nobody_is_compared_with_it() -> None:
    found = medians([{"a": figures(1.0), "b": figures(1.0)}, {"a": figures(1.0)}], ["a", "b"])
    assert list(found) == ["a"]
    assert "x b" not in found["a"]


def test_one_that_fails_is_noted_once_and_the_others_are_measured() -> None:
    tried: list[str] = []

    def run_case(key: str, name: str, backend: str, size: int) -> Figures:
        tried.append(name)
        if name == "broken":
            raise CaseFailed("ValueError: no")
        return figures(float(size))

    cases = [Case(name=name, run=unused) for name in ("broken", "sound")]
    measured = measure(workload(*cases), "asyncio", Plan(rounds=3), run_case)
    assert measured.failed == {"broken": "ValueError: no"}
    assert tried.count("broken") == 1
    assert measured.medians["sound"]["us"] == 1000.0


def test_what_cannot_run_here_is_left_out_with_the_reason_and_a_quick_run_is_small() -> None:
    def run_case(key: str, name: str, backend: str, size: int) -> Figures:
        return figures(float(size))

    measured = measure(
        workload(
            Case(name="elsewhere", run=unused, backends=("asyncio",)),
            Case(name="lost", run=unused, needs=("no_such_module_anywhere",)),
            Case(name="gone", run=unused, program="no-such-program-anywhere"),
            Case(name="here", run=unused),
        ),
        "trio",
        Plan(rounds=1, quick=True),
        run_case,
    )
    assert measured.left_out == {
        "elsewhere": "not on trio",
        "lost": "no module no_such_module_anywhere",
        "gone": "no no-such-program-anywhere on PATH",
    }
    assert measured.medians["here"]["us"] == 10.0
