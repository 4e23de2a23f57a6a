"""All clients of the control socket: accepts them, and serves each in a task of its own.

It runs from before the bus starts until after it has ended, beside it: no client holds up the bus, nor its end, which
cancels whatever is still served.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import final

import anyio
from anyio.abc import SocketStream
from attrs import define, field

from tocsin import EventBus

from ._connection import Command, Connection, Limits
from ._protocol import error_line
from ._socket import ControlSocket
from ._streams import accept_from

MOST_CLIENTS = 32  # at a time: each may hold a request of 8 MiB


@final
@define
class ControlServer:
    """Serves the clients of *socket*, and gives each *commands* to ask for. The socket's file is its owner's."""

    bus: EventBus
    commands: Mapping[str, Command]
    socket: ControlSocket
    limits: Limits = field(factory=Limits)
    most_clients: int = MOST_CLIENTS
    _clients: int = field(default=0, init=False)

    async def serve(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                tasks.start_soon(self._serve_one, await accept_from(self.socket.listener))

    async def _serve_one(self, stream: SocketStream) -> None:
        async with stream:
            if self._clients >= self.most_clients:
                await self._turn_away(stream)
                return
            self._clients += 1
            try:
                await Connection(stream, self.bus, self.commands, self.limits).serve()
            finally:
                self._clients -= 1

    async def _turn_away(self, stream: SocketStream) -> None:
        text = f"{self.most_clients} clients are connected, as many as may be: try again later"
        with anyio.move_on_after(self.limits.send), suppress(anyio.BrokenResourceError):
            await stream.send(error_line(None, "busy", text))
