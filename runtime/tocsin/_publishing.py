"""From an event to deliveries in mailboxes: route, then offer to each subscription what its overflow policy allows.

Routing is atomic: predicates, keys and the route itself are computed before anything is offered, so an error there
leaves no trace. Offering is one step, too: nobody sees a half-published event. Only a publisher that finds full
mailboxes, and whose subscriptions ask it to, waits.
"""

from __future__ import annotations

import contextvars
import enum
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never, final

import anyio
import anyio.lowlevel

from tocsin_supervisors import DeadLetterReason

from ._actor import Actor
from ._context import current_server
from ._delivery import Delivery
from ._lifecycle import Phase, may_publish
from ._outcomes import DropReason, RejectReason
from ._overflow import Coalesce, DeadLetterNewest, DropNewest, DropOldest, Reject, WaitForRoom
from ._receipt import Receipt, envelope_of, open_receipt, particulars, route_of
from ._router import is_safe_key
from ._waiting import WaitingPublisher
from .exceptions import BusClosed, MailboxFull, RouteError, WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from ._delivery import AnyDelivery
    from ._envelope import Envelope, IdSource
    from ._receipt import ReceiptMoment
    from ._routes import Route
    from ._run import Run
    from ._server import Server
    from ._subscription import Subscription
    from .durable._kept import Handover, Keeping

# A lock that nobody ever waits for: the thread that runs the bus has it. Asking a lock whether it is ours is how to
# find out which thread this is in a fifth of the time that the number of the thread takes.
Owner: Any = RLock
Full: TypeAlias = "list[tuple[Actor, AnyDelivery]]"  # whose mailbox is full, and what it could not take

TURN = 32  # publishes without giving others a turn: a publisher in a loop must not starve its subscribers


@enum.unique
class _Offered(enum.Enum):
    """What an offer means for the publisher."""

    SETTLED = "settled"  # taken, or ended by a policy that the publisher need not know of
    TO_WAIT = "to wait"
    REFUSED = "refused"


