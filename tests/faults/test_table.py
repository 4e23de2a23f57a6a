"""The catalogue of faults is covered: each row has a test on both backends, or a reason why there is none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.faults.table import ARGUED, FAULTS, TABLE
from tests.tables import ROOT


@pytest.mark.slow
def test_the_script_finds_every_fault_covered_or_argued() -> None:
    paths = os.pathsep.join([str(ROOT / part) for part in ("runtime", "supervisors", "")])
    command = [sys.executable, "-m", "tests.faults"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith(", 0 missing")


def test_the_table_has_all_rows_of_the_catalogue() -> None:
    last = zip("ABCDEFGHI", (24, 17, 12, 22, 19, 6, 18, 10, 22), strict=True)
    assert list(FAULTS) == [f"{letter}{number}" for letter, count in last for number in range(1, count + 1)]
    assert ARGUED.keys() <= FAULTS.keys()


def test_a_row_is_covered_by_a_name_or_by_a_parameter() -> None:
    tests = ["f.py::test_fault_A4_A5_x[asyncio]", "f.py::test_x[fault B7: a text-trio]", "f.py::test_A17_y"]
    assert {number: len(found) for number, found in TABLE.covering(tests).items()} == {"A4": 1, "A5": 1, "B7": 1}
