"""The search for leaks: what it judges, and by what. That it finds what stays is in test_supervisor_leaks.py."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.leaks import MAX_BYTES, Findings, Probe
from benchmarks.storms import growth


def findings(**figures: Any) -> Findings:
    clean: dict[str, Any] = {"grown": {}, "bytes_per_crash": 0.0, "blocks_per_crash": 0.0}
    return Findings(backend="trio", crashes=1000, seconds=1.0, samples=[], **{**clean, **figures})


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        ({}, True),
        ({"bytes_per_crash": MAX_BYTES}, True),
        ({"bytes_per_crash": MAX_BYTES * 1.01}, False),
        ({"grown": {"builtins.dict": 1}}, False),
        ({"grown": {"builtins.dict": 1, "builtins.list": -1}}, False),
    ],
)
def test_one_object_or_more_than_a_byte_per_crash_fails(figures: dict[str, Any], passed: bool) -> None:
    assert findings(**figures).passed is passed


def test_what_grows_by_three_per_crash_has_the_slope_three() -> None:
    probe = Probe(4)
    for crashes in (100, 200, 300, 400):
        probe.take(crashes)
    assert probe.slope(array("q", [5000, 5300, 5600, 5900])) == pytest.approx(3.0)


def test_samples_of_the_warming_up_are_not_counted() -> None:
    probe = Probe(2)
    probe.take(0)
    probe.begin()
    probe.take(100)
    probe.take(200)
    assert [sample["crashes"] for sample in probe.samples()] == [100, 200]
    assert all(sample["blocks"] > 0 and sample["resident"] > 0 for sample in probe.samples())


def test_growth_names_what_there_is_more_or_less_of_and_what_changed_most_first() -> None:
    before = Counter[type]({int: 5, str: 3, list: 1})
    after = Counter[type]({int: 5, str: 1, list: 8, dict: 1})
    assert list(growth(before, after).items()) == [("builtins.list", 7), ("builtins.str", -2), ("builtins.dict", 1)]


def test_too_few_crashes_are_refused_with_the_least_that_tells_anything(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--leaks", "--crashes", "1000"])
    assert ended.value.code == 2
    assert "100,000 or more" in capsys.readouterr().err
