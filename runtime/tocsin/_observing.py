"""Carries reports to the user's observer without letting it hold anything up.

Reports go into a bounded buffer in the step in which they happen; a task of its own hands them over, in order. So an
observer that raises is counted, one that is slow gets them late, and one that hangs loses them (counted), and the
deliveries do not notice any of it.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, final

import anyio

from tocsin_supervisors import safe_repr, sort_leaves

from ._handlers import inspect_handler
from ._invocation import run_in_thread
from .exceptions import InvalidHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._reports import Report

Observer: TypeAlias = "Callable[[Report], object] | Callable[[Report], Awaitable[object]]"

BUFFER = 10_000  # reports; a storm of restarts fits in, an observer that hangs costs a few megabytes at most


def check_observer(observer: Observer) -> None:
    """Raise InvalidHandler for what cannot be called with a report."""
    if inspect_handler(observer).wants_delivery:
        raise InvalidHandler(f"observer={safe_repr(observer)} requires two arguments, but it gets the report alone")


@final
class Reporter:
    """The buffer before an observer, and the task that empties it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._is_async = inspect_handler(observer).is_async
        self._buffer: deque[Report] = deque()
        self._more = anyio.Event()
        self._limiter = anyio.CapacityLimiter(1)  # a thread of its own, so that a blocking observer starves no handler
        self._closed = False
        self.errors: int = 0
        self.lost: int = 0

    def put(self, report: Report) -> None:
        """Take *report* for later, or lose and count it when the observer is too far behind."""
        if len(self._buffer) >= BUFFER:
            self.lost += 1
            return
        self._buffer.append(report)
        self._more.set()

    def close(self) -> None:
        """Let `run` end when everything was handed over."""
        self._closed = True
        self._more.set()

    async def run(self) -> None:
        """Hand over reports until closed and empty; cancelled, count the others as lost."""
        try:
            while self._buffer or not self._closed:
                while self._buffer:
                    await self._hand_over(self._buffer.popleft())
                if not self._closed:
                    self._more = anyio.Event()
                    await self._more.wait()
        finally:
            self.lost += len(self._buffer)
            self._buffer.clear()

    async def _hand_over(self, report: Any) -> None:
        try:
            if self._is_async:
                await self._observer(report)  # type: ignore[misc]  # it was looked at: it is asynchronous
            else:
                # At the end of the bus a thread that blocks is left behind: it must not hold up the end.
                await run_in_thread(partial(self._observer, report), self._limiter, abandon=True)
        except BaseException as error:  # whatever an observer raises is its own affair, and counted
            leaves = sort_leaves(error, anyio.get_cancelled_exc_class())
            is_ours = leaves.cancelled and anyio.current_effective_deadline() == -math.inf
            if is_ours or any(isinstance(each, KeyboardInterrupt) for each in leaves.fatal):
                raise
            self.errors += 1
