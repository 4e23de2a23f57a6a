"""When a target is met, when it is missed, and when it cannot be told."""

from __future__ import annotations

import pytest

from benchmarks.cases import Figures, Medians, Target
from benchmarks.targets import ahead_of_all, at_most_bare, times_as_fast
from benchmarks.w09_growth import flat

Verdict = bool | None


def grown(by: float) -> Figures:
    return {"us_1": 1.0, "us_10": by, "growth": by}


@pytest.mark.parametrize(
    ("target", "medians", "verdict", "value"),
    [
        (at_most_bare(5.5), {"tocsin": {"x_bare": 5.5}}, True, 5.5),
        (at_most_bare(5.5), {"tocsin": {"x_bare": 5.6}}, False, 5.6),
        (at_most_bare(5.5), {}, None, None),
        (times_as_fast(1.5, "queue"), {"queue": {"x tocsin": 1.5}}, True, 1.5),
        (times_as_fast(1.5, "queue"), {"queue": {"x tocsin": 1.4}}, False, 1.4),
        (times_as_fast(1.5, "queue"), {"queue": {}}, None, None),
        (times_as_fast(1.5, "queue"), {}, None, None),
        (ahead_of_all(["a", "b", "c"]), {"a": {"x tocsin": 1.1}, "b": {"x tocsin": 4.0}}, True, 1.1),
        (ahead_of_all(["a", "b", "c"]), {"a": {"x tocsin": 1.0}, "b": {"x tocsin": 4.0}}, False, 1.0),
        (ahead_of_all(["a", "b", "c"]), {}, None, None),
        (flat("types", 10), {"tocsin, types": grown(3.0), "deques, types": grown(2.0)}, True, 1.5),
        (flat("types", 10), {"tocsin, types": grown(3.2), "deques, types": grown(2.0)}, False, 1.6),
        (flat("types", 10), {"tocsin, types": grown(3.2)}, None, None),
        (flat("types", 100), {"tocsin, types": grown(3.0), "deques, types": grown(2.0)}, None, 1.5),
    ],
)
def test_verdicts(target: Target, medians: Medians, verdict: Verdict, value: float | None) -> None:
    assert target.holds(medians) is verdict
    assert target.value(medians) == value
