"""The connections of one server: no client can hold up the others, or the end of the program.

Whatever is sent has a time limit, at the end every connection is closed, and a new one is always served: if there are
too many, the oldest goes. The protocol is spoken by a `Host`.

    the caller's task ─┬─ accepting, one task for each address    cancelled with the caller
                       └─ carrying: a task for each connection    shielded: they end by being closed
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, final

import anyio
from anyio.abc import ByteStream

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

SEND_LIMIT: Final = 10.0  # seconds for one answer: the time that Prometheus waits for one
MOST: Final = 100  # connections at a time: there are a few scrapers and probes, and each has one
GRACE: Final = 1.0  # seconds for the connections at the end, the first half of them for answers that are on their way

# Nothing is wrong with the listener: the process has no more files just now, or the client has left before its turn.
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED})
_PAUSE: Final = 0.1  # seconds until it is tried again, as in trio.serve_listeners

logger = logging.getLogger("tocsin.web")


class Host(Protocol):
    """What speaks the protocol."""

    async def serve(self, stream: ByteStream) -> None:
        """Answer what comes on *stream*, until it is closed; close it at the end."""

    async def end_idle(self) -> None:
        """Close connections that wait for a request, and others after their answer."""


class Listener(Protocol):
    """What connections come from."""

    async def accept(self) -> ByteStream:
        """Wait for the next one."""
        ...


@final
class LimitedStream(ByteStream):
    """A connection on which nothing takes longer than *limit* seconds to be sent."""

    def __init__(self, inner: ByteStream, limit: float) -> None:
        self._inner = inner
        self._limit = limit

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Those of the socket: addresses, and the socket itself."""
        # anyio says no more of their type than that they are a mapping.
        return self._inner.extra_attributes  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Wait for bytes; see `anyio.abc.ByteReceiveStream`."""
        return await self._inner.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send all of *item*, or close the connection and raise TimeoutError."""
        try:
            with anyio.fail_after(self._limit):
                await self._inner.send(item)
        except TimeoutError:
            await self._inner.aclose()
            raise

    async def send_eof(self) -> None:
        """Say that nothing follows."""
        await self._inner.send_eof()

    async def aclose(self) -> None:
        """Close the connection at once; who waits to send or receive gets ClosedResourceError."""
        await self._inner.aclose()


@final
class Connections:
    """See the module. Made inside the running loop."""

    def __init__(self, host: Host, *, most: int = MOST, send_limit: float = SEND_LIMIT, grace: float = GRACE) -> None:
        self._host = host
        self._most = most
        self._send_limit = send_limit
        self._grace = grace
        self._open: dict[LimitedStream, anyio.CancelScope] = {}  # in the order of their arrival
        self._ending = anyio.Event()
        self._empty = anyio.Event()  # set once it is ending and the last connection has gone

    def __repr__(self) -> str:
        return f"<Connections {len(self._open)} open>"

    async def serve(self, listeners: Iterable[Listener]) -> None:
        """Take connections from *listeners* and have them served, until cancelled; then end them, within the grace.

        Raise an ExceptionGroup with the OSError of a listener that is broken.
        """
        async with anyio.create_task_group() as tasks:
            try:
                # Not by `tasks.start`: cancelled, it would wait for the end of what waits for `_ending`.
                groups: list[TaskGroup] = []
                is_carried = anyio.Event()
                tasks.start_soon(self._carry, groups, is_carried, name="tocsin.web: connections")
                await is_carried.wait()
                async with anyio.create_task_group() as accepting:
                    for each in listeners:
                        accepting.start_soon(self._accept, each, groups[0], name="tocsin.web: accept")
            finally:
                self._ending.set()

    async def _carry(self, groups: list[TaskGroup], is_carried: anyio.Event) -> None:
        """Be the task that the connections belong to, until they are to end and all of them have ended."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                groups.append(group)
                is_carried.set()
                await self._ending.wait()
                group.cancel_scope.deadline = anyio.current_time() + self._grace
                await self._end_all()

    async def _accept(self, listener: Listener, group: TaskGroup) -> None:
        while True:
            try:
                inner = await listener.accept()
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                logger.warning("no connection can be taken just now: %s", error)
                await anyio.sleep(_PAUSE)
                continue
            stream = LimitedStream(inner, self._send_limit)
            self._open[stream] = anyio.CancelScope()
            group.start_soon(self._serve_one, stream, name="tocsin.web: connection")
            if len(self._open) > self._most:
                # An honest request is over within milliseconds: the oldest is the likeliest to be none.
                await self._close(next(iter(self._open)))

    async def _serve_one(self, stream: LimitedStream) -> None:
        try:
            with self._open[stream]:
                await self._host.serve(stream)
        except Exception:  # what a stranger has sent must not end the program, whatever the protocol makes of it
            logger.exception("a connection has failed")
        finally:
            del self._open[stream]
            if self._ending.is_set() and not self._open:
                self._empty.set()

    async def _end_all(self) -> None:
        await self._host.end_idle()
        if self._open:
            with anyio.move_on_after(self._grace / 2):
                await self._empty.wait()
        for stream in list(self._open):
            await self._close(stream)

    async def _close(self, stream: LimitedStream) -> None:
        # Closing is what ends it; the deadline is for what does not look at its stream.
        self._open[stream].deadline = anyio.current_time() + self._grace
        await stream.aclose()