@final
class Publisher:
    """The publishing side of one run of a bus."""

    __slots__ = ("_run", "_turn", "_turning", "end_of_slice", "ids", "moment", "owner", "routes")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._turn = TURN
        self._turning = 0  # how many let others have their turn just now
        # For those who publish the fast way, see `_fast_publishing.py`.
        self.owner: Any = Owner()
        self.owner.acquire()
        self.ids: IdSource = run.ids
        self.end_of_slice: int = run.slice - 1  # the number of the publish before which others have their turn
        self.routes: dict[type, Route] = run.routes.known
        self.moment: ReceiptMoment | None = None  # the clocks in this turn of the event loop, once somebody has looked

    # ── the clocks ──

    def look(self, route: Route) -> ReceiptMoment:
        """Look at the clocks, once in a turn of the event loop: looking costs more than a mailbox does."""
        moment = (*self.ids.look(), self._run.now())
        # Whoever is about to be woken forgets it in the next turn. If nobody is, somebody has to be asked to.
        is_woken = route.mailboxes[0].sleeper is not None
        is_temporary = self._turning or is_woken or self._run.next_turn.ask()
        self.moment = moment if is_temporary else None
        return moment

    async def let_others(self) -> None:
        """Let others have their turn, and forget the moment then."""
        self._turning += 1
        try:
            await self._run.turn()
        finally:
            self._turning -= 1
            self.moment = None

    def forget_moment(self) -> None:
        """Another turn has begun."""
        self.moment = None

    def is_open_to_threads(self) -> bool:
        """Tell, in any thread, whether this is another one and the bus runs: False may be wrong, True is right."""
        return bool(self.routes) and not self.owner._is_owned()

    # ── publishing ──

    async def turn(self) -> None:
        """Let others have their turn, and begin another slice."""
        await self.let_others()
        self.end_of_slice = self.ids.count + self._run.slice

    def check_open(self, receipt: Receipt | None = None, *, from_handler: bool) -> None:
        """Raise BusClosed unless the bus takes events now: from handlers also while it drains."""
        phase = self._run.phase
        if phase is not Phase.RUNNING and not may_publish(phase, from_handler=from_handler):
            raise BusClosed(self._run.name, str(phase), receipt)

    async def publish(
        self,
        envelope: Envelope[Any],
        receipt: Receipt,
        on_behalf: Server | None = None,
        *,
        is_late: bool = False,
        handover: Handover | None = None,
    ) -> Receipt:
        """Offer *envelope* to all it matches and wait for room where that is asked for.

        *on_behalf*: whose handler publishes from a thread. *is_late*: it was handed over while the bus took events.
        *handover*: it comes out of an outbox, whose relay waits for the commit of many events at a time.
        """
        self._turn -= 1
        if not self._turn:
            self._turn = TURN
            await anyio.lowlevel.checkpoint()
        server = own_server(self._run) if on_behalf is None else on_behalf
        from_handler = is_late or server is not None
        self.check_open(receipt, from_handler=from_handler)
        if self._run.dormant and await self._run.dormant.activate_many(envelope, from_handler=from_handler):
            self.check_open(receipt, from_handler=from_handler)
        full, refused, keeping = self._offer_all(envelope, receipt, may_wait=True, handover=handover)
        if keeping is None or handover is not None:
            return await self._taken_by_all(full, refused, receipt, server, on_behalf)
        try:
            await self._taken_by_all(full, refused, receipt, server, on_behalf)
        except BaseException:  # raised again: whoever publishes knows what is committed, however that ended
            await keeping.wait()
            raise
        await keeping.confirmed(receipt)
        return receipt

    async def publish_rest(self, receipt: Receipt, taken: int) -> Receipt:
        """Go on the long way: the first *taken* mailboxes of its route have *receipt*, the next one may be full."""
        full, refused = self._offer_rest(receipt, taken)
        return await self._taken_by_all(full, refused, receipt, None, None)

    def publish_rest_nowait(self, receipt: Receipt, taken: int) -> Receipt:
        """Go on the long way, without waiting."""
        return self._taken_by_most(*self._offer_rest(receipt, taken), receipt)

    async def _taken_by_all(
        self, full: Full, refused: list[str], receipt: Receipt, server: Server | None, on_behalf: Server | None
    ) -> Receipt:
        """Wait for room where it was missing, and say who refused."""
        if full:
            # A task or thread that a handler started beside itself waits alone; a server waits with its whole mailbox.
            waits = server is not None and (on_behalf is not None or server.runs_here)
            refused += await self._wait(full, receipt, server, waits=waits)
        if refused:
            raise MailboxFull(refused, receipt)
        return receipt

    def publish_nowait(self, envelope: Envelope[Any], receipt: Receipt) -> Receipt:
        """Offer *envelope* to all it matches; where a publisher would have to wait, it is refused."""
        self.check_open(receipt, from_handler=own_server(self._run) is not None)
        full, refused, _ = self._offer_all(envelope, receipt, may_wait=False)
        return self._taken_by_most(full, refused, receipt)

    def _taken_by_most(self, full: Full, refused: list[str], receipt: Receipt) -> Receipt:
        for actor, delivery in full:
            actor.rejected(delivery, RejectReason.FULL)
            refused.append(actor.name)
        if refused:
            raise MailboxFull(refused, receipt)
        return receipt

    # ── routing ──

    def _offer_all(
        self, envelope: Envelope[Any], receipt: Receipt, *, may_wait: bool, handover: Handover | None = None
    ) -> tuple[Full, list[str], Keeping | None]:
        """Route *envelope* and offer it; give those whose mailbox is full and that want the publisher to wait, who
        refused it, and whether it is being committed.
        """
        routed = self._route(envelope, receipt)
        had_by: Container[str] = () if handover is None else handover.had_by
        if had_by:
            routed = [each for each in routed if each[0].name not in had_by]
        keeper = self._run.keeper
        keeping = None if keeper is None else keeper.prepare(envelope, routed, may_wait=may_wait, handover=handover)
        open_receipt(receipt, envelope.id, [actor.name for actor, _ in routed])
        self._run.published_slowly += 1
        if not routed and not had_by:
            self._run.undeliverable_event(envelope)
        full, refused = self._offer_each(routed)
        if keeping is not None:
            keeping.submit()
        return full, refused, keeping

    def _offer_rest(self, receipt: Receipt, taken: int) -> tuple[Full, list[str]]:
        """Offer a plain event to all mailboxes of its route but the first *taken*."""
        run, route = self._run, route_of(receipt)
        self.forget_moment()  # nobody may have been woken
        particulars(receipt, taken)
        envelope = envelope_of(receipt)
        run.published_slowly += 1
        for mailbox in route.mailboxes[:taken]:
            mailbox.taken += 1
        actors = [run.actors[name] for name in route.names[taken:]]
        return self._offer_each([(actor, self.new_delivery(actor, envelope, receipt)) for actor in actors])

    def _offer_each(self, routed: list[tuple[Actor, AnyDelivery]]) -> tuple[Full, list[str]]:
        full: Full = []
        refused: list[str] = []
        for actor, delivery in routed:
            offered = self._offer(actor, delivery)
            if offered is _Offered.TO_WAIT:
                full.append((actor, delivery))
            elif offered is _Offered.REFUSED:
                refused.append(actor.name)
        return full, refused

    def _route(self, envelope: Envelope[Any], receipt: Receipt) -> list[tuple[Actor, AnyDelivery]]:
        """Decide who gets *envelope*, with predicates and keys: what raises here raises before anything happened, but
        that some who were dormant are active.
        """
        actors = self._run.dormant.activated(self.matching(envelope))
        return [(actor, self.new_delivery(actor, envelope, receipt)) for actor in actors]

    def matching(self, envelope: Envelope[Any]) -> list[Actor | Subscription]:
        """Give who wants *envelope*: actors, and subscriptions that are dormant."""
        matching: list[Actor | Subscription] = []
        event: object = envelope.event
        entries = self._run.router.route(type(event), envelope.topic)
        self._remember(type(event), envelope.topic, entries)
        for entry in entries:
            settings = entry.settings
            if envelope.priority not in settings.priorities:
                continue
            when = settings.when
            if when is not None and not _ask_user(when, envelope.event, entry, "predicate (when=)", bool):
                continue
            matching.append(entry)
        return matching

    def _remember(self, kind: type, topic: str | None, entries: Sequence[Actor | Subscription]) -> None:
        """Let events of the class *kind* go the fast way from now on, if that would do all that is to be done."""
        is_open = self._run.phase is Phase.RUNNING and not self._run.instruments.sees_each
        is_open = is_open and topic is None and bool(entries)
        if is_open and is_safe_key(kind) and kind not in self.routes:
            actors = [entry for entry in entries if isinstance(entry, Actor) and entry.is_plain]
            if len(actors) == len(entries):
                self._run.routes.remember(kind, actors, self._run.router.most_routes)

    def new_delivery(self, actor: Actor, envelope: Envelope[Any], receipt: Receipt) -> AnyDelivery:
        """Make the delivery of *envelope* to *actor*, with its key."""
        delivery: AnyDelivery = Delivery(envelope, actor.name, receipt, envelope.serial)
        if actor.is_keyed:
            delivery.key = _ask_user(actor.key_of, envelope.event, actor, "key function", hash)
        if actor.duplicates is not None:
            by, role = actor.duplicate_key_of, "de-duplication key (by=)"
            delivery.duplicate_key = _ask_user(by, envelope, actor, role, hash)
        if actor.settings.context == "delivery":
            delivery.context = contextvars.copy_context()
        return delivery

    # ── offering ──

    def _offer(self, actor: Actor, delivery: AnyDelivery) -> _Offered:
        """Offer *delivery*, and say what that means for its publisher."""
        actor.routed(delivery)
        if actor.presence.is_for_good:
            actor.bury(delivery, DeadLetterReason.ACTOR_STOPPED)
        elif actor.is_duplicate(delivery):
            actor.dropped(delivery, DropReason.DUPLICATE)
        elif (
            isinstance(actor.settings.overflow, Coalesce) and (replaced := actor.mailbox.coalesce(delivery)) is not None
        ):
            actor.accepted(delivery)
            actor.dropped(replaced, DropReason.COALESCED)
        elif not actor.mailbox.has_room:
            return self._overflow(actor, delivery)
        elif delivery.kept is None:
            actor.take_in(delivery)
        else:
            delivery.kept.offered(actor, delivery)
        return _Offered.SETTLED

    def _overflow(self, actor: Actor, delivery: AnyDelivery) -> _Offered:
        """The mailbox is full: do what the subscription's policy says."""
        overflow = actor.settings.overflow
        match overflow:
            case WaitForRoom():
                return _Offered.TO_WAIT
            case Reject():
                actor.rejected(delivery, RejectReason.FULL)
                return _Offered.REFUSED
            case DropOldest() | Coalesce():
                self._drop_for(actor, delivery)
            case DropNewest():
                actor.dropped(delivery, DropReason.NEWEST)
            case DeadLetterNewest():
                actor.bury(delivery, DeadLetterReason.OVERFLOW)
            case _:
                assert_never(overflow)
        return _Offered.SETTLED

    def _drop_for(self, actor: Actor, delivery: AnyDelivery) -> None:
        dropped = actor.mailbox.drop_for(delivery)
        if dropped is delivery:
            actor.dropped(delivery, DropReason.NEWEST)
            return
        actor.take_in(delivery)
        actor.dropped(dropped, DropReason.OLDEST)

    # ── waiting ──

    async def _wait(self, full: Full, receipt: Receipt, server: Server | None, *, waits: bool) -> list[str]:
        """Wait for room in *full*; give the names of those whose limit on the wait ran out."""
        if waits and server is not None:
            self._refuse_deadlock(server, full, receipt)
        waiting = WaitingPublisher(self._run, from_handler=server is not None)
        for actor, delivery in full:
            overflow = actor.settings.overflow
            assert isinstance(overflow, WaitForRoom)
            waiting.wait_for(actor, delivery, overflow.limit)
        try:
            with self._run.waits.entered(server if waits else None, lambda: waiting.actors):
                await waiting.wait()
        except BaseException as error:  # raised again: the note is how a cancelled publish says who has taken the event
            error.add_note(f"publish: {receipt!r} accepted by {receipt.accepted}, withdrawn from {receipt.withdrawn}")
            raise
        if RejectReason.CLOSED in waiting.refused.values():
            raise BusClosed(self._run.name, str(self._run.phase), receipt)
        return [name for name, reason in waiting.refused.items() if reason is RejectReason.FULL]

    def _refuse_deadlock(self, server: Server, full: Full, receipt: Receipt) -> None:
        cycle = self._run.waits.cycle(server.actor, [actor for actor, _ in full])
        if cycle is not None:
            for actor, delivery in full:
                actor.rejected(delivery, RejectReason.DEADLOCK)
            raise WouldDeadlock(cycle, receipt)


def own_server(run: Run) -> Server | None:
    """Give the server whose handler is running here, if it is one of *run*."""
    server = current_server.get()
    return server if server is not None and server.actor.run is run else None


def _ask_user(
    function: Callable[[Any], Any], argument: Any, of: Actor | Subscription, role: str, use: Callable[[Any], object]
) -> Any:
    """Call a function of the user's while routing, and try the *use* that will be made of its answer."""
    try:
        answer = function(argument)
        use(answer)
    except Exception as error:  # whatever it raises: nothing was accepted, and the publisher learns why
        raise RouteError(of.name, role) from error
    return answer
