"""Unix sockets as streams of anyio: by their plain sockets, as TCP is.

Not by anyio's own streams and listeners for Unix sockets: on asyncio (4.16) these raise InvalidStateError into the log
of the loop when they are cancelled in the very turn in which something comes, which here is every end of a daemon.
"""

from __future__ import annotations

import socket

import anyio
from anyio.abc import SocketStream

PAUSE = 1.0  # seconds, before the next try when the process has no file descriptor left
AGAIN = 0.05  # seconds


async def accept_from(listener: socket.socket) -> SocketStream:
    """Wait for the next client of *listener*, which does not block, whatever becomes of others."""
    while True:
        await anyio.wait_readable(listener)
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionError):  # it has gone already
            continue
        except OSError:  # no file descriptor is left, or no memory
            await anyio.sleep(PAUSE)
            continue
        return await _stream_of(client)


async def connect_to(path: str) -> SocketStream:
    """Connect to the socket at *path*, waiting while as many wait to be accepted as may; raise OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setblocking(False)
    try:
        while not _has_connected(client, path):  # noqa: ASYNC110  # nothing tells when there is room
            await anyio.sleep(AGAIN)
    except BaseException:  # raised again
        client.close()
        raise
    return await _stream_of(client)


def _has_connected(client: socket.socket, path: str) -> bool:
    try:
        client.connect(path)
    except BlockingIOError:
        return False
    return True


async def _stream_of(connected: socket.socket) -> SocketStream:
    try:
        return await SocketStream.from_socket(connected)
    except BaseException:  # raised again
        connected.close()
        raise
