"""Quart on trio: the bus is around the application, as Quart itself would cut a drain short after 5 seconds.

anycorn --worker-class trio examples.frameworks.with_quart_trio:application
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from quart import request
from quart_trio import QuartTrio

from tocsin import EventBus
from tocsin.exceptions import BusNotRunning
from tocsin.web import get_bus, with_bus

bus = EventBus("shop")
app = QuartTrio(__name__)


@frozen
class OrderPlaced:
    """Somebody has ordered."""

    order_id: str


@bus.subscriber(OrderPlaced)
async def confirm(order: OrderPlaced) -> None:
    """Tell the customer, who in this example is not interested."""


@app.post("/orders")
async def place() -> tuple[dict[str, Any], int]:
    """Publish one order. Answered, it is in the mailbox of each subscriber."""
    order = await request.get_json()
    await get_bus(request).publish(OrderPlaced(order["order_id"]))
    return {"accepted": order["order_id"]}, 202


@app.errorhandler(BusNotRunning)
async def unavailable(error: BusNotRunning) -> tuple[dict[str, str], int, dict[str, str]]:
    """Nobody has taken the order: the bus drains, has given up, or was never started."""
    return {"error": str(error)}, 503, {"Retry-After": "30"}


application = with_bus(app, bus, health_at="/health")
