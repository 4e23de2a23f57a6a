"""One actor of a running bus: its account, and where it is in its lives.

An actor outlives its incarnations: they come and go under the supervisor (`_incarnation.py`, `_pooled.py`), the mailbox
and the account stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from tocsin_supervisors import DeadLetterReason, RenewChild

from ._account import Account
from ._outcomes import RejectReason
from ._presence import Presence
from .exceptions import ActorRestarting, ActorStopped, FinishActor

if TYPE_CHECKING:
    from tocsin_supervisors import ChildContext, Failure

    from ._backends import Sleeper
    from ._delivery import AnyDelivery
    from ._run import Run
    from ._subscription import Subscription


@final
class Actor(Account):
    """See the module."""

    __slots__ = (
        "_held_up",
        "asked",
        "context",
        "ending",
        "is_leaving",
        "is_paused",
        "is_to_stay_down",
        "last_error",
        "presence",
        "was_cut",
    )

    def __init__(self, run: Run, subscription: Subscription) -> None:
        super().__init__(run, subscription)
        self.asked: int = 0  # questions that somebody waits for
        self.presence: Presence = Presence.DOWN
        self.is_paused: bool = False  # by request, see `_pausing.py`
        self._held_up: tuple[Sleeper, ...] = ()  # of its servers that may not begin anything, for whatever reason
        self.is_to_stay_down: bool = False  # an operator stops it, see `_operating.py`
        self.is_leaving: bool = False  # its subscription is being ended: what is left goes back, and is not buried
        self.context: ChildContext | None = None  # of the incarnation that is up
        self.was_cut: bool = False  # the incarnation that is up, which has no cell that would know
        self.ending: BaseException | None = None  # why the incarnation that is up must end, once its servers are idle
        self.last_error: Failure | None = None

    @property
    def is_stopping(self) -> bool:
        """True once the incarnation that is up was asked to stop, or has to end."""
        return self.ending is not None or (self.context is not None and self.context.stop_requested)

    @property
    def reason(self) -> BaseException | None:
        """Why the incarnation that is up ends, if it was not asked to stop; None: well."""
        return None if isinstance(self.ending, FinishActor) else self.ending

    @property
    def needs_attention(self) -> bool:
        """True while the end of a delivery may have consequences for more than the delivery."""
        return self.run.is_draining or self.is_stopping or self.health.on_probation or self.health.streak > 0

    @property
    def may_be_cut(self) -> bool:
        """True once we may have cancelled what runs: an incarnation that has to end by itself lets it finish, unless
        something that ends programs was raised.
        """
        is_deadly = self.ending is not None and not isinstance(self.ending, Exception)
        return is_deadly or (self.context is not None and self.context.stop_requested)

    # ── the actor itself ──

    def end_incarnation(self, reason: BaseException) -> None:
        """Let the incarnation that is up end with *reason* once its servers are idle; others replace a renewal."""
        if self.ending is None or isinstance(self.ending, RenewChild):
            self.ending = reason
        self.wake_servers()

    def wake_servers(self) -> None:
        """Let every server that sleeps look at the state of the actor."""
        self.mailbox.look_up()
        self.mailbox.wake_all()
        self.let_go_on()
        self._end_probation()

    async def hold_up(self, sleeper: Sleeper) -> None:
        """Let a server sleep on *sleeper* until it may go on, or is to look at the state of the actor."""
        self._held_up = (*self._held_up, sleeper)
        try:
            await sleeper.sleep()
        finally:
            self._held_up = tuple(each for each in self._held_up if each is not sleeper)

    def let_go_on(self) -> None:
        """Let the servers that are held up look whether they still are."""
        held_up, self._held_up = self._held_up, ()
        for sleeper in held_up:
            sleeper.wake()

    def begin(self, incarnation: int) -> None:
        """A new incarnation begins; nothing ends it yet."""
        self.incarnation = incarnation
        self.ending = None
        self.was_cut = self.is_to_stay_down = False
        # New for each life: at the end of the last one it was set, so that every server may see that end.
        self._probation_over = None

    def came_up(self) -> None:
        """An incarnation is ready to serve."""
        if self.presence is Presence.GONE and self.run.actors.get(self.name) is self:
            # It had ended, and came back by request or with its group. Not when its account is closed, since whoever
            # subscribed it was cancelled.
            self.run.router.add(self)
        self.presence = Presence.UP
        self.mailbox.open()
        self.run.absent.discard(self)

    def went_down(self, presence: Presence) -> None:
        """The incarnation ended: whoever waits for an answer is told at once, and for good if the actor is."""
        if presence is Presence.DOWN and self.is_to_stay_down:
            presence = Presence.STOPPED
        self.presence = presence
        self.context = None
        for server in self.servers:
            if server.is_handling:
                # The server is gone without having settled it, which only an error of ours can do: it is not lost.
                self.interrupted(server.release())
        self._tell_askers(ActorRestarting if presence is Presence.DOWN else ActorStopped)
        if presence.is_for_good and not self.is_leaving:
            self.run.absent.add(self)
            self.mailbox.shut()
            for delivery, publisher in self.mailbox.blocked():
                publisher.buried(delivery)
                self.bury(delivery, DeadLetterReason.ACTOR_STOPPED)
            self.run.one_ended(0)  # a drain does not wait for what it has

    def _tell_askers(self, error: type[ActorRestarting | ActorStopped]) -> None:
        if not self.asked:
            return  # they would be looked for in the whole mailbox
        # Those who wait for room first: what is taken out of the mailbox would let them in.
        for delivery, publisher in self.mailbox.blocked():
            if delivery.question is not None:
                delivery.question.fail(error(self.name, delivery.event))
                publisher.refuse(delivery, RejectReason.ACTOR_DOWN)
        for delivery in self.mailbox.questions():
            self.mailbox.remove(delivery)
            assert delivery.question is not None
            delivery.question.fail(error(self.name, delivery.event))
            self.rejected(delivery, RejectReason.ACTOR_DOWN)

    def kept(self, delivery: AnyDelivery) -> None:
        """The store has *delivery*, for which room was kept, so it comes in; unless it has ended meanwhile: then the
        next run has it.
        """
        del self.mailbox.reserved[delivery]
        if delivery.ended:
            self.accepted(delivery)
            self.mailbox.admit()
        elif self.presence.is_for_good:
            self.accepted(delivery)
            self.bury(delivery, DeadLetterReason.ACTOR_STOPPED)
        else:
            self.take_in(delivery)

    def bury_queue(self) -> None:
        """The actor ended for good: what it will never handle becomes dead letters."""
        for delivery in self.mailbox.empty():
            self.bury(delivery, DeadLetterReason.ACTOR_STOPPED)

    def let_go_of_reserved(self) -> None:
        """The account is closed: what the store is about to have is there for a later run."""
        for delivery in self.mailbox.reserved:
            self.returned(delivery)

    def take_back_everything(self, reason: RejectReason) -> list[AnyDelivery]:
        """End every delivery that has not ended, and give those that had been accepted, oldest first; publishers that
        wait are refused.
        """
        for delivery, publisher in self.mailbox.blocked():
            publisher.refuse(delivery, reason)
        left = [*self.in_flight, *self.mailbox.empty(), *self.mailbox.reserved]
        for delivery in left:
            self.returned(delivery)
        return sorted(left, key=lambda delivery: delivery.number)
