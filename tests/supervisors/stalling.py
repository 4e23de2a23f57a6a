"""Code that blocks the event loop, and those who look at it meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio

from tocsin_supervisors import ChildSpec, RestartPolicy, Supervisor
from tocsin_supervisors._stalls import LoopThread, Stall
from tocsin_supervisors._watchdog import Watchdog

THRESHOLD = 0.1


def block(seconds: float = 2.5 * THRESHOLD) -> None:
    """Block the loop for long enough to be noticed, and briefly enough for a test."""
    time.sleep(seconds)  # to block is the point


BLOCKING_LINE = f"{__file__}:{block.__code__.co_firstlineno + 2} block"


def look() -> Stall | None:
    """Have another thread look at this one while it waits for it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(LoopThread().stall, 1.0).result()


def spin() -> None:
    """Block the loop by work: so much processor time, however many others want some of it."""
    end = time.thread_time() + 2.5 * THRESHOLD
    while time.thread_time() < end:
        pass


@asynccontextmanager
async def watched(threshold: float = THRESHOLD) -> AsyncGenerator[list[Stall], None]:
    """Watch the loop while the body runs, and collect the stalls that are told."""
    stalls: list[Stall] = []
    async with anyio.create_task_group() as group:
        group.start_soon(Watchdog(threshold, stalls.append).run)
        await anyio.wait_all_tasks_blocked()
        yield stalls
        group.cancel_scope.cancel()


async def run_child(child: Callable[[], Awaitable[object]], *path: str) -> None:
    """Run *child* once, at the end of the *path* below the root of a tree of its own."""

    async def start() -> None:
        await child()
        done.set()

    done = anyio.Event()
    *branches, leaf = path
    spec = ChildSpec(leaf, start, restart=RestartPolicy.TEMPORARY)
    for branch in reversed(branches):
        spec = ChildSpec(branch, Supervisor(branch, [spec]))
    async with Supervisor("root", [spec]).running():
        await done.wait()
