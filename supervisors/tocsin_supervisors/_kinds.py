"""Which exceptions are meant: by their classes, or by the qualified names of such."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final
from weakref import WeakKeyDictionary

import attrs

from ._text import qualified_name

Kind: TypeAlias = type[BaseException] | str  # an exception class, or its qualified name

# Read from the slot itself: a metaclass may shadow the name with a property.
mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__


@final
@attrs.frozen
class Kinds:
    """Kinds of exceptions, sorted once: every failure is held against the same ones."""

    classes: tuple[type[BaseException], ...]
    names: frozenset[str]

    @classmethod
    def of(cls, kinds: tuple[Kind, ...]) -> Kinds:
        """Sort *kinds*."""
        classes = tuple(kind for kind in kinds if not isinstance(kind, str))
        return cls(classes, frozenset(kind for kind in kinds if isinstance(kind, str)))

    def include(self, exc: BaseException) -> bool:
        """Tell whether *exc* itself, not its leaves, is of one of these kinds."""
        kind = type(exc)  # isinstance() would believe what __class__ says
        return issubclass(kind, self.classes) or (bool(self.names) and not _names_of(kind).isdisjoint(self.names))


def matches(exc: BaseException, kinds: tuple[Kind, ...]) -> bool:
    """Return whether *exc* itself, not its leaves, is of one of *kinds*.

    A kind is a class or the qualified name of one: by name, classes of libraries can be listed that are not installed.
    """
    return Kinds.of(kinds).include(exc)


def _names_of(kind: type) -> frozenset[str]:
    """Give the qualified names of *kind* and its base classes. Remembered as long as the class lives: each failure asks
    several times."""
    is_safe_key = type(kind) is type  # a metaclass may make its classes equal, or no key at all
    names = _known_names.get(kind) if is_safe_key else None
    if names is None:
        names = frozenset(qualified_name(base) for base in mro_of(kind))
        if is_safe_key:
            _known_names[kind] = names
    return names


_known_names: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()
