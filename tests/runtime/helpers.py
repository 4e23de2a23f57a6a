"""What the tests of the bus share: events, handlers that park until the test lets them go on, deliveries by hand."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, final

import anyio
from attrs import frozen

from tocsin import Delivery, Envelope, Priority, Receipt
from tocsin._envelope import IdSource

CRITICAL, HIGH, NORMAL, LOW = Priority


@final
@frozen
class Note:
    """An event that is nothing but its text and, for those who want one, a key."""

    text: str
    key: Hashable = None


@final
@frozen
class Other:
    """An event of another class."""

    text: str = "other"


@final
class Gated:
    """A handler that notes what it is given, and parks until the test lets it go on."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.started: list[Any] = []
        self.done: list[Any] = []
        self.deliveries: list[Delivery[Any]] = []
        self.missed: list[int] = []
        self.most_at_once = 0
        self._is_open = is_open
        self._at_once = 0
        self._permits = anyio.Semaphore(0)

    async def __call__(self, event: Any, delivery: Delivery[Any]) -> None:
        self.started.append(_short(event))
        self.deliveries.append(delivery)
        self.missed.append(delivery.missed)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if not self._is_open:
                await self._permits.acquire()
        finally:
            self._at_once -= 1
        self.done.append(_short(event))

    def let(self, count: int = 1) -> None:
        """Let *count* deliveries end, in the order of their start."""
        for _ in range(count):
            self._permits.release()

    def open(self) -> None:
        """Let everything end, now and later."""
        self._is_open = True
        self.let(len(self.started) - len(self.done))


def _short(event: Any) -> Any:
    return event.text if isinstance(event, Note | Other) else event


_ids = IdSource(lambda: 0.0, lambda bits: 0)


def delivery_of(event: Any, priority: Priority = NORMAL, *, key: Hashable = None, number: int = 0) -> Delivery[Any]:
    """Make a delivery by hand, as a publisher would."""
    made = Delivery[Any](Envelope(event, _ids, priority), "somebody", Receipt(), number)
    made.key = key
    return made


async def quiet() -> None:
    """Let every task go on until it waits for something that only the test can bring about."""
    await anyio.wait_all_tasks_blocked()
