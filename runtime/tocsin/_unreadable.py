"""What stands for an event that a store has kept and that cannot be made of its bytes any more."""

from __future__ import annotations

from typing import final

from attrs import field, frozen


@final
@frozen
class Unreadable:
    """The bytes of an event whose type is not known any more, or has changed, or that were damaged.

    It is found in dead letters alone. Its bytes stay in the store: once the process knows how to read them, the letter
    has its event again, and can be replayed.
    """

    type_name: str
    """By which its codec would be found."""
    why: str
    """Why they could not be read."""
    body: bytes = field(default=b"", repr=False)
    """The bytes themselves."""
    version: int = 0
    """Of their form."""
