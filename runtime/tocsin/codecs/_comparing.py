"""Whether what came back from bytes is what was made into them, and if not, where it differs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any, cast, final

from tocsin_supervisors._text import safe_repr

from ._errors import altered


@final
class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def difference(before: object, after: object, where: str = "the event") -> str | None:
    """Say where *after* differs from *before*, or None if it does not.

    Equal is what `==` says. Instances of a class without an `==` of its own are compared attribute by attribute.
    """
    if before == after or (before != before and after != after):  # NaN, of whatever class
        return None
    if type(before) is not type(after):
        return _said(before, after, where)
    parts = list(_parts(before, after))
    for place, left, right in parts:
        found = difference(left, right, f"{where}{place}")
        if found is not None:
            return found
    # What has parts, and the same ones, was unequal only because one of them is compared by identity.
    return None if parts or type(before).__eq__ is object.__eq__ else _said(before, after, where)


def all_finite(given: object) -> bool:
    """Whether there is no NaN and no infinity among the values of dicts and lists."""
    kind, value = type(given), cast("Any", given)  # a type checker knows nothing of what is in a mere dict
    if issubclass(kind, float):
        return math.isfinite(value)
    if issubclass(kind, dict):
        return all(map(all_finite, value.values()))
    return not issubclass(kind, (list, tuple)) or all(map(all_finite, value))


def finite_only(kind: type, encode: Callable[[Any], bytes], plain: Callable[[Any], object]) -> Callable[[Any], bytes]:
    """Return an encoder that refuses NaN and the infinities; only data in which there is a null has to be looked at."""

    def encode_finite(event: Any) -> bytes:
        data = encode(event)
        if b"null" in data and not all_finite(values := plain(event)):
            raise altered(kind, _non_finite(values, "the event"))
        return data

    return encode_finite


def _said(before: object, after: object, where: str) -> str:
    return f"{where} is {safe_repr(before, 80)} and would be {safe_repr(after, 80)}"


def _parts(before: Any, after: Any) -> Iterator[tuple[str, object, object]]:
    if issubclass(type(before), (dict, list, tuple)):
        yield from _items(before, after)
        return
    for name in _names_of_attributes(before):
        yield f".{name}", getattr(before, name, _MISSING), getattr(after, name, _MISSING)


def _items(before: Any, after: Any) -> Iterator[tuple[str, object, object]]:
    if issubclass(type(before), dict):
        for key in {**before, **after}:
            yield f"[{safe_repr(key, 30)}]", before.get(key, _MISSING), after.get(key, _MISSING)
    elif issubclass(type(before), (list, tuple)):
        for index, (one, other) in enumerate(zip_longest(before, after, fillvalue=_MISSING)):
            yield f"[{index}]", one, other


def _non_finite(value: Any, where: str) -> str:
    """Say where in *value*, of which it is known that it is not all finite, the first such number is."""
    for place, each, _ in _items(value, value):
        if not all_finite(each):
            return _non_finite(each, f"{where}{place}")
    return f"{where} is {value}, for which JSON has no word"


def _names_of_attributes(value: object) -> list[str]:
    names: list[str] = list(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        slots: str | Iterable[str] = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in dict.fromkeys(names) if name not in {"__weakref__", "__dict__"}]
