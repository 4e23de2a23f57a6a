"""The types of events that a bus knows: those somebody wants, and those of its store. Nothing is imported by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, final

from attrs import frozen

from tocsin import EventBus
from tocsin.cli._showing import shown
from tocsin.codecs import CodecError, CodecRegistry, DecodeError

from ._errors import CommandRefused, unknown
from ._protocol import Json


@final
@frozen
class KnownType:
    """A name of a type, and who knows it under that."""

    name: str
    version: int
    registry: CodecRegistry

    def event(self, data: Json) -> Any:
        """Give the event that *data* is of; raise CommandRefused."""
        try:
            return self.registry.decode(self.name, self.version, json.dumps(data).encode())
        except DecodeError as error:
            raise CommandRefused("bad_event", str(error)) from error


def known_types(bus: EventBus) -> dict[str, KnownType]:
    """Give the types that *bus* knows, by name: what the store says of a name counts more."""
    registries = [_of_subscriptions(bus), *([] if bus.store is None else [bus.store.codecs])]
    return {
        name: KnownType(name, version, registry)
        for registry in registries
        for name, version in registry.versions().items()
    }


def _of_subscriptions(bus: EventBus) -> CodecRegistry:
    registry = CodecRegistry()
    for kind in {kind: None for each in bus.subscriptions.values() for kind in each.types}:
        with suppress(CodecError, ValueError):  # its name is another one's, or none: it cannot be asked for
            registry.know([kind])
    return registry


def type_named(name: str, known: Mapping[str, KnownType]) -> KnownType:
    """Give the type of this name, or the only one whose name ends with it after a dot; raise CommandRefused."""
    if name in known:
        return known[name]
    found = [each for each in known if each.endswith(f".{name}")]
    match found:
        case [only]:
            return known[only]
        case []:
            raise CommandRefused("unknown_type", unknown("type of events", name, known))
        case _:
            names = " or ".join(shown(each, 60) for each in sorted(found))
            raise CommandRefused("ambiguous_type", f"which {shown(name, 60)}: {names}?")
