"""The codec of one type: by msgspec, by pydantic, or of the user's own.

msgspec writes MessagePack: unlike in JSON, bytes, NaN and infinities come back as they were, and it is faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Upgrade = Callable[[Any], Any]


class Codec(Protocol):
    """How events of one type become bytes and come back. Whatever Exception it raises becomes a `CodecError`."""

    def encode(self, event: Any, /) -> bytes:
        """Give the bytes of *event*."""
        ...

    def decode(self, data: bytes, /) -> Any:
        """Make the event of *data* anew."""
        ...


class Upgradable(Codec, Protocol):
    """A codec that can go by way of plain values: what old bytes say is brought up to date as such."""

    def decode_old(self, data: bytes, upgrades: Sequence[Upgrade], /) -> Any:
        """Make the event of *data*, of an older form, which *upgrades* bring up to date one after the other."""
        ...


def codec_for(kind: type) -> Upgradable:
    """Give the codec for *kind*; raise ImportError, naming what to install, if msgspec is missing."""
    if any(base.__module__.partition(".")[0] == "pydantic" and base.__name__ == "BaseModel" for base in kind.__mro__):
        return _Pydantic(kind)
    return _Msgspec(kind)


def import_msgspec() -> Any:
    """Import msgspec, only when it is needed."""
    try:
        import msgspec
    except ImportError as error:
        raise ImportError(
            'events are encoded by msgspec, which is not installed: pip install "tocsin[durable]"'
        ) from error
    return msgspec


@final
class _Msgspec:
    """For attrs classes, dataclasses, structs, named tuples, and plain values."""

    def __init__(self, kind: type) -> None:
        msgspec = import_msgspec()
        self._kind = kind
        self._plain: Callable[[bytes], Any] = msgspec.msgpack.decode
        self._convert: Callable[[Any, type], Any] = msgspec.convert
        self.encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
        self.decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(kind).decode

    def decode_old(self, data: bytes, upgrades: Sequence[Upgrade], /) -> Any:
        value = self._plain(data)
        for upgrade in upgrades:
            value = upgrade(value)
        return self._convert(value, self._kind)


@final
class _Pydantic:
    """For the models of pydantic, which know how to do it themselves."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def encode(self, event: Any, /) -> bytes:
        text: str = event.model_dump_json()
        return text.encode()

    def decode(self, data: bytes, /) -> Any:
        return self._kind.model_validate_json(data)

    def decode_old(self, data: bytes, upgrades: Sequence[Upgrade], /) -> Any:
        import json

        value = json.loads(data)
        for upgrade in upgrades:
            value = upgrade(value)
        return self._kind.model_validate_json(json.dumps(value))
