"""W11: what does it cost that an event outlives the process?"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import itertools
import os
import queue
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import anyio
import anyio.lowlevel
import anyio.to_thread
from attrs import define

from benchmarks.baselines import EVERYWHERE
from benchmarks.cases import Case, Figures, Workload
from benchmarks.loads import Event
from benchmarks.loops import run
from benchmarks.targets import times_as_fast
from tocsin import EventBus

BODY = b"x" * 250
SLOW = 40  # so many times fewer messages where each of them has commits of its own
SYNCS = 100  # to find out how fast the disk is, before and after
PRODUCERS = (1, 16, 64, 256)
ROOT = Path(__file__).resolve().parents[1]  # a disk that is one: temporary folders may be in memory

Synchronous = Literal["full", "normal"]
Operation = Callable[[int], Awaitable[None]]  # one message: its insert and its delete, each until it is committed


@final
@define
class Place:
    """Where one run keeps its messages."""

    path: Path
    synchronous: Synchronous
    producers: int


Contender = Callable[[Place, int], Awaitable[Figures]]


def durable(
    contender: Contender, synchronous: Synchronous, producers: int, fewer: int, backend: str, size: int
) -> Figures:
    """Run *contender* in a new folder; the disk is measured beside it, as it may be much faster a minute later."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
        before = syncs_per_second(Path(folder))
        place = Place(Path(folder) / "store.db", synchronous, producers)
        count = max(size // fewer // producers, 1) * producers
        figures = run(backend, lambda: contender(place, count))
        after = syncs_per_second(Path(folder))
    return {**figures, "operations": count, "fdatasync_per_s": statistics.mean((before, after))}


def syncs_per_second(folder: Path) -> float:
    """Say how often the disk keeps a page for sure."""
    with open(folder / "page", "wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(SYNCS):
            file.write(bytes(4096))
            getattr(os, "fdatasync", os.fsync)(file.fileno())
        return SYNCS / (time.perf_counter() - began)


async def produced(operation: Operation, producers: int, count: int) -> float:
    """Have so many producers, each of which waits for one message before it begins the next; give the seconds."""

    async def produce(first: int) -> None:
        for number in range(first, count, producers):
            await operation(number)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for first in range(producers):
            tasks.start_soon(produce, first)
    return time.perf_counter() - began


# ── tocsin ──


async def bus(place: Place, count: int) -> Figures:
    """A bus: its producers wait for the insert, and the stop for what is left of the deletes."""
    store: Any = importlib.import_module("tocsin.durable").SQLiteStore(place.path, synchronous=place.synchronous)
    shop, left = EventBus("benchmark", store=store), count

    @shop.subscriber(Event, name="counter", durable=True)
    async def handle(_event: Event) -> None:
        nonlocal left
        left -= 1

    async with shop.running():
        began = time.perf_counter()
        receipts: list[Any] = [None] * place.producers

        async def message(number: int) -> None:
            receipts[number % place.producers] = receipt = await shop.publish(Event(number))
            await receipt.settled()

        await produced(message, place.producers, count)
        await shop.stop()
    if left:
        raise RuntimeError(f"{left} events were not handled, or more than there are")
    return {"seconds": time.perf_counter() - began}


async def store_alone(place: Place, count: int) -> Figures:
    """The store without a bus: what its thread and SQLite take, with a wait for each answer."""
    tocsin: Any = importlib.import_module("tocsin.durable")
    opened: Any = await tocsin.SQLiteStore(place.path, synchronous=place.synchronous).open()

    async def kept(change: object) -> None:
        done = anyio.Event()

        def answered(_error: object) -> None:
            done.set()

        opened.submit(change, answered)
        await done.wait()

    async def message(number: int) -> None:
        number += 1
        event = tocsin.StoredEvent(
            id=number, event_id=str(number), type_name="event", version=1, body=BODY, published_at=0.0
        )
        delivery = tocsin.StoredDelivery(id=number, event=number, subscription="counter")
        await kept(tocsin.Accept(event=event, deliveries=(delivery,)))
        await kept(tocsin.Settle(number, number))

    seconds = await produced(message, place.producers, count)
    await opened.close()
    return {"seconds": seconds, "changes_per_commit": 2 * count / opened.commits}


# ── the plain ways ──


@contextlib.contextmanager
def database(place: Place) -> Generator[sqlite3.Connection, None, None]:
    connection = sqlite3.connect(place.path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {place.synchronous}")
    connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    yield connection
    connection.close()


INSERT, DELETE = "INSERT INTO messages VALUES (?, ?)", "DELETE FROM messages WHERE id = ?"


async def one_commit_each(place: Place, count: int) -> Figures:
    """A thread of its own that commits each insert and each delete, and wakes the loop for it."""
    native: Any = anyio.lowlevel.current_token().native_token
    soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    jobs: queue.SimpleQueue[tuple[str, tuple[object, ...], anyio.Event] | None] = queue.SimpleQueue()

    def work(connection: sqlite3.Connection) -> None:
        for sql, values, done in iter(jobs.get, None):
            connection.execute(sql, values)  # a transaction of its own
            soon(done.set)

    async def message(number: int) -> None:
        for sql, values in ((INSERT, (number, BODY)), (DELETE, (number,))):
            done = anyio.Event()
            jobs.put((sql, values, done))
            await done.wait()

    with database(place) as connection:
        thread = threading.Thread(target=work, args=(connection,))
        thread.start()
        seconds = await produced(message, place.producers, count)
        jobs.put(None)
        await anyio.to_thread.run_sync(thread.join)
    return {"seconds": seconds}


async def to_thread_each(place: Place, count: int) -> Figures:
    """A call of `to_thread` for each insert and each delete, one at a time on one connection."""
    limiter = anyio.CapacityLimiter(1)

    with database(place) as connection:

        async def message(number: int) -> None:
            for sql, values in ((INSERT, (number, BODY)), (DELETE, (number,))):
                await anyio.to_thread.run_sync(connection.execute, sql, values, limiter=limiter)

        return {"seconds": await produced(message, place.producers, count)}


# ── what is measured ──

BASELINES: dict[str, Contender] = {"one commit each": one_commit_each, "to_thread each": to_thread_each}
EXISTS = importlib.util.find_spec("tocsin.durable") is not None  # not in older versions, to which this one is compared


def name_of(what: str, synchronous: str, producers: int) -> str:
    return f"{what}, {synchronous.upper()}, {producers} producer{'s' if producers > 1 else ''}"


def cases() -> Iterator[Case]:
    levels: tuple[Synchronous, ...] = ("full", "normal")
    for synchronous, producers in itertools.product(levels, PRODUCERS):
        if EXISTS:
            yield Case(
                name=name_of("tocsin", synchronous, producers),
                run=partial(durable, bus, synchronous, producers, SLOW if producers == 1 else 1),
                backends=EVERYWHERE,
                needs=("msgspec",),
                kind="tocsin",
            )
            yield Case(
                name=name_of("its store alone", synchronous, producers),
                run=partial(durable, store_alone, synchronous, producers, SLOW if producers == 1 else 1),
                backends=EVERYWHERE,
                needs=("msgspec",),
            )
        for what, contender in BASELINES.items():
            yield Case(
                name=name_of(what, synchronous, producers),
                run=partial(durable, contender, synchronous, producers, SLOW // 2),
                backends=EVERYWHERE,
            )


WORKLOAD = Workload(
    key="W11",
    title="durable deliveries",
    what="Whoever waits for a commit at the same time shares it. One operation is one message: its insert and its"
    " delete, each of which its producer waits for; with a bus the message is encoded, handled and accounted for, and"
    " its producer waits for the insert and the outcome, the stop for the last deletes. fdatasync_per_s is what the"
    " disk did in the same process, right before and after.",
    size=40_000,
    quick=4_000,
    cases=tuple(cases()),
    targets=tuple(
        times_as_fast(factor, name_of("one commit each", "full", producers), name_of("tocsin", "full", producers))
        for producers, factor in ((16, 2.0), (64, 4.0), (256, 6.0))
    ),
)
