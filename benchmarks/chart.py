"""Draws what the results folder holds of W1, W2 and W3: bars on a logarithmic scale, as SVG written by hand.

Colours are of a middle lightness, so that the picture can be read on a white and on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, final

from attrs import frozen

from benchmarks import results

SHOWN = ("W1", "W2", "W3")
BACKENDS = ("asyncio", "trio")
ON_TRIO_TOO = ("tocsin", "trio channel")
WIDTH, LEFT, RIGHT = 860, 210, 90
BAR, GAP, HEAD, TOP, BOTTOM = 15, 5, 40, 80, 78
INK, FAINT = "#7a7a7a", "#7a7a7a55"
COLOURS = {"tocsin": "#e8590c", "peer": "#74818f", "baseline": "#4c8dcf", "floor": "#4c8dcf"}


@final
@frozen
class Bar:
    label: str
    kind: str
    value: float  # times the bare loop


@final
@frozen
class Group:
    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        return HEAD + len(self.bars) * (BAR + GAP)


@final
@frozen
class Axis:
    """Maps values onto the width, decade by decade."""

    low: int  # powers of ten
    high: int

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def axis_for(groups: Sequence[Group]) -> Axis:
    """Give an axis of whole decades that has room for all bars."""
    values = [bar.value for group in groups for bar in group.bars]
    low = math.floor(math.log10(min(values)) - 0.01)
    return Axis(low, max(low + 1, math.ceil(math.log10(max(values)))))


def group_of(content: Mapping[str, Any]) -> Group:
    """Make the bars of one workload, the fastest first: all of asyncio, and of trio its own channels and tocsin."""
    bars: list[Bar] = []
    for backend in BACKENDS:
        part = content["backends"].get(backend, {"medians": {}})
        for name, figures in part["medians"].items():
            kind = part["kinds"][name]
            if backend == "asyncio" or name in ON_TRIO_TOO:
                bars.append(Bar(name if backend == "asyncio" else f"{name} on {backend}", kind, figures["x_bare"]))
    title = f"{content['workload']}: {content['title']}"
    return Group(title, sorted(bars, key=lambda bar: bar.value))


def draw(groups: Sequence[Group], source: str) -> str:
    """Give the whole picture."""
    axis = axis_for(groups)
    parts: list[str] = []
    y = TOP
    for group in groups:
        parts += draw_group(group, axis, y)
        y += group.height
    height = y + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            ' font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12" role="img">',
            "<title>What a delivery costs</title>",
            text(16, 28, "What a delivery costs", size=18, weight="bold"),
            text(16, 48, "Time for one event handled by one subscriber; shorter is better."),
            *draw_legend(),
            *draw_axis(axis, y),
            *parts,
            text(16, height - 14, source, size=11),
            "</svg>\n",
        ]
    )


def draw_legend() -> list[str]:
    """Name the colours."""
    kinds = {"tocsin": "tocsin", "baseline": "plain loop, queues and streams", "peer": "other libraries, and Erlang"}
    parts: list[str] = []
    x = 16
    for kind, meaning in kinds.items():
        parts.append(f'<rect x="{x}" y="60" width="12" height="12" rx="2" fill="{COLOURS[kind]}"/>')
        parts.append(text(x + 18, 70, meaning))
        x += 40 + 7 * len(meaning)
    return parts


def draw_axis(axis: Axis, bottom: int) -> list[str]:
    """Write a number for each decade, and what they count."""
    lines: list[str] = []
    for power in range(axis.low, axis.high + 1):
        x = axis.x(10.0**power)
        lines.append(text(x, bottom + 22, f"{10.0**power:,g}", anchor="middle"))
    middle = (axis.x(10.0**axis.low) + axis.x(10.0**axis.high)) / 2
    return [*lines, text(middle, bottom + 42, "times a bare await of the handler, logarithmic scale", anchor="middle")]


def draw_group(group: Group, axis: Axis, y: int) -> list[str]:
    parts = [text(16, y + HEAD - 14, group.title, size=14, weight="bold")]
    start = axis.x(10.0**axis.low)
    for power in range(axis.low, axis.high + 1):
        x = f"{axis.x(10.0**power):.1f}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{y + HEAD - 4}" y2="{y + group.height}" stroke="{FAINT}"/>')
    for number, bar in enumerate(group.bars):
        top = y + HEAD + number * (BAR + GAP)
        length, colour = axis.x(bar.value) - start, COLOURS[bar.kind]
        weight = "bold" if bar.kind == "tocsin" else "normal"
        ink = COLOURS["tocsin"] if bar.kind == "tocsin" else INK
        shape = f'x="{start:.1f}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"'
        parts += [
            text(LEFT - 8, top + 12, bar.label, anchor="end", weight=weight, colour=ink),
            f"<rect {shape}/>",
            text(start + length + 6, top + 12, short(bar.value), weight=weight, colour=ink),
        ]
    return parts


def short(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def text(
    x: float, y: float, content: str, size: int = 12, weight: str = "normal", anchor: str = "start", colour: str = INK
) -> str:
    place = f'x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(content)}</text>"


def source_of(contents: Sequence[Mapping[str, Any]]) -> str:
    """Say what was measured on what; several, if the parts are of different runs."""
    parts = [content["backends"][name] for content in contents for name in BACKENDS if name in content["backends"]]
    facts = [part["machine"] for part in parts]
    counts = sorted({len(part["rounds"]) for part in parts})
    commits = ", ".join(sorted({each["commit"] for each in facts}))
    systems = "; ".join(sorted({f"{each['python']}, {each['processor']}" for each in facts}))
    rounds = " or ".join(map(str, counts))
    return f"Source: dev.py bench, medians of {rounds} interleaved rounds, {systems}, commit {commits}"


def write(quick: bool, folder: Path = results.FOLDER) -> Path | None:
    """Draw what there is of the workloads shown; nothing if there is none."""
    paths = [results.path_of(key, quick, folder) for key in SHOWN]
    contents = [results.read(path) for path in paths if path.exists()]
    groups = [group for group in map(group_of, contents) if group.bars]
    if not groups:
        return None
    picture = folder / f"overview{'-quick' if quick else ''}.svg"
    picture.write_text(draw(groups, source_of(contents)), encoding="utf-8")
    return picture
