"""What events a subscription is interested in: classes and patterns of topics."""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeGuard, Union, cast, get_origin

from tocsin_supervisors._text import qualified_name, safe_repr

from ._topics import check_pattern
from .exceptions import InvalidHandler


def check_interests(interests: Iterable[object]) -> tuple[tuple[type, ...], tuple[str, ...]]:
    """Tell classes of events from patterns of topics; each is kept once, in order.

    Raise `InvalidHandler` if there are none or if one is neither, and `InvalidTopic` for a text that is no pattern.
    """
    types: dict[int, type] = {}  # by id: a metaclass may make its classes unhashable or equal
    patterns: dict[str, None] = {}
    for interest in interests:
        if isinstance(interest, str):
            patterns[check_pattern(interest)] = None
        elif _is_class(interest):
            types[id(interest)] = interest
        else:
            raise InvalidHandler(f"{safe_repr(interest, 80)} {_what_instead(interest)}")
    if not types and not patterns:
        raise InvalidHandler("no interests given: name event classes or topic patterns, or `object` for everything")
    if isinstance(interests, tuple) and len(interests) == len(types):
        return cast("tuple[type, ...]", interests), ()  # as most often: no need for a second one
    return tuple(types.values()), tuple(patterns)


def _is_class(interest: object) -> TypeGuard[type]:
    # typing.Any is a class since Python 3.11, but no event is an instance of it.
    return isinstance(interest, type) and interest is not Any


def _what_instead(interest: object) -> str:
    if interest is Any:
        return "has no instances: use `object` to get every event"
    if isinstance(interest, UnionType) or get_origin(interest) is Union:
        return "is a union: name its classes one by one, separated by commas"
    if get_origin(interest) is not None:
        return f"is a generic with arguments, which events do not know of: name the class {get_origin(interest)!r}"
    if isinstance(interest, list | tuple | set | frozenset):
        return "is a collection: name the classes and patterns one by one, separated by commas"
    if interest is None or callable(interest):
        return "is neither an event class nor a topic pattern; a decorator takes its interests first, then the handler"
    return f"is an instance, name its class: {qualified_name(type(interest))}"
