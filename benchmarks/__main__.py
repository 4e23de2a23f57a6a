"""Run the benchmarks: `python3 dev.py bench`, or `python -m benchmarks` with the source roots on the path."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks import bench_publish, leaks
from benchmarks.bench_publish import Contender, contenders
from benchmarks.machine import machine

Seconds = dict[str, list[float]]  # contender → its time in each round


def measure(contender: Contender, events: int, backend: str) -> float:
    """Give the seconds one run takes, without those that starting and closing the loop take."""

    async def timed() -> float:
        started = time.perf_counter()
        await contender(events)
        return time.perf_counter() - started

    return anyio.run(timed, backend=backend)


def run_rounds(backend: str, rounds: int, events: int) -> Seconds:
    """Run every contender once a round, each round beginning with another one; the first round is thrown away."""
    field = contenders(backend)
    seconds: Seconds = {name_of(contender): [] for contender in field}
    for number in range(rounds + 1):
        start = number % len(field)
        for contender in field[start:] + field[:start]:
            taken = measure(contender, events, backend)
            if number:
                seconds[name_of(contender)].append(taken)
    return seconds


def summarize(seconds: Seconds, events: int) -> dict[str, dict[str, float]]:
    """Give each contender's median microseconds per event and its median ratio to the baseline of the same round."""
    floor = seconds[name_of(bench_publish.BASELINE)]
    return {
        name: {
            "us_per_event": round(statistics.median(taken) / events * 1e6, 3),
            "ratio": round(statistics.median(mine / base for mine, base in zip(taken, floor, strict=True)), 2),
        }
        for name, taken in seconds.items()
    }


def name_of(contender: Contender) -> str:
    return getattr(contender, "__name__", repr(contender))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench", description="What a handled event costs.", epilog="--leaks: look for leaks instead."
    )
    parser.add_argument("--backend", choices=["asyncio", "trio"], action="append", help="default: both")
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds (default 9)")
    parser.add_argument("--events", type=int, default=10_000, help="events per run (default 10,000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.events < 1:
        parser.error(f"--rounds {options.rounds} --events {options.events}: both must be 1 or more")
    return options


def show(backend: str, summary: dict[str, dict[str, float]]) -> None:
    print(f"\npublish → handled, one subscriber, {backend}\n{'':28}{'µs/event':>10}{'bare awaits':>14}")
    for name, figures in summary.items():
        print(f"  {name.replace('_', ' '):26}{figures['us_per_event']:>10.2f}{figures['ratio']:>14.1f}")


def main(arguments: list[str]) -> None:
    if "--leaks" in arguments:
        leaks.main([argument for argument in arguments if argument != "--leaks"])
    options = parse(arguments)
    result: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "events": options.events, "publish": {}}
    print(*(f"{key}: {value}" for key, value in result["machine"].items()), sep="\n")
    for backend in options.backend or ["asyncio", "trio"]:
        summary = summarize(run_rounds(backend, options.rounds, options.events), options.events)
        result["publish"][backend] = summary
        show(backend, summary)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
