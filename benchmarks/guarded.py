"""What runs under valgrind: tocsin's case of one workload, once, with nothing measured around it."""

from __future__ import annotations

import importlib
import sys

from benchmarks.cases import Workload


def main(module: str, size: str) -> None:
    workload: Workload = importlib.import_module(f"benchmarks.{module}").WORKLOAD
    case = next(each for each in workload.cases if each.name == "tocsin")
    case.run("asyncio", int(size))


if __name__ == "__main__":
    main(*sys.argv[1:])
