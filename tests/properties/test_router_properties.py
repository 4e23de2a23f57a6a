"""The router against asking every entry."""

from __future__ import annotations

from typing import cast

from attrs import frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]  # Hypothesis leaves it untyped
)

from tocsin._router import Router
from tocsin._topics import pattern_matches


class Base:
    pass


class Left(Base):
    pass


class Right(Base):
    pass


class Bottom(Left, Right):
    pass


CLASSES: tuple[type, ...] = (object, Base, Left, Right, Bottom, int)
TOPICS = (None, "a", "a.b", "b.a", "a.b.a")
PATTERNS = ("#", "*", "a.#", "*.a", "a.b", "#.a")


@frozen(eq=False)
class Entry:
    types: tuple[type, ...]
    patterns: tuple[str, ...]

    def wants(self, kind: type, topic: str | None) -> bool:
        if any(issubclass(kind, each) for each in self.types):
            return True
        return topic is not None and any(pattern_matches(pattern, topic) for pattern in self.patterns)


new_entries = st.builds(
    Entry,
    st.lists(st.sampled_from(CLASSES), max_size=3).map(tuple),
    st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple),
)
events = st.tuples(st.sampled_from(CLASSES), st.sampled_from(TOPICS))


class RouterMachine(RuleBasedStateMachine):
    """Entries come and go; each question is answered as asking every entry would."""

    entries = Bundle[Entry]("entries")

    def __init__(self) -> None:
        super().__init__()
        self.router: Router[Entry] = Router()
        self.added: list[Entry] = []

    @rule(target=entries, entry=new_entries)
    def add(self, entry: Entry) -> Entry:
        self.router.add(entry)
        self.added.append(entry)
        return entry

    @rule(entry=consumes(entries))
    def remove(self, entry: Entry) -> None:
        self.router.remove(entry)
        self.added.remove(entry)

    @rule(event=events)
    def route(self, event: tuple[type, str | None]) -> None:
        kind, topic = event
        assert self.router.route(kind, topic) == tuple(entry for entry in self.added if entry.wants(kind, topic))

    @invariant()
    def remembers_no_stale_route(self) -> None:
        assert list(self.router) == self.added
        for key, route in self.router.routes.items():
            kind, topic = cast("tuple[type, str | None]", key if isinstance(key, tuple) else (key, None))
            assert route == tuple(entry for entry in self.added if entry.wants(kind, topic))


def test_routing_finds_what_asking_every_entry_finds() -> None:
    run_state_machine_as_test(RouterMachine, settings=settings(max_examples=60, stateful_step_count=30))
