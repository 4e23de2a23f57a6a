"""Which partition a key belongs to, and what makes no partitions."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisors.scripted import Crash
from tocsin_supervisors import (
    BadCombination,
    ChildSpec,
    DuplicateChild,
    Partitions,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
)


def sleeper(number: int) -> ChildSpec:
    return ChildSpec(f"p{number}", anyio.sleep_forever)


# ── keys ──


@given(st.integers(), st.integers(min_value=1, max_value=20))
def test_E14_an_int_belongs_to_its_remainder(key: int, count: int) -> None:
    partitions = Partitions("pool", sleeper, count)
    assert partitions.partition_of(key) == key % count
    assert partitions.child_of(key) == f"p{key % count}"


@given(st.text() | st.binary() | st.floats(allow_nan=False) | st.tuples(st.integers(), st.text()) | st.none())
def test_E14_any_other_key_belongs_to_a_partition_by_its_hash(key: object) -> None:
    partitions = Partitions("pool", sleeper, 7)
    assert partitions.partition_of(key) == hash(key) % 7
    assert partitions.child_of(key) == f"p{hash(key) % 7}"


def test_E14_many_keys_are_spread_over_all() -> None:
    partitions = Partitions("pool", sleeper, 4)
    found = [partitions.partition_of(f"customer {number}") for number in range(4000)]
    assert all(found.count(number) > 500 for number in range(4))


def test_E14_a_key_without_a_hash_is_refused() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        Partitions("pool", sleeper, 4).partition_of([])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_E14_the_options_are_those_of_the_supervisor() -> None:
    intensity = RestartIntensity(7, 70.0)
    partitions = Partitions(
        "pool",
        sleeper,
        2,
        strategy=Strategy.ONE_FOR_ALL,
        intensity=intensity,
        subtree_intensity=intensity,
        shutdown_deadline=5.0,
    )
    options = partitions.supervisor.options
    assert (options.strategy, options.shutdown_deadline) == (Strategy.ONE_FOR_ALL, 5.0)
    assert options.intensity is options.subtree_intensity is intensity
    assert partitions.supervisor.name == "pool"
    assert Partitions("pool", sleeper, 2).supervisor.options == Supervisor("pool").options


# ── refusals at the door ──


def always_the_same(number: int) -> ChildSpec:
    return sleeper(0)


def temporary(number: int) -> ChildSpec:
    return ChildSpec(f"p{number}", anyio.sleep_forever, restart=RestartPolicy.TEMPORARY)


def significant(number: int) -> ChildSpec:
    return ChildSpec(f"p{number}", anyio.sleep_forever, restart=RestartPolicy.TRANSIENT, significant=True)


REFUSED: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    (sleeper, 0, {}, ValueError, r"^count=0 must be at least 1"),
    (sleeper, -1, {}, ValueError, r"^count=-1 must be at least 1"),
    (sleeper, 2.0, {}, TypeError, r"^count=2\.0 must be an int"),
    (sleeper, True, {}, TypeError, r"^count=True must be an int"),
    (7, 2, {}, TypeError, r"^make=7 must be a function"),
    (str, 2, {}, TypeError, "must be a ChildSpec"),
    (always_the_same, 2, {}, DuplicateChild, "'p0' of supervisor 'pool' is declared already"),
    (temporary, 2, {}, ValueError, r"restart=RestartPolicy\.TEMPORARY of partition 'p0' leaves its keys to nobody"),
    (significant, 2, {}, BadCombination, "significant=True"),
    (sleeper, 2, {"strategy": "one_for_one"}, TypeError, "^strategy="),
    (sleeper, 2, {"max_children": 2}, TypeError, "max_children"),
]


@pytest.mark.parametrize(("make", "count", "options", "error", "text"), REFUSED)
def test_E14_what_makes_no_partitions_is_refused(
    make: Any, count: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Partitions("pool", make, count, **options)


def test_E14_an_error_of_make_is_raised_as_it_is() -> None:
    def broken(number: int) -> ChildSpec:
        raise Crash(f"no spec for {number}")

    with pytest.raises(Crash, match="no spec for 0"):
        Partitions("pool", broken, 2)
