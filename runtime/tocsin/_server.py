"""One server of an actor: takes a delivery from the mailbox, has it handled within its time limit, settles it, takes
the next.

Whose task that happens in, is for its two kinds to say: one of its own (`_pinned.py`), or that of a worker who serves
whichever actor has something to do (`_pooled.py`).

Where a cancellation may land, and what it finds: asleep in the mailbox, nothing is held; between two slices, nothing is
held; inside the handler, the delivery is in `entry` and goes back first in its lane, uncounted, when we are being
stopped. Everything between two awaits is one step.

There is one cancel scope around all that a server does, entered before any handler runs: a handler whose time is over
is cancelled by it. That spends the scope, whatever the handler makes of it, so before the next delivery there is a new
one; and how the attempt ended is judged only when the spent one has been left.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import anyio

from tocsin_supervisors import DeadLetterReason, ForeignCancellation

from ._fast_lane import serve_lane
from ._judgement import AttemptTimedOut
from ._receipt import Receipt
from ._settling import raised, returned_normally

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._actor import Actor
    from ._backends import Sleeper
    from ._delivery import AnyDelivery, Entry
    from ._invocation import Handle, Invoke


WAITED: Final = "waited"


class Server(ABC):
    """See the module. `entry` is what it is handling.

    `attention`: something has to be looked at before the next delivery, so the fast way is not for now; WAITED: only
    that the handler has waited. `left`: of the deliveries that it may take before others have their turn.
    """

    __slots__ = (
        "_invoke",
        "_is_expired",
        "_is_settling",
        "_may_probe",
        "_result",
        "actor",
        "attention",
        "deadline",
        "entry",
        "handle",
        "handled",
        "has_alarm",
        "has_waited",
        "left",
        "sleeper",
    )

    def __init__(self, actor: Actor, *, may_probe: bool) -> None:
        self.actor: Actor = actor
        self._invoke: Invoke  # once it serves
        self._may_probe = may_probe
        self.sleeper: Sleeper  # of the kind it is
        self.left: int = 0
        # Of an attempt that is judged outside of the scope.
        self._result: tuple[Any, BaseException | None] | None = None
        self._is_expired = False
        self._is_settling = False
        self.handle: Handle | None = None  # how a plain delivery is handled without knowing more than its event
        self.handled: int = 0  # in the fast lane, since this was last entered into the account of the actor
        self.entry: Entry | None = None
        self.attention: bool | str = True
        self.deadline: float = math.inf  # of the handler that waits, on the clock of the run
        self.has_alarm: bool = False
        self.has_waited: bool = False  # the handler that runs

    @property
    @abstractmethod
    def task_id(self) -> int:
        """The task in which its handler runs."""

    @property
    def runs_here(self) -> bool:
        """True in the task in which its handler runs: a task that the handler started beside itself waits alone."""
        return self.task_id == anyio.get_current_task().id

    @property
    def is_handling(self) -> bool:
        """True while a handler runs for a delivery that has not ended."""
        entry = self.entry
        return entry is not None and (type(entry) is Receipt or not entry.ended)

    @property
    def delivery(self) -> AnyDelivery | None:
        """What it is handling."""
        entry = self.entry
        if type(entry) is Receipt:
            entry = self.entry = self._begun(self.actor.mailbox.deliver(entry), self.deadline)
        return entry

    def begin_plain(self) -> AnyDelivery:
        """Give the delivery of what has just been taken from the fast lane, as its handler wants to have it."""
        entry = self.entry
        if type(entry) is not Receipt:  # somebody around the handler has asked before
            assert entry is not None
            return entry
        delivery = self.entry = self._begun(self.actor.mailbox.deliver(entry), self._deadline_from_now())
        return delivery

    def _deadline_from_now(self) -> float:
        limit = self.actor.settings.timeout
        return math.inf if limit is None else self.actor.run.now() + limit

    def has_in_hand(self, receipt: Receipt) -> bool:
        """Tell whether it is handling the plain delivery of *receipt*."""
        entry = self.entry
        if entry is None or type(entry) is Receipt:
            return entry is receipt
        return entry.plain and entry.receipt is receipt and not entry.ended

    def release(self) -> AnyDelivery:
        """Give up what it is handling, and give that."""
        delivery, self.entry = self.delivery, None
        assert delivery is not None
        self.through()
        return delivery

    # ── time ──

    def waits(self) -> None:
        """A handler waits for something: from here on its time is measured. Called by `drive`."""
        if self.entry is None or self.has_waited:
            return
        self.has_waited = True
        if not self.attention:
            self.attention = WAITED
        entry = self.entry
        self.deadline = self._deadline_from_now() if type(entry) is Receipt else entry.deadline
        if self.deadline < math.inf:
            self.actor.run.limits.set(self)

    def has_only_waited(self) -> bool:
        """The handler has ended, and there is something to look at: tell whether that was only its waiting."""
        if self.attention is not WAITED:
            return False
        self.attention = False
        self.through()
        return True

    def through(self) -> None:
        """The handler has ended: its time is not measured any more."""
        self.has_waited = False
        self.deadline = math.inf

    def expire(self) -> None:
        """The time of the handler is over."""
        self._is_expired = True
        self.attention = True
        self._cancel()

    # ── serving ──

    def _after_scope(self, error: BaseException | None) -> None:
        answer = None
        self._count_handled()  # also if the handler was cancelled in the fast lane
        try:
            if self._is_settling and error is not None:
                raise error  # not of the handler: what became of its delivery could not be entered
            if self._result is not None:
                (answer, error), self._result = self._result, None
            elif self.entry is not None and error is None:
                error = self._swallowed()
            if self.entry is not None:
                self._settle(answer, error)
            elif error is not None:
                raise error
        finally:
            # The frame and the exception's traceback would keep each other alive.
            del error

    def _swallowed(self) -> BaseException:
        """Say why the scope was cancelled in the middle of an attempt."""
        if self._is_expired:
            return AttemptTimedOut(f"no result within {self.actor.settings.timeout} s")
        # Handlers can reach the scope around them, by the backend's own means, and so can strangers.
        return ForeignCancellation("a stranger to the runtime cancelled the scope of the attempt")

    async def _serve(self) -> None:
        actor = self.actor
        mailbox = actor.mailbox
        while self._result is None:
            if self.attention:  # whatever is not as it was calls for it
                if actor.is_stopping:
                    return
                self.attention = actor.needs_attention
                if actor.is_paused:
                    await self._wait_until_resumed()
                    continue
                if actor.health.on_probation and not self._may_probe:
                    await self._wait_for_probation()
                    continue
            if self._is_plain_next():
                await serve_lane(self, mailbox)
                self._count_handled()
            else:
                await self._serve_by_the_door()
            if self.left <= 0:
                await self.let_others()

    def _is_plain_next(self) -> bool:
        """Tell whether the fast way is for now: whatever is next, is a plain delivery, and handled without more ado."""
        mailbox = self.actor.mailbox
        lane = mailbox.lane
        is_simple = mailbox.is_simple or (bool(lane) and mailbox.is_simple_now())
        return self.handle is not None and is_simple and (not lane or type(lane[0]) is Receipt)

    @abstractmethod
    def is_awake(self) -> None:
        """It has slept, and others had their turn meanwhile."""

    @abstractmethod
    def let_others(self) -> Awaitable[None]:
        """Let others have their turn; then there is a new slice."""

    @abstractmethod
    def _cancel(self) -> None:
        """Cancel what it does."""

    async def _serve_by_the_door(self) -> None:
        """Handle the next delivery, whatever it is, or sleep until there is one."""
        actor = self.actor
        mailbox, run = actor.mailbox, actor.run
        gate = run.keeper if run.keeper is not None and run.keeper.holds_up(actor) else None
        delivery = mailbox.take(run.now()) if gate is None else gate.take_suspect(actor)
        if delivery is not None:
            self.left -= 1
            await self._handle(delivery)
            return
        try:
            await (mailbox.wait(run.now(), self.sleeper) if gate is None else actor.hold_up(self.sleeper))
        finally:
            self.is_awake()

    async def _wait_until_resumed(self) -> None:
        """While its actor is paused, it takes nothing, by whichever way."""
        try:
            await self.actor.hold_up(self.sleeper)
        finally:
            self.is_awake()
        self.attention = True

    async def _wait_for_probation(self) -> None:
        """After a suspension one server probes with one delivery at a time. The others must not sleep in the mailbox
        meanwhile: they would take wake-ups that are meant for the one that may act on them.
        """
        await self.actor.probation_over.wait()
        self.attention = True

    def _count_handled(self) -> None:
        """Enter what was handled in the fast lane into the account of the actor."""
        self.actor.counters.handled += self.handled
        self.handled = 0

    async def _handle(self, delivery: AnyDelivery) -> None:
        actor = self.actor
        now = actor.run.now()
        expires_at = delivery.envelope.expires_at
        if expires_at is not None and now >= expires_at:
            actor.bury(delivery, DeadLetterReason.EXPIRED)
            return
        self.entry = self._begun(delivery, self._deadline_from_now())
        answer, error = None, None
        try:
            answer = await self._invoke(delivery)
        except Exception as raised:  # judged in `ended`; what is no Exception goes through the scope first
            error = raised
        try:
            self.ended(answer, error)
        finally:
            del error

    def _begun(self, delivery: AnyDelivery, deadline: float) -> AnyDelivery:
        """Note that an attempt of *delivery* begins, or began some time ago."""
        delivery.attempt += 1
        if delivery.kept is not None:
            delivery.kept.begins(delivery.attempt)
        delivery.interrupted = False
        delivery.missed, self.actor.missed = self.actor.missed, 0
        delivery.deadline = deadline
        return delivery

    # ── how an attempt ended ──

    def ended(self, answer: Any, error: BaseException | None) -> None:
        """The handler of `entry` has ended."""
        if self._is_expired or self.actor.may_be_cut:
            self._result = answer, error  # to be judged outside of the scope
            return
        try:
            self._settle(answer, error)
        finally:
            del error

    def _settle(self, answer: Any, error: BaseException | None) -> None:
        entry = self.entry
        self.through()
        self._is_settling = True
        try:
            if error is None and answer is None and type(entry) is Receipt and not self.actor.may_be_cut:
                self.entry = None
                self.actor.handled_plain(entry)
            else:
                self._conclude(answer, error)
                self.entry = None  # not before it is settled, and not if that breaks: it must not get lost
            self._is_settling = False
        finally:
            del error

    def _conclude(self, answer: Any, error: BaseException | None) -> None:
        delivery = self.delivery
        assert delivery is not None
        try:
            if error is None:
                returned_normally(self.actor, delivery, answer)
            else:
                raised(self.actor, delivery, error, overdue=self._is_expired)
        finally:
            del error
