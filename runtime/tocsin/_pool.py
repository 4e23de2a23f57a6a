"""The pool: workers that serve whichever actor has something to do, as many as there are handlers that wait.

A worker that has nothing to do is parked, and the one that was parked last is the first to be woken. While a handler
waits, its worker waits with it, and another one looks after the line; so one worker is enough for any number of actors
whose handlers never wait.
"""

from __future__ import annotations

from collections import deque
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, final

import anyio

from ._workers import Worker

if TYPE_CHECKING:
    from collections.abc import Collection

    from anyio.abc import TaskGroup

    from ._pooled import PooledServer
    from ._run import Run
    from ._server import Server

MAX_PARKED = 256  # workers with nothing to do, about 8 kB each, that are kept for the next time that many handlers wait


@final
class Pool:
    """See the module. `queue`: who stands in line; `hot`: how many workers will look at it soon."""

    __slots__ = ("_base", "_group", "_parked", "hot", "queue", "run")

    def __init__(self, run: Run) -> None:
        self.run: Run = run
        self.queue: deque[PooledServer] = deque()
        self.hot: int = 0
        self._parked: list[Worker] = []
        self._group: TaskGroup | None = None
        self._base: Context | None = None

    async def serve(self) -> None:
        """Have workers, until cancelled."""
        self._base = copy_context()
        try:
            async with anyio.create_task_group() as self._group:
                self.kick()  # so that the first event waits for no worker to be made
                await anyio.sleep_forever()
        finally:
            self._group = None

    def kick(self) -> None:
        """See to it that a worker looks at the line soon."""
        if self._parked:
            self._parked.pop().unpark()
        elif self._group is not None and self._base is not None:  # pragma: no branch  # else it looks when it begins
            worker = Worker(self)
            worker.heat()
            # In the context of the pool, not in that of whoever happens to publish.
            self._base.run(partial(self._group.start_soon, worker.guard, name=f"{self.run.name}: worker"))

    def park(self, worker: Worker) -> bool:
        """Let *worker* sleep until there is something to do; False: enough others do."""
        if len(self._parked) >= MAX_PARKED:
            return False
        self._parked.append(worker)
        return True

    def forget(self, servers: Collection[Server]) -> None:
        """Let go of *servers*: their actor is gone for good."""
        for worker in self._parked:
            if worker.server in servers:
                worker.server = None

    def has_lost(self, worker: Worker) -> None:
        """*worker* has ended: whatever it was about to look at, another one has to."""
        if worker in self._parked:
            self._parked.remove(worker)
        if self.queue and not self.hot:
            self.kick()
