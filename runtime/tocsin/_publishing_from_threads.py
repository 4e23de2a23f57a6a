"""Publishing from threads other than the one that runs the bus."""

from __future__ import annotations

import threading
from abc import abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ._composing import cause_of, check_duration, compose
from ._fast_publishing import Publishing, server_here
from ._lifecycle import Phase, is_over
from ._posts import Post
from ._publishing import own_server
from ._receipt import Receipt
from .exceptions import BusClosed, WrongThread

if TYPE_CHECKING:
    from typing import Unpack

    from ._publish_options import PublishOptions
    from ._run import Run


class PublishingFromThreads(Publishing):
    """The part of `EventBus` that other threads may call."""

    _run: Run | None

    @abstractmethod
    def _up_or_over(self) -> Run:
        """Give the run that is up or was the last one, from whatever thread; raise BusNotRunning if there is none."""

    def publish_from_thread(
        self, event: object, *, timeout: float | None = None, **options: Unpack[PublishOptions]
    ) -> Receipt:
        """Publish *event* from any other thread, a synchronous handler's included, and wait until it is taken.

        Raises what `publish` raises. After *timeout* seconds (None: no limit) TimeoutError; an event that waits for
        room by then may still be taken. When the bus stops, BusClosed, so that no thread waits for ever. In the loop's
        own thread it would wait for itself, so WrongThread.
        """
        run = self._up_for_thread("publish_from_thread", timeout)
        server, receipt = own_server(run), Receipt()
        announce = run.instruments.announce

        async def publish() -> Receipt:
            envelope = compose(run, event, options, cause_of(server))
            return await run.publisher.publish(envelope, receipt, server)

        with nullcontext() if announce is None else announce(event, options, receipt):
            future = run.box.post(publish)
            try:
                return future.result(timeout)
            finally:
                future.cancel()  # if it has not begun, it need not; otherwise this does nothing

    def post_from_thread(
        self, event: object, *, timeout: float | None = None, **options: Unpack[PublishOptions]
    ) -> None:
        """Hand *event* over from any other thread to be published soon, and return without waiting for that.

        Many times as quick as `publish_from_thread`. Events posted by one thread are published in order, and one that
        has to wait for room holds up those behind it. Some 10,000 may be on their way; then it waits, and raises
        TimeoutError after *timeout* seconds (None: no limit). Raise BusClosed when the bus has ended, or drains and
        this is not the thread of a handler; WrongThread in the loop's own thread. There is no receipt: what cannot be
        published (RouteError, MailboxFull, wrong options) is told of in the log; what was not published when the bus
        stopped is in `StopReport.unpublished`.
        """
        run = self._run
        is_plain = not options and timeout is None and server_here() is None
        if run is not None and is_plain and self._publisher.is_open_to_threads():
            run.posts.post(event)  # nothing else is to be found out
            return
        run = self._up_for_thread("post_from_thread", timeout)
        # The cause is looked up here: the handler whose thread this is may be through when the loop gets to it.
        server = own_server(run)
        if server is None and run.phase in (Phase.DRAINING, Phase.STOPPING):
            raise BusClosed(self.name, str(run.phase))  # or threads that never rest would make the drain last for ever
        announce, cause = run.instruments.announce, cause_of(server)
        with nullcontext() if announce is None else announce(event, options, None):
            run.posts.post(Post(event, options, cause), timeout)

    def _up_for_thread(self, name: str, timeout: float | None) -> Run:
        """Give the run that is up, after checking that this is not its thread."""
        run = self._up_or_over()
        if timeout is not None:
            check_duration("timeout", timeout)
        if is_over(run.phase):
            raise BusClosed(self.name, str(run.phase))
        if threading.get_ident() == run.thread:
            raise WrongThread(
                f"{name} of bus {self.name!r} was called in its own thread: use publish or publish_nowait"
            )
        return run
