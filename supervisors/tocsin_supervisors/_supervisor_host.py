"""The host of a run: the task that runs a supervisor, and what is raised in it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from ._errors import only_says_that_it_ends, to_raise

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from ._supervisor_run import Run


@asynccontextmanager
async def hosted(run: Run, *companions: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None, None]:
    """Run *run* beside the body; leaving it stops the children in order. What comes out is never a group of one.

    *companions* run in tasks of their own, and have to end with the run.
    """
    held = ended = None
    try:
        async with anyio.create_task_group() as host:
            host.start_soon(run.live, name=f"{run.path}: supervisor")
            host.start_soon(run.watch, name=f"{run.path}: watcher")
            for companion in companions:
                host.start_soon(companion)
            try:
                await run.up.wait()
                with anyio.CancelScope() as run.body_scope:
                    if run.cancels_body:
                        run.body_scope.cancel()  # it has ended by itself before the body began
                    if run.error is None:
                        yield
            except BaseException as error:  # held until the children are down, then raised
                held = error
            run.body_scope = None
            run.request_stop()
    except BaseException as error:  # a cancellation from outside, most often; raised below
        ended = error
    if held is not None and run.error is not None and only_says_that_it_ends(held, run.path):
        held = None  # the body had asked for something meanwhile: why it was refused is what is raised
    outcome = to_raise(held, ended, run.error)
    try:
        if outcome is not None:
            raise outcome
    finally:
        del held, ended, outcome  # this frame is in their tracebacks
