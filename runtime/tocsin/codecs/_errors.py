"""What can be wrong with an event or with bytes."""

from __future__ import annotations

from tocsin.exceptions import TocsinError


class CodecError(TocsinError):
    """Base of both. `name` is the type's name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name: str = name


class EncodeError(CodecError, ValueError):
    """An event, or one of its headers, cannot be made into bytes; the original exception is the `__cause__`."""


class DecodeError(CodecError, ValueError):
    """Bytes cannot be made into an event; the original exception, if there is one, is the `__cause__`."""
