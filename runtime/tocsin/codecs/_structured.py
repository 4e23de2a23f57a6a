"""attrs classes, dataclasses, Structs, NamedTuples, enums and plain values: JSON by msgspec. The only user of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import msgspec
except ImportError as missing:
    raise ImportError("encoding events needs msgspec: pip install 'tocsin[durable]'", name="msgspec") from missing

from tocsin._events import Event

from ._codec import Conversion
from ._comparing import difference, finite_only
from ._errors import HOW_TO_GIVE_A_CODEC, altered, described
from ._shapes import Shape, shape_of


def structured_conversion(kind: type) -> Conversion:
    """Make the codec of a class that msgspec knows; raise `UnsupportedType` if something in it would be lost.

    Decoding is strict: no text for a number, no number for a text, and validators run. What the data has and the class
    has not is left out, as a newer program may have written it.
    """
    shape = shape_of(kind)
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode
    # msgspec does not run converters, and the one of `Event` is what keeps hostile topics out.
    return Conversion(_encoder(kind, shape, decode), _constructed(decode) if kind is Event else decode)


def _constructed(decode: Callable[[bytes], Event]) -> Callable[[bytes], Event]:
    def decode_constructed(data: bytes) -> Event:
        found = decode(data)
        return Event(found.type, found.payload, schema_version=found.schema_version)

    return decode_constructed


def _encoder(kind: type, shape: Shape, decode: Callable[[bytes], Any]) -> Callable[[Any], bytes]:
    encode = msgspec.json.Encoder().encode
    if shape.is_open:
        return _comparing(kind, encode, decode)
    return finite_only(kind, encode, msgspec.to_builtins) if shape.has_floats else encode


def _comparing(kind: type, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Callable[[Any], bytes]:
    """Return an encoder that decodes what it has encoded: nothing less tells what becomes of something unknown."""

    def encode_comparing(event: Any) -> bytes:
        data = encode(event)
        try:
            found = difference(event, decode(data))
        except Exception as error:  # validators of the class run, and may fail in any way
            raise altered(kind, f"it cannot be read again, {described(error)}") from error
        if found is not None:
            raise altered(kind, f"{found}. Annotate what it is, or {HOW_TO_GIVE_A_CODEC}")
        return data

    return encode_comparing
