"""Which representation a client gets."""

from __future__ import annotations

import pytest

from tocsin.web._exposition import OPEN_METRICS, PROMETHEUS
from tocsin.web._negotiation import LONGEST_ACCEPT, chosen

OPEN = "application/openmetrics-text"
# What Prometheus 2.55 and 3.x send.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("text/html, */*;q=0.1", False),
        (OPEN, True),
        (f"{OPEN}; version=1.0.0", True),
        (f'{OPEN}; version="1.0.0"; charset=utf-8', True),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0; Q=1", True),
        ("application/*", True),
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (f"{OPEN};version=2.0.0", False),
        (f"{OPEN};version=2.0.0, text/plain;version=0.0.4;q=0.1", False),
        (f"{OPEN};q=0.2, text/plain;q=0.3", False),
        (f"{OPEN};q=0.3, */*;q=0.2", True),
        (f"{OPEN};q=0", False),
        (f"{OPEN};q=nan, text/plain;q=0.1", False),
        (f"{OPEN};q=7, text/plain;q=0.1", False),
        (f"{OPEN};q=x, text/plain;q=0.1", False),
        (f"text/plain;version=0.0.4;q=0, {OPEN};q=0.001", True),
        (",,;;=,;q=1,", False),
        ("x" * LONGEST_ACCEPT + f",{OPEN}", False),
    ],
)
def test_the_client_gets_what_it_likes_best_and_else_the_older_format(accept: str, is_open: bool) -> None:
    assert chosen(accept, (PROMETHEUS, OPEN_METRICS)) is (OPEN_METRICS if is_open else PROMETHEUS)
