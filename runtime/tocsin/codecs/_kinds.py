"""Which codec serves a class, told by what the class is; the library that does it is imported only then."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from attrs import NOTHING

from ._codec import Conversion
from ._errors import HOW_TO_GIVE_A_CODEC, UnsupportedType

_PLAIN: frozenset[type] = frozenset(
    {type(None), bool, int, float, str, bytes, list, dict, tuple, set, frozenset}
    | {datetime, date, time, timedelta, UUID, Decimal}
)


def check_kind(kind: type) -> None:
    """Raise `UnsupportedType` if a class is of no kind that has a codec, without looking at what it holds."""
    if is_validated_by_pydantic(kind) and not is_pydantic_model(kind):
        why = "it is a dataclass of pydantic, whose checks would be left out"
        raise UnsupportedType(kind, f"{why}; {HOW_TO_GIVE_A_CODEC}")
    if not (is_pydantic_model(kind) or is_structured(kind)):
        why = "it is no attrs class, dataclass, msgspec Struct, NamedTuple, pydantic model, Enum or plain value"
        raise UnsupportedType(kind, f"{why}; {HOW_TO_GIVE_A_CODEC}")


def conversion_for(kind: type) -> Conversion:
    """Make the codec of a class. Costs milliseconds the first time, and some 0.1 ms for each class.

    Raise `UnsupportedType` if there is none, ImportError if msgspec is needed and not installed.
    """
    check_kind(kind)
    if is_pydantic_model(kind):
        from ._pydantic import pydantic_conversion

        return pydantic_conversion(kind)
    from ._structured import structured_conversion

    return structured_conversion(kind)


def is_pydantic_model(kind: type) -> bool:
    """Whether a class is a model of pydantic 2; pydantic is not imported to find out."""
    is_model = any(base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in kind.__mro__)
    return is_model and hasattr(kind, "model_validate_json")  # models of pydantic 1 have no such method


def is_validated_by_pydantic(kind: type) -> bool:
    """Whether pydantic has added its own checks to a class: models, and its dataclasses."""
    return "__pydantic_validator__" in vars(kind)


def is_structured(kind: type) -> bool:
    """Whether msgspec knows a class of this kind: attrs, dataclass, Struct, NamedTuple, Enum or plain value."""
    bases = kind.__mro__
    return (
        kind in _PLAIN
        or enum.Enum in bases
        or (tuple in bases and "_fields" in vars(kind))  # a NamedTuple
        or any(base.__module__ == "msgspec" and base.__name__ == "Struct" for base in bases)
        or has_own_fields(kind)
    )


def has_own_fields(kind: type) -> bool:
    """Whether a class itself was decorated as an attrs class or a dataclass, and not only one it inherits from."""
    return "__attrs_attrs__" in vars(kind) or "__dataclass_fields__" in vars(kind)


def fields_left_out(kind: type) -> list[str]:
    """Return the attributes of an attrs class that its constructor takes, and that msgspec would leave out unsaid.

    These are the ones with a leading underscore. One that the constructor does not take comes back as its default.
    """
    fields: tuple[Any, ...] = vars(kind).get("__attrs_attrs__", ())
    private = [each for each in fields if each.name.startswith("_")]
    return [each.name for each in private if each.init or each.default is NOTHING]
