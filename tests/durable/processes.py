"""Daemons in processes of their own, which their tests kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "supervisors", ""))


def started(module: str, *arguments: object, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Start *module* of the tests as a program whose output is read."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.durable.{module}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": PATHS},
        cwd=ROOT,
    )
