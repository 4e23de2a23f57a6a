"""Whose code runs in a blocked loop, and where, as another thread sees it."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections.abc import Coroutine
from contextvars import Context, copy_context
from types import FrameType
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.supervisors.stalling import look, run_child
from tocsin_supervisors import ChildSpec, ChildStarted, Report, Supervisor
from tocsin_supervisors._stacks import UNKNOWN
from tocsin_supervisors._stalls import MAX_FRAMES, LoopThread, Stall, stall_at

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Seen:
    """Looks when it is called, and keeps what was seen."""

    def __init__(self) -> None:
        self.stalls: list[Stall | None] = []

    def __call__(self) -> None:
        self.stalls.append(look())

    async def wait(self) -> None:
        """Look, as a coroutine."""
        self()

    @property
    def only(self) -> Stall:
        """The only one seen."""
        (stall,) = self.stalls
        assert stall is not None
        return stall


# ── whose code ──


async def test_code_of_a_child_is_the_childs() -> None:
    seen = Seen()
    await run_child(seen.wait, "leaf")
    assert seen.only.child == "root/leaf"


async def test_code_of_a_child_of_a_nested_supervisor_is_the_innermost_childs() -> None:
    seen = Seen()
    await run_child(seen.wait, "branch", "leaf")
    assert seen.only.child == "root/branch/leaf"


async def test_code_in_a_task_that_a_child_started_is_the_childs() -> None:
    seen = Seen()

    async def child() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(seen.wait)
            await anyio.sleep(1)

    await run_child(child, "branch", "leaf")
    assert seen.only.child == "root/branch/leaf"


async def test_code_outside_of_any_child_is_nobodys() -> None:
    seen = Seen()
    await run_child(anyio.lowlevel.checkpoint, "leaf")
    seen()
    assert seen.only.child is None


async def test_code_that_runs_beside_a_child_is_nobodys() -> None:
    seen = Seen()
    async with Supervisor("root", [ChildSpec("leaf", anyio.sleep_forever)]).running():
        seen()
    assert seen.only.child is None


async def test_the_observer_of_a_nested_supervisor_is_that_supervisors() -> None:
    seen = Seen()

    def observe(report: Report) -> None:
        if isinstance(report, ChildStarted):
            seen()

    branch = Supervisor("branch", [ChildSpec("leaf", anyio.sleep_forever)], observer=observe)
    async with Supervisor("root", [ChildSpec("branch", branch)]).running():
        pass
    assert seen.only.child == "root/branch"


async def test_code_that_a_worker_thread_of_a_child_runs_in_the_loop_is_the_childs() -> None:
    seen = Seen()

    async def child() -> None:
        await anyio.to_thread.run_sync(anyio.from_thread.run_sync, seen)

    async with anyio.create_task_group() as group:  # a thread has no virtual time: something must keep the clock
        group.start_soon(anyio.sleep, 3600)
        await run_child(child, "leaf")
        group.cancel_scope.cancel()
    assert seen.only.child == "root/leaf"


@ON_ASYNCIO
async def test_a_callback_is_that_of_the_child_that_asked_for_it(anyio_backend: object) -> None:
    seen = Seen()

    async def child() -> None:
        asyncio.get_running_loop().call_soon(seen)
        await anyio.sleep(1)

    await run_child(child, "leaf")
    assert seen.only.child == "root/leaf"


class TellingTask(asyncio.Task[Any]):
    """Tells its context, as all tasks do from Python 3.12 on."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self.context: Context = options.pop("context", None) or copy_context()
        super().__init__(coroutine, context=self.context, **options)

    def get_context(self) -> Context:
        return self.context


def telling_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
    return TellingTask(coroutine, loop=loop, **options)


@ON_ASYNCIO
async def test_a_task_that_tells_its_context_is_asked_for_it(anyio_backend: object) -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    loop.set_task_factory(telling_task)
    try:
        await run_child(seen.wait, "leaf")
    finally:
        loop.set_task_factory(None)
    assert seen.only.child == "root/leaf"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks can be started eagerly from Python 3.12 on")
@ON_ASYNCIO
async def test_a_child_that_is_started_eagerly_is_not_taken_for_its_supervisor(anyio_backend: object) -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009  # type checkers look at 3.11
    try:
        await run_child(seen.wait, "leaf")
    finally:
        loop.set_task_factory(None)
    assert seen.only.child == "root/leaf"


# ── where ──


