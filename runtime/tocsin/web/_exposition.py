"""Metrics as text: the Prometheus text format 0.0.4, and OpenMetrics 1.0. Pure, and knows nothing of a bus.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, final

from attrs import frozen

from ._negotiation import MediaType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROMETHEUS: Final = MediaType("text/plain", "text/plain; version=0.0.4; charset=utf-8", "0.0.4")
OPEN_METRICS: Final = MediaType(
    "application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", "1.0.0"
)

Labels = tuple[tuple[str, str], ...]
Kind = Literal["counter", "gauge", "stateset", "summary"]
Sample = tuple[str, float] | tuple[str, float, str]

# Backslash first is not needed: each character is looked at once.
_IN_LABEL: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_IN_HELP: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})


@final
@frozen
class Family:
    """One metric. `name` is without the `_total` of counters; `unit` is the last part of the name, if it has one."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]
    """Rendered labels (see `rendered`) and value; for the sums of a summary also what their name ends in. Samples that
    differ in their quantile alone stand together."""
    unit: str = ""


def rendered(labels: Labels) -> str:
    """Give *labels* as they stand between the braces, their values escaped.

    Any text is a value, and reads back as the same text; only a lone surrogate, which UTF-8 has no bytes for, is
    written as a backslash escape.
    """
    return ",".join(f'{name}="{_encodable(value).translate(_IN_LABEL)}"' for name, value in labels)


def exposition(families: Iterable[Family], media_type: MediaType) -> str:
    """Give *families* in the format of *media_type*, which is `PROMETHEUS` or `OPEN_METRICS`."""
    is_open = media_type is OPEN_METRICS
    lines = [line for family in families for line in _lines(family, is_open=is_open)]
    return "\n".join([*lines, "# EOF", ""] if is_open else [*lines, ""])


def _lines(family: Family, *, is_open: bool) -> Iterator[str]:
    sample = family.name + ("_total" if family.kind == "counter" else "")
    # The older format names a counter as its samples, and has neither state sets nor units.
    name = family.name if is_open else sample
    yield f"# TYPE {name} {'gauge' if family.kind == 'stateset' and not is_open else family.kind}"
    if family.unit and is_open:
        yield f"# UNIT {name} {family.unit}"
    yield f"# HELP {name} {family.help.translate(_IN_HELP)}"
    for labels, value, *suffix in family.samples:
        yield f"{sample}{''.join(suffix)}{{{labels}}} {_number(value)}"


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))  # True is 1
    return repr(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
