"""Looks on while a bus runs, and writes down what happens.

Handlers are seen when they begin and end, reports when they are made. What publishers and mailboxes do is read off the
receipts: whenever something is seen, and between any two steps. So the bus runs the very code that it runs unwatched,
the fast ways included.
"""

# Receipts of publishes that are not over yet are found in their frames, as there is no other way to them.

from __future__ import annotations

import contextlib
import inspect
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, final

import anyio
from attrs import Factory, define

from tocsin._context import current_server
from tocsin._envelope import Priority
from tocsin._plugins import Hooks
from tocsin._receipt import Receipt

from ._engine import START
from ._errors import PromiseBroken
from ._facts import (
    Accepted,
    AttemptEnded,
    AttemptStarted,
    Broken,
    Matched,
    Published,
    PublishEnded,
    Reported,
    Settled,
)
from ._faults import Attempt, bring_about
from ._trace import Trace, terms_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from tocsin._actor import Actor
    from tocsin._bus import EventBus
    from tocsin._plugins import Handle, Invoke
    from tocsin._reports import Report
    from tocsin._subscription import Subscription

    from ._engine import Engine
    from ._facts import How
    from ._faults import Faults


NOBODY = -1  # who posts from a thread is no task


@define(eq=False)
class _Open:
    """An event of which not everything is known yet."""

    number: int
    publishing: Coroutine[Any, Any, Receipt] | None = None  # while it is being published
    receipt: Receipt | None = None
    matched: bool = False
    accepted: int = 0  # how many of those that have taken it are written down
    settled: set[str] = Factory(set[str])  # subscriptions whose outcome is written down

    @property
    def is_running(self) -> bool:
        """True in the very step in which it is published."""
        return self.publishing is not None and inspect.getcoroutinestate(self.publishing) == inspect.CORO_RUNNING


