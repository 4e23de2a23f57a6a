"""The task of a bus that takes events out of an outbox: in order, each once for every durable subscription.

    in the outbox ──▶ offered ──▶ committed in the store, with a mark ──▶ deleted in the outbox ──▶ mark forgotten
         │  ▲            │ no room, the store refuses, the bus stops
         │  └────────────┘ those who have it are remembered: it is offered to the others
         └─▶ set aside, in the outbox

A mark names the event and the subscription that has it, and is committed together with the delivery. So wherever the
process ends, what is still in the outbox is not given once more to who has it. A cancellation may come at any await:
it leaves what is committed, as an end of the process would. Rows are offered one after the other, and share commits.

All state is the loop's. The connection is used in a worker thread, by one job at a time; a job that hangs is left
behind when the bus ends.
"""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, final

import anyio
import anyio.to_thread

from tocsin._backends import waker
from tocsin._receipt import Receipt
from tocsin._unreadable import Unreadable
from tocsin.codecs import CodecError
from tocsin.exceptions import BusClosed, InvalidPriority, InvalidTopic, MailboxFull, RouteError

from ._kept import Handover
from ._opening import as_store_error
from ._relay_connection import Opening, RelayConnection
from .exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._envelope import Envelope
    from tocsin._run import Run

    from ._keeper import Keeper
    from ._outbox import Outbox
    from ._outbox_table import Row

T = TypeVar("T")

AGAIN_AFTER = (0.1, 0.5, 2.0, 10.0)  # seconds after the first, second, … failure in a row; the last one from there on
FAREWELL = 2.0  # seconds that the end of the bus waits for the thread
TURN = 32  # rows offered without giving others a turn
# What publishing raises for an event that will not do better the next time. OverflowError: a date in no calendar.
POISON = (CodecError, RouteError, InvalidPriority, InvalidTopic, TypeError, ValueError, OverflowError)


@final
class Relay:
    """See the module. One for each run."""

    def __init__(self, run: Run, keeper: Keeper, outbox: Outbox) -> None:
        self._run = run
        self._keeper = keeper
        self._outbox = outbox
        self._limiter = anyio.CapacityLimiter(1)
        self._connection: RelayConnection | None = None
        self._is_called = anyio.Event()
        self._failures = 0  # since something was relayed
        self._had_by: dict[str, set[str]] = {}  # event id → subscriptions that have it, until it is deleted
        for event_id, subscription in keeper.relayed:
            self._had_by.setdefault(event_id, set()).add(subscription)

    async def run(self) -> None:
        """Relay until the bus takes no events any more; what goes wrong is logged and tried again."""
        call = waker(self._called)
        self._outbox.listeners.add(call)
        try:
            while True:
                try:
                    await self._all_there_is()
                    self._failures = 0
                    await self._something_new()
                except BusClosed:
                    return
                except (StoreError, MailboxFull) as error:
                    self._run.log.not_relayed(error)
                    await anyio.sleep(AGAIN_AFTER[min(self._failures, len(AGAIN_AFTER) - 1)])
                    self._failures += 1
        finally:
            self._outbox.listeners.discard(call)
            await self._close()

    async def _all_there_is(self) -> None:
        connection = self._connection
        if connection is None:
            connection = await self._open()
            self._forget(self._had_by.keys() - await self._in_thread(connection.event_ids))
        self._is_called = anyio.Event()  # before the look: a call during it is for the next one
        await self._in_thread(connection.has_changed)
        while rows := await self._in_thread(connection.read):
            await self._relay(connection, rows)

    async def _open(self) -> RelayConnection:
        opening = Opening(self._outbox.path)
        try:
            await self._in_thread(opening.open)
        finally:  # cancelled, the thread may have it all the same
            self._connection = opening.opened()
        assert self._connection is not None
        return self._connection

    async def _something_new(self) -> None:
        assert self._connection is not None
        while not self._is_called.is_set():
            with anyio.move_on_after(self._outbox.poll):
                await self._is_called.wait()
            if await self._in_thread(self._connection.has_changed):
                return

    def _called(self) -> None:
        self._is_called.set()

    # ── a few rows ──

    async def _relay(self, connection: RelayConnection, rows: list[Row]) -> None:
        """Hand over *rows*, and delete those that everybody has."""
        handed: list[Handover] = []
        trouble: Exception | None = None
        try:
            for place, row in enumerate(rows, 1):
                await self._hand_over(connection, row, handed)
                if not place % TURN:
                    await self._run.turn()
        except (MailboxFull, BusClosed) as error:  # what comes after it has to wait, as its order is promised
            trouble = error
        done: list[Handover] = []
        for handover in handed:
            refusal = await self._arrival(handover)
            trouble = trouble or refusal
            if handover.is_over:
                done.append(handover)
        if done:
            await self._in_thread(partial(connection.remove, [handover.number for handover in done]))
            self._forget({handover.event_id for handover in done})
            self._failures = 0
        if trouble is not None:
            raise trouble

    async def _hand_over(self, connection: RelayConnection, row: Row, handed: list[Handover]) -> None:
        """Offer *row*, and wait for room; or set it aside."""
        event_id = row.event.event_id
        handover = Handover(row.event.id, event_id, Receipt(), self._had_by.get(event_id, frozenset()))
        handed.append(handover)
        try:
            await self._run.publisher.publish(self._envelope(row), handover.receipt, handover=handover)
        except POISON as error:
            handed.pop()
            why = str(error) if error.__cause__ is None else f"{error}: {error.__cause__!r}"
            self._run.log.set_aside(event_id, why)
            await self._in_thread(partial(connection.set_aside, row.event.id, why))

    def _envelope(self, row: Row) -> Envelope[Any]:
        if row.fault is not None:
            raise ValueError(row.fault)
        envelope = self._keeper.recovery.envelope(row.event)
        if type(envelope.event) is Unreadable:
            raise ValueError(envelope.event.why)
        return envelope

    async def _arrival(self, handover: Handover) -> StoreError | None:
        """Wait until it is known who has it, and remember those; give the error if the store refused it."""
        receipt, keeping = handover.receipt, handover.keeping
        if keeping is not None:
            await keeping.wait()
        self._had_by.setdefault(handover.event_id, set()).update({*receipt.matched} - {*receipt.withdrawn})
        return None if keeping is None else keeping.error

    def _forget(self, event_ids: set[str]) -> None:
        if event_ids:
            for event_id in event_ids:
                self._had_by.pop(event_id, None)
            self._keeper.forget_relayed(sorted(event_ids))

    # ── the thread ──

    async def _in_thread(self, job: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(job, abandon_on_cancel=True, limiter=self._limiter)
        except sqlite3.Error as error:
            raise as_store_error(self._outbox.path, error) from error

    async def _close(self) -> None:
        connection = self._connection
        if connection is None:
            return
        with anyio.move_on_after(FAREWELL, shield=True):
            await self._in_thread(connection.close)
            return
        # What it does there does not end: it is closed when that has, and the end of the bus does not wait for it.
        threading.Thread(target=connection.close, name=f"{self._run.name}: outbox", daemon=True).start()
