"""Which subscriptions an event goes to: by its class and base classes, and by its topic.

An entry is found by the *true* base classes of an event, `type(event).__mro__`. isinstance is not asked: it would run
code of the event (`__class__`, a metaclass) for every subscription, and cannot be indexed. So virtual subclasses,
registered with an ABC, do not count; a class that inherits from the ABC does. The interest `object` is in everything.

Finding is remembered, in one dictionary: the class of an event (without a topic), or the pair of class and topic, → a
tuple of entries. Whoever publishes looks there first; the dictionary stays the same object for the life of the router.
The tuples never change: a publish that has its route keeps it, whoever subscribes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar, final

from tocsin_supervisors._text import safe_repr

from ._topics import TopicPatterns, check_topic

# Beside one for each class that somebody has asked for, which is kept by its subscription anyway: classes made on the
# fly and topics with identifiers in them must not fill the memory.
MAX_ROUTES = 4096

NOBODY: frozenset[int] = frozenset()

# Read from the slot itself: a metaclass may shadow the name with a property.
mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__


class Routed(Protocol):
    """What an entry says about its interests. They must not change while it is in a router."""

    @property
    def types(self) -> tuple[type, ...]:
        """The classes whose instances it wants, those of subclasses included."""
        ...

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of the topics that it wants."""
        ...


S = TypeVar("S", bound=Routed)


@final
class Router(Generic[S]):
    """A routing table. Entries are told apart by identity; they need be neither hashable nor comparable.

    *changed* is called whenever an entry comes or goes.
    """

    __slots__ = ("_by_pattern", "_by_type", "_changed", "_entries", "_next_number", "_numbers", "clearings", "routes")

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        self._changed = changed
        self._next_number = 0
        self._entries: dict[int, S] = {}  # number → entry, in order of subscription
        self._numbers: dict[int, int] = {}  # id of an entry → its number
        # id of a class → numbers. By id, since a metaclass may make its classes unhashable or equal; the ids stay valid
        # because the entries hold the classes.
        self._by_type: dict[int, set[int]] = {}
        self._by_pattern: TopicPatterns[int] = TopicPatterns()
        self.routes: dict[object, tuple[S, ...]] = {}
        """Class, or (class, topic) → entries: for a first look. What is missing here is found by `route`."""
        self.clearings: int = 0
        """How often there were more than `most_routes` different routes, so that remembering began anew."""

    def add(self, entry: S) -> None:
        """Add *entry*, last in order. Raise ValueError if it is in here, `InvalidTopic` for a pattern that is none."""
        if self.has(entry):
            raise ValueError(f"{safe_repr(entry)} is in the router already: remove it first")
        number = self._next_number
        try:
            for pattern in entry.patterns:
                self._by_pattern.add(pattern, number)
        except BaseException:  # raised again: a half-added entry must not stay
            self._forget(entry, number)
            raise
        for kind in entry.types:
            self._by_type.setdefault(id(kind), set()).add(number)
        self._entries[number] = entry
        self._numbers[id(entry)] = number
        self._next_number += 1
        self._forget_routes()

    def remove(self, entry: S) -> None:
        """Remove *entry*, if it is in here. Routes that somebody holds still have it."""
        number = self._number_of(entry)
        if number is None:
            return
        del self._entries[number], self._numbers[id(entry)]
        self._forget(entry, number)
        self._forget_routes()

    def has(self, entry: S) -> bool:
        """Tell whether *entry* is in here."""
        return self._number_of(entry) is not None

    def replace(self, entry: S, other: S) -> None:
        """Let *other*, which has the same interests, take the place of *entry* in the order."""
        number = self._numbers.pop(id(entry))
        self._entries[number] = other
        self._numbers[id(other)] = number
        self._forget_routes()

    def route(self, event_type: type, topic: str | None) -> tuple[S, ...]:
        """Return the entries interested in an event of this class on this topic: each once, in order of subscription.

        Raise `InvalidTopic` if *topic* is not None and no topic. The result is remembered.
        """
        key: object = event_type if topic is None else (event_type, topic)
        remembered = is_safe_key(event_type)
        if remembered:
            known = self.routes.get(key)
            if known is not None:
                return known
        numbers = set[int]() if topic is None else self._by_pattern.matching(check_topic(topic))
        for kind in mro_of(event_type):
            numbers |= self._by_type.get(id(kind), NOBODY)
        found = tuple(self._entries[number] for number in sorted(numbers))
        if remembered:
            self._remember(key, found)
        return found

    @property
    def most_routes(self) -> int:
        """How many routes are remembered at most."""
        return MAX_ROUTES + len(self._by_type)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[S]:
        """Iterate over the entries present now, in order of subscription."""
        return iter(tuple(self._entries.values()))

    def __repr__(self) -> str:
        return f"<Router with {len(self._entries)} entries, {len(self.routes)} routes remembered>"

    def _number_of(self, entry: S) -> int | None:
        return self._numbers.get(id(entry))

    def _forget_routes(self) -> None:
        self.routes.clear()
        self._changed()

    def _forget(self, entry: S, number: int) -> None:
        for pattern in entry.patterns:
            self._by_pattern.remove(pattern, number)
        for kind in entry.types:
            numbers = self._by_type.get(id(kind), set())
            numbers.discard(number)
            if not numbers:
                self._by_type.pop(id(kind), None)

    def _remember(self, key: object, found: tuple[S, ...]) -> None:
        if len(self.routes) >= self.most_routes:
            self.routes.clear()
            self.clearings += 1
        self.routes[key] = found


def is_safe_key(kind: type) -> bool:
    """Tell whether *kind* is hashed and compared by identity, as classes are unless their metaclass says otherwise."""
    metaclass = type(kind)
    return metaclass is type or (metaclass.__hash__ is type.__hash__ and metaclass.__eq__ is type.__eq__)
