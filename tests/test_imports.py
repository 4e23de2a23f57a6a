"""What an import costs and what it brings along, measured in interpreters of their own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What any program that uses anyio on asyncio imports before its first line; it is measured beside the library, because
# seconds alone would say more about the machine. There are machines on which it takes 50 ms, and some that take 200.
YARDSTICK = "asyncio, anyio, attrs, anyio._backends._asyncio"
LIMIT = 2  # times the yardstick

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


OPTIONAL = {
    "trio",
    "rich",
    "pytest",
    "hypothesis",
    "_pytest",
    "starlette",
    "httpx2",
    "anycorn",
    "prometheus_client",
    "cyclopts",
    "watchfiles",
    "msgspec",
    "opentelemetry",
    "structlog",
    "pydantic",
    "sqlite3",
    "django",
    "fastapi",
    "litestar",
    "quart",
    "uvicorn",
}
PARTS = {"tocsin.cli", "tocsin.codecs", "tocsin.durable", "tocsin.opentelemetry", "tocsin.web"}


def test_importing_tocsin_brings_in_no_optional_library() -> None:
    assert modules_after("tocsin") & (OPTIONAL | PARTS) == set()


def test_importing_the_web_part_brings_in_no_optional_library() -> None:
    assert modules_after("tocsin.web") & OPTIONAL == set()


def test_importing_the_codecs_brings_in_no_optional_library() -> None:
    assert modules_after("tocsin.codecs") & OPTIONAL == set()


def test_importing_the_plugin_for_opentelemetry_brings_in_its_api_alone() -> None:
    modules = modules_after("tocsin.opentelemetry")
    assert {name for name in modules if name.startswith("opentelemetry.sdk")} == set()
    assert modules & OPTIONAL == {"opentelemetry"}


def test_importing_the_supervisors_does_not_import_the_runtime() -> None:
    assert {name for name in modules_after("tocsin_supervisors") if name.split(".")[0] == "tocsin"} == set()


def seconds_of(package: str) -> float:
    return float(say_after(SECONDS_OF.format(package=package)))


@pytest.mark.slow
def test_importing_tocsin_is_quick() -> None:
    seconds_of("tocsin")  # once for the bytecode cache
    pairs = [(seconds_of("tocsin"), seconds_of(YARDSTICK)) for _ in range(5)]
    median = statistics.median(ours / theirs for ours, theirs in pairs)
    assert median < LIMIT, (
        f"import tocsin took {median:.2f} times as long as import {YARDSTICK} (seconds: {pairs}), allowed is {LIMIT}"
    )
