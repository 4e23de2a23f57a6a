"""What a running child knows of its supervision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, final

import anyio

if TYPE_CHECKING:
    from ._failures import Failure
    from ._reports import Observer, StopFailed, StopTimedOut

Callback = Callable[[], object]


class Host(Protocol):
    """What a supervisor that is a child needs of its parent."""

    @property
    def observer(self) -> Observer | None:
        """Whom the parent reports to; its children do so too if they have nobody of their own."""

    def note_stop_trouble(self, report: StopTimedOut | StopFailed) -> None:
        """Take note of a child somewhere below that hangs or fails while the parent stops."""

    def restarts_below(self, child: str, incarnation: int, count: int, failure: Failure | None) -> None:
        """Take note of restarts in a child, or below it; a negative *count* takes some back."""

    def child_hangs(self, child: str, incarnation: int) -> None:
        """Take note that all that is left of a child hangs."""


@final
class ChildContext:
    """Given to a child that asks for it: it says when it is up, and learns when it is to stop."""

    __slots__ = (
        "_callbacks",
        "_on_started",
        "_stop_event",
        "_stop_requested",
        "host",
        "id",
        "incarnation",
        "is_over",
        "on_cut",
        "path",
    )

    def __init__(
        self, id: str, incarnation: int, path: str, on_started: Callable[[object], object], host: Host
    ) -> None:
        self.id: str = id
        self.incarnation: int = incarnation  # from 1, growing over restarts and re-runs
        self.path: str = path  # names from the root down, joined by "/"
        # For the supervisor alone, as is `on_cut`: how to cancel a child that has children of its own.
        self.host: Host = host
        self.on_cut: Callback | None = None
        self._on_started: Callable[[object], object] | None = on_started
        self._callbacks: tuple[Callback, ...] = ()
        self._stop_event: anyio.Event | None = None
        self._stop_requested = False
        self.is_over: bool = False  # for the supervisor alone

    def started(self, value: object = None) -> None:
        """Say that the child is up: the next one may start. *value* is what `start_child` and `restart_child` return.

        Raise `RuntimeError` if it was said before.
        """
        if self._on_started is None:
            raise RuntimeError(f"child {self.id!r} called started() twice: an incarnation comes up only once")
        on_started, self._on_started = self._on_started, None
        on_started(value)

    @property
    def is_up(self) -> bool:
        """True once `started` was called."""
        return self._on_started is None

    @property
    def stop_requested(self) -> bool:
        """True once the child is to stop. It has `grace_period` seconds before it is cancelled."""
        return self._stop_requested

    def on_stop(self, callback: Callback) -> None:
        """Have *callback* called in the very step in which the stop is requested; at once if that has been.

        It must not wait. What it raises is reported as `StopFailed`.
        """
        if self._stop_requested:
            callback()
        else:
            self._callbacks = (*self._callbacks, callback)

    async def wait_stop_requested(self) -> None:
        """Wait until the child is to stop."""
        if self._stop_event is None:
            self._stop_event = anyio.Event()
            if self._stop_requested:
                self._stop_event.set()
        await self._stop_event.wait()

    def request_stop(self) -> tuple[Callback, ...]:
        """Note that the child is to stop, and give the callbacks that are to be called. For the supervisor alone."""
        self._stop_requested = True
        if self._stop_event is not None:
            self._stop_event.set()
        callbacks, self._callbacks = self._callbacks, ()
        return callbacks

    def is_below(self, host: Host) -> bool:
        """Tell whether this is a child of *host*, and lives. For the supervisor alone."""
        return not self.is_over and self.host is host

    def over(self) -> None:
        """Let go of the supervisor above and of the one that this child was. For the supervisor alone.

        Whoever holds a context of a life that is over holds nothing else; and what refers to each other in a circle
        would be left to the garbage collector, life after life.
        """
        if self._on_started is not None:
            self._on_started = _too_late
        self._callbacks = ()
        self.on_cut = None
        self.is_over = True
        del self.host

    def __repr__(self) -> str:
        state = "stopping" if self._stop_requested else "up" if self.is_up else "starting"
        return f"<ChildContext {self.path}: incarnation {self.incarnation}, {state}>"


def _too_late(_value: object) -> None:
    """Stand in for what `started` told, once nobody listens."""
