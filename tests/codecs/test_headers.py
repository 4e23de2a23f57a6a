"""The headers of an envelope as bytes."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.codecs import DecodeError, DecodeReason, EncodeError, PayloadTooLarge, decode_headers, encode_headers

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=10
)


@given(st.dictionaries(TEXTS, PLAIN, max_size=4))
def test_headers_come_back_as_they_were(headers: dict[str, object]) -> None:
    back = decode_headers(encode_headers(MappingProxyType(headers)))
    assert repr(dict(back)) == repr(headers)


def test_no_headers_are_an_empty_object() -> None:
    assert encode_headers({}) == b"{}"
    assert dict(decode_headers(b"{}")) == {}


def test_decoded_headers_are_read_only() -> None:
    with pytest.raises(TypeError):
        decode_headers(b"{}")["a"] = 1  # type: ignore[index]  # pyright: ignore


class Level(enum.StrEnum):
    HIGH = "high"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)

NOT_PLAIN: list[Any] = [
    (1, 2),
    {1, 2},
    b"a",
    object(),
    Level.HIGH,
    float("nan"),
    float("inf"),
    2**64,
    -(2**63) - 1,
    "\ud800",
    {1: "a"},
    {"\ud800": 1},
    {"a": [{"b": 1j}]},
    nested(17),
    CYCLE,
]


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: repr(value)[:20])
def test_a_value_that_is_not_plain_is_refused_and_its_header_named(value: Any) -> None:
    with pytest.raises(EncodeError, match="header 'bad' cannot be encoded") as told:
        encode_headers({"good": 1, "bad": value})
    assert (told.value.header, told.value.type) == ("bad", None)


@pytest.mark.parametrize("name", [1, None, Level.HIGH, "\ud800"])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(EncodeError, match="cannot be encoded"):
        encode_headers({name: 1})


def test_sixteen_levels_are_allowed() -> None:
    assert decode_headers(encode_headers({"a": nested(16)}))["a"] == nested(16)


def test_headers_of_more_bytes_than_allowed_are_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="the headers are too large: 11 bytes, and 10 are allowed"):
        encode_headers({"a": "bcde"[:3]}, max_bytes=10)


BROKEN: list[Any] = [
    b"",
    b"[]",
    b"null",
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1e999}',
    b'{"a":1,"a":2}',
    b'{"a":1}}',
    b"\xff",
    b"[" * 60_000,
    b'{"a":' + b"1" * 5_000 + b"}",
    None,
    "{}",
]


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: repr(data)[:20])
def test_what_is_no_headers_is_a_decode_error(data: Any) -> None:
    with pytest.raises(DecodeError) as told:
        decode_headers(data)
    assert (told.value.reason, told.value.name) == (DecodeReason.MALFORMED, None)


def test_more_bytes_than_allowed_are_not_looked_at() -> None:
    with pytest.raises(DecodeError, match="headers of 7 bytes, and 6 are allowed") as told:
        decode_headers(b"no JSON", max_bytes=6)
    assert told.value.reason is DecodeReason.TOO_LARGE
