"""`with_bus`: the same for any ASGI application, whether it has a lifespan or not.

The application is called in the host's own task, between the start and the stop of the bus, and its messages go through
`_Conversation`, which notes what the host was told already:

| the application | startup is answered by | shutdown is answered by |
|---|---|---|
| has a lifespan | it, once the bus runs | us with its answer, once the bus has drained |
| raises at the lifespan scope, or returns (Django) | us | us |
| says that its startup failed | it | nobody: the host does not ask |
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, final

from tocsin_supervisors._text import safe_text

from ._asgi import Message, Receive, Scope, Send, health_app, own_path
from ._lifespan import lifespan

if TYPE_CHECKING:
    from tocsin._bus import EventBus

    from ._fatal import OnFatal
    from ._lifespan import Lifespan

AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application. Any, because each framework has types of its own for the same three things."""

logger = logging.getLogger("tocsin.web")


def with_bus(
    app: AsgiApp,
    bus: EventBus,
    *,
    health_at: str | None = None,
    on_fatal: OnFatal = "terminate",
    drain_timeout: float = 30.0,
    shutdown_deadline: float = 30.0,
) -> AsgiApp:
    """Give an ASGI application that is *app* with *bus* around it: `application = with_bus(application, bus)`.

    For Django, which has no lifespan, and for any other. The bus starts before *app* does and drains after it has shut
    down; an application with a lifespan of its own takes part in it as ever. If an actor does not start, the server is
    told that the startup failed. Each request and web socket has the bus in its scope: `get_bus(request)`.
    *health_at*, "/health" for example, is the path below which `health_app(bus)` answers instead of *app*.

    The server must run the lifespan (uvicorn, hypercorn and anycorn do; daphne does not): without it the bus never
    runs, publishing raises BusNotRunning, and the health pages say 503. Options are those of `lifespan`, errors too.
    """
    life = lifespan(bus, on_fatal=on_fatal, drain_timeout=drain_timeout, shutdown_deadline=shutdown_deadline)
    if health_at is not None and not (health_at.startswith("/") and health_at.strip("/")):
        raise ValueError(f'health_at={health_at!r}: must be a path that begins with a slash, like "/health", or None')
    health, prefix = health_app(bus), "" if health_at is None else health_at.rstrip("/") + "/"

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            if "state" in scope:
                scope["state"]["bus"] = bus
            await _live(app, life, scope, _Conversation(receive, send))
        elif prefix and scope["type"] == "http" and (path := own_path(scope)).startswith(prefix):
            await health({**scope, "path": path[len(prefix) - 1 :], "root_path": ""}, receive, send)
        else:
            await app({**scope, "state": {**scope.get("state", {}), "bus": bus}}, receive, send)

    return application


@final
class _Conversation:
    """What the host and the application say to each other about the lifespan, and how far they have come."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._startup: Message | None = None  # asked by the host, not yet heard by the application
        self._last_word: Message = {"type": "lifespan.shutdown.complete"}
        self.is_answered = False
        self.has_failed = False
        self.is_shutting_down = False

    async def begin(self) -> None:
        """Take the host's first question, and keep it for the application."""
        self._startup = await self._receive()

    async def receive(self) -> Message:
        """Give the application the host's next question."""
        if self._startup is not None:
            message, self._startup = self._startup, None
            return message
        message = await self._receive()
        self.is_shutting_down = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the application answers, but its last word: that waits for the bus."""
        match message["type"]:
            case "lifespan.startup.complete":
                self.is_answered = True
                await self._send(message)
            case "lifespan.startup.failed":
                self.has_failed = True
                await self._send(message)
            case _:
                self._last_word = message

    async def go_on_alone(self) -> None:
        """Say for an application without a lifespan what it has not said, and wait for the end."""
        if self.has_failed:
            return
        if not self.is_answered:
            await self.send({"type": "lifespan.startup.complete"})
        if not self.is_shutting_down:
            await self._receive()
            self.is_shutting_down = True

    async def fail(self, error: BaseException) -> None:
        """Tell the host of *error*, if it waits for an answer."""
        text = f"{type(error).__name__}: {safe_text(error, 2000)}"
        if not (self.is_answered or self.has_failed):
            await self.send({"type": "lifespan.startup.failed", "message": text})
        elif self.is_shutting_down:
            await self._send({"type": "lifespan.shutdown.failed", "message": text})

    async def end(self) -> None:
        """Say the last word."""
        if not self.has_failed:
            await self._send(self._last_word)


async def _live(app: AsgiApp, life: Lifespan, scope: Scope, conversation: _Conversation) -> None:
    await conversation.begin()
    try:
        async with life(app):
            await _take_part(app, scope, conversation)
            await conversation.go_on_alone()
    except Exception as error:
        await conversation.fail(error)
        raise
    await conversation.end()


async def _take_part(app: AsgiApp, scope: Scope, conversation: _Conversation) -> None:
    """Let *app* have its lifespan; by ASGI, one that raises before it has answered has none, and is served all the
    same.
    """
    try:
        await app(scope, conversation.receive, conversation.send)
    except Exception as error:
        if conversation.is_answered or conversation.has_failed:
            raise
        text = f"{type(error).__name__}: {safe_text(error)}"
        logger.info("the application takes no part in the lifespan (%s): its bus does so alone", text)
