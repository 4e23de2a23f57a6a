"""Django, which has no lifespan: the bus is around its ASGI application. One file instead of a project.

uvicorn examples.frameworks.with_django:application                   asyncio only: Django's own code is
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# Django has no types; with django-stubs this line goes.

from __future__ import annotations

import json

from attrs import frozen
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.urls import path

from tocsin import EventBus
from tocsin.exceptions import BusNotRunning
from tocsin.web import get_bus, with_bus

settings.configure(ALLOWED_HOSTS=["localhost", "127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="of this example")

bus = EventBus("shop")


@frozen
class OrderPlaced:
    """Somebody has ordered."""

    order_id: str


@bus.subscriber(OrderPlaced)
async def confirm(order: OrderPlaced) -> None:
    """Tell the customer, who in this example is not interested."""


async def place(request: ASGIRequest) -> JsonResponse:
    """Publish one order. Answered, it is in the mailbox of each subscriber.

    An asynchronous view runs in the loop of the bus. A synchronous one runs in a thread: `bus.publish_from_thread`.
    """
    order = json.loads(request.body)
    try:
        await get_bus(request).publish(OrderPlaced(order["order_id"]))
    except BusNotRunning as error:  # nobody has taken it: the bus drains, has given up, or was never started
        return JsonResponse({"error": str(error)}, status=503, headers={"Retry-After": "30"})
    return JsonResponse({"accepted": order["order_id"]}, status=202)


urlpatterns = [path("orders", place)]
application = with_bus(get_asgi_application(), bus, health_at="/health")