async def test_the_stack_begins_with_the_childs_own_code_and_ends_where_it_is() -> None:
    seen = Seen()

    async def inner() -> None:
        seen()

    async def outer() -> None:
        await inner()

    await run_child(outer, "leaf")
    functions = [line.rpartition(" ")[2].rpartition(".")[2] for line in seen.only.stack]
    assert functions[:5] == ["start", "outer", "inner", "__call__", "look"]
    assert "threading.py" in seen.only.stack[-1]


async def test_the_line_is_the_innermost_of_own_code() -> None:
    seen = Seen()
    await run_child(seen.wait, "leaf")
    assert seen.only.line == next(line for line in seen.only.stack if line.endswith(" look"))


async def test_of_a_deep_stack_the_innermost_frames_are_kept() -> None:
    seen = Seen()

    def descend(depth: int) -> None:
        if depth:
            descend(depth - 1)
        else:
            seen()

    descend(100)
    assert len(seen.only.stack) == MAX_FRAMES
    assert "threading.py" in seen.only.stack[-1]


@ON_ASYNCIO
async def test_a_callback_in_c_has_the_line_where_the_loop_calls_it(anyio_backend: object) -> None:
    seen: list[Stall | None] = [None]
    blocking = threading.Lock()
    blocking.acquire()
    loop_thread = LoopThread()

    def look_and_release() -> None:
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline and not (seen[0] and seen[0].line.endswith(" Handle._run")):
            seen[0] = loop_thread.stall(1.0)
        blocking.release()

    async def child() -> None:
        asyncio.get_running_loop().call_soon(blocking.acquire)
        threading.Thread(target=look_and_release).start()
        await anyio.sleep(1)

    await run_child(child, "leaf")
    (stall,) = seen
    assert stall is not None
    assert stall.child == "root/leaf"
    assert stall.line.endswith(" Handle._run")
    assert stall.stack == (stall.line,)


# ── when there is nothing to be seen ──


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_waits_for_something_to_happen_does_not_stall(backend: str) -> None:
    async def main() -> Stall | None:
        thread = LoopThread()
        return await anyio.to_thread.run_sync(look_at, thread)

    def look_at(thread: LoopThread) -> Stall | None:
        time.sleep(0.05)  # by then it waits
        return thread.stall(1.0)

    # Not in the loop of the test: pytest's plugin of anyio runs trio as the guest of a loop of its own.
    assert anyio.run(main, backend=backend) is None


def test_a_thread_that_has_ended_does_not_stall() -> None:
    threads: list[LoopThread] = []

    async def main() -> None:
        threads.append(LoopThread())

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    thread.join()
    assert threads[0].stall(1.0) is None


async def test_that_the_loop_stalls_is_told_even_if_its_frames_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = LoopThread()
    monkeypatch.setattr(sys, "_current_frames", lambda: {threading.get_ident(): "no frame"})
    assert thread.stall(1.5) == Stall(1.5, None, UNKNOWN)


def current_frame() -> FrameType:
    """Give the frame of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back


def run_handle(handle: Any) -> None:
    """Do what a handle of asyncio does."""
    handle._context.run(handle._callback, *handle._args)


@ON_ASYNCIO
async def test_of_a_loop_that_takes_its_steps_in_another_way_the_line_is_told_and_from_python_3_12_on_the_child(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.Handle, "_run", run_handle)
    seen = Seen()
    await run_child(seen.wait, "leaf")
    assert seen.only.child == ("root/leaf" if sys.version_info >= (3, 12) else None)
    assert seen.only.line.endswith(" look")


def test_of_a_loop_without_frames_of_its_own_the_line_is_told() -> None:
    stall = stall_at(current_frame(), lambda loop: None, 1.0)
    assert stall is not None
    assert stall.line.endswith(" test_of_a_loop_without_frames_of_its_own_the_line_is_told")


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_of_a_trio_that_keeps_its_task_elsewhere_the_line_is_told(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    monkeypatch.delitem(sys.modules, "trio._core._run")
    await run_child(seen.wait, "leaf")
    assert seen.only.child is None
    assert seen.only.line.endswith(" look")


async def test_of_a_backend_that_has_changed_the_line_is_told() -> None:
    def fail(loop: FrameType | None) -> Context | None:
        raise AttributeError("moved")

    stall = stall_at(current_frame(), fail, 1.0)
    assert stall is not None
    assert stall.child is None
    assert stall.line.endswith(" test_of_a_backend_that_has_changed_the_line_is_told")
