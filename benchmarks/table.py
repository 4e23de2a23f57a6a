"""Prints what was measured: a table, and under it the targets with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.cases import Figures, Target
from benchmarks.rounds import Measured

QUEUE = "asyncio.Queue"
COMMON = {"seconds", "operations", "us", "x_bare", "bare_us", "cpu_s", "peak_mb"}
HEADINGS = ("", "µs/op", "x bare", "x Queue", "CPU µs/op", "peak MB", "")


def lines(measured: Measured) -> list[str]:
    """Give the table of one workload on one backend, and its targets."""
    workload = measured.workload
    head = f"{workload.key} {workload.title}, {measured.backend}, {measured.size:,} operations, "
    rows = [HEADINGS, *(row(name, figures) for name, figures in measured.medians.items())]
    notes = [f"  {name}: FAILED: {reason}" for name, reason in measured.failed.items()]
    notes += [f"  left out, {line}" for line in by_reason(measured.left_out)]
    verdicts = [f"  {verdict(target, measured)}" for target in workload.targets]
    return [head + f"{len(measured.rounds)} rounds", *aligned(rows), *notes, *verdicts]


def row(name: str, figures: Figures) -> Sequence[str]:
    """Give the cells of one contender."""
    queue = 1.0 if name == QUEUE else figures.get(f"x {QUEUE}")
    cpu = figures["cpu_s"] / figures["operations"] * 1e6
    others = [f"{key}={number(value)}" for key, value in figures.items() if key not in COMMON and key[:2] != "x "]
    cells = [figures["us"], figures["x_bare"], queue, cpu, figures["peak_mb"]]
    return [name, *("-" if cell is None else number(cell) for cell in cells), " ".join(others)]


def number(value: float) -> str:
    """Write a figure with three digits that mean something."""
    if value and abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set the columns under each other: names and notes to the left, figures to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]).rstrip()
        for row in rows
    ]


def verdict(target: Target, measured: Measured) -> str:
    """Say whether a target is met, with what was measured."""
    holds, value = target.holds(measured.medians), target.value(measured.medians)
    if holds is None:
        return f"{target.text}: cannot be told here: {why_untold(target, measured)}"
    shown = "" if value is None else f" ({number(value)})"
    return f"{target.text}: {'met' if holds else 'MISSED'}{shown}"


def why_untold(target: Target, measured: Measured) -> str:
    """Name the absent contenders that the target speaks of; else those of tocsin, else all."""
    absent = {**measured.left_out, **{name: f"failed: {reason}" for name, reason in measured.failed.items()}}
    named = [name for name in absent if name.lower() in target.text.lower()]
    ours = [case.name for case in measured.workload.cases if case.kind == "tocsin" and case.name in absent]
    chosen = named or ours or list(absent)
    return "; ".join(by_reason({name: absent[name] for name in chosen})) or "this run is too small for it"


def by_reason(absent: Mapping[str, str]) -> list[str]:
    """Put those together that are absent for the same reason."""
    reasons = dict.fromkeys(absent.values())
    return [f"{reason}: {', '.join(name for name in absent if absent[name] == reason)}" for reason in reasons]
