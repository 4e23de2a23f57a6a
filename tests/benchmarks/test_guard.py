"""The guard's verdicts; that it counts the same each time is not tested here, for it takes half a minute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.guard import judge, python_version, read_record, write_record


@pytest.mark.parametrize(("counted", "passed"), [(1000, True), (1050, True), (1051, False), (500, True)])
def test_more_than_five_percent_above_the_record_fails_and_less_never_does(counted: float, passed: bool) -> None:
    lines, verdict = judge({"w1": 1000, "w2": counted}, {"w1": 1000, "w2": 1000})
    assert verdict is passed
    assert ["ABOVE" in line for line in lines] == [False, not passed]


def test_without_a_record_nothing_passes() -> None:
    assert judge({"w1": 1000}, None) == (["w1: 1,000 instructions, none recorded"], False)


def test_recording_keeps_what_other_versions_of_python_have(tmp_path: Path) -> None:
    path = tmp_path / "guard.json"
    path.write_text(json.dumps({"2.7": {"w1": 5}}), encoding="utf-8")
    write_record({"w1": 1000.4}, path)
    assert read_record(path) == {"2.7": {"w1": 5}, python_version(): {"w1": 1000}}


def test_without_valgrind_it_says_so_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert guard.main(record=False) == 2
    assert "valgrind" in capsys.readouterr().out
