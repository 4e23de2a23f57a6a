"""Copies of the checkout to make bugs in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.tables import ROOT

PARTS = ("runtime", "supervisors", "tests", "benchmarks", "examples", "pyproject.toml", "README.md", "dev.py")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "results")


def make_copy(folder: Path) -> Path:
    """Make *folder* a copy of what tests need of the checkout, and give it."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copy(source, folder / part)
    return folder


def surroundings(copy: Path) -> dict[str, str]:
    """Give the environment variables for tests of *copy*."""
    return {
        "PYTHONPATH": os.pathsep.join(str(copy / part) for part in ("runtime", "supervisors", "")),
        # Without a cache of bytecode, which would not notice two changes within a second.
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "hunt",
    }
