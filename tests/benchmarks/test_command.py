"""The command line, and one contender measured for real in a process of its own."""

from __future__ import annotations

import io
import os

import pytest

from benchmarks.__main__ import main, parse
from benchmarks.compare import ROOT, path_with
from benchmarks.progress import Progress
from benchmarks.rounds import CaseFailed, run_case
from benchmarks.workloads import load_workload, workload_keys

SOURCES = {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("runtime", "supervisors", ""))}


@pytest.mark.slow
@pytest.mark.real_time
def test_one_contender_is_measured_beside_the_bare_loop(anyio_backend_name: str) -> None:
    figures = run_case("W1", "tocsin", anyio_backend_name, 200, SOURCES)
    assert figures["operations"] == 200
    assert figures["x_bare"] == pytest.approx(figures["us"] / figures["bare_us"])
    assert figures["peak_mb"] > 1


@pytest.mark.real_time
def test_a_contender_that_fails_is_known_by_its_last_line() -> None:
    with pytest.raises(CaseFailed, match="StopIteration"):
        run_case("W1", "nobody", "asyncio", 200, SOURCES)


def test_only_takes_a_list_in_any_case() -> None:
    assert [workload.key for workload in parse(["--only", "w2,W1"]).workloads] == ["W2", "W1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "W1,W99"], "there is W1, W2"),
        (["--only", ","], "there is W1, W2"),
        (["--rounds", "0"], "1 or more"),
        (["--record"], "goes with --guard"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_quick_run_has_fewer_rounds_unless_told_otherwise() -> None:
    assert [parse(each).rounds for each in (["--only", "W1"], ["--quick"], ["--quick", "--rounds", "5"])] == [9, 3, 5]


@pytest.mark.parametrize("key", workload_keys())
def test_every_workload_is_found_by_its_key_and_its_contenders_have_names_of_their_own(key: str) -> None:
    workload = load_workload(key)
    names = [case.name for case in workload.cases]
    assert workload.key == key
    assert len(set(names)) == len(names)
    assert any(case.kind == "tocsin" for case in workload.cases)


def test_another_tree_stands_before_everything_and_this_tree_s_library_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = [str(ROOT / part) for part in ("runtime", "supervisors", "", "elsewhere")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))
    path = path_with(ROOT / "then")["PYTHONPATH"].split(os.pathsep)
    assert path[:2] == [str(ROOT / "then" / "runtime"), str(ROOT / "then" / "supervisors")]
    assert str(ROOT / "runtime") not in path
    assert path[-1] == str(ROOT / "elsewhere")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_each_or_on_a_terminal_one_that_is_written_over() -> None:
    for stream, written in ((io.StringIO(), "one\ntwo\n"), (Terminal(), "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K")):
        progress = Progress(stream)
        for line in ("one", "two", ""):
            progress.show(line)
        assert stream.getvalue() == written
