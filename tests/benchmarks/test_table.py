"""What is printed and written of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.cases import Case, Figures, Workload
from benchmarks.compare import Pair
from benchmarks.rounds import Measured
from benchmarks.table import lines, number
from benchmarks.targets import at_most_bare, times_as_fast

QUEUE = "asyncio.Queue"


def unused(backend: str, size: int) -> Figures:
    raise AssertionError("nothing is measured here")


def figures(us: float, **more: float) -> Figures:
    return {"us": us, "x_bare": us * 10, "seconds": 1.0, "operations": 1e6, "cpu_s": 2.0, "peak_mb": 30.0, **more}


def measured() -> Measured:
    workload = Workload(
        key="W0",
        title="a title",
        what="what",
        size=1000,
        quick=10,
        cases=tuple(Case(name=name, run=unused) for name in ("tocsin", QUEUE, "broken", "Erlang")),
        targets=(at_most_bare(5.5), times_as_fast(1.5, QUEUE), times_as_fast(1, "broken"), times_as_fast(1, "Erlang")),
    )
    rounds = [{"tocsin": figures(0.5, p99_us=7.0), QUEUE: figures(0.9)}]
    left_out = {"Erlang": "no erl on PATH"}
    return Measured(workload, "asyncio", 1000, rounds=rounds, failed={"broken": "ValueError: no"}, left_out=left_out)


def test_the_table_has_a_row_for_each_contender_and_a_verdict_for_each_target() -> None:
    assert lines(measured()) == [
        "W0 a title, asyncio, 1,000 operations, 1 rounds",
        "                 µs/op  x bare  x Queue  CPU µs/op  peak MB",
        "  tocsin         0.500    5.00    0.556       2.00     30.0  p99_us=7.00",
        "  asyncio.Queue  0.900    9.00     1.00       2.00     30.0",
        "  broken: FAILED: ValueError: no",
        "  left out, no erl on PATH: Erlang",
        "  at most 5.5 x bare: met (5.00)",
        "  at least 1.5 x as fast as asyncio.Queue: met (1.80)",
        "  at least 1 x as fast as broken: cannot be told here: failed: ValueError: no: broken",
        "  at least 1 x as fast as Erlang: cannot be told here: no erl on PATH: Erlang",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")],
)
def test_figures_are_written_with_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_file_keeps_the_other_backends_when_one_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "results" / "W0.json"
    on_trio = measured()
    on_trio.backend = "trio"
    results.keep(on_trio, {"commit": "old"}, path)
    results.keep(measured(), {"commit": "new"}, path)
    backends = json.loads(path.read_text(encoding="utf-8"))["backends"]
    assert {name: part["machine"]["commit"] for name, part in backends.items()} == {"trio": "old", "asyncio": "new"}
    assert backends["asyncio"]["rounds"] == measured().rounds
    assert [target["met"] for target in backends["asyncio"]["targets"]] == [True, True, None, None]


def test_a_quick_run_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    assert results.path_of("W1", quick=True, folder=tmp_path) != results.path_of("W1", quick=False, folder=tmp_path)


def test_two_commits_are_compared_round_by_round_with_the_spread() -> None:
    pair = Pair("tocsin", now=[2.0, 30.0, 3.0], then=[4.0, 40.0, 10.0])
    assert pair.row() == ["tocsin", "10.0", "3.00", "0.500", "0.30 to 0.75"]


def test_a_case_that_the_other_commit_cannot_run_has_the_reason_in_its_row() -> None:
    assert Pair("tocsin", failed="then: no such method").row()[-1] == "FAILED then: no such method"
