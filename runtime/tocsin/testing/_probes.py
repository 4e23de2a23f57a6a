"""A subscriber for tests: it keeps what it gets, and gives it out one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import anyio

if TYPE_CHECKING:
    from tocsin._delivery import Delivery

E = TypeVar("E")


@final
class Probe(Generic[E]):
    """A handler to be subscribed in a test::

        probe = Probe[Paid]()
        bus.subscribe(probe, Paid, name="probe")
        …
        assert (await probe.next()).amount == 3
        await probe.assert_none()

    One for each loop; it keeps all it has got in `events` and `deliveries`, in order.
    """

    def __init__(self) -> None:
        self.events: list[E] = []
        self.deliveries: list[Delivery[E]] = []
        self._given = 0
        self._more: anyio.Event | None = None

    async def __call__(self, event: E, delivery: Delivery[E]) -> None:
        """Keep *event*."""
        self.events.append(event)
        self.deliveries.append(delivery)
        if self._more is not None:
            self._more.set()

    async def next(self, timeout: float = 5.0) -> E:  # noqa: ASYNC109  # what it raises says more than fail_after
        """Give the first event that was not given yet, and wait for it, *timeout* seconds at most; raise AssertionError
        if there is none by then. Cancelled, it has given nothing."""
        with anyio.move_on_after(timeout):
            while self._given == len(self.events):
                self._more = anyio.Event()
                await self._more.wait()
        if self._given == len(self.events):
            last = f", the last {self.events[-1]!r}" if self.events else ""
            raise AssertionError(f"no event came within {timeout} s, {self._given} had come before{last}")
        self._given += 1
        return self.events[self._given - 1]

    async def assert_none(self, within: float = 0.0) -> None:
        """Raise AssertionError if there is an event that was not given yet, now or *within* so many seconds."""
        await anyio.sleep(within)
        left: list[Any] = self.events[self._given :]
        if left:
            raise AssertionError(f"{len(left)} events came that nobody waited for: {left[:3]!r}")
