"""A worker: goes on with whoever stands in its line, one after the other, and judges what comes of it.

It is two tasks, as a cell is: a guardian in the group of the pool, which opens a fresh group, and in it the worker's
own. What a handler leaves behind there (a scope that it has not left, a task, a cancellation that it has swallowed)
must not strike the actor that is served next. So a worker looks after each turn of an actor, and is *tied* to the one
that has left something: it serves no other, and ends when the life of that one does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, final

import anyio

from tocsin_supervisors._cells import both_of
from tocsin_supervisors._enclosing import working_for
from tocsin_supervisors._failures import sort_leaves

from ._aftermath import CrashActor
from ._backends import TaskWatch
from ._working import work

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._backends import Sleeper
    from ._pool import Pool
    from ._pooled import PooledServer


@final
class _Tie:
    """The line of a worker that is tied to one server."""

    __slots__ = ("_worker", "hot", "queue")

    def __init__(self, worker: Worker) -> None:
        self._worker: Worker | None = worker
        self.queue: deque[PooledServer] = deque()
        self.hot: int = 0

    def kick(self) -> None:
        """See `Line`."""
        worker, self._worker = self._worker, None
        assert worker is not None, "there is nobody else to stand in line while it works"
        worker.unpark()

    def park(self, worker: Worker) -> bool:
        """See `Pool`."""
        self._worker = worker
        return True

    def has_lost(self, _worker: Worker) -> None:
        """See `Pool`."""


@final
class Worker:
    """See the module. `server`: whom it serves, or has served last; `line`: whom it looks after; `left`: how many
    deliveries it may have handled before others have their turn, a `slice` for each who stands in line.

    For those who ask which child the running code belongs to, it is whichever child it works for.
    """

    __slots__ = (
        "_is_hot",
        "_life_to_end",
        "_pool",
        "_scope_of_group",
        "_sleeper",
        "left",
        "line",
        "scope",
        "server",
        "slice",
        "task_id",
        "watch",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._is_hot = False
        self._sleeper: Sleeper = pool.run.sleeper()
        self._scope_of_group: anyio.CancelScope  # once it lives
        self._life_to_end: tuple[PooledServer, BaseException | None] | None = None
        self.line: Pool | _Tie = pool
        self.slice: int = pool.run.slice
        self.left: int = self.slice
        self.server: PooledServer | None = None
        self.task_id: int = 0
        self.scope: anyio.CancelScope
        self.watch: TaskWatch

    # ── the tasks ──

    async def guard(self) -> None:
        """Live, and end the life of an actor that cannot go on without this worker. Nothing that a handler does makes
        this raise.
        """
        stray: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                self._scope_of_group = group.cancel_scope
                group.start_soon(self._live, name=f"{self._pool.run.name}: worker")
        except BaseException as error:  # left in the group by a handler
            stray = error
        self.cool()
        self.line.has_lost(self)
        ending, self._life_to_end = self._life_to_end, None
        if ending is not None:
            server, raised = ending
            server.end(both_of(raised, stray))

    async def _live(self) -> None:
        try:
            working_for.set(self)
            self.task_id = anyio.get_current_task().id
            self.watch = TaskWatch()
            while await self._works_on():
                pass
        finally:
            self._scope_of_group.cancel()  # nothing that was left in the group outlives it

    async def _works_on(self) -> bool:
        """Work until something is to be judged outside of the scope; False: that was the last of it."""
        outside = self.watch.innermost()
        error = None
        try:
            with anyio.CancelScope() as self.scope:
                await work(self)
        except BaseException as raised:  # judged below: it ends the life of an actor, at most
            error = raised
        try:
            return self._judge(error, is_fit=self.watch.is_fit(outside) and not self._was_cancelled(error))
        finally:
            del error  # the frame and the exception's traceback would keep each other alive

    def _was_cancelled(self, error: BaseException | None) -> bool:
        return error is not None and bool(sort_leaves(error, self._pool.run.cancelled).cancelled)

    # ── what came of it ──

    def _judge(self, error: BaseException | None, *, is_fit: bool) -> bool:
        server = self.server
        if server is None or server.worker is not self:
            if error is not None:
                self._blame(error)
            return False
        raised: BaseException | None = None
        try:
            server.judge(error)
        except BaseException as ending:  # it ends the life, not the worker
            raised = ending
        try:
            if raised is None and not server.actor.is_stopping:
                return self._resume(server, is_fit=is_fit)
            if is_fit and not self.is_tied and not self.watch.has_company:
                server.end(raised)
                return True
            self._life_to_end = server, server.actor.reason if raised is None else raised
            return False
        finally:
            del error, raised

    def _resume(self, server: PooledServer, *, is_fit: bool) -> bool:
        if not is_fit:
            server.line = self._pool
        elif self.watch.has_company:
            self.tie(server)
        server.resume()
        return is_fit

    def _blame(self, error: BaseException) -> None:
        """Nobody was served when *error* struck: it is for who was served last."""
        server = self.server
        if server is None or not server.is_up or server.worker is not None:
            return
        if self.is_tied:
            server.worker = self  # until the guardian has ended it
            self._life_to_end = server, error
            return
        # Else a signal has landed here, on trio, which no test can have it do.
        if isinstance(error, Exception) or self._was_cancelled(error):  # pragma: no branch
            name = server.actor.name
            error = CrashActor(f"{name}: a stranger cancelled the task that had served it last")
        server.actor.end_incarnation(error)

    # ── for `work` ──

    def ends(self, server: PooledServer, scope: object) -> bool:
        """End the life of *server*, which is through, if there is no need to leave *scope* before; else False.

        Most lives that end by a failure end like this, and a new scope would cost more than all the rest here.
        """
        watch = self.watch
        if server.is_to_be_judged or self.scope.cancel_called or self.is_tied:
            return False
        if watch.has_company or not watch.is_fit(scope):
            return False
        server.end(None)
        return True

    @property
    def is_tied(self) -> bool:
        """True once it serves one actor only."""
        return self.line is not self._pool

    def tie(self, server: PooledServer) -> None:
        """Serve *server* alone from now on: it has left something here."""
        if self.is_tied:
            return
        self.cool()
        self._pool.has_lost(self)
        self.line = server.line = _Tie(self)
        self.heat()
        if server.stands_in_line:
            self._pool.queue.remove(server)
            self.line.queue.append(server)

    def heat(self) -> None:
        """It will look at the line soon."""
        assert not self._is_hot
        self._is_hot = True
        self.line.hot += 1

    def cool(self) -> None:
        """It will not."""
        if self._is_hot:
            self._is_hot = False
            self.line.hot -= 1

    def waits(self) -> None:
        """See `Watcher`: a handler waits, and it with it, so somebody else has to look at the line."""
        self.cool()
        line = self.line
        if line.queue and not line.hot:
            line.kick()
        assert self.server is not None
        self.server.waits()

    def goes_on(self) -> None:
        """See `Watcher`."""
        self.heat()

    def unpark(self) -> None:
        """There is something to do."""
        self.heat()
        self._sleeper.wake()

    def pause(self) -> Generator[Any, Any, bool]:
        """Sleep until there is something to do; False: it is not needed any more."""
        self.cool()
        if not self.line.park(self):
            return False
        yield from self._sleeper.sleep().__await__()
        self._pool.run.publisher.forget_moment()  # who has woken us relies on it
        self._begin_slice()
        return True

    def let_others(self) -> Generator[Any, Any, None]:
        """Let others have their turn."""
        yield from self._pool.run.publisher.let_others().__await__()
        self._begin_slice()

    def _begin_slice(self) -> None:
        # As much as a publisher may bring in in its turn: else mailboxes would fill up that are served all the time.
        self.left = self.slice * (len(self.line.queue) or 1)

    # ── `WorkingFor`: for the watch over stalls ──

    @property
    def path(self) -> str | None:
        """The path of the child that it works for."""
        server = self.server
        residence = None if server is None or server.worker is not self else server.residence
        return None if residence is None else residence.context.path
