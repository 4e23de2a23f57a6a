"""What the tests of failures share: policies, short ways to publish and to look, strangers that cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
import pytest
import sniffio
import trio

from tocsin import Backoff, DeadLetter, EventBus, Outcome, Receipt, RetryPolicy

MakeBus: TypeAlias = Callable[..., EventBus]

ONCE = RetryPolicy(max_attempts=1)
EVERY_SECOND = Backoff(initial=1.0, maximum=1.0, factor=1.0, jitter=0.0)


async def outcome_of(bus: EventBus, event: object, name: str = "subject") -> Outcome:
    """Publish *event*, wait for its end, and give how it ended for one subscription."""
    return (await (await bus.publish(event)).settled())[name]


def only_letter(bus: EventBus) -> DeadLetter[Any]:
    (letter,) = bus.dead_letters.list()
    return letter


async def stop_now(bus: EventBus) -> None:
    """Stop without a drain: what runs has its grace period."""
    await bus.stop(drain_timeout=0.0)


async def publish_all(bus: EventBus, *events: object) -> list[Receipt]:
    return [await bus.publish(event) for event in events]


async def run_until_it_ends(bus: EventBus, *events: object) -> None:
    """Run *bus*, publish *events*, and wait for something else to end it."""
    async with bus.running():
        await publish_all(bus, *events)
        await anyio.sleep_forever()


async def until(condition: Callable[[], bool], *, limit: float = 1000.0) -> None:
    """Let virtual time pass until *condition* holds."""
    with anyio.fail_after(limit):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody of itself
            await anyio.sleep(0.01)


# ── strangers: each has the task that awaits it cancelled, though nobody asked for a stop ──


async def _cancelled_future() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _raised_by_hand() -> None:
    raise asyncio.CancelledError


async def _own_task_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.sleep(1)


async def _own_nursery_cancelled() -> None:
    group_around().cancel_scope.cancel()
    await anyio.sleep(1)


_STRANGERS: dict[str, dict[str, Callable[[], Awaitable[None]]]] = {
    "asyncio": {
        "fault A11: a future that somebody cancelled": _cancelled_future,
        "a cancellation raised by hand": _raised_by_hand,
        "fault B7: its own task cancelled": _own_task_cancelled,
    },
    "trio": {
        "a cancellation raised by hand": _raised_by_hand,
        "fault B7: its own task cancelled": _own_nursery_cancelled,
    },
}
strangers = pytest.mark.parametrize("stranger", [*_STRANGERS["asyncio"]])


async def cancelled_by(stranger: str) -> None:
    """Have the awaiting task cancelled, as *stranger* says; skip what the backend does not know."""
    backend = sniffio.current_async_library()
    chosen = _STRANGERS[backend].get(stranger, _raised_by_hand)
    await chosen()


# ── what a handler can reach on one backend only ──


def skip_where_tasks_cannot_be_cancelled() -> None:
    if sniffio.current_async_library() == "trio":
        pytest.skip("tasks cannot be cancelled on trio, only scopes")


def skip_where_no_group_can_be_reached() -> None:
    if sniffio.current_async_library() == "asyncio":
        pytest.skip("the group around a task cannot be reached on asyncio")


def group_around() -> trio.Nursery:
    """Reach for the group around the running task, which a handler has no business with."""
    nursery = trio.lowlevel.current_task().parent_nursery
    assert nursery is not None
    return nursery


def leave_behind(trace: list[str]) -> None:
    """Leave a task in the group around this one that says in *trace* when it ends."""

    async def stray() -> None:
        try:
            await trio.sleep_forever()
        finally:
            trace.append("stray ended")

    group_around().start_soon(stray)
