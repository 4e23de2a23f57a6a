"""Models of pydantic, by their own methods. pydantic itself is not imported: whoever has a model has done that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._codec import Conversion, only_of
from ._comparing import finite_only


def pydantic_conversion(kind: Any) -> Conversion:
    """Make the codec of a model; needs pydantic 2.11 or newer.

    Both ways go by the names of the fields, whatever their aliases are: those for reading and those for writing may
    differ. Computed fields are not written, private attributes are not either.
    """

    def encode(event: Any) -> bytes:
        text: str = event.model_dump_json(by_alias=False, round_trip=True, warnings="error")
        return text.encode("utf-8")

    def plain(event: Any) -> object:
        return event.model_dump(by_alias=False, round_trip=True, warnings="error")

    validate: Callable[..., Any] = kind.model_validate_json

    def decode(data: bytes) -> Any:
        return validate(data, by_alias=False, by_name=True)

    return Conversion(finite_only(kind, encode, plain), only_of(kind, decode))
