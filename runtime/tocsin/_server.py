"""One server of an incarnation: takes a delivery from the mailbox, has it handled within its time limit, settles it,
takes the next.

Where a cancellation may land, and what it finds: asleep in the mailbox, nothing is held; at the checkpoint between
deliveries, nothing is held; inside the handler, the delivery is in `actor.in_flight` and goes back first in its lane,
uncounted, when we are being stopped. Everything between two awaits is one step.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, assert_never, final

import anyio
import anyio.lowlevel

from tocsin_supervisors import DeadLetterReason, Failure, ForeignCancellation, safe_repr

from ._aftermath import CrashActor, attempt_failed, bad_result
from ._context import current_server
from ._judgement import AttemptTimedOut, Deadly, Failed, Interrupted, judge
from .exceptions import FinishActor

if TYPE_CHECKING:
    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._invocation import Invoke

_NEVER_RUN = (Awaitable, Generator, AsyncGenerator)  # results that stand for work which nobody would do

SLICE = 32  # deliveries in a row without giving others a turn: the fairness bound for handlers that never wait


@final
class Server:
    """See the module. `delivery` is what it is handling; `task_id` the task in which it does."""

    __slots__ = ("_invoke", "_may_probe", "actor", "delivery", "task_id")

    def __init__(self, actor: Actor, *, may_probe: bool) -> None:
        self.actor: Actor = actor
        self._invoke: Invoke  # once it serves
        self._may_probe = may_probe
        self.delivery: AnyDelivery | None = None
        self.task_id: int = 0

    @property
    def runs_here(self) -> bool:
        """True in the task in which its handler runs: a task that the handler started beside itself waits alone."""
        return self.task_id == anyio.get_current_task().id

    async def serve(self, invoke: Invoke) -> None:
        """Serve with the handler *invoke* until the incarnation has to end."""
        actor = self.actor
        self._invoke = invoke
        mailbox, now = actor.mailbox, actor.run.now
        current_server.set(self)
        self.task_id = anyio.get_current_task().id
        turn = SLICE
        while not actor.is_stopping:
            if actor.health.on_probation and not self._may_probe:
                # After a suspension one server probes with one delivery at a time. The others must not sleep in the
                # mailbox meanwhile: they would take wake-ups that are meant for the one that may act on them.
                await actor.probation_over.wait()
                continue
            delivery = mailbox.take(now())
            if delivery is None:
                await mailbox.wait(now())
                turn = SLICE
                continue
            await self._handle(delivery)
            turn -= 1
            if not turn:
                await anyio.lowlevel.checkpoint()
                turn = SLICE

    async def _handle(self, delivery: AnyDelivery) -> None:
        actor = self.actor
        now = actor.run.now()
        expires_at = delivery.envelope.expires_at
        if expires_at is not None and now >= expires_at:
            actor.bury(delivery, DeadLetterReason.EXPIRED)
            return
        actor.in_flight[delivery] = None
        self.delivery = delivery
        delivery.attempt += 1
        delivery.interrupted = False
        delivery.missed, actor.missed = actor.missed, 0
        limit = actor.settings.timeout
        delivery.deadline = math.inf if limit is None else now + limit
        answer, error = await self._attempt(delivery)
        self.delivery = None
        try:
            if error is None:
                self._returned_normally(delivery, answer)
            else:
                self._raised(delivery, error)
        finally:
            # The frame and the exception's traceback would keep each other alive.
            del error

    async def _attempt(self, delivery: AnyDelivery) -> tuple[Any, BaseException | None]:
        """Run the handler once; what it raised is given back, not raised, so that nothing is decided inside of an
        `except`.
        """
        try:
            if delivery.deadline == math.inf:
                return await self._invoke(delivery), None
            with anyio.CancelScope(deadline=delivery.deadline):
                return await self._invoke(delivery), None
        except BaseException as error:  # judged in `_raised`, which raises again what is not ours to keep
            return None, error
        if self.actor.run.now() < delivery.deadline:
            # Handlers can reach the scope around them, by the backend's own means, and so can strangers.
            return None, ForeignCancellation("a stranger to the runtime cancelled the scope of the attempt")
        return None, AttemptTimedOut(f"no result within {self.actor.settings.timeout} s")

    def _returned_normally(self, delivery: AnyDelivery, answer: Any) -> None:
        actor = self.actor
        if actor.may_be_cut and _is_cut():
            # It swallowed our cancellation: too late to count, the delivery was being taken back.
            actor.interrupted(delivery)
        elif answer is not None and issubclass(type(answer), _NEVER_RUN):
            self._refuse_result(delivery, answer)
        else:
            actor.handled(delivery, answer)

    def _refuse_result(self, delivery: AnyDelivery, answer: Any) -> None:
        """The handler gave back something that was never run: it did nothing yet, so it cannot count as handled."""
        shown = safe_repr(answer)
        if isinstance(answer, Coroutine | Generator):
            answer.close()
        error = TypeError(
            f"the handler of {self.actor.name!r} returned {shown}, which nobody would run: await it, or return a value"
        )
        bad_result(self.actor, delivery, error)

    def _raised(self, delivery: AnyDelivery, error: BaseException) -> None:
        actor = self.actor
        if issubclass(type(error), FinishActor):  # not isinstance: it may lie about its class
            actor.handled(delivery, None)
            actor.end_incarnation(error)
            return
        overdue = actor.run.now() >= delivery.deadline
        stopping = actor.may_be_cut
        judgement = judge(error, actor.run.cancelled, stopping=stopping, cut=stopping and _is_cut(), overdue=overdue)
        match judgement:
            case Interrupted(error=raised):
                actor.interrupted(delivery)
                if raised is not None:
                    actor.run.log.stop_error(actor, Failure.of(raised))
                # Else a group, in which the schedule decides whether a cancellation is: the run may miss that branch.
                if issubclass(type(error), actor.run.cancelled):  # pragma: no branch
                    raise error
            case Failed():
                attempt_failed(actor, delivery, judgement)
            case Deadly(error=deadly):
                actor.interrupted(delivery)
                actor.end_incarnation(deadly)
                raise deadly
            case _:
                assert_never(judgement)


async def serve_all(first: Server, invoke: Invoke) -> None:
    """Run *first*, and as many beside it as wanted, until each found that the incarnation has to end."""
    actor = first.actor
    others = [Server(actor, may_probe=False) for _ in range(actor.settings.concurrency - 1)]
    if not others:
        await first.serve(invoke)
        return
    deadly: list[BaseException] = []

    async def serve(server: Server) -> None:
        try:
            await server.serve(invoke)
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
            for server in (first, *others):
                group.start_soon(serve, server, name=f"{actor.name}: server")
    finally:
        if deadly:
            raise deadly[0]  # also in the place of a cancellation: it is what must not get lost


def _is_cut() -> bool:
    """Say whether the running task was cancelled, wherever it is told of it."""
    return anyio.current_effective_deadline() == -math.inf
