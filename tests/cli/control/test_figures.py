"""Figures as short texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli._control._figures import amount, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0.0, "0s"), (-1.0, "0s"), (1e-9, "0.0us"), (0.000_012, "12.0us"), (0.0012, "1.2ms"),
        (0.25, "250ms"), (1.0, "1.0s"), (59.0, "59.0s"), (60.0, "1m00s"), (185.9, "3m05s"), (3600.0, "1h00m"),
        (7800.0, "2h10m"), (172_800.0, "2d"),
    ],
)  # fmt: skip
def test_a_duration_has_three_digits_or_so(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"), (0, "0"), (7, "7"), (3.42, "3.4"), (123.4, "123"), (9999, "9999"), (10_000, "10.0k"),
        (56_700, "56.7k"), (999_000, "999k"), (8_900_000, "8.9M"), (2e9, "2.0G"),
    ],
)  # fmt: skip
def test_an_amount_has_three_digits_or_so(number: float | None, text: str) -> None:
    assert amount(number) == text


@given(st.floats(min_value=0.0, max_value=1e8))
def test_no_duration_is_longer_than_its_column(seconds: float) -> None:
    assert len(duration(seconds)) <= 6


@given(st.floats(min_value=0.0, max_value=1e11))
def test_no_amount_is_longer_than_its_column(number: float) -> None:
    assert len(amount(number)) <= 6
