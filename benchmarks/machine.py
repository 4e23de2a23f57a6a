"""What was measured on what: stands beside every figure."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, str]:
    """Name the commit, the interpreter, the machine and the libraries."""
    return {
        "commit": commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "anyio": version("anyio"),
        "trio": version("trio"),
    }


def commit() -> str:
    """Name the commit measured, with a plus sign if the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
