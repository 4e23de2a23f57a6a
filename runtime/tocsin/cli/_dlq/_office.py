"""What a daemon and a file have in common for those who look after dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, final

import attrs

from ._choice import Choice
from ._letter import LetterView


@final
@attrs.frozen
class Refusal:
    """A letter that stays where it is, and why."""

    id: int
    why: str


@final
@attrs.frozen
class Replayed:
    """What became of some letters that were to be replayed, or would."""

    moved: tuple[int, ...]
    refused: tuple[Refusal, ...] = ()


class LetterNotFound(Exception):
    """There is no letter of that number. Its text says why, and is not escaped."""


class Office(Protocol):
    """Where letters are. Each method raises ControlError or StoreError."""

    def letters(self, choice: Choice, *, full: bool) -> Iterator[LetterView]:
        """Give the letters that are meant, oldest first, each once whatever happens meanwhile; none that comes later.

        *full*: with event and traceback.
        """
        ...

    def letter(self, id: int) -> LetterView:
        """Give the letter of that number, in full; raise LetterNotFound."""
        ...

    def purge(self, choice: Choice, *, dry_run: bool) -> Iterator[int]:
        """Delete the letters that are meant, and give the numbers of those that were, or would be."""
        ...

    def replay(self, choice: Choice, *, rate: float | None, dry_run: bool) -> Iterator[Replayed]:
        """Have the letters that are meant handled once more, and say of each what became of it, or would."""
        ...
