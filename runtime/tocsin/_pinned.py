"""A server with a task of its own, for actors whose life needs one: with `started()` or `stopping()`, with several
servers, or with the context of the publisher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

from ._aftermath import CrashActor
from ._context import current_server
from ._driving import drive
from ._server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._actor import Actor
    from ._invocation import Handles, Invoke


@final
class PinnedServer(Server):
    """See the module."""

    __slots__ = ("_scope", "_task_id")

    def __init__(self, actor: Actor, *, may_probe: bool) -> None:
        super().__init__(actor, may_probe=may_probe)
        self.sleeper = actor.run.sleeper()
        self._scope: anyio.CancelScope  # once it serves
        self._task_id: int = 0

    @property
    def task_id(self) -> int:
        """See `Server`."""
        return self._task_id

    def is_in(self, task_id: int) -> None:
        """Its handler runs in another task than it does itself."""
        self._task_id = task_id

    def _cancel(self) -> None:
        self._scope.cancel()

    async def serve(self, invoke: Invoke, handles: Handles | None) -> None:
        """Serve until the incarnation has to end, with the handler *invoke*; *handles* gives the same for plain
        deliveries, if there is a shorter way for them.
        """
        actor = self.actor
        self._invoke, self.handle = invoke, None if handles is None else handles(self)
        current_server.set(self)
        self._task_id = anyio.get_current_task().id
        self.attention: bool | str = True
        self.left = actor.run.slice
        actor.mailbox.look_after(self)
        try:
            while not actor.is_stopping:
                self._is_expired = self._is_settling = False
                error = None
                try:
                    with anyio.CancelScope() as self._scope:
                        await drive(self, self._serve())
                except BaseException as raised:  # judged below, and raised again if it is not ours to keep
                    error = raised
                try:
                    self._after_scope(error)
                finally:
                    del error  # the frame and the exception's traceback would keep each other alive
        finally:
            actor.mailbox.overlook(self)
            self.handle = None  # it may hold us: a circle, left to the collector in each life

    def goes_on(self) -> None:
        """See `Watcher`: nobody counts on it meanwhile."""

    def is_awake(self) -> None:
        """See `Server`."""
        run = self.actor.run
        run.publisher.moment = None  # who has woken us relies on it
        self.left = run.slice

    async def let_others(self) -> None:
        """See `Server`."""
        await self.actor.run.publisher.let_others()
        self.left = self.actor.run.slice


def first_server(actor: Actor) -> PinnedServer:
    """Give the one server that every actor has; the others are made when they serve for the first time."""
    return servers_of(actor, 1)[0]


def servers_of(actor: Actor, count: int) -> list[PinnedServer]:
    """Give the servers of an actor of this kind, *count* of them at least."""
    while len(actor.servers) < count:
        actor.servers.append(PinnedServer(actor, may_probe=not actor.servers))
    return [server for server in actor.servers if isinstance(server, PinnedServer)]


def serve_all(actor: Actor, invoke: Invoke, handles: Handles | None) -> Awaitable[None]:
    """Run as many servers as wanted, until each found that the incarnation has to end."""
    first = first_server(actor)
    # One needs no task beside the actor's own, nor a frame that each wake-up would have to go through.
    return first.serve(invoke, handles) if actor.settings.concurrency == 1 else _serve_all(actor, invoke, handles)


async def _serve_all(actor: Actor, invoke: Invoke, handles: Handles | None) -> None:
    deadly: list[BaseException] = []

    async def serve(server: PinnedServer) -> None:
        try:
            await server.serve(invoke, handles)
        except actor.run.cancelled:
            if not actor.is_stopping:
                # The task group takes no notice of it, and the actor would go on with a server less, or without any.
                actor.end_incarnation(CrashActor(f"{actor.name}: a stranger cancelled one of its servers"))
            raise
        except BaseException as error:  # raised again below: asyncio stops its loop when a task raises SystemExit
            deadly.append(error)
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for server in servers_of(actor, actor.settings.concurrency):
                group.start_soon(serve, server, name=f"{actor.name}: server")
    finally:
        if deadly:
            raise deadly[0]  # also in the place of a cancellation: it is what must not get lost
