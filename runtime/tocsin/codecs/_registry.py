"""Types by name, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, final

from attrs import define, frozen

from tocsin_supervisors._text import qualified_name, safe_repr, safe_text

from ._codecs import codec_for, import_msgspec
from ._errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._codecs import Codec, Upgrade

C = TypeVar("C", bound=type)

MAX_BYTES = 1 << 20  # what is larger belongs beside the event, in a file: every copy of it is written to disk twice
HEADERS = "headers"


@final
@frozen
class Encoded:
    """An event as bytes, and what is needed to read them."""

    name: str
    version: int
    data: bytes


@final
@define(eq=False)
class _Entry:
    """One type that is known."""

    kind: type
    name: str
    version: int
    upgrades: Mapping[int, Upgrade]
    given: Codec | None
    codec: Codec | None = None  # made when it is first needed: a type that is only known may have none


@final
class CodecRegistry:
    """Knows how events of which types become bytes, and come back. Used by any number of threads.

    Attrs classes, dataclasses, msgspec's structs, named tuples and plain values (text, numbers, bytes, lists, dicts)
    work as they are, under their qualified name; models of pydantic, too. *max_bytes*: how large the bytes of one event
    may be, 1 MiB by default.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        if type(max_bytes) is not int or max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes!r}: must be a whole number of bytes, at least 1")
        self.max_bytes: int = max_bytes
        self._by_type: dict[type, _Entry] = {}
        self._by_name: dict[str, _Entry] = {}

    # ── which types ──

    def register(
        self,
        kind: type,
        *,
        name: str | None = None,
        version: int = 1,
        codec: Codec | None = None,
        upgrades: Mapping[int, Upgrade] | None = None,
    ) -> None:
        """Give *kind* a name that stays when the class is renamed or moved, a version, or a codec of its own.

        *upgrades*: for each older version a function that makes plain values of the next one out of plain values of
        that one (for a class, a dict of its fields): so what was written then can still be read. Raise ValueError for a
        name that another type has, and for upgrades that leave a version out.
        """
        upgrades = {} if upgrades is None else dict(upgrades)
        missing = [each for each in range(min(upgrades, default=version), version) if each not in upgrades]
        if missing or any(not 1 <= each < version for each in upgrades):
            raise ValueError(
                f"upgrades={sorted(upgrades)} of {qualified_name(kind)}: must lead from one version to the next, "
                f"without a gap, up to version={version}"
            )
        if upgrades and codec is not None:
            raise ValueError(
                f"{qualified_name(kind)} has a codec of its own, which reads what is old itself: no upgrades"
            )
        self._enter(_Entry(kind, qualified_name(kind) if name is None else name, version, upgrades, codec))

    def registered(self, **options: Any) -> Callable[[C], C]:
        """The same as a decorator: `@codecs.registered(name="shop.order", version=2, upgrades={1: add_currency})`."""

        def register(kind: C) -> C:
            self.register(kind, **options)
            return kind

        return register

    def know(self, kinds: Iterable[type]) -> None:
        """Be able to read events of *kinds*, by their qualified names, unless they are registered or known."""
        for kind in kinds:
            if kind not in self._by_type and qualified_name(kind) not in self._by_name:
                self._enter(_Entry(kind, qualified_name(kind), 1, {}, None))

    def _enter(self, entry: _Entry) -> None:
        other = self._by_name.get(entry.name)
        if other is not None and other.kind is not entry.kind:
            raise ValueError(
                f"the name {entry.name!r} is that of {other.kind!r}: give {entry.kind!r} one of its own, "
                "register(…, name=…)"
            )
        previous = self._by_type.get(entry.kind)
        if previous is not None and previous.name != entry.name:
            del self._by_name[previous.name]
        self._by_type[entry.kind] = self._by_name[entry.name] = entry

    # ── there ──

    def encode(self, event: object) -> Encoded:
        """Give the bytes of *event*, whose type becomes known; raise EncodeError."""
        entry = self._by_type.get(type(event))
        if entry is None:
            entry = self._become_known(type(event))
        try:
            data = (entry.codec or self._codec(entry)).encode(event)
        except ImportError:
            raise
        except Exception as error:
            raise EncodeError(entry.name, f"it cannot be encoded ({_why(error)}): {HINT}") from error
        if len(data) > self.max_bytes:
            raise EncodeError(
                entry.name, f"it takes {len(data)} bytes, more than max_bytes={self.max_bytes}: publish a reference"
            )
        return Encoded(entry.name, entry.version, data)

    def _become_known(self, kind: type) -> _Entry:
        try:
            self._enter(_Entry(kind, qualified_name(kind), 1, {}, None))
        except ValueError as error:
            raise EncodeError(qualified_name(kind), str(error)) from error
        return self._by_type[kind]

    def _codec(self, entry: _Entry) -> Codec:
        entry.codec = codec_for(entry.kind) if entry.given is None else entry.given
        return entry.codec

    # ── and back ──

    def decode(self, name: str, version: int, data: bytes) -> Any:
        """Make the event anew; raise DecodeError, whatever the bytes are."""
        entry = self._by_name.get(name)
        if entry is None:
            raise DecodeError(safe_text(name), "no type of this name is known: register it, or subscribe to it")
        if len(data) > self.max_bytes:
            raise DecodeError(entry.name, f"{len(data)} bytes are more than max_bytes={self.max_bytes}")
        try:
            codec = entry.codec or self._codec(entry)
            if version == entry.version or entry.given is not None:
                return codec.decode(data)
            return self._decode_old(entry, version, data)
        except (DecodeError, ImportError):
            raise
        except Exception as error:
            raise DecodeError(entry.name, f"its bytes cannot be read ({_why(error)})") from error

    def _decode_old(self, entry: _Entry, version: int, data: bytes) -> Any:
        upgrades = [entry.upgrades[each] for each in range(version, entry.version) if each in entry.upgrades]
        if len(upgrades) != entry.version - version:
            known = f"versions {sorted(entry.upgrades) or '[]'} can be brought up to version {entry.version}"
            raise DecodeError(entry.name, f"it is of version {version}, and {known}")
        return codec_for(entry.kind).decode_old(data, upgrades)

    # ── headers ──

    def encode_headers(self, headers: Mapping[str, object]) -> bytes:
        """Give the bytes of *headers*, whose values must be plain: text, numbers, bytes, lists and dicts of such."""
        encode = import_msgspec().msgpack.encode
        plain: dict[str, object] = {}
        for key, value in headers.items():
            try:
                encode(value)
            except Exception as error:
                text = f"the header {safe_text(key)} has a value that cannot be encoded: {safe_repr(value, 60)}"
                raise EncodeError(HEADERS, text) from error
            plain[key] = value
        data: bytes = encode(plain)
        return data

    def decode_headers(self, data: bytes) -> dict[str, object]:
        """Make the headers anew; raise DecodeError."""
        msgspec = import_msgspec()
        try:
            headers: dict[str, object] = msgspec.msgpack.decode(data, type=dict[str, Any])
        except Exception as error:
            raise DecodeError(HEADERS, f"their bytes cannot be read ({_why(error)})") from error
        return headers

    # ── for tests ──

    def check(self, event: object) -> None:
        """Raise EncodeError or DecodeError unless *event* comes back as it was: for the tests of your event classes.

        Compared by `==`, and by its bytes if the class compares by identity.
        """
        encoded = self.encode(event)
        again = self.decode(encoded.name, encoded.version, encoded.data)
        by_identity = type(event).__eq__ is object.__eq__
        if type(again) is not type(event) or not (self.encode(again) == encoded if by_identity else again == event):
            raise DecodeError(encoded.name, f"{safe_repr(event)} came back as {safe_repr(again)}")


HINT = "make it an attrs class or dataclass of plain fields, a msgspec Struct or a pydantic model, or register a codec"


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {safe_text(str(error))}"
