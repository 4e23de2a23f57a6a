"""What a run delivers, and the proof that it was delivered: events of some types, each to some subscribers, counted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, final

import anyio
from attrs import define, field, frozen

Handler = Callable[[object], Coroutine[Any, Any, None]]
CAPACITY = 1000  # of every mailbox, queue and channel: what tocsin has by default


@frozen
class Event:
    """Something small that happened."""

    number: int


@final
@frozen
class Shape:
    """How many event types there are, and how many subscribers each of them has."""

    kinds: int = 1
    subscribers: int = 1


@final
@frozen
class Subscriber:
    """One who gets all events of one type."""

    name: str
    kind: type[Event]
    handle: Handler
    left: Callable[[], int]


def counting(expected: int, when_done: Callable[[], None]) -> tuple[Handler, Callable[[], int]]:
    """Make a handler that counts down and does nothing else, and a way to ask it how many events are missing."""
    left = expected

    async def handle(event: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            when_done()

    return handle, lambda: left


@final
@define
class Load:
    """The events of one run, the subscribers who must get them, and the time from `begin()` to the last one handled."""

    events: Sequence[Event]
    shape: Shape
    subscribers: Sequence[Subscriber] = ()
    seconds: float = 0.0
    _began: float = 0.0
    _busy: int = 0
    _finished: anyio.Event = field(factory=anyio.Event)

    @classmethod
    def of(cls, deliveries: int, shape: Shape) -> Load:
        """Make the events, and handlers that count them, for at least one event of each type."""
        each = max(1, deliveries // shape.subscribers // shape.kinds)
        kinds = make_kinds(shape.kinds)
        load = cls([kinds[number % len(kinds)](number) for number in range(each * len(kinds))], shape)
        load.subscribers = [
            load._subscriber(kind, number, each) for kind in kinds for number in range(shape.subscribers)
        ]
        load._busy = len(load.subscribers)
        return load

    @property
    def deliveries(self) -> int:
        return len(self.events) * self.shape.subscribers

    def begin(self) -> None:
        """Start the clock: what comes before is setting up."""
        self._began = time.perf_counter()

    async def handled(self) -> None:
        """Wait until each subscriber has had its last event."""
        await self._finished.wait()

    def check(self) -> None:
        """Raise if an event was not handled, or handled twice."""
        wrong = {each.name: each.left() for each in self.subscribers if each.left()}
        if wrong:
            some = dict([*wrong.items()][:5])
            raise RuntimeError(f"{len(wrong)} subscribers had too few events, or too many: {some}")

    def _subscriber(self, kind: type[Event], number: int, expected: int) -> Subscriber:
        handle, left = counting(expected, self._one_is_done)
        return Subscriber(f"{kind.__name__}-{number}", kind, handle, left)

    def _one_is_done(self) -> None:
        self._busy -= 1
        if not self._busy:
            self.seconds = time.perf_counter() - self._began
            self._finished.set()


def make_kinds(count: int) -> list[type[Event]]:
    """Make *count* event types, all alike."""
    return [type(f"Event{number}", (Event,), {"__slots__": ()}) for number in range(count)]


Contender = Callable[[Load], Awaitable[None]]
