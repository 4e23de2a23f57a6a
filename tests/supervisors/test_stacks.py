"""Where a coroutine hangs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import coroutine

import anyio
import pytest

from tocsin_supervisors._stacks import UNKNOWN, line_of


async def waits() -> None:
    await anyio.sleep_forever()


async def waits_below() -> None:
    await waits()


async def waits_in_a_stream() -> None:
    async def stream() -> AsyncIterator[int]:
        await waits()
        yield 1  # pragma: no cover  # never reached

    async for _ in stream():
        pass  # pragma: no cover  # never reached


async def waits_in_a_generator() -> None:
    @coroutine
    def old() -> Generator[object, None, None]:
        yield from waits().__await__()

    await old()


@pytest.mark.parametrize("start", [waits, waits_below, waits_in_a_stream])
async def test_the_innermost_line_outside_the_backend_is_found(start: Callable[[], Awaitable[None]]) -> None:
    lines: list[str] = []
    async with anyio.create_task_group() as group:
        awaitable = start()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        lines.append(line_of(awaitable))
        group.cancel_scope.cancel()
    expected = r".*test_stacks\.py:" + str(waits.__code__.co_firstlineno + 1) + " waits"
    assert re.fullmatch(expected, lines[0])


async def test_a_generator_based_coroutine_is_followed_as_far_as_it_goes() -> None:
    async with anyio.create_task_group() as group:
        awaitable = waits_in_a_generator()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert "test_stacks.py" in line_of(awaitable)
        group.cancel_scope.cancel()


async def test_a_wait_in_the_backend_alone_is_shown_there() -> None:
    async with anyio.create_task_group() as group:
        awaitable = anyio.sleep_forever()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert re.search(r"(anyio|asyncio|trio).*:\d+ \w+", line_of(awaitable))
        group.cancel_scope.cancel()


@pytest.mark.parametrize("nothing", [None, 7, object()])
def test_what_is_no_coroutine_hangs_nowhere(nothing: object) -> None:
    assert line_of(nothing) == UNKNOWN
