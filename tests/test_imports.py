"""What an import costs and what it brings along, measured in interpreters of their own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.120  # seconds; anyio and attrs together take 80 ms of them on a slow machine

MODULES_AFTER = "import sys, {package}; print(*sorted(sys.modules))"
# Of the processor, not of the clock: on a loaded machine the clock would measure the others.
SECONDS_OF = "import time; t = time.process_time(); import {package}; print(time.process_time() - t)"


def say_after(code: str) -> str:
    """Run *code* in a fresh interpreter without the site's start-up files, and give what it printed."""
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    # Users import from the bytecode cache, whatever the environment of this test-suite says about writing one.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def modules_after(package: str) -> set[str]:
    return set(say_after(MODULES_AFTER.format(package=package)).split())


def test_importing_tocsin_brings_in_no_optional_library() -> None:
    optional = {"trio", "rich", "pytest", "hypothesis", "_pytest", "starlette", "httpx2"}
    assert modules_after("tocsin") & optional == set()


def test_importing_the_supervisors_does_not_import_the_runtime() -> None:
    assert {name for name in modules_after("tocsin_supervisors") if name.split(".")[0] == "tocsin"} == set()


def test_importing_tocsin_is_quick() -> None:
    say_after(SECONDS_OF.format(package="tocsin"))  # once for the bytecode cache
    seconds = [float(say_after(SECONDS_OF.format(package="tocsin"))) for _ in range(5)]
    median = statistics.median(seconds)
    assert median < LIMIT, (
        f"import tocsin took {median * 1000:.0f} ms (median of {seconds}), allowed are {LIMIT * 1000:.0f}"
    )
