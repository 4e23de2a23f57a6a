"""Plain JSON, strictly: for headers, and for the values that upgrades work on.

The standard library's, so that neither needs an extra. Left alone it writes and reads NaN, reads 1e999 as infinity and
lets the last of two equal keys win; all of these are refused here, since other readers disagree about them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn


def to_json(value: object) -> bytes:
    """Return *value* as JSON in UTF-8, without spaces.

    Raise ValueError for NaN, the infinities and lone surrogates, TypeError for what is no JSON, RecursionError for
    what is nested too deep.
    """
    return _encode(value).encode("utf-8")


def from_json(data: bytes) -> Any:
    """Return what *data* says; raise ValueError if it is no strict JSON, RecursionError if it is nested too deep."""
    return _decode(data.decode("utf-8"))


def _refused_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


_encode: Callable[[object], str] = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_decode: Callable[[str], Any] = json.JSONDecoder(
    parse_constant=_refused_constant, parse_float=_finite, object_pairs_hook=_with_each_key_once
).decode
