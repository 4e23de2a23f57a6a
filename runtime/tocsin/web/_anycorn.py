"""What of anycorn is used: its protocol, on one connection at a time. It is imported only when a host is made.

Not `anycorn.serve`, which shields what it sends: a client that asks for a page and does not read it then keeps the
server from ending, for ever (seen with 0.20.1, on both backends). The modules below it may move with a minor version,
so `pyproject.toml` has a bound.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from ._asgi import HealthApp

IDLE_LIMIT: Final = 5  # seconds for the head of a request, and between two: anycorn's own default
READ_LIMIT: Final = 10  # seconds without a byte, whatever the connection is doing


@final
class Anycorn:
    """A `Host` that answers by *app*. Raise ModuleNotFoundError that names the extra when anycorn is not there."""

    def __init__(self, app: HealthApp) -> None:
        try:
            import anycorn
            from anycorn.app_wrappers import ASGIWrapper
            from anycorn.tcp_server import TCPServer
            from anycorn.typing import ConnectionState
            from anycorn.worker_context import WorkerContext
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'serve_health needs anycorn ({error}): pip install "tocsin[web]", or have another server serve '
                "health_app",
                name=error.name,
            ) from error
        config = anycorn.Config()
        config.errorlog = logging.getLogger("tocsin.web")
        config.include_server_header = False
        config.keep_alive_timeout = IDLE_LIMIT
        config.read_timeout = READ_LIMIT
        context = WorkerContext(None)
        answering: Any = app  # anycorn's types of scopes and messages are narrower than those of ASGI
        wrapper = ASGIWrapper(answering)

        def server(stream: Any) -> TCPServer:  # of a stream it uses what any ByteStream has
            return TCPServer(wrapper, config, context, ConnectionState({}), stream)

        self._server = server
        self._end_idle: Callable[[], Awaitable[None]] = context.terminated.set

    async def serve(self, stream: ByteStream) -> None:
        """Answer what comes on *stream*, until it is closed."""
        await self._server(stream).run()

    async def end_idle(self) -> None:
        """Close connections that wait for a request, and others after their answer."""
        await self._end_idle()
