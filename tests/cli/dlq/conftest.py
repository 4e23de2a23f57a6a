"""Dead letters in a daemon and in files, for tests of what looks after them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.control.conftest import running
from tests.cli.dlq import shops
from tocsin import EventBus

StartDaemon = Callable[[EventBus], Path]


@contextmanager
def daemons(backend: str, folder: Path) -> Generator[StartDaemon]:
    """Give what runs a bus as a daemon does, until the end of the block, and gives the path of its socket."""
    with ExitStack() as stack:
        portal: Any = stack.enter_context(start_blocking_portal(backend))

        def start(bus: EventBus) -> Path:
            path = folder / f"{bus.name}.sock"
            stack.enter_context(portal.wrap_async_context_manager(running(bus, path)))
            return path

        yield start


@pytest.fixture(params=["asyncio", "trio"])
def start_daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartDaemon]:
    """Run a bus as a daemon does, on each backend. For tests in real time."""
    with daemons(request.param, tmp_path) as start:
        yield start


@pytest.fixture(params=["asyncio", "trio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a file that a bus has left on each backend: orders 1, 2 and 3 have failed at "ship" as letters 1 to 3."""
    path = tmp_path / "bus.db"
    shops.fail(path, 1, 2, 3, backend=request.param)
    return path
