"""Cancellations that do not come from the bus."""

from __future__ import annotations

import asyncio

import trio


async def cancelled_by_a_stranger() -> None:
    """Have the task that runs this cancelled by something that it knows nothing of, as a faulty handler would."""
    if _runs_on_asyncio():
        raise asyncio.CancelledError
    nursery = trio.lowlevel.current_task().parent_nursery
    assert nursery is not None
    nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()


def _runs_on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
