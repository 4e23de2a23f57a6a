"""Runs the contenders of a workload round by round, each in a fresh process, and boils the rounds down to medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar, final

from attrs import define, field, frozen

from benchmarks.cases import Figures, Medians, Workload
from benchmarks.workloads import why_left_out

LIMIT = 180.0  # seconds for one contender; far more than any should take
Progress = Callable[[str], None]
Runner = Callable[[str, str, str, int], Figures]  # workload, case, backend, size
T = TypeVar("T")


class CaseFailed(Exception):
    """A contender failed; the message is the last line of what it said."""


@final
@define
class Measured:
    """What one workload gave on one backend."""

    workload: Workload
    backend: str
    size: int
    rounds: list[dict[str, Figures]] = field(factory=list)
    failed: dict[str, str] = field(factory=dict)
    left_out: dict[str, str] = field(factory=dict)

    @property
    def medians(self) -> Medians:
        return medians(self.rounds, [case.name for case in self.workload.cases if case.name not in self.failed])


@final
@frozen
class Plan:
    """How to measure."""

    rounds: int
    quick: bool = False
    progress: Progress = lambda line: None


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Give *items*, beginning with another one for each *by*, so that a slow moment of the machine falls on all."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]


def run_case(workload: str, case: str, backend: str, size: int, variables: dict[str, str] | None = None) -> Figures:
    """Measure one contender in a fresh process; raise CaseFailed."""
    command = [sys.executable, "-P", "-m", "benchmarks.one_case", workload, case, backend, str(size)]
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        raise CaseFailed(f"was still running after {LIMIT:g} s") from late
    if done.returncode:
        said = done.stderr.strip() or f"ended with {done.returncode}"
        raise CaseFailed(said.splitlines()[-1])
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(workload: Workload, backend: str, plan: Plan, run: Runner = run_case) -> Measured:
    """Measure all contenders; one that fails is noted and not tried again, the others go on."""
    reasons = {case.name: why_left_out(case, backend) for case in workload.cases}
    measured = Measured(workload, backend, workload.quick if plan.quick else workload.size)
    measured.left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    contenders = [case for case in workload.cases if case.name not in measured.left_out]
    for number in range(plan.rounds):
        figures: dict[str, Figures] = {}
        for case in rotated([each for each in contenders if each.name not in measured.failed], number):
            plan.progress(f"{workload.key} {backend} round {number + 1}/{plan.rounds}: {case.name}")
            try:
                figures[case.name] = run(workload.key, case.name, backend, measured.size)
            except CaseFailed as failure:
                measured.failed[case.name] = str(failure)
        measured.rounds.append(figures)
    return measured


def medians(rounds: Sequence[dict[str, Figures]], cases: Sequence[str]) -> dict[str, Figures]:
    """Boil the rounds down: the median of each figure, and of each ratio between two contenders in the same round."""
    present = [name for name in cases if rounds and all(name in each for each in rounds)]
    found: dict[str, Figures] = {}
    for name in present:
        keys = [key for key in rounds[0][name] if all(key in each[name] for each in rounds)]
        found[name] = {key: statistics.median(each[name][key] for each in rounds) for key in keys}
        for other in present:
            if other != name:
                found[name][f"x {other}"] = statistics.median(ratios(rounds, name, other))
    return found


def ratios(rounds: Sequence[dict[str, Figures]], name: str, other: str) -> list[float]:
    """Give, round by round, the time of one operation of *name* divided by that of *other*."""
    return [each[name]["us"] / each[other]["us"] for each in rounds]
