"""Checks at the door: each error names the option, the value it was given and what is allowed."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

_NUMBERS = (int, float)  # once: a union is made anew wherever it is written
Validator: TypeAlias = "Callable[[object, attrs.Attribute[Any], Any], None]"


def check_number(name: str, value: object, *, at_least: float, at_most: float = sys.float_info.max) -> None:
    """Raise unless *value* is a finite int or float (no bool) within the bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise TypeError(f"{name}={value!r} must be an int or a float, not {type(value).__name__}")
    # A chain of comparisons, not isfinite(): it is false for NaN and exact for integers too large for a float.
    if not at_least <= value <= at_most:
        upper = "a finite number" if at_most == sys.float_info.max else f"{at_most:g}"
        raise ValueError(f"{name}={value!r} must lie between {at_least:g} and {upper}")


def check_text(name: str, value: object) -> None:
    """Raise unless *value* is a text that is not empty: it is a name."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a string, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name}='' must not be empty: it is what reports and errors call it by")


def check_count(name: str, value: object, *, at_least: int) -> None:
    """Raise unless *value* is an int (no bool) of at least *at_least*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} must be an int, not {type(value).__name__}")
    if value < at_least:
        raise ValueError(f"{name}={value!r} must be at least {at_least}")


def number(*, at_least: float, at_most: float = sys.float_info.max) -> Validator:
    """Return the attrs validator made of `check_number`."""

    def validate(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_number(attribute.name, value, at_least=at_least, at_most=at_most)

    return validate


def count(*, at_least: int, or_none: bool = False) -> Validator:
    """Return the attrs validator made of `check_count`; with *or_none*, None passes as well."""

    def validate(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not (or_none and value is None):
            check_count(attribute.name, value, at_least=at_least)

    return validate


def word(*words: str) -> Validator:
    """Return the attrs validator that lets only one of *words* pass."""

    def validate(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name}={value!r} must be one of {', '.join(map(repr, words))}")

    return validate


def one_of(kind: type[Any]) -> Validator:
    """Return the attrs validator that lets only an instance of *kind* pass; of an enumeration it names the members."""
    members = ", ".join(map(str, kind)) if issubclass(kind, enum.Enum) else ""
    allowed = f"one of {members}" if members else f"a {kind.__name__}"

    def validate(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"{attribute.name}={value!r} must be {allowed}, not {type(value).__name__}")

    return validate


def check_stall_threshold(threshold: object, name: str = "stall_threshold") -> None:
    """Raise unless *threshold* is seconds that a watchdog may wait: below a twentieth, the garbage collector or another
    process would be a stall."""
    check_number(name, threshold, at_least=0.05, at_most=3600)
