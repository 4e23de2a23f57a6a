"""The table of scenarios is covered: each has a test on both backends, or a reason why there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.table import ARGUED, SCENARIOS, TABLE
from tests.tables import backends_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_script_finds_every_scenario_covered_or_argued() -> None:
    paths = os.pathsep.join([str(ROOT / part) for part in ("runtime", "supervisors", "")])
    command = [sys.executable, "-m", "tests.scenarios"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith(", 0 missing")


def test_the_table_has_the_rows_of_all_three_lists() -> None:
    rows = [f"{letter}{number}" for letter, last in (("O", 99), ("E", 14), ("N", 20)) for number in range(1, last + 1)]
    assert list(SCENARIOS) == rows
    assert ARGUED.keys() <= SCENARIOS.keys()


def test_a_number_in_the_name_of_a_test_or_in_its_parameters_covers_the_scenario() -> None:
    found = TABLE.covering(
        ["f.py::test_O17_says[asyncio]", "f.py::test_x[O33-a-trio]", "f.py::test_NO17_x", "O1.py::test_y"]
    )
    assert {number: len(tests) for number, tests in found.items()} == {"O17": 1, "O33": 1}


def test_a_test_that_names_no_backend_holds_on_both() -> None:
    assert backends_of(["f.py::test_O17_says"]) == {"asyncio", "trio"}
    assert backends_of(["f.py::test_O17_says[asyncio-1]"]) == {"asyncio"}


def test_a_scenario_without_a_test_on_a_backend_is_a_problem_and_so_is_a_number_that_is_in_no_table() -> None:
    found = TABLE.covering([f"f.py::test_{number}_x" for number in SCENARIOS if number != "O17"])
    found["O17"] = ["f.py::test_O17_x[asyncio]"]
    found["O100"] = ["f.py::test_O100_x"]
    assert TABLE.problems(found) == [
        "O100 is not in the table",
        "O17 (starting a child that is up) has no test on trio",
    ]
