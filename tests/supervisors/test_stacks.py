"""Where a coroutine hangs, and what led there. The line that hangs is the one marked with HERE."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from types import coroutine
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.supervisors.scripted import Record, settle
from tocsin_supervisors import ChildContext, ChildSpec, StopTimedOut, Supervisor
from tocsin_supervisors._stacks import MAX_LINES, MAX_TASKS, UNKNOWN, line_of, stack_of

Child = Callable[[anyio.Event], Awaitable[None]]


def place(function: Callable[..., object], inner: str | None = None, mark: str = "# HERE") -> str:
    """Give the marked line of *function*, or of *inner* in it, as the library writes it."""
    source, first = inspect.getsourcelines(function)
    (line,) = [number for number, text in enumerate(source, first) if mark in text]
    name = function.__qualname__ + (f".<locals>.{inner}" if inner else "")
    return f"{__file__}:{line} {name}"


async def look(child: Child) -> tuple[str, tuple[str, ...]]:
    """Cancel *child*, and give where it hangs before it is let go."""
    release = anyio.Event()
    found: tuple[str, tuple[str, ...]] = "", ()
    async with anyio.create_task_group() as group:
        awaitable = child(release)

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            found = line_of(awaitable), stack_of(awaitable)
            release.set()
    return found


# ── in the child's own task ──


async def swallows_its_cancellation(release: anyio.Event) -> None:
    while not release.is_set():
        try:
            await anyio.sleep_forever()  # HERE
        except anyio.get_cancelled_exc_class():
            pass


async def shields_itself(release: anyio.Event) -> None:
    with anyio.CancelScope(shield=True):
        await release.wait()  # HERE


async def shields_itself_far_below(release: anyio.Event) -> None:
    await between(release)  # HERE


async def between(release: anyio.Event) -> None:
    async with between_as_well():
        await shields_itself(release)  # HERE


@asynccontextmanager
async def between_as_well() -> AsyncGenerator[None]:
    yield


async def waits_in_an_async_generator(release: anyio.Event) -> None:
    async for _ in stream(release):  # HERE
        pass  # pragma: no cover  # never reached


async def stream(release: anyio.Event) -> AsyncIterator[int]:
    with anyio.CancelScope(shield=True):
        await release.wait()  # HERE
    if not release.is_set():
        yield 1  # pragma: no cover  # never reached


class Awaitable_:
    """Awaits a coroutine of its own, as requests of HTTP libraries do."""

    def __init__(self, release: anyio.Event) -> None:
        self._release = release

    def __await__(self) -> Generator[Any, Any, None]:
        return shields_itself(self._release).__await__()


async def waits_for_an_object(release: anyio.Event) -> None:
    await Awaitable_(release)  # HERE


async def waits_in_a_generator(release: anyio.Event) -> None:
    @coroutine
    def old() -> Generator[object, None, None]:
        yield from shields_itself(release).__await__()

    await old()


OWN = [
    (swallows_its_cancellation, [place(swallows_its_cancellation)]),
    (shields_itself, [place(shields_itself)]),
    (shields_itself_far_below, [place(shields_itself_far_below), place(between), place(shields_itself)]),
    (waits_in_an_async_generator, [place(waits_in_an_async_generator), place(stream)]),
    (waits_for_an_object, [place(waits_for_an_object), place(shields_itself)]),
]


@pytest.mark.parametrize(("child", "stack"), OWN)
async def test_the_lines_that_lead_to_where_a_child_hangs_are_given_and_the_innermost_is_its_line(
    child: Child, stack: list[str]
) -> None:
    assert await look(child) == (stack[-1], tuple(stack))


async def test_a_generator_based_coroutine_is_followed_as_well() -> None:
    line, _ = await look(waits_in_a_generator)
    assert line == place(shields_itself)


@pytest.mark.real_time
async def test_a_child_that_waits_for_a_thread_hangs_where_it_awaits_it() -> None:
    begun, done = anyio.Event(), threading.Event()
    found = ""

    def work() -> None:
        anyio.from_thread.run_sync(begun.set)
        done.wait()

    async def child() -> None:
        await anyio.to_thread.run_sync(work)  # HERE

    async with anyio.create_task_group() as group:
        awaitable = child()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await begun.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            found = line_of(awaitable)
            done.set()
    test = test_a_child_that_waits_for_a_thread_hangs_where_it_awaits_it
    assert found == place(test, "child")


async def test_of_more_lines_than_are_given_the_outermost_are_left_out() -> None:
    async def recurses(release: anyio.Event, depth: int = 100) -> None:
        await (recurses(release, depth - 1) if depth else shields_itself(release))

    _, stack = await look(recurses)
    assert len(stack) == MAX_LINES
    assert stack[0] == f"… {102 - (MAX_LINES - 1)} outer lines"
    assert stack[-1] == place(shields_itself)


# ── in tasks below ──


async def hangs_two_tasks_below(release: anyio.Event) -> None:
    async with anyio.create_task_group() as group:  # HERE
        group.start_soon(hangs_a_task_below, release, name="in between")


async def hangs_a_task_below(release: anyio.Event) -> None:
    async with anyio.create_task_group() as group:  # HERE
        group.start_soon(shields_itself, release, name="below")


async def test_a_child_hangs_where_the_task_hangs_that_it_waits_for_however_far_below() -> None:
    line, stack = await look(hangs_two_tasks_below)
    assert line == place(shields_itself)
    assert stack == (
        place(hangs_two_tasks_below),
        "task in between:",
        place(hangs_a_task_below),
        "task below:",
        place(shields_itself),
    )


async def test_a_task_that_ends_when_it_is_cancelled_is_not_what_hangs() -> None:
    async def child(release: anyio.Event) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await shields_itself(release)

    line, stack = await look(child)
    assert line == place(shields_itself)
    assert not any(each.startswith("task") for each in stack)


@pytest.mark.parametrize("number", range(20))  # where the order is chance, it is the right one every other time
async def test_of_several_tasks_that_hang_the_one_counts_that_was_started_first_and_all_are_shown(number: int) -> None:
    async def first(release: anyio.Event) -> None:
        await shields_itself_far_below(release)

    async def second(release: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    async def child(release: anyio.Event) -> None:
        one, two = (first, second) if number % 2 else (second, first)
        async with anyio.create_task_group() as group:
            group.start_soon(one, release, name="1")
            group.start_soon(two, release, name="2")

    line, stack = await look(child)
    assert ("shields_itself" if number % 2 else "second") in line.split()[-1]
    assert [each for each in stack if each.startswith("task")] == ["task 1:", "task 2:"]


async def test_of_several_tasks_that_hang_the_one_farthest_below_counts() -> None:
    async def child(release: anyio.Event) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(swallows_its_cancellation, release)
            group.start_soon(hangs_a_task_below, release)

    line, _ = await look(child)
    assert line == place(shields_itself)


async def test_a_task_of_the_application_counts_before_one_of_a_library() -> None:
    async def child(release: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(release.wait, name="of a library")
                group.start_soon(shields_itself, release, name="own")

    line, stack = await look(child)
    assert line == place(shields_itself)
    assert [each for each in stack if each.startswith("task")] == ["task own:"]


async def test_of_many_tasks_the_first_are_shown_and_the_others_counted() -> None:
    async def child(release: anyio.Event) -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(shields_itself_far_below, release, name=f"{number:2}")

    line, stack = await look(child)
    assert line == place(shields_itself)
    assert [each for each in stack if each.startswith("task")] == [f"task {number:2}:" for number in range(7)]
    assert stack[-1] == f"… {21 - MAX_TASKS} more tasks"
    assert len(stack) <= MAX_LINES + 1


async def test_a_task_of_another_child_is_not_looked_at() -> None:
    release = anyio.Event()
    line = ""
    async with anyio.create_task_group() as group:
        group.start_soon(hangs_two_tasks_below, release)
        line, _ = await look(shields_itself_far_below)
        release.set()
    assert line == place(shields_itself)


# ── in a supervisor ──


@pytest.mark.parametrize("with_context", [False, True])
async def test_a_stop_that_takes_too_long_is_reported_with_the_line_of_the_task_that_hangs(with_context: bool) -> None:
    release = anyio.Event()
    record = Record()

    async def child(context: ChildContext) -> None:
        context.started()
        await hangs_two_tasks_below(release)

    async def plain() -> None:
        await hangs_two_tasks_below(release)

    spec = ChildSpec("child", child if with_context else plain, grace_period=1.0)
    supervisor = Supervisor("root", [spec], observer=record.observe)
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.run)
        await settle()
        await supervisor.stop()
        release.set()
    assert [each.line for each in supervisor.stop_report.unstopped] == [place(shields_itself)]
    assert record.only(StopTimedOut).line == place(shields_itself)


async def test_a_nested_supervisor_that_hangs_hangs_where_its_child_does() -> None:
    release = anyio.Event()
    line = ""
    stack: tuple[str, ...] = ()

    async def leaf() -> None:
        await hangs_two_tasks_below(release)

    nested = Supervisor("nested", [ChildSpec("leaf", leaf)])
    async with anyio.create_task_group() as group:
        awaitable = nested.run()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await settle()
        line, stack = line_of(awaitable), stack_of(awaitable)
        release.set()
        group.cancel_scope.cancel()
    assert line == place(shields_itself)
    assert "task nested/leaf:" in stack
    assert not any("tocsin_supervisors" in each for each in stack)


# ── what cannot be seen ──


async def test_a_wait_in_the_backend_alone_is_shown_there() -> None:
    async with anyio.create_task_group() as group:
        awaitable = anyio.sleep_forever()

        async def run() -> None:
            await awaitable

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert re.search(r"(anyio|asyncio|trio).*:\d+ \w+", line_of(awaitable))
        assert stack_of(awaitable)[-1] == line_of(awaitable)
        group.cancel_scope.cancel()


async def test_a_coroutine_that_no_task_runs_is_where_it_begins() -> None:
    awaitable = shields_itself(anyio.Event())
    assert line_of(awaitable) == stack_of(awaitable)[0]
    assert line_of(awaitable).endswith(" shields_itself")
    awaitable.close()


@pytest.mark.parametrize("nothing", [None, 7, object()])
def test_what_is_no_coroutine_hangs_nowhere(nothing: object) -> None:
    assert line_of(nothing) == UNKNOWN
    assert stack_of(nothing) == ()
