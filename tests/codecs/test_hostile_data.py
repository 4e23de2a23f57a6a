"""Generated events come back; generated and mutated bytes are events or a DecodeError, and nothing else."""

from __future__ import annotations

import ast
import random
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.events import EVERYTHING, KINDS, Colour, Everything, Order, Rights, Weight
from tocsin.codecs import CodecRegistry, DecodeError, EncodeError, decode_headers
from tocsin.codecs import __file__ as package

TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ORDERS = st.builds(Order, TEXT, FLOATS)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ALL = st.builds(
    Everything,
    st.booleans(),
    st.integers(),
    FLOATS,
    TEXT,
    st.binary(max_size=10),
    st.datetimes(timezones=st.none() | ZONES | st.just(UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(timedelta(days=-9_999_999), timedelta(days=9_999_999)),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.sampled_from(Colour),
    st.sampled_from(Weight),
    st.sampled_from([Rights(number) for number in range(4)]),
    st.fixed_dictionaries({"street": TEXT, "number": st.integers()}),
    st.lists(ORDERS, max_size=3),
    st.dictionaries(st.integers(-(2**63), 2**63), TEXT, max_size=3),
    st.tuples(st.integers(), TEXT),
    st.frozensets(TEXT, max_size=3),
    st.dictionaries(TEXT, ORDERS, max_size=3),
    st.none(),
    st.none() | ORDERS,
    st.integers() | TEXT,
)


@given(ALL)
def test_generated_events_come_back_as_they_were(event: Everything) -> None:
    CodecRegistry().check(event)


LEAVES = st.none() | st.floats() | st.integers() | st.text() | st.binary() | st.dates()
OPEN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(LEAVES, inner, max_size=3),
    max_leaves=8,
)


@given(OPEN)
def test_an_open_event_comes_back_as_it_was_or_is_refused(value: Any) -> None:
    registry = CodecRegistry()
    try:
        encoded = registry.encode([value])
    except EncodeError:
        return
    assert repr(registry.decode(encoded.name, encoded.version, encoded.data)) == repr([value])


FRAGMENTS = [b"null", b"[", b"}", b'"', b"\\ud800", b"1e999", b"-", b"\xff", b"9" * 30]


def mutated(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(found))
        match chance.randint(0, 3):
            case 0:
                found[at:at] = chance.choice(
                    [b"null", b"[", b"}", b'"', b"\\ud800", b"1e999", b"-", b"\xff", b"9" * 30]
                )
            case 1:
                del found[at : at + chance.randint(1, 5)]
            case 2:
                found[at : at + 1] = chance.randbytes(1)
            case _:
                start = chance.randint(0, len(found))
                found[at:at] = found[start : start + 10]
    return bytes(found)


def survives(rounds: int, seed: int) -> int:
    """Decode *rounds* mutated and random data; give how many were refused."""
    chance, registry, refused = random.Random(seed), CodecRegistry(), 0
    samples = [registry.encode(event) for event in KINDS]
    for _ in range(rounds):
        sample = chance.choice(samples)
        data = mutated(sample.data, chance) if chance.random() < 0.8 else chance.randbytes(chance.randint(0, 50))
        try:
            registry.decode(sample.name, chance.choice([1, 1, 1, 2]), data)
        except DecodeError:
            refused += 1
        try:
            decode_headers(data)
        except DecodeError:
            refused += 1
    return refused


def test_fault_H10_of_damaged_data_comes_an_event_or_a_decode_error() -> None:
    assert 1_000 < survives(1_000, seed=1) < 2_000


@pytest.mark.slow
def test_of_100_000_damaged_data_comes_an_event_or_a_decode_error() -> None:
    assert survives(100_000, seed=2) > 100_000


def test_an_encoded_event_says_nothing_of_what_was_not_written() -> None:
    registry = CodecRegistry()
    assert b"maybe" in registry.encode(EVERYTHING).data
    assert registry.encode(attrs.evolve(EVERYTHING, maybe=None)) == registry.encode(EVERYTHING)


RUN_WHAT_DATA_SAYS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "importlib", "copyreg", "yaml"}


def test_nothing_in_tocsin_imports_what_runs_what_data_says() -> None:
    found: set[str] = set()
    root = Path(package).parents[1]
    for path in root.rglob("*.py"):
        if "cli" in path.relative_to(root).parts:
            continue  # which imports what is named by whoever starts the program
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).split(".")[0])
    assert "json" in found
    assert found & RUN_WHAT_DATA_SAYS == set()
