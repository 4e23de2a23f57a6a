"""What a bus that is run as a daemon stands on: there before it starts, and until after it has ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from tocsin import ChildContext, ChildSpec, Supervisor

from ._log import OURS
from ._showing import shown

if TYPE_CHECKING:
    from tocsin import EventBus

    from ._options import RunOptions

logger = logging.getLogger(OURS)


@asynccontextmanager
async def ground(bus: EventBus, options: RunOptions) -> AsyncGenerator[None]:
    """Serve the health of *bus* as *options* say, for as long as the block lasts.

    It is supervised: ChildStartError if it cannot listen; started again if it fails later, and left down after too many
    failures. The bus goes on without it: whoever asks for its health sees that nobody answers.
    """
    if options.http is None:
        yield
        return
    serve = partial(_serve, bus, options.http, exposed=options.http_exposed)
    async with Supervisor("http", [ChildSpec("health", serve, on_exhausted="park")]).running():
        yield


async def _serve(bus: EventBus, bind: str, context: ChildContext, *, exposed: bool) -> None:
    from tocsin.web import serve_health

    async with anyio.create_task_group() as tasks:
        url = await tasks.start(partial(serve_health, bus, bind, exposed=exposed))
        logger.info("health at %s/livez, /readyz, /metrics", shown(url))
        context.started()
        await context.wait_stop_requested()
        tasks.cancel_scope.cancel()
