"""`lifespan` and `get_bus`: a bus that lives as long as the application it is part of. No framework is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tocsin._composing import check_duration
from tocsin.exceptions import BusNotRunning

from ._embedding import Embedding
from ._fatal import check_on_fatal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tocsin._bus import EventBus

    from ._fatal import OnFatal

Lifespan: TypeAlias = Callable[[object], AbstractAsyncContextManager[dict[str, Any]]]
"""What Starlette, FastAPI and Litestar take as a lifespan: called with the application, it gives a context manager."""


class HasScope(Protocol):
    """A request or web socket of any ASGI framework."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """What the server has told of the connection."""
        ...


def lifespan(
    bus: EventBus, *, on_fatal: OnFatal = "terminate", drain_timeout: float = 30.0, shutdown_deadline: float = 30.0
) -> Lifespan:
    """Give a lifespan that runs *bus*: `FastAPI(lifespan=lifespan(bus))`, `Litestar(lifespan=[lifespan(bus)])`.

    Inside of a lifespan of your own it is a context manager: `async with lifespan(bus)(app) as state`. It yields
    `{"bus": bus}`, the state of each request (`get_bus`), and if there is an `app.state`, that has it, too.

    The application starts when every actor has, or not at all, by ChildStartError or StoreError. At its end no new
    events are taken, and what was accepted is handled within *drain_timeout* seconds (30: what Kubernetes grants);
    then the actors are stopped within *shutdown_deadline* seconds. An error or a cancellation of the block stops them
    without a drain.

    The end of the bus is never that of the application's task. If the bus gives up, publishing raises BusClosed, the
    health pages say 503, the log "tocsin.web" tells of it (CRITICAL), and *on_fatal* says what else follows:

    * "terminate", by default: SIGTERM to this process, so that the server shuts down in order. Not sent in a thread
      beside a main program that does not handle it, which would end without a word: that of a test, for example;
    * "continue": nothing;
    * a function: it is called with the error. What it raises is logged.

    Either way the error is raised when the block is left, so that the server tells of a failed shutdown. A stop that
    somebody asked the bus for is no failure. Raise ValueError for options that can be none.
    """
    check_on_fatal(on_fatal)
    check_duration("drain_timeout", drain_timeout)
    check_duration("shutdown_deadline", shutdown_deadline)

    @asynccontextmanager
    async def of_application(app: object) -> AsyncGenerator[dict[str, Any]]:
        embedding = Embedding(bus, on_fatal=on_fatal, drain_timeout=drain_timeout, shutdown_deadline=shutdown_deadline)
        async with embedding.running():
            state: Any = getattr(app, "state", None)
            if state is None:
                yield {"bus": bus}
                return
            state.bus = bus  # Litestar has no state of a lifespan, only one of the application
            try:
                yield {"bus": bus}
            finally:
                del state.bus  # what comes later is not told of a bus that was

    return of_application


def get_bus(connection: HasScope) -> EventBus:
    """Give the bus that runs for *connection*, a request or web socket: the one in the state of its lifespan.

    Works with Starlette, FastAPI and Litestar under `lifespan`, and with any framework whose requests have a `scope`
    (Django and Quart, too) under `with_bus`. Raise BusNotRunning if none is there: the lifespan has not run.
    """
    scope = connection.scope
    bus: EventBus | None = scope.get("state", {}).get("bus")
    if bus is None:
        bus = getattr(getattr(scope.get("app"), "state", None), "bus", None)
    if bus is None:
        raise BusNotRunning(
            "no bus belongs to this request: the lifespan of the application has not run. Give it lifespan(bus), or "
            "put with_bus around it; a test client runs it inside of `with TestClient(app)` only, and some servers "
            "never do"
        )
    return bus
