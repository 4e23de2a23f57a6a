"""What was measured on what: stands beside every figure."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("anyio", "trio", "uvloop")
PEERS = ("aiopubsub", "blinker", "bubus", "lahja", "mode-streaming", "pyee", "pykka")


def machine() -> dict[str, str]:
    """Name the commit, the interpreter, the machine and the libraries."""
    return {
        "commit": commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        **{name: version(name) for name in LIBRARIES + PEERS if installed(name)},
    }


def installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def processor() -> str:
    """Name the model of the processor where the system tells it."""
    table = Path("/proc/cpuinfo")
    rows = table.read_text(errors="replace").splitlines() if table.exists() else []
    models = [row.partition(":")[2].strip() for row in rows if row.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def commit() -> str:
    """Name the commit measured, with a plus sign if the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
