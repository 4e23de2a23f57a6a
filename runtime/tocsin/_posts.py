"""Events that other threads hand over without waiting for them to be published: a bounded box, emptied in order.

The loop is woken once, however many threads post before it gets to the box. What was handed over before a drain is
still published in it; what is left when the bus stops is in the report of the stop: nothing disappears without a word.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, final

import anyio
from attrs import define

from ._backends import waker
from .exceptions import BusClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._envelope import Envelope
    from ._publish_options import PublishOptions

CAPACITY = 10_000  # posts: an hour of a slow subscriber must not fill the memory


@final
@define(eq=False)
class Post:
    """One event on its way to the loop."""

    event: Any
    options: PublishOptions
    cause: Envelope[Any] | None
    """What the handler that has posted it was handling."""


@final
class PostBox:
    """See the module. Made in the loop's thread; `post` is for all others.

    *offer* publishes an event the fast way, if it can; *publish* publishes it in any case; *turn* lets others have
    their turn, after *slice* events; *failed* is told of what could not be published and why; *emptied*, that all is.
    """

    def __init__(
        self,
        bus: str,
        offer: Callable[[object], bool],
        publish: Callable[[Post], Awaitable[object]],
        turn: Callable[[], Awaitable[object]],
        slice: int,
        failed: Callable[[Post, Exception], object],
        emptied: Callable[[], object],
    ) -> None:
        self._bus = bus
        self._offer = offer
        self._publish = publish
        self._turn = turn
        self._slice = slice
        self._failed = failed
        self._emptied = emptied
        self._posts: deque[Any] = deque()  # each a `Post`, or the mere event if there is nothing else to say about it
        self._in_hand: Post | None = None
        self._refused: list[Post] = []  # the bus began to drain while they waited for room
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads_waiting = 0
        self._woken = False
        self._closed = False
        self._more = anyio.Event()
        self._wake = waker(self._rang)

    @property
    def is_empty(self) -> bool:
        """True when nothing is left to be published."""
        return not self._posts and self._in_hand is None

    def post(self, post: Any, timeout: float | None = None) -> None:
        """Put *post*, a `Post` or an event, into the box; while that is full, wait, up to *timeout* seconds.

        Raise TimeoutError, or BusClosed when the bus has ended.
        """
        with self._lock:  # not by the condition, which takes four times as long
            if len(self._posts) >= CAPACITY and not self._wait_for_room(timeout):
                raise TimeoutError(f"bus {self._bus!r} had no room for another post within {timeout} s")
            if self._closed:
                raise BusClosed(self._bus, "stopped")
            self._posts.append(post)
            ring, self._woken = not self._woken, True
        if ring:
            try:
                self._wake()
            except RuntimeError:  # the loop has ended without closing us
                self.close()

    def _wait_for_room(self, timeout: float | None) -> bool:
        self._threads_waiting += 1
        try:
            return self._changed.wait_for(lambda: self._closed or len(self._posts) < CAPACITY, timeout)
        finally:
            self._threads_waiting -= 1

    def _rang(self) -> None:
        self._more.set()

    async def run(self) -> None:
        """Publish what is in the box, one after the other, until cancelled."""
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            with self._changed:
                self._woken = False
            while self._posts:
                await self._publish_some()
                if self._threads_waiting and len(self._posts) <= CAPACITY // 2:
                    # Not for each: a thread that is let in for one post waits again after it.
                    with self._changed:
                        self._changed.notify_all()
            self._emptied()

    async def _publish_some(self) -> None:
        """Publish a slice the fast way, or one the long way."""
        for _ in range(min(len(self._posts), self._slice)):
            event = self._posts.popleft()
            if type(event) is Post or not self._offer(event):
                post = event if type(event) is Post else Post(event, {}, None)
                await self._publish_slowly(post)
                return
        await self._turn()

    async def _publish_slowly(self, post: Post) -> None:
        self._in_hand = post
        try:
            await self._publish(post)
        except BusClosed:
            self._refused.append(post)
        except Exception as error:  # the thread that posted it does not wait: it is told of in the log
            self._failed(post, error)
        self._in_hand = None

    def close(self) -> list[Any]:
        """Refuse everything from now on, and give the events that were not published. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            left = [*self._refused, *(() if self._in_hand is None else (self._in_hand,)), *self._posts]
            self._posts.clear()
            self._refused.clear()
            self._in_hand = None
        return [post.event if type(post) is Post else post for post in left]
