"""The chart: well-formed, with a bar for each contender, as long as its figure says."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import chart, results
from benchmarks.chart import Axis, Bar, Group, axis_for, group_of

SVG = "{http://www.w3.org/2000/svg}"


def part(**figures: float) -> dict[str, Any]:
    return {
        "machine": {"python": "CPython 3.11", "processor": "Z80 <&>", "commit": "abc"},
        "rounds": [{}, {}, {}],
        "kinds": {"tocsin": "tocsin", "queue": "baseline", "bubus": "peer", "trio channel": "baseline"},
        "medians": {name.replace("_", " "): {"x_bare": value} for name, value in figures.items()},
    }


def content(**backends: dict[str, Any]) -> dict[str, Any]:
    return {"workload": "W1", "title": "one & one", "backends": backends}


def test_bars_are_sorted_and_of_trio_only_its_own_are_shown() -> None:
    group = group_of(
        content(asyncio=part(tocsin=4.0, bubus=9000.0, queue=9.0), trio=part(tocsin=5.0, queue=8.0, trio_channel=60.0))
    )
    labels = ["tocsin", "tocsin on trio", "queue", "trio channel on trio", "bubus"]
    assert [bar.label for bar in group.bars] == labels


@pytest.mark.parametrize(
    ("values", "low", "high"), [((4.0, 9000.0), 0, 4), ((1.0, 2.0), -1, 1), ((0.5,), -1, 0), ((20.0, 1000.0), 1, 3)]
)
def test_the_axis_has_whole_decades_and_room_to_see_each_bar(values: tuple[float, ...], low: int, high: int) -> None:
    bars = [Bar("x", "peer", value) for value in values]
    assert axis_for([Group("g", bars)]) == Axis(low, high)


def test_each_decade_is_as_wide_as_the_next() -> None:
    axis = Axis(0, 3)
    assert axis.x(100) - axis.x(10) == pytest.approx(axis.x(10) - axis.x(1))


def test_the_picture_is_well_formed_and_says_what_was_measured(tmp_path: Path) -> None:
    results.write(results.path_of("W1", False, tmp_path), content(asyncio=part(tocsin=4.0, queue=9.0)))
    picture = chart.write(quick=False, folder=tmp_path)
    assert picture == tmp_path / "overview.svg"
    assert picture is not None
    root = ElementTree.parse(picture).getroot()
    assert root.tag == f"{SVG}svg"
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"What a delivery costs", "W1: one & one", "tocsin", "4.0", "queue", "9.0"}.issubset(texts)
    assert any("3 interleaved rounds, CPython 3.11, Z80 <&>, commit abc" in text for text in texts)
    fills = [element.get("fill") for element in root.iter(f"{SVG}rect")]
    assert fills.count(chart.COLOURS["tocsin"]) == 2  # its bar, and the legend


def test_there_is_no_picture_of_nothing(tmp_path: Path) -> None:
    assert chart.write(quick=False, folder=tmp_path) is None
    results.write(results.path_of("W1", False, tmp_path), content())
    assert chart.write(quick=False, folder=tmp_path) is None
