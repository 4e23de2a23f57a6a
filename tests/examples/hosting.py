"""A server for the tests of the frameworks: `python -m tests.examples.hosting HOST MODULE:APP`.

Serves the application on a free port of loopback by HOST, one of `HOSTS`, adds two subscribers to the `bus` of the
module (one that is slow, and one that fails on "doom" and is given up at once), and prints at the end, as JSON, what
has become of all deliveries.
"""

from __future__ import annotations

import importlib
import json
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import anycorn
import anyio
import uvicorn

from tocsin import EventBus, RestartIntensity

SLOW = 0.005  # seconds for an event


async def slow(event: object) -> None:
    await anyio.sleep(SLOW)


async def doomed(event: object) -> None:
    raise ConnectionError("there is no more hope")


def ignore(number: int, frame: object) -> None: ...


def is_doom(event: object) -> bool:
    return "doom" in repr(event)


def on_uvicorn(app: Any) -> None:
    uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on")).run()


def on_anycorn(app: Any, backend: str) -> None:
    async def serve() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:

            async def told_to_end() -> None:
                async for _ in signals:
                    return

            config = anycorn.Config()
            config.bind = ["127.0.0.1:0"]
            config.errorlog = "-"
            await anycorn.serve(app, config, shutdown_trigger=told_to_end)  # pyright: ignore[reportUnknownMemberType]

    anyio.run(serve, backend=backend)


HOSTS: dict[str, Callable[[Any], None]] = {
    "uvicorn": on_uvicorn,
    "anycorn on asyncio": lambda app: on_anycorn(app, "asyncio"),
    "anycorn on trio": lambda app: on_anycorn(app, "trio"),
}


def main(host: str, target: str) -> None:
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    # uvicorn raises the signal again that has ended it; what has become of everything is to be told all the same.
    signal.signal(signal.SIGTERM, ignore)
    module_name, _, name = target.partition(":")
    module = importlib.import_module(module_name)
    bus: EventBus = module.bus
    bus.subscribe(slow, object, name="slow")
    bus.subscribe(doomed, object, name="doomed", when=is_doom, sick_after=1, intensity=RestartIntensity(0, 60.0))
    try:
        HOSTS[host](getattr(module, name))
    finally:
        statistics = bus.statistics()
        ledger = statistics.ledger
        account = {
            "published": statistics.published,
            "balanced": ledger.balanced,
            "matched": ledger.matched,
            "handled": ledger.handled,
            "dead": ledger.dead_lettered,
            "returned": ledger.returned,
            "live": ledger.live,
        }
        print(json.dumps(account), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
