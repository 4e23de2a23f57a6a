"""Parameters of commands: taken from JSON, and refused where they are not what they must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from tocsin.cli._showing import shown

from ._errors import CommandRefused
from ._protocol import Json


@final
class Params:
    """Hands out the parameters of one request, each once; `end` refuses those that nobody wanted."""

    def __init__(self, params: Mapping[str, Json]) -> None:
        self._left = dict(params)

    def text(self, name: str) -> str:
        """Give the text *name*; raise CommandRefused without one."""
        found = self.optional_text(name)
        if found is None:
            raise bad_params(f"{name} is missing: it must be a text")
        return found

    def optional_text(self, name: str) -> str | None:
        """Give the text *name*; None if it is null or missing."""
        found = self._left.pop(name, None)
        if found is None or isinstance(found, str):
            return found
        raise bad_params(f"{name}={shown(found, 60)} must be a text")

    def texts(self, name: str) -> tuple[str, ...]:
        """Give the list of texts *name*; empty if it is null or missing."""
        found = self._left.pop(name, None)
        if found is None:
            return ()
        if isinstance(found, list):
            texts = tuple(each for each in found if isinstance(each, str))
            if len(texts) == len(found):
                return texts
        raise bad_params(f"{name}={shown(found, 60)} must be a list of texts")

    def optional_number(self, name: str) -> float | None:
        """Give the number *name*; None if it is null or missing."""
        found = self._left.pop(name, None)
        if found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
            return found
        raise bad_params(f"{name}={shown(found, 60)} must be a number")

    def whole_number(self, name: str, default: int, *, at_least: int, at_most: int) -> int:
        """Give the whole number *name* in its bounds; *default* if it is null or missing."""
        found = self._left.pop(name, None)
        if found is None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and at_least <= found <= at_most:
            return found
        raise bad_params(f"{name}={shown(found, 60)} must be a whole number from {at_least} to {at_most}")

    def flag(self, name: str) -> bool:
        """Give the truth value *name*; False if it is null or missing."""
        found = self._left.pop(name, None)
        if found is None or isinstance(found, bool):
            return bool(found)
        raise bad_params(f"{name}={shown(found, 60)} must be true or false")

    def value(self, name: str) -> Json:
        """Give *name*, whatever it is; None if it is missing."""
        return self._left.pop(name, None)

    def end(self) -> None:
        """Refuse what is left: a parameter that was mistyped would be silently without effect."""
        if self._left:
            raise bad_params(f"there is no parameter {shown(min(self._left), 60)}")


def bad_params(message: str) -> CommandRefused:
    """Give the refusal of parameters."""
    return CommandRefused("bad_params", message)
