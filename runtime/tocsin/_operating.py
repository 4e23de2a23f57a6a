"""What operators have done to one actor while the bus runs: it is stopped, or restarted.

Each such request goes on by itself in a task of the run, once it was made, and whoever made it only waits for its end:

    made ──▶ posted ──▶ done

`made` is the step of the call. `posted`: the supervisor has it, in the order of the calls, as each waits for the one
made before it for the same actor; so the last call wins, whatever order tasks are run in. A call to restart joins a
restart that was made before and is not done, unless a stop was made in between. `done`: the actor is down, or up, or
did not come up, and the supervisor says which; or the run is over.

A cancellation of the caller, at whatever line, changes nothing but that it does not wait; before the call nothing has
happened, after it the request is on its way. A cancellation of the task that carries it out comes with the end of the
run alone, in which its actor is stopped anyway.

A handler of the actor itself only makes the request, as it would wait for itself; and so does a task that it started.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, final

import anyio

from tocsin_supervisors import ChildNotFound, ChildRestarting, SupervisorNotRunning
from tocsin_supervisors._children import ChildState

from ._lifecycle import ends
from ._presence import Presence
from ._publishing import own_server
from ._reports import RestartRequested, StopRequested
from .exceptions import BusNotRunning

if TYPE_CHECKING:
    from tocsin_supervisors import Supervisor

    from ._actor import Actor
    from ._run import Run


@final
class _Request:
    """Something that is to be done to one actor."""

    __slots__ = ("actor", "done", "error", "is_restart", "posted")

    def __init__(self, actor: Actor, *, is_restart: bool) -> None:
        self.actor = actor
        self.is_restart = is_restart
        self.posted = anyio.Event()
        self.done = anyio.Event()
        self.error: Exception | None = None


@final
class Operating:
    """See the module."""

    __slots__ = ("_latest", "_run", "starting")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._latest: dict[Actor, _Request] = {}  # of those that are not done
        self.starting: set[Actor] = set()  # subscribed just now: somebody waits for their start

    async def stop(self, actor: Actor, supervisor: Supervisor) -> None:
        """Have *actor* down until it is restarted."""
        await self._have_done(actor, supervisor, is_restart=False)

    async def restart(self, actor: Actor, supervisor: Supervisor) -> None:
        """Have a fresh incarnation of *actor* up, whatever state it is in."""
        await self._have_done(actor, supervisor, is_restart=True)

    async def _have_done(self, actor: Actor, supervisor: Supervisor, *, is_restart: bool) -> None:
        run = self._run
        if actor in self.starting:
            raise ChildRestarting(supervisor.name, actor.name)
        request = self._latest.get(actor)
        if request is None or not (is_restart and request.is_restart):
            request = self._make(_Request(actor, is_restart=is_restart), supervisor)
        server = own_server(run)
        if server is not None and server.actor is actor:
            return
        await request.done.wait()
        error = request.error
        del request  # it has the error, whose traceback holds this frame
        try:
            if error is not None:
                raise error
        finally:
            del error

    def _make(self, request: _Request, supervisor: Supervisor) -> _Request:
        before = self._latest.get(request.actor)
        self._latest[request.actor] = request
        assert self._run.background is not None
        self._run.background.start_soon(self._carry_out, request, supervisor, before)
        return request

    async def _carry_out(self, request: _Request, supervisor: Supervisor, before: _Request | None) -> None:
        actor = request.actor
        try:
            if before is not None:
                await before.posted.wait()
            # What follows puts the request to the supervisor before it waits.
            request.posted.set()
            if request.is_restart:
                request.error = self._too_late(actor)  # if this task is cancelled, which comes with the end of the run
            await self._put(actor, supervisor, is_restart=request.is_restart)
            request.error = None
        except Exception as error:  # for whoever waits
            request.error = error
        finally:
            request.posted.set()
            if self._latest.get(actor) is request:
                del self._latest[actor]
            self._note_down(actor, supervisor)
            request.done.set()

    async def _put(self, actor: Actor, supervisor: Supervisor, *, is_restart: bool) -> None:
        actor.is_to_stay_down = not is_restart
        self._tell(actor, is_restart=is_restart)
        try:
            if is_restart:
                await supervisor.restart_child(actor.name, even_if_up=True)
            else:
                with suppress(ChildNotFound):  # a temporary one that has ended
                    await supervisor.terminate_child(actor.name)
        except SupervisorNotRunning:
            actor.is_to_stay_down = False
            if not ends(self._run.phase):
                raise  # its group is down, and will bring it up again
            if is_restart:
                raise self._too_late(actor) from None

    def _tell(self, actor: Actor, *, is_restart: bool) -> None:
        run = self._run
        run.log.operated(actor, "restarted" if is_restart else "stopped")
        report = RestartRequested if is_restart else StopRequested
        run.report(report(subscription=actor.name, at=run.now()))

    def _too_late(self, actor: Actor) -> BusNotRunning:
        return BusNotRunning(f"bus {self._run.name!r} ends, so {actor.name!r} was not restarted")

    def _note_down(self, actor: Actor, supervisor: Supervisor) -> None:
        """If it is down now and nothing is about to bring it up, it takes nothing more, but keeps what it has."""
        is_here = self._run.actors.get(actor.name) is actor and not ends(self._run.phase)
        if actor.presence is not Presence.DOWN or not is_here:
            return
        with suppress(ChildNotFound):
            if supervisor.which_child(actor.name).state == ChildState.STOPPED.value:
                actor.went_down(Presence.STOPPED)
