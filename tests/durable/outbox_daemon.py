"""A daemon with an outbox, to be killed: `python -m tests.durable.outbox_daemon BACKEND FOLDER FIRST COUNT WHERE`.

It writes COUNT orders from number FIRST on into FOLDER/app.db, each in a transaction with its event, and relays them.
Every seventh transaction is taken back. It says what `tests.durable.daemon` says. WHERE is a place at which it ends:
`committed` when half of the orders are, before anything is relayed; `stored` before the first of them leaves the
outbox; `deleted` after that, before the store knows; `nowhere`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from tests.durable.stored import AT_ONCE, Order
from tocsin import EventBus
from tocsin.durable import Outbox, SQLiteStore

BACKEND, FOLDER = sys.argv[1], Path(sys.argv[2])
FIRST, COUNT, WHERE = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_the_relay() -> None:
    relay: Any = sys.modules["tocsin.durable._relay"]
    remove = relay.RelayConnection.remove

    def removed(connection: Any, numbers: Any) -> None:
        if WHERE == "deleted":
            remove(connection, numbers)
        kill()

    relay.RelayConnection.remove = removed


outbox = Outbox(FOLDER / "app.db", poll=0.01)
bus = EventBus("daemon", store=SQLiteStore(FOLDER / "bus.db", synchronous="normal"), outbox=outbox)


@bus.subscriber(Order, name="ship", durable=True, retry=AT_ONCE)
async def ship(order: Order) -> None:
    say("=", order.number)


def write() -> None:
    connection = sqlite3.connect(outbox.path)
    connection.execute("PRAGMA synchronous = NORMAL")
    for number in range(FIRST, FIRST + COUNT):
        if WHERE == "committed" and number == FIRST + COUNT // 2:
            kill()
        connection.execute("INSERT INTO orders VALUES (?)", (number,))
        outbox.add(connection, Order(number))
        if number % 7 == 3:
            connection.rollback()
        else:
            connection.commit()
            outbox.notify()
    connection.close()


def prepare() -> None:
    connection = sqlite3.connect(outbox.path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        outbox.prepare(connection)
        connection.execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)")
    connection.close()


def left() -> int:
    connection = sqlite3.connect(outbox.path)
    (count,) = connection.execute("SELECT count(*) FROM tocsin_outbox").fetchone()
    connection.close()
    return int(count)


async def main() -> None:
    prepare()
    if WHERE == "committed":
        write()
    async with bus.running():
        if WHERE in ("stored", "deleted"):
            kill_in_the_relay()
        say("ready")
        await anyio.to_thread.run_sync(write)
        while left():  # noqa: ASYNC110  # in a file, that tells nobody
            await anyio.sleep(0.01)
    say("done")


anyio.run(main, backend=BACKEND)
