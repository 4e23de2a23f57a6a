"""A question: one delivery for whose answer somebody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio

from ._outcomes import RejectReason
from ._presence import Presence
from ._publishing import own_server
from ._receipt import Receipt, open_receipt
from ._waiting import WaitingPublisher
from .exceptions import ActorRestarting, ActorStopped, AskTimeout, NobodyToAsk, UnknownSubscription, WouldDeadlock

if TYPE_CHECKING:
    from ._actor import Actor
    from ._delivery import AnyDelivery
    from ._envelope import Envelope
    from ._run import Run
    from ._subscription import Subscription
    from .exceptions import AskError


@final
class Question:
    """The place where an answer, or the reason why there is none, is left for the asker. The first word counts."""

    __slots__ = ("_answer", "_error", "_settled")

    def __init__(self) -> None:
        self._answer: Any = None
        self._error: AskError | None = None
        self._settled = anyio.Event()

    def answer(self, value: object) -> None:
        """Leave the return value of the handler."""
        if not self._settled.is_set():
            self._answer = value
            self._settled.set()

    def fail(self, error: AskError) -> None:
        """Leave the reason why there will be no answer."""
        if not self._settled.is_set():
            self._error = error
            self._settled.set()

    async def wait(self) -> Any:
        """Wait for the answer and give it, or raise the reason why there is none."""
        await self._settled.wait()
        if self._error is not None:
            # Raised once, and let go of, so that the frames it gathers are not kept by us.
            error, self._error = self._error, None
            raise error
        return self._answer


async def ask(run: Run, actor: Actor, envelope: Envelope[Any], limit: float) -> Any:
    """Put a question to *actor* and wait for the answer, *limit* seconds in all. See `EventBus.ask`."""
    _refuse_if_down(actor, envelope.event)
    server = own_server(run)
    waits = server if server is not None and server.runs_here else None
    if waits is not None and (cycle := run.waits.cycle(waits.actor, [actor])) is not None:
        raise WouldDeadlock(cycle)
    question = Question()
    receipt = Receipt()
    open_receipt(receipt, envelope.id, [actor.name])
    delivery = run.publisher.new_delivery(actor, envelope, receipt)
    delivery.question = question
    actor.routed(delivery)
    with run.waits.entered(waits, lambda: (actor,)), anyio.move_on_after(limit):
        actor.asked += 1
        try:
            await _queue(run, actor, delivery, from_handler=server is not None)
            return await question.wait()
        finally:
            actor.asked -= 1
            _withdraw(actor, delivery)
    raise AskTimeout(actor.name, f"no answer from {actor.name!r} within {limit} s to {envelope!r}")


async def _queue(run: Run, actor: Actor, delivery: AnyDelivery, *, from_handler: bool) -> None:
    """Put the question into the mailbox; if it is full, wait for room whatever its policy for events is: the asker
    waits anyway.
    """
    if actor.mailbox.has_room:
        actor.take_in(delivery)
        return
    waiting = WaitingPublisher(run, from_handler=from_handler)
    waiting.wait_for(actor, delivery, None)
    await waiting.wait()
    if delivery.ended and delivery.question is not None:
        # Refused while it waited for room. If nobody has said why, the bus closes or the subscription ended.
        delivery.question.fail(ActorStopped(actor.name, delivery.event))


def _withdraw(actor: Actor, delivery: AnyDelivery) -> None:
    """The asker leaves: take the question out of the mailbox. If it is being worked on, nobody reads the answer; it
    stays a question, so it is not attempted again.
    """
    if not delivery.ended and actor.mailbox.remove(delivery):
        actor.rejected(delivery, RejectReason.ASK_WITHDRAWN)


def _refuse_if_down(actor: Actor, event: object) -> None:
    if actor.presence is Presence.DOWN:
        raise ActorRestarting(actor.name, event)
    if actor.presence is not Presence.UP:
        raise ActorStopped(actor.name, event)


def whom_to_ask(run: Run, envelope: Envelope[Any], to: str | Subscription | None) -> Actor:
    """Give the actor that *to* names, or the only one that matches; those for everything do not count."""
    if to is not None:
        name = to if isinstance(to, str) else to.name
        actor = run.members.actor_called(name)
        if actor is None:
            raise UnknownSubscription(name, [*run.actors, *(each.name for each in run.dormant)])
        return actor
    matching = [each for each in run.publisher.matching(envelope) if object not in each.types]
    if len(matching) != 1:
        names = ", ".join(each.name for each in matching) or "nobody"
        raise NobodyToAsk("", f"a question is for one actor, {envelope!r} matches {names}: name one with to=…")
    return run.dormant.activated(matching)[0]
