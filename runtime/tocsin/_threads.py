"""The one door for other threads: what they publish is put into a box, and a task of the bus takes it out.

The wake-up of the loop is coalesced: however many threads post before the loop gets to it, it is woken once. Whatever
happens to the bus, no thread waits for ever: at the end everything in the box is refused.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, final

import anyio

from ._backends import waker
from .exceptions import BusClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._receipt import Receipt


@final
class ThreadBox:
    """See the module. Made in the loop's thread; `post` is for all others."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._posts: deque[tuple[Callable[[], Awaitable[Receipt]], Future[Receipt]]] = deque()
        self._lock = threading.Lock()
        self._woken = False
        self._closed = False
        self._more = anyio.Event()
        self._wake = waker(self._rang)

    def post(self, publish: Callable[[], Awaitable[Receipt]]) -> Future[Receipt]:
        """Have *publish* run in the loop and give the future of its receipt. Raise BusClosed when the bus has ended."""
        future: Future[Receipt] = Future()
        with self._lock:
            if self._closed:
                raise BusClosed(self._bus, "stopped")
            self._posts.append((publish, future))
            ring, self._woken = not self._woken, True
        if ring:
            try:
                self._wake()
            except RuntimeError:
                # The loop has ended between the lines above and this one, or without closing us.
                self.close()
        return future

    def _rang(self) -> None:
        self._more.set()

    async def run(self) -> None:
        """Take out posts until cancelled, then refuse what is left."""
        try:
            async with anyio.create_task_group() as group:
                while True:
                    await self._more.wait()
                    self._more = anyio.Event()
                    for publish, future in self._take_all():
                        # A task for each: one that waits for room must not hold up the others. The thread that
                        # posted waits too, so the order of its own events is kept.
                        group.start_soon(self._publish, publish, future)
        finally:
            self.close()

    def close(self) -> None:
        """Refuse what is in the box, and everything from now on. Idempotent."""
        with self._lock:
            self._closed = True
        for _, future in self._take_all():
            if future.set_running_or_notify_cancel():
                future.set_exception(BusClosed(self._bus, "stopped"))

    def _take_all(self) -> list[tuple[Callable[[], Awaitable[Receipt]], Future[Receipt]]]:
        with self._lock:
            posts = list(self._posts)
            self._posts.clear()
            self._woken = False
        return posts

    async def _publish(self, publish: Callable[[], Awaitable[Receipt]], future: Future[Receipt]) -> None:
        if not future.set_running_or_notify_cancel():
            return  # the thread gave up waiting before we began
        try:
            future.set_result(await publish())
        except Exception as error:  # it belongs to the thread that published
            future.set_exception(error)
        except BaseException:  # raised again: the bus ends while this waits for room
            future.set_exception(BusClosed(self._bus, "stopped"))
            raise
