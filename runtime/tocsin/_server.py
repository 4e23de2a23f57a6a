"""One server of an incarnation: takes a delivery from the mailbox, has it handled within its time limit, settles it,
takes the next.

Where a cancellation may land, and what it finds: asleep in the mailbox, nothing is held; at the checkpoint between
deliveries, nothing is held; inside the handler, the delivery is in `actor.in_flight` and goes back first in its lane,
uncounted, when we are being stopped. Everything between two awaits is one step.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, final

import anyio
import anyio.lowlevel

from tocsin_supervisors import DeadLetterReason, Failure, safe_repr

from ._aftermath import attempt_failed
from ._context import current_server
from ._judgement import AttemptTimedOut, Deadly, Failed, Interrupted, judge
from .exceptions import FinishActor

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._invocation import Invoke

SLICE = 32  # deliveries in a row without giving others a turn: the fairness bound for handlers that never wait


@final
class Server:
    """See the module. `delivery` is what it is handling; `task_id` the task in which it does."""

    __slots__ = ("_invoke", "_may_probe", "actor", "delivery", "task_id")

    def __init__(self, actor: Actor, *, may_probe: bool) -> None:
        self.actor = actor
        self._invoke: Invoke = _not_yet
        self._may_probe = may_probe
        self.delivery: AnyDelivery | None = None
        self.task_id = 0

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
        return None, AttemptTimedOut(f"no result within {self.actor.settings.timeout} s")

    def _returned_normally(self, delivery: AnyDelivery, answer: Any) -> None:
        actor = self.actor
        if actor.is_stopping and anyio.current_effective_deadline() == -math.inf:
            # It swallowed our cancellation: too late to count, the delivery was being taken back.
            actor.interrupted(delivery)
        elif inspect.isawaitable(answer) or inspect.isgenerator(answer) or inspect.isasyncgen(answer):
            self._refuse_result(delivery, answer)
        else:
            actor.handled(delivery, answer)

    def _refuse_result(self, delivery: AnyDelivery, answer: Any) -> None:
        """The handler gave back something that was never run: it did nothing yet, so it cannot count as handled."""
        if inspect.iscoroutine(answer) or inspect.isgenerator(answer):
            answer.close()
        error = TypeError(
            f"the handler of {self.actor.name!r} returned {safe_repr(answer)}, which nobody would run: "
            "await it, or return a value"
        )
        self.actor.missed += delivery.missed
        self.actor.bury(delivery, DeadLetterReason.BAD_HANDLER, Failure.of(error))

    def _raised(self, delivery: AnyDelivery, error: BaseException) -> None:
        actor = self.actor
        if isinstance(error, FinishActor):
            actor.handled(delivery, None)
            actor.end_incarnation(error)
            return
        overdue = actor.run.now() >= delivery.deadline
        judgement = judge(error, actor.run.cancelled, stopping=actor.is_stopping, overdue=overdue)
        match judgement:
            case Interrupted(error=raised):
                actor.interrupted(delivery)
                if raised is not None:
                    actor.run.log.stop_error(actor, Failure.of(raised))
                if isinstance(error, actor.run.cancelled):
                    raise error
            case Failed():
                attempt_failed(actor, delivery, judgement)
            case Deadly(error=deadly):
                actor.interrupted(delivery)
                actor.end_incarnation(deadly)
                raise deadly


async def serve_all(first: Server, invoke: Invoke) -> None:
    """Run *first*, and as many beside it as wanted, until each found that the incarnation has to end."""
    actor = first.actor
    others = [Server(actor, may_probe=False) for _ in range(actor.settings.concurrency - 1)]
    if not others:
        await first.serve(invoke)
        return
    async with anyio.create_task_group() as group:
        for server in (first, *others):
            group.start_soon(server.serve, invoke, name=f"{server.actor.name}: server")


def _not_yet(delivery: AnyDelivery) -> Awaitable[Any]:
    raise AssertionError(f"{delivery!r} before the handler was there")
