"""Mistakes that type checkers must find. Read by mypy and pyright, never run.

Every wrong line ignores the error it must cause (in mypy's words). Both checkers complain of an ignore that nothing
needs, so a mistake that one of them stops finding makes the lint fail.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from tocsin import EventBus, Priority, RestartPolicy, RetryPolicy, Strategy

bus = EventBus("shop")


async def handler(event: str) -> None: ...


async def misuse() -> None:
    await bus.publish("event", priorty=Priority.HIGH)  # type: ignore[call-arg]
    await bus.publish("event", priority="high")  # type: ignore[arg-type]
    await bus.publish("event", Priority.HIGH)  # type: ignore[call-arg]
    bus.publish_many(["event"])  # type: ignore[unused-coroutine]


def misdeclare() -> None:
    bus.subscribe("handler", str)  # type: ignore[arg-type]
    bus.subscribe(handler, 7)  # type: ignore[arg-type]
    bus.subscribe(handler, str, mailbox="large")  # type: ignore[arg-type]
    bus.subscribe(handler, str, restart="permanent")  # type: ignore[arg-type]
    bus.subscribe(handler, str, on_exhausted="shrug")  # type: ignore[arg-type]
    EventBus("shop", Strategy.ONE_FOR_ALL)  # type: ignore[call-arg, arg-type]
    EventBus("shop", strategy=RestartPolicy.PERMANENT)  # type: ignore[arg-type]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]


class MyBus(EventBus): ...  # type: ignore[misc]


def assign() -> None:
    bus.statistics().published = 3  # type: ignore[misc]
    bus.statistics().ledger.handled = 3  # type: ignore[misc]
