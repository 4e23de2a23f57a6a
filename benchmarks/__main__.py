"""Run the benchmarks: `python3 dev.py bench`, or `python -m benchmarks` with the source roots on the path."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks import chart, compare, guard, leaks, results, table
from benchmarks.cases import Workload
from benchmarks.machine import machine
from benchmarks.progress import Progress
from benchmarks.rounds import Measured, Plan, measure
from benchmarks.workloads import load_workload, workload_keys

BACKENDS = ["asyncio", "trio", "uvloop"]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench",
        description="What a delivery costs, beside everything else.",
        epilog="--leaks: look for leaks instead (it has options of its own, see --leaks --help).",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and 3 rounds: a look, not a measurement")
    parser.add_argument("--only", metavar="W1,W2", help="these workloads (default: all)")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="default: asyncio and trio")
    parser.add_argument("--rounds", type=int, help="default 9, with --quick 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to one file as well")
    parser.add_argument("--compare", metavar="REV", help="tocsin as it is here beside tocsin as of this commit")
    parser.add_argument("--guard", action="store_true", help="count instructions and compare them with the record")
    parser.add_argument("--record", action="store_true", help="with --guard: make today's count the record")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds if options.rounds is not None else 3 if options.quick else 9
    options.backend = options.backend or ["asyncio", "trio"]
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: must be 1 or more")
    if options.record and not options.guard:
        parser.error("--record goes with --guard")
    if "uvloop" in options.backend and importlib.util.find_spec("uvloop") is None:
        parser.error("--backend uvloop: there is no uvloop here")
    options.workloads = chosen(options.only, parser)
    return options


def chosen(only: str | None, parser: argparse.ArgumentParser) -> list[Workload]:
    """Give the workloads that were asked for, in the order of asking."""
    known = workload_keys()
    keys = known if only is None else [key.strip().upper() for key in only.split(",") if key.strip()]
    if not keys or not set(keys).issubset(known):
        parser.error(f"--only {only}: there is {', '.join(known)}")
    return [load_workload(key) for key in keys]


def measure_all(options: argparse.Namespace, plan: Plan, facts: dict[str, str]) -> list[Measured]:
    """Measure and show one workload after the other, and keep each at once, for the run may be interrupted."""
    found: list[Measured] = []
    for workload in options.workloads:
        for backend in options.backend:
            measured = measure(workload, backend, plan)
            plan.progress("")
            print("", *table.lines(measured), sep="\n", flush=True)
            results.keep(measured, facts, results.path_of(workload.key, options.quick))
            found.append(measured)
    return found


def main(arguments: list[str]) -> NoReturn:
    if "--leaks" in arguments:
        leaks.main([argument for argument in arguments if argument != "--leaks"])
    options = parse(arguments)
    if options.guard:
        sys.exit(guard.main(record=options.record))
    plan = Plan(options.rounds, options.quick, Progress().show)
    if options.compare is not None:
        sys.exit(compare.main(options.compare, options.workloads, options.backend, plan))
    facts = machine()
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")
    found = measure_all(options, plan, facts)
    chart.write(options.quick)
    if options.json is not None:
        results.write(options.json, whole(found, facts))
    failed = [f"{each.workload.key} {each.backend} {name}" for each in found for name in each.failed]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def whole(found: Sequence[Measured], facts: dict[str, str]) -> list[dict[str, object]]:
    """Give all that one run measured."""
    return [{"workload": each.workload.key, "backend": each.backend, **results.describe(each, facts)} for each in found]


if __name__ == "__main__":
    main(sys.argv[1:])
