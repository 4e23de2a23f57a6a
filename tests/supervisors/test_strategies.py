"""Who is restarted along with a child that failed."""

from __future__ import annotations

import pytest

from tocsin_supervisors import Strategy


@pytest.mark.parametrize(
    ("strategy", "affected"),
    [
        (Strategy.ONE_FOR_ONE, ("b",)),
        (Strategy.ONE_FOR_ALL, ("a", "b", "c")),
        (Strategy.REST_FOR_ONE, ("b", "c")),
    ],
)
def test_a_strategy_names_the_affected_in_start_order(strategy: Strategy, affected: tuple[str, ...]) -> None:
    assert strategy.affected(["a", "b", "c"], "b") == affected
