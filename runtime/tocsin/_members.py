"""The actors of a run and the tree that supervises them: how they come, go, and what is noted when they do."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, final

import anyio
import anyio.lowlevel

import tocsin_supervisors as supervision
from tocsin_supervisors import (
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    RestartPolicy,
    Supervisor,
    SupervisorNotRunning,
)

from ._actor import Actor
from ._incarnation import live
from ._ledger import add_up
from ._lifecycle import Phase, ends
from ._operating import Operating
from ._outcomes import RejectReason
from ._pausing import pause, resume
from ._pooled import PooledServer
from ._presence import Presence
from ._publishing import own_server
from ._tree import child_of, supervisor_of
from .exceptions import BusClosed

if TYPE_CHECKING:
    from tocsin_supervisors._children import Start

    from ._registry import Registry
    from ._run import Run
    from ._subscription import Subscription


@final
class Members:
    """See the module. It is the `Registrar` of a bus that runs."""

    __slots__ = ("_operating", "_run", "_supervisors")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._operating = Operating(run)
        self._supervisors: dict[Registry, Supervisor] = {}

    def check_thread(self) -> None:
        """See `Registrar`."""
        self._run.check_thread()

    # ── the tree ──

    def tree(self, shutdown_deadline: float) -> Supervisor:
        """Make the actors that the bus declares, and the tree of their supervisors."""
        bus = self._run.bus
        return supervisor_of(
            bus,
            self._child_for,
            self._supervisors.__setitem__,
            shutdown_deadline=shutdown_deadline,
            observer=self._observe,
            random=self._run.random,
            # One thread for the whole tree: it watches the event loop, which all of it shares.
            stall_threshold=bus.stall_threshold,
        )

    def _child_for(self, subscription: Subscription) -> ChildSpec | None:
        """Give the child that runs from the start; None: its actor comes with the first event."""
        if self._is_to_be_dormant(subscription):
            self._run.dormant.add(subscription)
            return None
        actor = self._new_actor(subscription)
        self._run.router.add(actor)
        return self._spec_of(actor)

    def _is_to_be_dormant(self, subscription: Subscription) -> bool:
        return subscription.settings.activation == "first_event" and self._run.can_pool

    def _new_actor(self, subscription: Subscription) -> Actor:
        actor = self._run.actors[subscription.name] = subscription.actor = Actor(self._run, subscription)
        return actor

    def _spec_of(self, actor: Actor) -> ChildSpec:
        return child_of(actor.subscription, self._start_of(actor))

    def _start_of(self, actor: Actor) -> Start:
        """Say how *actor* lives: without a task, unless it needs one."""
        if not self._run.can_pool or not actor.subscription.can_be_pooled:
            return partial(live, actor)
        server = PooledServer(actor)
        actor.servers.append(server)
        return server

    def _observe(self, report: supervision.Report) -> None:
        """Take note of what a supervisor did, in the step in which it did it."""
        match report:
            case supervision.ChildParked(child=child):
                self._went_down(child, Presence.PARKED)
            case supervision.ChildFinished(child=child) if self._stays_down(child):
                self._went_down(child, Presence.GONE)
            case supervision.ChildRemoved(child=child) | supervision.ChildDeclined(child=child):
                self._went_down(child, Presence.GONE)
            case supervision.SupervisorStopping(supervisor=self._run.root.name):
                self._run.enter(Phase.STOPPING)
            case _:
                pass
        self._run.log.lifecycle(report)
        self._run.report(report)

    def _stays_down(self, name: str) -> bool:
        """Say whether an actor that finished is not started again; a permanent one is, and its mailbox waits for it."""
        return name in self._run.actors and self._run.actors[name].settings.restart is not RestartPolicy.PERMANENT

    def _went_down(self, name: str, presence: Presence) -> None:
        actor = self._run.actors.get(name)
        if actor is None:
            return
        actor.went_down(presence)
        if presence is Presence.GONE and self._run.phase is not Phase.STOPPING and not actor.is_leaving:
            self._run.router.remove(actor)
            actor.bury_queue()
        self._run.one_ended(0)

    # ── actors of subscriptions that were dormant ──

    def activate(self, subscription: Subscription) -> Actor:
        """Make the actor of a dormant subscription, in its place, and begin its start; see `_dormant.py`."""
        actor = self._new_actor(subscription)
        self._run.router.replace(subscription, actor)
        self._supervisors[subscription.registry].start_child_soon(self._spec_of(actor))
        return actor

    def actor_called(self, name: str) -> Actor | None:
        """Give the actor called *name*, for those who address it: a dormant one is activated. None: there is none."""
        dormant = self._run.dormant.called(name)
        return self._run.actors.get(name) if dormant is None else self._run.dormant.activate(dormant)

    def _actor_of(self, subscription: Subscription) -> Actor:
        actor = self.actor_called(subscription.name)
        assert actor is not None, f"{subscription!r} is declared, and has no actor"
        return actor

    # ── subscribing and unsubscribing while running ──

    async def start_actor(self, subscription: Subscription) -> None:
        """Start the actor of *subscription* and route to it; if it does not start, nothing is left of it."""
        if subscription.name in self._run.actors:
            # Of a subscription that was ended by its own handler, which left its name: it still stops.
            await anyio.lowlevel.checkpoint()
            raise ChildAlreadyStarted(self._supervisors[subscription.registry].name, subscription.name)
        if self._is_to_be_dormant(subscription):
            await self._add_dormant(subscription)
            return
        actor = self._new_actor(subscription)
        self._operating.starting.add(actor)
        try:
            await self._supervisors[subscription.registry].start_child(self._spec_of(actor), keep=True)
        except SupervisorNotRunning as error:
            self._close_account(actor)
            raise BusClosed(self._run.name, str(self._run.phase)) from error
        except BaseException:  # raised again: what was begun for the actor is undone
            self._close_account(actor)
            raise
        finally:
            self._operating.starting.discard(actor)
        # It is routed to only once it is up: a subscription that fails to start must not have swallowed anything.
        self._run.router.add(actor)
        if self._run.keeper is not None:
            self._run.keeper.recovery.of(actor)

    async def _add_dormant(self, subscription: Subscription) -> None:
        """Route to *subscription*, and have no actor of it before there is an event. Cancelled, nothing is done."""
        await anyio.lowlevel.checkpoint()
        run = self._run
        if ends(run.phase):
            raise BusClosed(run.name, str(run.phase))
        run.dormant.add(subscription)
        if run.keeper is not None and run.keeper.recovery.wakes(subscription):
            run.keeper.recovery.of(run.dormant.activate(subscription))

    def _close_account(self, actor: Actor) -> None:
        """Let go of an actor for good. What somebody replayed to it meanwhile becomes letters again."""
        actor.went_down(Presence.GONE)
        actor.bury_queue()
        actor.let_go_of_reserved()
        self._run.absent.discard(actor)
        self._run.paused.discard(actor)
        self._run.log.forget(actor.name)
        if self._run.actors.pop(actor.name, None) is not None:
            self._run.limits.forget(actor.servers)
            self._run.pool.forget(actor.servers)
            self._run.routes.count()
            self._run.gone = add_up([self._run.gone, actor.ledger()])

    async def end_actor(self, subscription: Subscription) -> None:
        """Stop the actor of *subscription*; what it had not handled is returned."""
        if self._run.dormant.let_go(subscription):
            subscription.registry.let_go(subscription)
            await anyio.lowlevel.checkpoint()
            return
        actor = self._run.actors[subscription.name]
        self._forget_route(actor)
        actor.is_leaving = True
        done = anyio.Event()
        assert self._run.background is not None
        self._run.background.start_soon(self._end_actor, actor, done)
        server = own_server(self._run)
        if server is None or server.actor is not actor:
            await done.wait()

    async def _end_actor(self, actor: Actor, done: anyio.Event) -> None:
        try:
            await self._delete_child(self._supervisors[actor.subscription.registry], actor.name)
        finally:
            actor.take_back_everything(RejectReason.UNSUBSCRIBED)
            self._close_account(actor)
            actor.subscription.registry.let_go(actor.subscription)
            done.set()

    async def _delete_child(self, supervisor: Supervisor, name: str) -> None:
        """Have a child down and forgotten, whatever its supervisor is doing at the moment."""
        while True:
            try:
                with suppress(SupervisorNotRunning):  # then it is down, or being brought down
                    await supervisor.terminate_child(name)
                with suppress(ChildRunning, ChildRestarting):  # its group was down before, and is up again: once more
                    await supervisor.delete_child(name)
                    return
            except ChildNotFound:
                return  # a temporary one that has ended by itself
            except SupervisorNotRunning:
                if supervisor.state == "stopping":
                    await supervisor.stop()  # asks for nothing new: it waits until all are down, or hang for good
                if supervisor.state == "stopping" or ends(self._run.phase):
                    return

    def _forget_route(self, actor: Actor) -> None:
        if actor.presence is not Presence.GONE:
            self._run.router.remove(actor)

    def pause_actor(self, subscription: Subscription) -> None:
        """Let the actor of *subscription* begin nothing more."""
        pause(self._actor_of(subscription))

    def resume_actor(self, subscription: Subscription) -> None:
        """Let the actor of *subscription* go on."""
        if not self._run.dormant.has(subscription):  # else it is not paused
            resume(self._actor_of(subscription))

    async def restart_actor(self, subscription: Subscription) -> None:
        """Have a fresh incarnation of an actor up."""
        await self._operating.restart(self._actor_of(subscription), self._supervisors[subscription.registry])

    async def stop_actor(self, subscription: Subscription) -> None:
        """Have an actor down until it is restarted."""
        await self._operating.stop(self._actor_of(subscription), self._supervisors[subscription.registry])
