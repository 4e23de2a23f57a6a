"""Events that other threads hand over without waiting for them to be published: a bounded box, emptied in order.

A post is in the box, in hand, or somebody has been told of it. Threads put it in, the loop takes it out, both without a
lock; only waiting for room, closing, and taking back what nobody will publish are done under one.

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

CAPACITY = 10_000  # posts, and one for each thread: an hour of a slow subscriber must not fill the memory


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

    *offer* publishes so many from the front the fast way, as far as it can, and gives how many; *publish* publishes one
    in any case; *turn* lets others have their turn, after *slice* events; *failed* is told of what could not be
    published and why; *emptied*, that all is.
    """

    def __init__(
        self,
        bus: str,
        offer: Callable[[deque[Any], int], int],
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
        # Without the lock, which costs as much as all the rest: a deque takes and gives in one step, and whatever may
        # happen between two lines here is looked for after it.
        posts = self._posts
        if len(posts) >= CAPACITY:
            self._wait_for_room(timeout)
        posts.append(post)
        if not self._woken:  # whoever clears it looks into the box afterwards
            self._ring()
        if self._closed:
            self._take_back(post)

    def _wait_for_room(self, timeout: float | None) -> None:
        with self._changed:
            self._threads_waiting += 1
            try:
                if not self._changed.wait_for(lambda: self._closed or len(self._posts) < CAPACITY, timeout):
                    raise TimeoutError(f"bus {self._bus!r} had no room for another post within {timeout} s")
            finally:
                self._threads_waiting -= 1

    def _ring(self) -> None:
        self._woken = True
        try:
            self._wake()
        except RuntimeError:  # the loop has ended without closing us
            self._closed = True

    def _take_back(self, post: Any) -> None:
        """The box is closed. What is still in it nobody will publish: raise BusClosed. Otherwise it was published, or
        is in the report of the stop.
        """
        posts = self._posts
        with self._lock:
            for _ in range(len(posts)):  # pragma: no branch  # to its end only if the loop was quicker
                each = posts.popleft()
                if each is post:
                    raise BusClosed(self._bus, "stopped")
                posts.append(each)  # of another thread, which looks for it next

    def _rang(self) -> None:
        self._more.set()

    async def run(self) -> None:
        """Publish what is in the box, one after the other, until cancelled."""
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            self._woken = False
            while self._posts and not self._closed:  # what comes later is for `_take_back`
                await self._publish_some()
                if self._threads_waiting and len(self._posts) <= CAPACITY // 2:
                    # Not for each: a thread that is let in for one post waits again after it.
                    with self._changed:
                        self._changed.notify_all()
            self._emptied()

    async def _publish_some(self) -> None:
        """Publish a slice the fast way, or less of it and then one event the long way."""
        count = min(len(self._posts), self._slice)
        if self._offer(self._posts, count) == count:
            await self._turn()
            return
        event = self._posts.popleft()
        await self._publish_slowly(event if type(event) is Post else Post(event, {}, None))

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
            left = [*self._refused, *(() if self._in_hand is None else (self._in_hand,))]
            while self._posts:  # one by one: threads may put something in meanwhile
                left.append(self._posts.popleft())
            self._refused.clear()
            self._in_hand = None
        return [post.event if type(post) is Post else post for post in left]
