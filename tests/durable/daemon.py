"""A daemon to be killed: `python -m tests.durable.daemon BACKEND DATABASE FIRST COUNT POISON OPCODES`.

It handles what it finds and publishes COUNT orders from number FIRST on, and says on its standard output, a line for
each: `+ number` when publishing has returned, `= number` when an order is handled, `ready`, `done`. Order number 13 of
each hundred fails; order number POISON ends the process. Unless OPCODES is 0, SQLite ends it after so many steps of its
machine.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import anyio

from tests.durable.stored import AT_ONCE, Order
from tocsin import EventBus
from tocsin.durable import SQLiteStore

BACKEND, DATABASE = sys.argv[1:3]
FIRST, COUNT, POISON, OPCODES = map(int, sys.argv[3:])


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if OPCODES:
    _sqlite: Any = sys.modules["tocsin.durable._sqlite"]
    connect = _sqlite.connect

    def connect_to_be_killed(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        connection.set_progress_handler(kill, OPCODES)
        return connection

    _sqlite.connect = connect_to_be_killed

bus = EventBus("daemon", store=SQLiteStore(DATABASE, synchronous="normal"))


@bus.subscriber(Order, name="ship", durable=True, retry=AT_ONCE)
async def ship(order: Order) -> None:
    if order.number == POISON:
        kill()
    if order.number % 100 == 13:
        raise ValueError(order.number)
    say("=", order.number)


async def publish(number: int) -> None:
    await bus.publish(Order(number))
    say("+", number)


async def main() -> None:
    async with bus.running():
        say("ready")
        async with anyio.create_task_group() as group:
            for number in range(FIRST, FIRST + COUNT):
                group.start_soon(publish, number)
                await anyio.lowlevel.checkpoint()
    say("done")


anyio.run(main, backend=BACKEND)
