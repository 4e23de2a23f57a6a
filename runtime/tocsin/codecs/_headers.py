"""The headers of an envelope as bytes: JSON of plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from tocsin_supervisors._text import safe_repr, safe_text

from ._errors import DecodeError, DecodeReason, EncodeError, EncodeReason, PayloadTooLarge, described
from ._json import from_json, to_json

MAX_HEADER_BYTES = 65_536  # eight times what web servers take: headers are read for each event, and by everybody
MAX_DEPTH = 16  # deeper than any header a person would write; far below the recursion limit
_INTEGERS = range(-(2**63), 2**64)  # what readers of JSON in other languages can hold

_PLAIN = "plain are None, bool, whole numbers of 64 bits, finite floats, text, and lists and dicts of these"


def encode_headers(headers: Mapping[str, object], *, max_bytes: int = MAX_HEADER_BYTES) -> bytes:
    """Return *headers* as JSON. What comes back is equal, and of the same types.

    Raise `EncodeError`, which names the header, for a value that is not plain: None, bool, whole numbers of 64 bits,
    finite floats, text, and lists and dicts of these with text as keys, at most 16 deep; subclasses are not plain.
    Raise `PayloadTooLarge` for more than *max_bytes* (default 64 KiB).
    """
    for name, value in headers.items():
        try:
            _refuse_unless_plain(name, value)
        except (TypeError, ValueError) as error:
            text = f"header {safe_repr(name, 60)} cannot be encoded, {error}: {_PLAIN}"
            raise EncodeError(EncodeReason.FAILED, text, header=safe_text(name)) from error
    data = to_json(dict(headers))
    if len(data) > max_bytes:
        raise PayloadTooLarge("the headers are too large", len(data), max_bytes)
    return data


def decode_headers(data: bytes, *, max_bytes: int = MAX_HEADER_BYTES) -> Mapping[str, object]:
    """Return the headers that `encode_headers` made *data* of, read-only.

    Raise `DecodeError` for anything else, however it is made; more than *max_bytes* are not looked at.
    """
    if type(cast("object", data)) is not bytes:
        raise DecodeError(DecodeReason.MALFORMED, f"headers={safe_repr(data, 60)}: must be bytes")
    if len(data) > max_bytes:
        raise DecodeError(DecodeReason.TOO_LARGE, f"headers of {len(data)} bytes, and {max_bytes} are allowed")
    try:
        found = from_json(data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(DecodeReason.MALFORMED, f"headers are no JSON: {described(error)}") from error
    if type(found) is not dict:
        raise DecodeError(DecodeReason.MALFORMED, f"headers are {safe_repr(found, 60)}: must be a JSON object")
    return MappingProxyType(cast("dict[str, object]", found))


def _refuse_unless_plain(name: object, value: object) -> None:
    _refuse_unless_text(name)
    _refuse_in(value, 0)


def _refuse_in(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
    # By the true type: what a subclass adds would not come back, and its own methods may do anything.
    kind = type(value)
    if value is None or kind is bool:
        return
    if kind is list:
        for each in cast("list[Any]", value):
            _refuse_in(each, depth + 1)
    elif kind is dict:
        for key, each in cast("dict[Any, Any]", value).items():
            _refuse_unless_text(key)
            _refuse_in(each, depth + 1)
    else:
        _refuse_scalar(value)


def _refuse_scalar(value: object) -> None:
    kind = type(value)
    if kind is int and value not in _INTEGERS:
        raise ValueError("it holds a whole number of more than 64 bits")
    if kind is float and not math.isfinite(cast("float", value)):
        raise ValueError(f"it holds {value}")
    if kind is not int and kind is not float:
        _refuse_unless_text(value)


def _refuse_unless_text(value: object) -> None:
    if type(value) is not str:
        raise TypeError(f"it holds {safe_repr(value, 60)}")
    value.encode("utf-8")  # raises ValueError for a lone surrogate
