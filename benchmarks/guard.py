"""Counts the instructions of a delivery with valgrind, and compares them with the recorded ones.

Time depends on what else the machine does; the number of instructions that a fixed run takes hardly does. Each workload
is run with two sizes, and the difference divided by the difference of the sizes: starting up counts for nothing.

Stable: seven counts within an hour, on a machine that had other work, gave 146,086 to 146,522 instructions for a
delivery of W1 (0.3 % apart; three of one minute were equal) and 100,464 to 100,514 for one of W2 (0.05 %). What takes
decisions by the clock can make it less so: under valgrind, a millisecond holds some fifty times less work.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECORD = Path(__file__).with_name("guard.json")
WORKLOADS = ("w01_one_to_one", "w02_fan_out")
SMALL, LARGE = 2_000, 12_000  # deliveries
MARGIN = 0.05
Counts = dict[str, float]  # workload → instructions for a delivery


class ValgrindFailed(Exception):
    """valgrind, or what ran under it, ended with an error."""


def instructions(workload: str, size: int) -> int:
    """Run tocsin's case of a workload on asyncio under callgrind, and give the instructions of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command = [*valgrind, sys.executable, "-P", "-m", "benchmarks.guarded", workload, str(size)]
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or collected is None:
        raise ValgrindFailed(f"{workload}: {done.stderr.strip().splitlines()[-1]}")
    return int(collected[1])


def count() -> Counts:
    """Give the instructions for a delivery in each workload; two runs at a time, which disturbs no count."""
    runs = [(workload, size) for workload in WORKLOADS for size in (SMALL, LARGE)]
    with ThreadPoolExecutor(2) as pool:
        counted = dict(zip(runs, pool.map(instructions, *zip(*runs, strict=True)), strict=True))
    return {name: (counted[name, LARGE] - counted[name, SMALL]) / (LARGE - SMALL) for name in WORKLOADS}


def python_version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def read_record(path: Path = RECORD) -> dict[str, Counts]:
    """Give the record: by version of Python, then by workload."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(counts: Mapping[str, float], path: Path = RECORD) -> None:
    """Make *counts* the record for this version of Python."""
    whole = {**read_record(path), python_version(): {name: round(each) for name, each in counts.items()}}
    path.write_text(json.dumps(dict(sorted(whole.items())), indent=2) + "\n", encoding="utf-8")


def judge(counts: Mapping[str, float], recorded: Mapping[str, float] | None) -> tuple[list[str], bool]:
    """Give a line for each workload, and whether all are within the margin."""
    if recorded is None:
        return [f"{name}: {each:,.0f} instructions, none recorded" for name, each in counts.items()], False
    above = [name for name, each in counts.items() if each > recorded[name] * (1 + MARGIN)]
    lines = [
        f"{name}: {each:,.0f} instructions for a delivery, {recorded[name]:,.0f} recorded, "
        f"{each / recorded[name] - 1:+.1%}{' ABOVE THE MARGIN' if name in above else ''}"
        for name, each in counts.items()
    ]
    return lines, not above


def main(record: bool) -> int:
    """Count and judge: 0 if all is well, 1 if a delivery takes more than is recorded, 2 if it cannot be told."""
    if shutil.which("valgrind") is None:
        print("--guard needs valgrind, and there is none on PATH (Debian, Ubuntu: `apt install valgrind`)")
        return 2
    try:
        counts = count()
    except ValgrindFailed as failure:
        print(f"--guard could not count: {failure}")
        return 2
    if record:
        write_record(counts)
    recorded = read_record().get(python_version())
    lines, passed = judge(counts, recorded)
    print(*lines, sep="\n")
    print(f"Python {python_version()}, margin {MARGIN:.0%}. To record anew: python3 dev.py bench --guard --record")
    return 2 if recorded is None else 0 if passed else 1
