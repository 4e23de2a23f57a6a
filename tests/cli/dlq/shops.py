"""Runs of a bus that fail, runs that do not, and letters that never were in one."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import anyio

from tests.durable.stored import Order
from tocsin import EventBus, RetryPolicy
from tocsin.durable import SQLiteStore
from tocsin_supervisors import DeadLetter, DeadLetterReason, Failure

NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
ONCE = RetryPolicy(max_attempts=1)


def letter(number: int = 1, **changes: Any) -> DeadLetter[Any]:
    facts: dict[str, Any] = {
        "id": number,
        "event": Order(number),
        "event_id": f"e{number}",
        "event_type": "shop.orders.OrderPlaced",
        "published_at": NOON,
        "subscription": "ship",
        "reason": DeadLetterReason.HANDLER_ERROR,
        "attempts": 3,
        "first_failed_at": NOON,
        "last_failed_at": NOON + number * MINUTE,
        "failure": Failure.of(ValueError("no stock")),
    }
    return DeadLetter(**(facts | changes))


def shop(store: Any = None, *, handled: list[int] | None = None, durable: bool = True, **options: Any) -> EventBus:
    """Make a bus whose only subscription adds orders to *handled*; without it, all fail."""
    bus = EventBus("shop", store=store, **options)

    @bus.subscriber(Order, name="ship", durable=durable and store is not None, retry=ONCE)
    async def ship(order: Order) -> None:
        if handled is None:
            raise ValueError(f"no order {order.number}")
        handled.append(order.number)

    return bus


def fail(path: Path, *numbers: int, backend: str = "asyncio", durable: bool = True, **options: Any) -> None:
    """Have a bus fail on orders of *numbers*, and keep them as dead letters in the file at *path*."""
    bus = shop(SQLiteStore(path), durable=durable, **options)

    async def main() -> None:
        async with bus.running():
            for number in numbers:
                await bus.publish(Order(number), headers={"trace": f"t{number}"})

    anyio.run(main, backend=backend)


def run_again(path: Path, *, backend: str = "asyncio", durable: bool = True) -> list[int]:
    """Have the next bus run on the file at *path*, which does not fail, and give what it has handled."""
    handled: list[int] = []
    bus = shop(SQLiteStore(path), handled=handled, durable=durable)

    async def main() -> None:
        async with bus.running():
            pass

    anyio.run(main, backend=backend)
    return handled
