"""Keeps what was measured: a file of JSON for each workload and version of Python, one part for each backend."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from benchmarks.rounds import Measured
from benchmarks.table import verdict

FOLDER = Path(__file__).with_name("results")


def path_of(key: str, quick: bool, folder: Path = FOLDER) -> Path:
    """Name the file; a quick run has files of its own, so that it never stands for a whole one."""
    version = ".".join(platform.python_version_tuple()[:2])
    return folder / f"{key}-{version}{'-quick' if quick else ''}.json"


def describe(measured: Measured, machine: dict[str, str]) -> dict[str, Any]:
    """Give everything about one workload on one backend that somebody may want to know later."""
    targets = [
        {
            "target": target.text,
            "met": target.holds(measured.medians),
            "value": target.value(measured.medians),
            "verdict": verdict(target, measured),
        }
        for target in measured.workload.targets
    ]
    return {
        "machine": machine,
        "size": measured.size,
        "kinds": {case.name: case.kind for case in measured.workload.cases},
        "medians": measured.medians,
        "failed": measured.failed,
        "left_out": measured.left_out,
        "targets": targets,
        "rounds": measured.rounds,
    }


def keep(measured: Measured, machine: dict[str, str], path: Path) -> None:
    """Write *measured* into the file of its workload; what other backends gave before stays there."""
    workload = measured.workload
    backends: dict[str, Any] = read(path)["backends"] if path.exists() else {}
    backends[measured.backend] = describe(measured, machine)
    whole: dict[str, Any] = {
        "workload": workload.key,
        "title": workload.title,
        "what": workload.what,
        "backends": backends,
    }
    write(path, whole)


def read(path: Path) -> dict[str, Any]:
    """Read what was written."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
