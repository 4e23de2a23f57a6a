"""What a codec is, and what an encoded event is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, final

from attrs import frozen

from tocsin_supervisors._text import qualified_name, safe_repr

T = TypeVar("T")


class Codec(Protocol[T]):
    """Turns events of exactly one class into bytes and back.

    Both are called from any thread, at the same time too, and must not wait. Whatever Exception they raise becomes an
    `EncodeError` or a `DecodeError`. `decode` gets bytes that anybody may have written: it must not run what they say.
    """

    def encode(self, event: T, /) -> bytes:
        """Return the bytes of *event*."""
        ...

    def decode(self, data: bytes, /) -> T:
        """Return the event that *data* is of; raise for anything else."""
        ...


@final
@frozen
class Encoded:
    """An event as bytes, with what has to be kept beside them in order to read them again."""

    name: str
    """The name of its type: not more than 255 bytes of printable text."""
    version: int
    """The version of its type's form, from 1."""
    data: bytes


@final
@frozen
class Conversion:
    """A codec, made ready: its two functions alone, so that nothing stands between a registry and them."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def distrusting(kind: type, codec: Codec[Any]) -> Conversion:
    """Return the functions of *codec*, held to returning what they promise."""
    return Conversion(_bytes_only(codec.encode), only_of(kind, codec.decode))


def only_of(kind: type, decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return *decode*, held to returning an instance of exactly *kind*."""

    def decode_distrusted(data: bytes) -> Any:
        event = decode(data)
        if type(event) is not kind:
            raise TypeError(f"decode() returned {safe_repr(event, 60)}: must be an instance of {qualified_name(kind)}")
        return event

    return decode_distrusted


def _bytes_only(encode: Callable[[Any], object]) -> Callable[[Any], bytes]:
    def encode_distrusted(event: Any) -> bytes:
        data = encode(event)
        if type(data) is not bytes:
            raise TypeError(f"encode() returned {safe_repr(data, 60)}: must be bytes")
        return data

    return encode_distrusted
