"""Litestar: the lifespan is one of several, and `Provide` hands the bus to whoever names it.

uvicorn examples.frameworks.with_litestar:app                         on asyncio
anycorn --worker-class trio examples.frameworks.with_litestar:app     on trio
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from litestar import Litestar, Request, Response, asgi, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from litestar.types import Receive, Scope, Send

from tocsin import EventBus, handles
from tocsin.exceptions import BusNotRunning
from tocsin.web import get_bus, health_app, lifespan

bus = EventBus("shop")


@frozen
class OrderPlaced:
    """Somebody has ordered."""

    order_id: str


@frozen
class HowMany:
    """A question: how many orders were there?"""


@bus.actor(name="orders")
class Orders:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    @handles(OrderPlaced)
    async def place(self, order: OrderPlaced) -> None:
        """Count one order."""
        self.count += 1

    @handles(HowMany)
    async def how_many(self, question: HowMany) -> int:
        """Answer."""
        return self.count


def bus_of(request: Request[Any, Any, Any]) -> EventBus:
    """Give the bus to handlers with a parameter `bus`."""
    return get_bus(request)


@post("/orders", status_code=202)
async def place(data: JSONBody[dict[str, str]], bus: NamedDependency[EventBus]) -> dict[str, str]:
    """Publish one order. Answered, it is in the mailbox of each subscriber."""
    await bus.publish(OrderPlaced(data["order_id"]))
    return {"accepted": data["order_id"]}


@get("/orders")
async def count(bus: NamedDependency[EventBus]) -> dict[str, int]:
    """Ask how many there were."""
    return {"orders": await bus.ask(HowMany())}


@asgi("/health", is_mount=True, copy_scope=True)
async def health(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the pages of `health_app`."""
    await health_app(bus)(scope, receive, send)  # type: ignore[arg-type]


def unavailable(request: Request[Any, Any, Any], error: BusNotRunning) -> Response[dict[str, str]]:
    """Nobody has taken the order: the bus drains, has given up, or was never started."""
    return Response({"error": str(error)}, status_code=503, headers={"Retry-After": "30"})


app = Litestar(
    [place, count, health],
    dependencies={"bus": Provide(bus_of, sync_to_thread=False)},
    exception_handlers={BusNotRunning: unavailable},
    lifespan=[lifespan(bus)],
)
