"""pykka: an actor is a thread with a queue, and no event loop is about; so it counts for itself."""

from __future__ import annotations

import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.cases import Case, Figures
from benchmarks.loads import Load, Shape


def pykka_case(shape: Shape, most: int) -> Case:
    """Give the case, of at most *most* deliveries."""

    def run(backend: str, size: int) -> Figures:
        return tell_all(Load.of(min(size, most), shape))

    return Case(name="pykka", run=run, needs=("pykka",), kind="peer")


def tell_all(load: Load) -> Figures:
    """Tell each event to its actors and wait until all have had their last one."""
    done = threading.Semaphore(0)
    expected = len(load.events) // load.shape.kinds
    actors: dict[type, list[Any]] = defaultdict(list)
    start = actor_starter(expected, done)
    for each in load.subscribers:
        actors[each.kind].append(start())
    began = time.perf_counter()
    for event in load.events:
        for actor in actors[type(event)]:
            actor.tell(event)
    for _ in load.subscribers:
        done.acquire()
    seconds = time.perf_counter() - began
    importlib.import_module("pykka").ActorRegistry.stop_all()
    return {"seconds": seconds, "operations": load.deliveries}


def actor_starter(expected: int, done: threading.Semaphore) -> Callable[[], Any]:
    """Make a class of actors that count *expected* events down, and give the way to start one."""
    base = importlib.import_module("pykka").ThreadingActor

    def on_start(self: Any) -> None:
        self.left = expected

    def on_receive(self: Any, event: object) -> None:
        self.left -= 1
        if not self.left:
            done.release()

    kind = type("Counter", (base,), {"on_start": on_start, "on_receive": on_receive})
    return kind.start  # type: ignore[attr-defined,no-any-return]
