"""Both formats, judged by the parsers of prometheus-client."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.helpers import PARSERS
from tocsin.web._exposition import OPEN_METRICS, PROMETHEUS, Family, Labels, exposition, rendered


def texts() -> st.SearchStrategy[str]:
    """Any text, and often one made of what the formats treat specially."""
    special = st.text(alphabet='\\"\n\r\t ,{}=#_n\x00\x85\u2028\u202e\x1b')
    return st.one_of(special, st.text(alphabet=st.characters(exclude_categories=["Cs"])))


def test_the_older_format_names_counters_as_their_samples_and_state_sets_gauges() -> None:
    families = [
        Family("hits", "counter", "All\nhits.", ((rendered((("a", "1"),)), 3), (rendered((("a", "2"),)), 4))),
        Family("age_seconds", "gauge", "Age.", (("", 0.5),), unit="seconds"),
        Family("phase", "stateset", "Phase.", ((rendered((("phase", "on"),)), True),)),
    ]
    assert exposition(families, PROMETHEUS) == (
        "# TYPE hits_total counter\n"
        "# HELP hits_total All\\nhits.\n"
        'hits_total{a="1"} 3\n'
        'hits_total{a="2"} 4\n'
        "# TYPE age_seconds gauge\n"
        "# HELP age_seconds Age.\n"
        "age_seconds{} 0.5\n"
        "# TYPE phase gauge\n"
        "# HELP phase Phase.\n"
        'phase{phase="on"} 1\n'
    )
    assert exposition(families, OPEN_METRICS) == (
        "# TYPE hits counter\n"
        "# HELP hits All\\nhits.\n"
        'hits_total{a="1"} 3\n'
        'hits_total{a="2"} 4\n'
        "# TYPE age_seconds gauge\n"
        "# UNIT age_seconds seconds\n"
        "# HELP age_seconds Age.\n"
        "age_seconds{} 0.5\n"
        "# TYPE phase stateset\n"
        "# HELP phase Phase.\n"
        'phase{phase="on"} 1\n'
        "# EOF\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (True, "1"), (10**18, "1000000000000000000"), (0.25, "0.25"), (math.inf, "+Inf"), (-math.inf, "-Inf")],
)
def test_numbers_are_written_as_both_formats_have_them(value: float, text: str) -> None:
    assert exposition([Family("m", "gauge", "M.", (("", value),))], PROMETHEUS).endswith(f"m{{}} {text}\n")


def test_what_is_no_number_is_written_as_such() -> None:
    assert exposition([Family("m", "gauge", "M.", (("", math.nan),))], PROMETHEUS).endswith("m{} NaN\n")


def test_a_lone_surrogate_is_written_as_an_escape_since_nobody_could_encode_it() -> None:
    assert rendered((("a", "x\ud800"),)) == 'a="x\\\\ud800"'


@given(texts(), texts())
def test_any_text_reads_back_from_both_formats(first: str, second: str) -> None:
    labels: Labels = (("a", first), ("b", second))
    family = Family("m", "gauge", "M.", ((rendered(labels), 1),))
    for media_type, parse in PARSERS.items():
        (found,) = parse(exposition([family], media_type))
        assert [sample.labels for sample in found.samples] == [dict(labels)]
