"""A daemon beside the test: a bus with its control socket, in a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tocsin import EventBus
from tocsin.cli._control._commands import COMMANDS
from tocsin.cli._control._server import ControlServer
from tocsin.cli._control._socket import listen_at

StartDaemon = Callable[[EventBus], Path]


@asynccontextmanager
async def running(bus: EventBus, path: Path) -> AsyncGenerator[None]:
    with listen_at(path) as socket:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ControlServer(bus, COMMANDS, socket).serve)
            async with bus.running(drain_timeout=0.0):
                yield
            tasks.cancel_scope.cancel()


@pytest.fixture(params=["asyncio", "trio"])
def start_daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartDaemon]:
    """Run a bus as a daemon does, on each backend, and give the path of its socket. For tests in real time."""
    with ExitStack() as stack:
        portal: Any = stack.enter_context(start_blocking_portal(request.param))

        def start(bus: EventBus) -> Path:
            path = tmp_path / f"{bus.name}.sock"
            stack.enter_context(portal.wrap_async_context_manager(running(bus, path)))
            return path

        yield start
