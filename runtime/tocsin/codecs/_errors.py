"""What can go wrong between an event and its bytes. Each error carries its facts as attributes."""

from __future__ import annotations

import enum
from typing import final

from tocsin.exceptions import TocsinError
from tocsin_supervisors._text import qualified_name, safe_repr, safe_text

HOW_TO_GIVE_A_CODEC = "give it a codec of your own: registry.register(TheClass, codec=…), see docs/codecs.md"


@final
class EncodeReason(enum.StrEnum):
    """Why there are no bytes of an event. The values are stable: they are written to logs and files."""

    UNSUPPORTED = "unsupported"  # there is no codec for its class; no event of it can be encoded
    FAILED = "failed"  # its codec raised: this event holds something that cannot be encoded
    ALTERED = "altered"  # there are bytes, but they would come back as something else
    TOO_LARGE = "too_large"  # more bytes than allowed


@final
class DecodeReason(enum.StrEnum):
    """Why bytes are no event. The values are stable: they are written to logs and files."""

    UNKNOWN_NAME = "unknown_name"  # no type is registered under it
    UNKNOWN_VERSION = "unknown_version"  # newer than the type registered, or there is no upgrade from it
    UNSUPPORTED = "unsupported"  # the type is known, but there is no codec for it
    TOO_LARGE = "too_large"  # more bytes than allowed; they were not looked at
    UPGRADE_FAILED = "upgrade_failed"  # an upgrade function raised, or returned what is no JSON
    MALFORMED = "malformed"  # the bytes are not of this type


class CodecError(TocsinError):
    """Base of the errors of `tocsin.codecs`, for an `except` that means all of them."""


class UnsupportedType(CodecError, TypeError):
    """There is no codec for a class; `type` is the class, the text says why and what to do."""

    def __init__(self, kind: type, why: str) -> None:
        super().__init__(f"events of {qualified_name(kind)} cannot be encoded: {why}")
        self.type = kind


class DuplicateTypeName(CodecError, ValueError):
    """Two types would have one name, or one type two names: which one is meant could not be told from the data."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class EncodeError(CodecError, ValueError):
    """An event, or the headers of one, cannot be encoded. What its codec raised is the `__cause__`.

    `type` is the class of the event, None if it is about headers; `header` names the header.
    """

    def __init__(self, reason: EncodeReason, text: str, kind: type | None = None, header: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.type = kind
        self.header = header


@final
class PayloadTooLarge(EncodeError):
    """An event, or the headers of one, has more bytes than allowed: `size` of them, where `limit` are."""

    def __init__(self, what: str, size: int, limit: int, kind: type | None = None) -> None:
        text = f"{what}: {size} bytes, and {limit} are allowed: publish where the data lies, or raise max_bytes=…"
        super().__init__(EncodeReason.TOO_LARGE, text, kind)
        self.size = size
        self.limit = limit


@final
class DecodeError(CodecError, ValueError):
    """Bytes are no event, or no headers. What the codec raised is the `__cause__`.

    `name` and `version` are what was written beside the bytes, None for headers. They come from outside: they are in
    the text, and here only if they are a text and a whole number.
    """

    def __init__(self, reason: DecodeReason, text: str, name: object = None, version: object = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.name: str | None = name if type(name) is str else None
        self.version: int | None = version if type(version) is int else None


def described(error: Exception) -> str:
    """Say in one printable line what *error* is."""
    return f"{type(error).__name__}: {safe_text(error)}"


def altered(kind: type, difference: str) -> EncodeError:
    """Return the error for an event that would come back as something else."""
    text = f"an event of {qualified_name(kind)} would come back as something else: {difference}"
    return EncodeError(EncodeReason.ALTERED, text, kind)


def labelled(name: object, version: object) -> str:
    """Say what data claims to be of, whatever the claim is made of."""
    return f"data of {safe_repr(name, 100)}, version {safe_repr(version, 30)}"
