"""Finds the workloads: each is a file `w01_….py` of this folder with a `WORKLOAD` in it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from pathlib import Path

from benchmarks.cases import Case, Workload

FOLDER = Path(__file__).parent


def workload_keys() -> list[str]:
    """Give the keys of all workloads, in order."""
    return [f"W{int(path.stem[1:3])}" for path in sorted(FOLDER.glob("w[0-9][0-9]_*.py"))]


def load_workload(key: str) -> Workload:
    """Give one workload, and import no other."""
    (path,) = FOLDER.glob(f"w{int(key[1:]):02}_*.py")
    found: Workload = importlib.import_module(f"benchmarks.{path.stem}").WORKLOAD
    return found


def find_case(workload: str, case: str) -> Case:
    """Give one contender."""
    return next(each for each in load_workload(workload).cases if each.name == case)


def why_left_out(case: Case, backend: str) -> str | None:
    """Say why *case* cannot be measured here; None if it can."""
    if backend not in case.backends:
        return f"not on {backend}"
    for name in case.needs:
        if importlib.util.find_spec(name) is None:
            return f"no module {name}"
    if case.program is not None and shutil.which(case.program) is None:
        return f"no {case.program} on PATH"
    return None
