"""What is said of a type when it is registered: its names, its version, its upgrades, its codec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast, final

from attrs import field, frozen

from tocsin_supervisors._text import qualified_name, safe_repr

from ._codec import Codec, Conversion, distrusting
from ._json import from_json, to_json
from ._kinds import check_kind, conversion_for

MAX_NAME_BYTES = 255  # as for topics: it is a column of a table, and a header of a message

Upgrade: TypeAlias = Callable[[Any], Any]
"""Turns the plain JSON value of one version into that of the next."""


@final
@frozen(eq=False)
class Declaration:
    """One type, as it was registered."""

    type: type
    name: str
    version: int = 1
    codec: Codec[Any] | None = None
    upgrades: Mapping[int, Upgrade] = field(factory=dict[int, Upgrade])  # version → to the next one
    former_names: tuple[str, ...] = ()
    by_hand: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that data may give it, the current one first."""
        return (self.name, *self.former_names)

    def conversion(self) -> Conversion:
        """Make its codec; raise `UnsupportedType` or ImportError if there is none."""
        return conversion_for(self.type) if self.codec is None else distrusting(self.type, self.codec)

    def can_upgrade_from(self, version: int) -> bool:
        """Whether there is an upgrade from *version* and from each one after it."""
        return version >= min(self.upgrades, default=self.version)

    def upgraded(self, data: bytes, version: int) -> bytes:
        """Return *data* of *version* as that of the current one; raise whatever JSON or an upgrade raises."""
        value = from_json(data)
        for each in range(version, self.version):
            value = self.upgrades[each](value)
        return to_json(value)


def automatic(kind: type) -> Declaration:
    """Declare a type that nobody has registered: its qualified name, version 1, the codec for its kind."""
    return Declaration(kind, check_name(qualified_name(kind)))


def declared(
    kind: object,
    name: str | None,
    version: int,
    codec: Codec[Any] | None,
    upgrade: Mapping[int, Upgrade] | None,
    former_names: Iterable[str],
) -> Declaration:
    """Declare a type by hand; raise TypeError or ValueError for what cannot be meant."""
    if not isinstance(kind, type):
        raise TypeError(f"{safe_repr(kind, 60)} is no class: register classes, without type parameters")
    if codec is None:
        check_kind(kind)
    return Declaration(
        kind,
        check_name(qualified_name(kind) if name is None else name),
        _check_version(version),
        codec,
        _check_upgrades(upgrade or {}, version),
        tuple(check_name(each) for each in former_names),
        by_hand=True,
    )


def check_name(name: str) -> str:
    """Return *name*; raise ValueError unless it is 1 to 255 bytes of printable text."""
    given = cast("object", name)
    if type(given) is str and name and name.isprintable() and len(name.encode("utf-8")) <= MAX_NAME_BYTES:
        return name
    raise ValueError(
        f"name={safe_repr(given, 80)}: the name of a type must be 1 to {MAX_NAME_BYTES} bytes of printable text; "
        "give it one by hand: registry.register(TheClass, name=…)"
    )


def _check_version(version: int) -> int:
    if type(cast("object", version)) is not int or version < 1:
        raise ValueError(f"version={safe_repr(version, 60)}: must be a whole number of at least 1")
    return version


def _check_upgrades(upgrades: Mapping[int, Upgrade], version: int) -> dict[int, Upgrade]:
    """Older versions may have been given up, but from the oldest one that is left there must be a way to the newest."""
    found = dict(upgrades)
    if (found and sorted(found) != list(range(version - len(found), version))) or 0 in found:
        raise ValueError(
            f"upgrade= has functions for the versions {safe_repr(sorted(found), 60)}: must be one for each version "
            f"from the oldest that can be read up to {version - 1}, as version={version}"
        )
    for each, function in found.items():
        if not callable(function):
            raise TypeError(f"upgrade[{each}]={safe_repr(function, 60)}: must be a function of the plain value")
    return found
