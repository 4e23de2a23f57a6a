"""The few places where asyncio and trio are asked for something that anyio has no word for. Each says why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Callable


def monotonic_clock() -> Callable[[], float]:
    """Give the clock of the running loop, bound once:

    `anyio.current_time()` looks the backend up at every call (6 times the cost).
    """
    native = cast("Any", anyio.lowlevel.current_token().native_token)
    if hasattr(native, "call_soon_threadsafe"):
        return cast("Callable[[], float]", native.time)
    # trio is imported already, since it is running; its clock may be a test's virtual one.
    return cast("Callable[[], float]", sys.modules["trio"].lowlevel.current_clock().current_time)


def waker(callback: Callable[[], object]) -> Callable[[], None]:
    """Give a function that any thread may call to have *callback* run soon in the running loop, without waiting for it.

    `anyio.from_thread.run_sync` would block the caller until the loop gets to it. After the loop has ended, calling
    raises RuntimeError on both backends.
    """
    native = cast("Any", anyio.lowlevel.current_token().native_token)
    if hasattr(native, "call_soon_threadsafe"):
        return lambda: native.call_soon_threadsafe(callback)
    return lambda: native.run_sync_soon(callback)
