"""The registry: which types there are, what they are called in the data, and who encodes them.

Encoding and decoding are a look into a dict and a call of the codec. Everything else (declaring a type by itself,
making its codec) happens at the first event of a type. The dicts are read without the lock and written under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast, final, overload

from attrs import frozen

from tocsin._events import Event
from tocsin_supervisors._text import qualified_name, safe_repr, safe_text

from ._codec import Codec, Encoded
from ._comparing import difference
from ._declarations import Declaration, Upgrade, automatic, declared
from ._errors import (
    DecodeError,
    DecodeReason,
    DuplicateTypeName,
    EncodeError,
    EncodeReason,
    PayloadTooLarge,
    altered,
    described,
    labelled,
)

T = TypeVar("T")
K = TypeVar("K", bound=type)

MAX_BYTES = 1_048_576  # 1 MiB, the default of NATS: what is larger belongs into a file, and its place into the event


@final
@frozen(eq=False)
class _Ready:
    """A declared type whose codec is made."""

    declaration: Declaration
    name: str
    version: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


@final
class CodecRegistry:
    """Maps types of events to their name, version and codec, and back. Safe to use from any thread.

    No event has more than *max_bytes* (default 1 MiB): more are neither written nor looked at. It keeps the classes it
    knows alive. `Event` is known from the start, as "tocsin.Event".
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        if type(cast("object", max_bytes)) is not int or max_bytes < 1:
            raise ValueError(f"max_bytes={safe_repr(max_bytes, 60)}: must be a whole number of at least 1")
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._declarations: dict[type, Declaration] = {}
        self._names: dict[str, Declaration] = {}
        self._ready: dict[type, _Ready] = {}
        self._ready_by_name: dict[str, _Ready] = {}
        self._declare(Declaration(Event, "tocsin.Event"))

    def __repr__(self) -> str:
        return f"<CodecRegistry of {len(self._declarations)} types>"

    # ── which types there are ─────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def register(
        self,
        kind: type[T],
        *,
        name: str | None = None,
        version: int = 1,
        codec: Codec[T] | None = None,
        upgrade: Mapping[int, Upgrade] | None = None,
        former_names: Iterable[str] = (),
    ) -> type[T]: ...

    @overload
    def register(
        self,
        *,
        name: str | None = None,
        version: int = 1,
        codec: Codec[Any] | None = None,
        upgrade: Mapping[int, Upgrade] | None = None,
        former_names: Iterable[str] = (),
    ) -> Callable[[K], K]: ...

    def register(
        self,
        kind: type[Any] | None = None,
        *,
        name: str | None = None,
        version: int = 1,
        codec: Codec[Any] | None = None,
        upgrade: Mapping[int, Upgrade] | None = None,
        former_names: Iterable[str] = (),
    ) -> Any:
        """Say how a class is called in the data, which version its form has, and how older ones are read.

        Returns the class; without one, a decorator. *name* is its qualified name unless given: give one, since moving
        the class would change that. *upgrade* has for each older *version* a function that turns its plain JSON value
        into that of the next version. *former_names* are names that data may still carry. *codec* is for classes that
        have none by their kind.

        Raise `UnsupportedType` if there is no codec for a class of its kind, `DuplicateTypeName` if the name is another
        type's or the class is registered already, ValueError or TypeError for options that cannot be meant. What the
        class holds is looked at when its first event is encoded, or by `prepare`: now it may still be incomplete.
        """

        def decorate(kind: K) -> K:
            self._declare(declared(kind, name, version, codec, upgrade, former_names))
            return kind

        return decorate if kind is None else decorate(kind)

    def know(self, types: Iterable[type]) -> None:
        """Let data of these classes be decoded under their qualified names, unless they are registered by hand.

        Their codecs are made when they are needed, so classes of which no event is ever encoded may be among them.
        Raise `DuplicateTypeName` or ValueError for a class whose qualified name is another one's, or too long.
        """
        for kind in types:
            if kind not in self._declarations:
                self._declare(automatic(kind))

    def versions(self) -> dict[str, int]:
        """Give every name that data may have, former ones included, with the newest version of its type."""
        with self._lock:
            return {name: declaration.version for name, declaration in self._names.items()}

    def prepare(self) -> None:
        """Make the codecs of all classes registered by hand now, in order to learn of a mistake before the first event.

        Raise `UnsupportedType`, or ImportError if the library that encodes a class is not installed.
        """
        for declaration in list(self._declarations.values()):
            if declaration.by_hand:
                self._made_ready(declaration.type)

    # ── events and bytes ──────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, event: object) -> Encoded:
        """Return *event* as bytes, with the name and the version of its type. Raise `EncodeError`, nothing else.

        `PayloadTooLarge` is one. A class that is not registered is registered by this, under its qualified name. The
        event is not decoded again to see whether it comes back, unless its class leaves open what it holds; see
        `check`.
        """
        kind = type(event)
        ready = self._ready.get(kind) or self._ready_to_encode(kind)
        try:
            data = ready.encode(event)
        except EncodeError:
            raise
        except Exception as error:  # a codec, and the event's own code, may fail in any way
            text = f"an event of {qualified_name(kind)} cannot be encoded: {described(error)}"
            raise EncodeError(EncodeReason.FAILED, text, kind) from error
        if len(data) > self.max_bytes:
            what = f"an event of {qualified_name(kind)} is too large"
            raise PayloadTooLarge(what, len(data), self.max_bytes, kind)
        return Encoded(ready.name, ready.version, data)

    def decode(self, name: str, version: int, data: bytes) -> Any:
        """Return the event that *data* is of, written under *name* and *version*. Raise `DecodeError`, nothing else.

        All three may come from anybody: nothing is imported, and more than `max_bytes` are not looked at.
        """
        ready = self._ready_by_name.get(name) if type(cast("object", name)) is str else None
        ready = ready or self._ready_to_decode(name, version)
        if type(cast("object", data)) is not bytes:
            text = f"{labelled(name, version)} is {safe_repr(data, 60)}: must be bytes"
            raise DecodeError(DecodeReason.MALFORMED, text, name, version)
        if len(data) > self.max_bytes:
            text = f"{labelled(name, version)} has {len(data)} bytes, and {self.max_bytes} are allowed"
            raise DecodeError(DecodeReason.TOO_LARGE, text, name, version)
        if version != ready.version:
            data = _upgraded(ready.declaration, name, version, data)
        try:
            return ready.decode(data)
        except Exception as error:  # a codec, and validators, may fail in any way
            text = f"{labelled(name, version)} is no {qualified_name(ready.declaration.type)}: {described(error)}"
            raise DecodeError(DecodeReason.MALFORMED, text, name, version) from error

    def check(self, event: object) -> None:
        """Encode *event*, decode it and compare, for tests of your classes.

        Equal is what `==` says; instances without an `==` of their own are compared attribute by attribute.
        Raise `EncodeError` if it cannot be encoded or comes back as something else, `DecodeError` if not at all.
        """
        encoded = self.encode(event)
        found = difference(event, self.decode(encoded.name, encoded.version, encoded.data))
        if found is not None:
            raise altered(type(event), found)

    # ── the first event of a type ─────────────────────────────────────────────────────────────────────────────────────

    def _declare(self, declaration: Declaration) -> None:
        with self._lock:
            self._refuse_second(declaration)
            before = self._declarations.get(declaration.type)
            for name in before.names if before else ():
                del self._names[name]
            self._declarations[declaration.type] = declaration
            self._names.update(dict.fromkeys(declaration.names, declaration))

    def _refuse_second(self, declaration: Declaration) -> None:
        kind, before = declaration.type, self._declarations.get(declaration.type)
        if before is not None and (before.by_hand or kind in self._ready):
            how = "" if before.by_hand else ", as an event of it was encoded or decoded: register it before that"
            text = f"{qualified_name(kind)} is registered already under the name {before.name!r}{how}"
            raise DuplicateTypeName(before.name, text)
        for name in declaration.names:
            other = self._names.get(name)
            if other is not None and other.type is not kind:
                text = f"the name {name!r} of {qualified_name(kind)} is that of {qualified_name(other.type)} already"
                raise DuplicateTypeName(name, f"{text}: give it another one, registry.register(TheClass, name=…)")

    def _made_ready(self, kind: type) -> _Ready:
        """Make the codec of a declared type. Without the lock: that may run code of the application, and import."""
        while True:
            declaration = self._declarations[kind]
            codec = declaration.conversion()
            made = _Ready(declaration, declaration.name, declaration.version, codec.encode, codec.decode)
            with self._lock:
                if self._declarations[kind] is declaration:  # it may have been registered by hand meanwhile
                    ready = self._ready.setdefault(kind, made)
                    self._ready_by_name.update(dict.fromkeys(declaration.names, ready))
                    return ready

    def _ready_to_encode(self, kind: type) -> _Ready:
        try:
            self.know([kind])
            return self._made_ready(kind)
        except Exception as error:  # whatever is wrong with the class, its events have no bytes
            raise EncodeError(EncodeReason.UNSUPPORTED, safe_text(error, 1000), kind) from error

    def _ready_to_decode(self, name: object, version: object) -> _Ready:
        declaration = self._names.get(name) if type(name) is str else None
        if declaration is None:
            text = f"{labelled(name, version)}: no type of this name is known: register it, or know() it"
            raise DecodeError(DecodeReason.UNKNOWN_NAME, text, name, version)
        try:
            return self._made_ready(declaration.type)
        except Exception as error:  # whatever is wrong with the class, there are no events of it
            text = f"{labelled(name, version)}: {safe_text(error, 1000)}"
            raise DecodeError(DecodeReason.UNSUPPORTED, text, name, version) from error


def _upgraded(declaration: Declaration, name: str, version: object, data: bytes) -> bytes:
    if type(version) is not int or version < 1:
        text = f"{labelled(name, version)}: a version must be a whole number of at least 1"
        raise DecodeError(DecodeReason.UNKNOWN_VERSION, text, name, version)
    if version > declaration.version:
        text = f"{labelled(name, version)} is newer than version {declaration.version}, the newest known here"
        raise DecodeError(DecodeReason.UNKNOWN_VERSION, f"{text}: a newer program has written it", name, version)
    if not declaration.can_upgrade_from(version):
        text = f"{labelled(name, version)}: there is no upgrade from it to version {declaration.version}"
        raise DecodeError(DecodeReason.UNKNOWN_VERSION, f"{text}; register one with upgrade=…", name, version)
    try:
        return declaration.upgraded(data, version)
    except Exception as error:  # upgrades are the application's, and may fail in any way
        text = f"{labelled(name, version)} cannot be upgraded to version {declaration.version}: {described(error)}"
        raise DecodeError(DecodeReason.UPGRADE_FAILED, text, name, version) from error