@final
class Watcher:
    """See the module; it is a plug-in of one bus, from before it runs, and the innermost one."""

    def __init__(
        self,
        bus: EventBus,
        engine: Engine,
        seed: int,
        current_task: Callable[[], object],
        faults: Faults | None,
    ) -> None:
        self.trace = Trace()
        self._bus = bus
        self._is_between = False
        self._engine = engine
        self._open: dict[int, _Open] = {}  # number → of those of which something is still to come
        self._numbers: dict[Receipt, int] = {}
        self._next = 0
        self._foreign = 0  # the last number of an event that was published unseen
        self._current_task = current_task
        self._faults: Faults = _none if faults is None else faults
        self._cancelled: type[BaseException] = anyio.get_cancelled_exc_class()
        bus.random = Random(seed)
        bus.plugins = (*bus.plugins, self)
        # Handlers publish through the same object, so they are seen as well.
        vars(bus)["publish"] = partial(self._publish, bus.publish)
        vars(bus)["publish_nowait"] = partial(self._publish_nowait, bus.publish_nowait)
        engine.watchers.append(self.between_steps)

    def _note(self, kind: Callable[..., Any], /, **facts: Any) -> None:
        step = self._engine.steps - self._is_between  # what is found between two steps was done in the first of them
        self.trace.facts.append(kind(step=step, at=self._engine.now - START, **facts))

    # ── publishing ──

    async def _publish(
        self, publish: Callable[..., Coroutine[Any, Any, Receipt]], event: object, **options: Any
    ) -> Receipt:
        publishing = publish(event, **options)
        with self._noted(event, options, nowait=False) as asked:
            asked.publishing, asked.receipt = publishing, options.get("receipt")
            receipt = asked.receipt = await publishing
            return receipt

    def _publish_nowait(self, publish: Callable[..., Receipt], event: object, **options: Any) -> Receipt:
        with self._noted(event, options, nowait=True) as asked:
            receipt = asked.receipt = publish(event, **options)
            return receipt

    @contextlib.contextmanager
    def _noted(self, event: object, options: dict[str, Any], *, nowait: bool) -> Generator[_Open]:
        """Write down that *event* is published in the block, and how that ends."""
        asked = self._asked(event, options, nowait=nowait)
        try:
            yield asked
        except BaseException as error:
            asked.receipt = asked.receipt or getattr(error, "receipt", None)
            self._publish_ended(asked, error)
            raise
        self._publish_ended(asked, None)

    def _asked(self, event: object, options: dict[str, Any], *, nowait: bool) -> _Open:
        self._look()
        asked = self._open[self._next] = _Open(self._next)
        self._next += 1
        priority = options.get("priority", Priority.NORMAL)
        self._note(
            Published,
            number=asked.number,
            publisher=self._publisher(asked),
            kind=type(event).__qualname__,
            priority=int(priority) if isinstance(priority, int) else Priority.NORMAL,  # else it is refused
            nowait=nowait,
        )
        return asked

    def _publisher(self, asked: _Open) -> int:
        """Give the number of the task that publishes *asked*. What is published in the middle of a publish, by a
        predicate, has an order of its own."""
        task = self._current_task()
        if task is None or any(each.is_running for each in self._open.values()):
            return NOBODY - asked.number
        return self._engine.number(task)

    def _publish_ended(self, asked: _Open, error: BaseException | None) -> None:
        asked.publishing = None
        self._look()
        known = asked.receipt
        self._note(
            PublishEnded,
            number=asked.number,
            error=self._name_of(error),
            accepted=None if known is None else known.accepted,
        )
        if known is None or known.event_id is None:
            del self._open[asked.number]  # nothing was routed

    def _name_of(self, error: BaseException | None) -> str | None:
        if error is None:
            return None
        return "cancelled" if isinstance(error, self._cancelled) else type(error).__name__

    # ── what the receipts say ──

    def _look(self) -> None:
        for each in list(self._open.values()):
            self._look_at(each)

    def _look_at(self, each: _Open) -> None:
        if each.is_running:
            return  # in the middle of a step its receipt tells nothing
        receipt = each.receipt or _receipt_in(each.publishing)
        if receipt is None or receipt.event_id is None:
            return
        each.receipt = receipt
        self._numbers[receipt] = each.number
        if not each.matched:
            each.matched = True
            self._note(Matched, number=each.number, subscriptions=receipt.matched)
        accepted = receipt.accepted
        for subscription in accepted[each.accepted :]:
            self._note(Accepted, number=each.number, subscription=subscription)
        each.accepted = len(accepted)
        self._look_at_outcomes(each, receipt)

    def _look_at_outcomes(self, each: _Open, receipt: Receipt) -> None:
        for subscription, outcome in receipt.outcomes.items():
            if subscription not in each.settled:
                each.settled.add(subscription)
                self._note(Settled, number=each.number, subscription=subscription, outcome=outcome)
        if receipt.is_settled and each.publishing is None:
            del self._open[each.number]

    def _number_of(self, receipt: Receipt) -> int:
        number = self._numbers.get(receipt)
        if number is None:  # it was published in a way that is not watched
            self._foreign -= 1
            number = self._numbers[receipt] = self._foreign
            self._open[number] = _Open(number, receipt=receipt)
            self._look_at(self._open[number])
        return number

    # ── between two steps ──

    def between_steps(self, _step: int) -> None:
        """See what has changed, and that the account is right."""
        self._is_between = True
        self._look()
        ledger = self._bus.ledger()
        if not ledger.balanced:
            self._note(Broken, invariant="I1", text=f"the ledger does not balance: {ledger}")
        self._is_between = False

    def check(self) -> None:
        """Write down how it ended; raise PromiseBroken if a promise was not kept."""
        self.trace.ledger = self._bus.ledger()
        self.trace.know(self._bus)
        self._look()
        violations = self.trace.violations()
        if violations:
            raise PromiseBroken(self._bus.name, violations)

    def audit(self) -> None:
        """Check what has happened by now, and forget it."""
        self.check()
        self.trace.ledger = None
        self.trace.facts.clear()
        self._numbers = {each.receipt: each.number for each in self._open.values() if each.receipt is not None}

    # ── it is a `Plugin` ──

    def hooks(self, bus: EventBus) -> Hooks:  # it watches one
        """See `Plugin`."""
        return Hooks(around_attempts=self.around_attempts, around_plain=self.around_plain, reported=self.reported)

    def reported(self, report: Report) -> None:
        """See `Hooks`. Receipts are not looked at: it comes in the middle of what they are to tell of."""
        self._note(Reported, report=report)

    def around_attempts(self, subscription: Subscription, invoke: Invoke) -> Invoke:
        """See `Hooks`."""
        actor = actor_of(subscription)
        return lambda delivery: self._attempt(
            partial(invoke, delivery),
            actor,
            delivery.receipt,
            Attempt(actor.name, delivery.event, delivery.attempt, actor.incarnation),
            delivery.key,
        )

    def around_plain(self, subscription: Subscription, handle: Handle) -> Handle:
        """See `Hooks`."""
        actor = actor_of(subscription)

        def handle_watched(event: Any) -> Awaitable[Any]:
            server = current_server.get()
            assert server is not None
            entry = server.entry
            assert entry is not None
            receipt = entry if type(entry) is Receipt else entry.receipt  # a plug-in may have asked for the delivery
            attempt = Attempt(actor.name, event, 1, actor.incarnation)
            return self._attempt(partial(handle, event), actor, receipt, attempt, None)

        return handle_watched

    def _note_terms(self, actor: Actor) -> None:
        if actor.name not in self.trace.terms:
            self.trace.shutdown_deadline = actor.run.root.options.shutdown_deadline
            self.trace.terms[actor.name] = terms_of(actor.settings)

    async def _attempt(
        self, call: Callable[[], Awaitable[Any]], actor: Actor, receipt: Receipt, attempt: Attempt, key: object
    ) -> Any:
        self._note_terms(actor)
        self._look()
        facts: dict[str, Any] = {
            "number": self._number_of(receipt),
            "subscription": actor.name,
            "incarnation": attempt.incarnation,
            "attempt": attempt.attempt,
        }
        self._note(AttemptStarted, key=key, **facts)
        try:
            answer = await bring_about(self._faults(attempt), call)
        except BaseException as error:
            self._look()
            self._note(AttemptEnded, how=self._how(error), **facts)
            raise
        self._look()
        self._note(AttemptEnded, how="returned", **facts)
        return answer

    def _how(self, error: BaseException) -> How:
        return "cancelled" if isinstance(error, self._cancelled) else "raised"


def actor_of(subscription: Subscription) -> Actor:
    """Give the actor of *subscription* in the run that is up."""
    assert subscription.actor is not None
    return subscription.actor


def _none(_attempt: Attempt) -> None:
    """Let nothing go wrong."""


def _receipt_in(publishing: Coroutine[Any, Any, Receipt] | None) -> Receipt | None:
    """Give the receipt of a publish that waits, if it has one by now."""
    awaited: Any = publishing
    while inspect.iscoroutine(awaited) and awaited.cr_frame is not None:
        receipt = awaited.cr_frame.f_locals.get("receipt")
        if type(receipt) is Receipt:
            return receipt
        awaited = awaited.cr_await
    return None
