"""Where all tasks of a run wait, and whether a thread is at work for one of them."""

from __future__ import annotations

import threading
from concurrent.futures import thread as pools
from typing import Any

import anyio

from tocsin_supervisors._stacks import own_chain_of, tasks_in_order
from tocsin_supervisors._text import safe_text


def waiting_tasks() -> tuple[str, ...]:
    """Say of each task of the running loop what it is called, and which lines led to where it waits, outermost first.
    Lines of the backends are left out, and tasks that are nothing but that.
    """
    found = [(info.name, own_chain_of(info.coro)) for info in tasks_in_order(anyio.get_running_tasks())]
    return tuple(f"{safe_text(name, 100)}: {' → '.join(chain)}" for name, chain in found if chain)


def threads_now() -> frozenset[threading.Thread]:
    """Give the threads that there are, to tell later which are new."""
    return frozenset(threading.enumerate())


def are_at_work(before: frozenset[threading.Thread]) -> bool:
    """Tell whether a thread that was not there *before* does something, as far as anybody can know.

    A daemon may well be there for nothing but to watch, so it does not count; those that serve others count while they
    do. What the loop of asyncio gives to a pool it counts itself, and so does trio.
    """
    return any(_works(thread) for thread in threading.enumerate() if thread not in before)


def _works(thread: threading.Thread) -> bool:
    known: Any = thread
    if hasattr(known, "idle_workers"):  # anyio's on asyncio, which puts whoever has nothing to do into this list
        return thread not in known.idle_workers
    of_pools: Any = getattr(pools, "_threads_queues", ())
    return not thread.daemon and thread not in of_pools
