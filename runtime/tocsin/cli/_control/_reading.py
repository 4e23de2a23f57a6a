"""Taking answers of a daemon apart: what is missing or of another kind is told, and never a traceback.

A daemon may be of another version than the command that asks it, so whatever it adds is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, final

from ._errors import BrokenConversation
from ._protocol import Json


@final
class Reading:
    """One object of an answer; each method raises BrokenConversation if the value is not of its kind."""

    def __init__(self, value: Json, what: str = "the answer") -> None:
        if not isinstance(value, dict):
            raise BrokenConversation(f"{what} is no object: is the daemon of another version?")
        self._value = value
        self._what = what

    def text(self, name: str) -> str:
        """Give the text *name*."""
        found = self._value.get(name)
        return found if isinstance(found, str) else self._wrong(name, "text")

    def optional_text(self, name: str) -> str | None:
        """Give the text *name*; None if it is null or missing."""
        return None if self._value.get(name) is None else self.text(name)

    def number(self, name: str) -> float:
        """Give the number *name*."""
        found = self._value.get(name)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return found
        return self._wrong(name, "number")

    def optional_number(self, name: str) -> float | None:
        """Give the number *name*; None if it is null or missing."""
        return None if self._value.get(name) is None else self.number(name)

    def count(self, name: str) -> int:
        """Give the whole number *name*; 0 if it is missing."""
        return int(self.optional_number(name) or 0)

    def flag(self, name: str) -> bool:
        """True if *name* is true; False if it is missing."""
        return self._value.get(name) is True

    def is_false(self, name: str) -> bool:
        """True if *name* is false; False if it is null or missing."""
        return self._value.get(name) is False

    def object(self, name: str) -> Reading:
        """Give the object *name*."""
        return Reading(self._value.get(name), f"{self._what}.{name}")

    def optional_object(self, name: str) -> Reading | None:
        """Give the object *name*; None if it is null or missing."""
        return None if self._value.get(name) is None else self.object(name)

    def objects(self, name: str) -> Iterator[Reading]:
        """Iterate over the list *name* of objects."""
        found = self._value.get(name)
        if not isinstance(found, list):
            self._wrong(name, "list")
        for number, each in enumerate(found):
            yield Reading(each, f"{self._what}.{name}[{number}]")

    def texts(self, name: str) -> list[str]:
        """Give the list *name* of texts."""
        found = self._value.get(name)
        texts = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
        return texts if texts == found else self._wrong(name, "list of texts")

    def values(self) -> dict[str, Json]:
        """Give everything in it."""
        return self._value

    def _wrong(self, name: str, kind: str) -> NoReturn:
        raise BrokenConversation(f"{self._what}.{name} is no {kind}: is the daemon of another version?")
