"""The commands of the control socket, by name: the one place to add to.

A command is `async def (bus, params) -> Json`. It runs in the event loop of the bus, beside it, and raises
CommandRefused for whatever it does not do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import anyio

from tocsin import EventBus
from tocsin.cli._dlq._commands import list_letters, purge_letters, replay_letters, show_letter

from ._actors import pause, restart, resume, stop
from ._connection import Command
from ._params import Params
from ._protocol import Json
from ._publishing import publish
from ._status import status_document


async def status(bus: EventBus, params: Mapping[str, Json]) -> Json:
    """Give a snapshot of *bus*."""
    Params(params).end()
    return status_document(bus.statistics(), process=os.getpid(), clock=anyio.current_time())


COMMANDS: dict[str, Command] = {
    "actors.pause": pause,
    "actors.restart": restart,
    "actors.resume": resume,
    "actors.stop": stop,
    "dlq.list": list_letters,
    "dlq.purge": purge_letters,
    "dlq.replay": replay_letters,
    "dlq.show": show_letter,
    "publish": publish,
    "status": status,
}
