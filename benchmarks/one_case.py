"""Measures one contender once, in this process, and prints the figures as a line of JSON.

    python -m benchmarks.one_case W1 tocsin asyncio 200000

The bare loop is measured right before and right after it, on the same kind of event loop.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.cases import Case, Figures
from benchmarks.loops import bare
from benchmarks.workloads import find_case

STATUS = Path("/proc/self/status")


def measure(case: Case, backend: str, size: int) -> Figures:
    """Run *case* and add its time per operation, its ratio to the bare loop, and what it took of the machine."""
    before = bare(backend)
    gc.collect()
    began = cpu_seconds()
    figures = case.run(backend, size)
    cpu = cpu_seconds() - began
    peak = peak_megabytes()
    after = bare(backend)
    each = figures["seconds"] / figures["operations"]
    floor = (before + after) / 2
    return {
        **figures,
        "us": each * 1e6,
        "x_bare": each / floor,
        "bare_us": floor * 1e6,
        "cpu_s": cpu,
        "peak_mb": peak,
    }


def cpu_seconds() -> float:
    """Give the time that this process and the ended ones it had started spent on a processor."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def peak_megabytes() -> float:
    """Give the most memory that this process ever held, in MB."""
    if STATUS.exists():  # getrusage would give what the process held from which this one was forked
        peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def main(workload: str, case: str, backend: str, size: str) -> None:
    print(json.dumps(measure(find_case(workload, case), backend, int(size))))


if __name__ == "__main__":
    main(*sys.argv[1:])
