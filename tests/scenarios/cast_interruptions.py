"""A task that is cancelled with its backend's own means, and the line of a source where somebody hangs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import sniffio
import trio
from anyio.abc import TaskGroup


class NativeTask:
    """A task of asyncio, or what is below a cancel scope of trio: nothing of it was made by anyio."""

    def __init__(self, group: TaskGroup, body: Callable[[], Awaitable[object]]) -> None:
        self.was_cancelled = False
        self.error: BaseException | None = None
        self.ended_at = 0.0
        self._body = body
        self._ended = anyio.Event()
        self._task: asyncio.Task[None] | None = None
        self._scope: Any = None
        if sniffio.current_async_library() == "asyncio":
            self._task = asyncio.ensure_future(self._live())
        else:
            self._scope = trio.CancelScope()
            group.start_soon(self._live_in_scope)

    async def _live_in_scope(self) -> None:
        with self._scope:
            await self._live()

    async def _live(self) -> None:
        try:
            await self._body()
        except anyio.get_cancelled_exc_class():
            self.was_cancelled = True
            raise
        except BaseException as error:  # for the test to look at
            self.error = error
        finally:
            self.ended_at = anyio.current_time()
            self._ended.set()

    def cancel(self) -> None:
        """Cancel it natively."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self._ended.wait()


def line_with(mark: str, function: Callable[..., object]) -> str:
    """Give the line of *function* that ends with the comment *mark*, as a stop report names it."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = (number for number, line in enumerate(lines) if line.rstrip().endswith(f"# {mark}"))
    return f"{inspect.getsourcefile(function)}:{first + offset} {function.__qualname__}"
