"""Starlette, with a lifespan of its own around the bus: the journal is open before the first event and after the last.

uvicorn examples.frameworks.with_starlette:app                        on asyncio
anycorn --worker-class trio examples.frameworks.with_starlette:app    on trio
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, Any

from attrs import frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tocsin import EventBus
from tocsin.exceptions import BusNotRunning
from tocsin.web import get_bus, health_app, lifespan

bus = EventBus("shop")


@frozen
class OrderPlaced:
    """Somebody has ordered."""

    order_id: str


class Journal:
    """A line for each order; the file is there while the application lives."""

    file: IO[str]

    def note(self, order: OrderPlaced) -> None:
        """Write one line: a plain function, so the bus calls it in a worker thread."""
        self.file.write(f"{order.order_id}\n")


journal = Journal()
bus.subscribe(journal.note, OrderPlaced, name="journal")


@asynccontextmanager
async def lifetime(app: Starlette) -> AsyncGenerator[dict[str, Any]]:
    """Open what the subscribers need first, and close it last; the bus is drained in between."""
    with TemporaryFile("w", encoding="utf-8") as journal.file:
        async with lifespan(bus)(app) as state:
            yield {**state, "greeting": "accepted"}


async def place(request: Request) -> JSONResponse:
    """Publish one order. Answered, it is in the mailbox of each subscriber."""
    order = await request.json()
    await get_bus(request).publish(OrderPlaced(order["order_id"]))
    return JSONResponse({request.state.greeting: order["order_id"]}, 202)


async def unavailable(request: Request, error: Exception) -> JSONResponse:
    """Nobody has taken the order: the bus drains, has given up, or was never started."""
    return JSONResponse({"error": str(error)}, 503, {"Retry-After": "30"})


app = Starlette(
    routes=[Route("/orders", place, methods=["POST"]), Mount("/health", health_app(bus))],
    exception_handlers={BusNotRunning: unavailable},
    lifespan=lifetime,
)
