"""One run of a bus, from `running()` to its end: everything that belongs to a loop and must not outlive it.

Who changes what: the phase moves forward only, in `enter`. Actors are made by `_tree` and by `start_actor`, removed by
`end_actor`. `pending` counts deliveries that have not ended; when it reaches what parked actors hold, a drain is
complete. What is published the fast way is counted by its routes, and entered into the accounts when somebody looks.
"""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, final

import anyio

import tocsin_supervisors as supervision

from ._actor import Actor
from ._backends import NextTurn, can_watch_tasks, monotonic_clock, sleepers, slice_length, turns
from ._composing import compose
from ._dormant import Dormant
from ._envelope import IdSource
from ._instruments import Instruments
from ._ledger import Ledger, add_up
from ._lifecycle import Phase, ends, forward, may_publish
from ._log import BusLog
from ._members import Members
from ._observing import Reporter
from ._outcomes import RejectReason
from ._pausing import left_alone, waiting_in
from ._pool import Pool
from ._posts import Post, PostBox
from ._publishing import Publisher
from ._receipt import Receipt
from ._reports import EventUndeliverable, PhaseChanged
from ._router import Router
from ._routes import Routes
from ._threads import ThreadBox
from ._time_limits import TimeLimits
from ._timing import HOOKS_OF_TIMES
from ._undertaker import Undertaker
from ._waits import Waits
from .exceptions import BusClosed, WrongThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from ._backends import Sleeper
    from ._bus import EventBus
    from ._delivery import AnyDelivery
    from ._envelope import Envelope
    from ._plugins import Hooks
    from ._reports import Report
    from ._subscription import Subscription
    from .durable._keeper import Keeper

THREADS = 40  # worker threads for synchronous handlers of one bus: as many as anyio's own default limiter


@final
class Run:
    """See the module. Made inside the running loop."""

    def __init__(self, bus: EventBus, *, shutdown_deadline: float) -> None:
        self.bus = bus
        self.name: str = bus.name
        self.phase: Phase = Phase.STARTING
        self.shutdown_deadline: float = shutdown_deadline
        self.unkept: int = 0  # changes that the store had not answered at the end
        self.thread: int = threading.get_ident()
        self.now: Callable[[], float] = monotonic_clock()
        self.sleeper: Callable[[], Sleeper] = sleepers()
        self.turn: Callable[[], Awaitable[object]] = turns()
        self.slice: int = slice_length()  # the fairness bound for handlers and publishers that never wait
        self.wall: Callable[[], float] = time.time
        self.limits: TimeLimits = TimeLimits(self.now, self.sleeper, self.turn)
        self.cancelled: type[BaseException] = anyio.get_cancelled_exc_class()
        self.random: Random = bus.random
        self.limiter: anyio.CapacityLimiter = anyio.CapacityLimiter(THREADS)
        self.ids: IdSource = IdSource(self.wall, secrets.randbits)
        self.office: supervision.DeadLetterOffice[Any] = bus.dead_letters
        self.log: BusLog = BusLog(bus.name, self.now)
        self.reporter: Reporter | None = None if bus.observer is None else Reporter(bus.observer)
        self.measures_times: bool = bus.measure_times
        self.instruments: Instruments = Instruments(hooks_of(bus), self.log)
        self.log.more_fields = self.instruments.log_fields
        self.is_observed: bool = self.reporter is not None or self.instruments.reported is not None
        self.routes: Routes = Routes(self.ids.base)
        self.router: Router[Actor | Subscription] = Router(self.routes.clear)
        self.dormant: Dormant = Dormant(self)
        self.publisher: Publisher = Publisher(self)
        self.next_turn: NextTurn = NextTurn(self.publisher.forget_moment)
        self.undertaker: Undertaker = Undertaker(self)
        self.waits: Waits = Waits()
        self.pool: Pool = Pool(self)
        self.can_pool: bool = can_watch_tasks()
        self.box: ThreadBox = ThreadBox(bus.name)
        self.posts: PostBox = PostBox(
            bus.name,
            bus.offer,
            self._publish_post,
            self.turn,
            self.slice,
            self.log.post_failed,
            partial(self.one_ended, 0),
        )
        self.keeper: Keeper | None = None  # with a store, from before the tree starts
        self.actors: dict[str, Actor] = {}  # name → actor, in the order in which they were made
        self.gone: Ledger = Ledger()  # the account of actors that were unsubscribed
        self.published_slowly: int = 0
        self.undeliverable: int = 0
        self.absent: set[Actor] = set()  # parked, or gone: what is in their mailboxes, nobody will handle
        self.paused: set[Actor] = set()  # by request: what waits in their mailboxes, nobody handles for now
        self.is_draining: bool = False
        self._pending: int = 0  # while it drains: deliveries that have not ended
        # Also set when there is nothing to wait for any more, because the bus stops.
        self.drained: anyio.Event = anyio.Event()
        self._drains: set[anyio.CancelScope] = set()
        self.reporter_scope: anyio.CancelScope = anyio.CancelScope(shield=True)
        self.background: anyio.abc.TaskGroup | None = None  # for ends that go on when who asked for them was cancelled
        self.members: Members = Members(self)
        self.root: supervision.Supervisor = self.members.tree(shutdown_deadline)

    # ── small things that many ask for ──

    def check_thread(self) -> None:
        """Raise WrongThread unless this is the thread that runs the bus."""
        if threading.get_ident() != self.thread:
            raise WrongThread(
                f"bus {self.name!r} runs in another thread: only publish_from_thread may be called from here"
            )

    def wall_now(self) -> datetime:
        """Give the wall clock, for people: nothing is timed by it."""
        return datetime.now(UTC)

    def report(self, report: Report) -> None:
        """Hand *report* to the observer, if there is one."""
        if self.instruments.reported is not None:
            self.instruments.reported(report)
        if self.reporter is not None:
            self.reporter.put(report)

    def undeliverable_event(self, envelope: Envelope[Any]) -> None:
        """Nobody matched *envelope*: count it, tell of it, keep it if the bus was asked to."""
        self.undeliverable += 1
        if self.is_observed:
            event: object = envelope.event
            kind = supervision.qualified_name(type(event))
            self.report(EventUndeliverable(event_id=envelope.id, event_type=kind, topic=envelope.topic, at=self.now()))
        if self.bus.dead_letter_undeliverable:
            self.undertaker.bury_undeliverable(envelope)

    def ledger(self) -> Ledger:
        """Add up the accounts of all actors, past ones included."""
        self.routes.count()
        return add_up([self.gone, *(actor.ledger() for actor in self.actors.values())])

    @property
    def published(self) -> int:
        """How many events were taken from publishers."""
        return self.published_slowly + self.routes.count()

    def close_routes(self) -> None:
        """Let receipts that outlive this run hold nothing of it."""
        self.routes.close()
        self.bus.detach()

    # ── phases ──

    async def close_store(self) -> None:
        """Have everything kept that was to be kept, and let go of the store, if there is one. Idempotent."""
        if self.keeper is not None:
            await self.keeper.close(self.shutdown_deadline)
            self.unkept = self.keeper.unanswered

    def enter(self, phase: Phase) -> None:
        """Move forward to *phase*; publishers that wait for room and may not go on in it are refused."""
        entered = forward(self.phase, phase)
        if entered is self.phase:
            return
        self.phase = entered
        self.routes.clear()
        if entered is Phase.DRAINING:
            self._begin_to_drain()
        if ends(entered):
            self.drained.set()
        self.report(PhaseChanged(bus=self.name, phase=str(entered), at=self.now()))
        for actor in self.actors.values():
            for delivery, publisher in actor.mailbox.blocked():
                if not may_publish(entered, from_handler=publisher.from_handler):
                    publisher.refuse(delivery, RejectReason.CLOSED)

    def _begin_to_drain(self) -> None:
        """From here on deliveries are counted one by one: whoever drains waits for the last."""
        self.is_draining = True
        self._pending = self.ledger().live
        for actor in self.actors.values():
            actor.mailbox.look_up()
        for actor in self.paused:
            self.log.left_over(actor, waiting_in(actor))

    async def _publish_post(self, post: Post) -> None:
        """Publish what another thread has handed over: also while the bus drains, as it was handed over before."""
        # With plug-ins that want to know of publishes, they have been told of this one already.
        if not post.options and post.cause is None and self.instruments.announce is None:
            try:
                await self.bus.publish(post.event)
            except BusClosed as closed:
                if closed.receipt is not None and closed.receipt.event_id is not None:
                    raise  # some have taken it
            else:
                return
        envelope = compose(self, post.event, post.options, post.cause)
        await self.publisher.publish(envelope, Receipt(), is_late=True)

    def one_routed(self) -> None:
        """There is one more delivery that must end."""
        if self.is_draining:
            self._pending += 1

    def one_ended(self, count: int = 1) -> None:
        """A delivery has ended: see whether that was the last one that a drain waits for."""
        if self.is_draining:
            self._pending -= count
            if self.phase is Phase.DRAINING and self.is_idle():
                self.drained.set()

    def is_idle(self) -> bool:
        """True when nothing is left that an actor may still handle, as long as those that are paused stay so."""
        pending = self._pending if self.is_draining else self.ledger().live
        return self.posts.is_empty and pending <= left_alone(self)

    async def drain(self, limit: float) -> bool:
        """Take no new events, and wait until what was accepted has ended, for *limit* seconds at most.

        True: nothing is left, but with those who are down for good.

        A stop ends the wait, and so does a shorter limit of it. What paused actors have not begun is not waited for.
        """
        self.enter(Phase.DRAINING)
        if self.is_idle():
            self.drained.set()
        with anyio.CancelScope(deadline=self.now() + limit) as scope:
            self._drains.add(scope)
            try:
                await self.drained.wait()
            finally:
                self._drains.remove(scope)
        return self.is_idle() and not any(waiting_in(actor) for actor in self.paused)

    def shorten_drains(self, limit: float) -> None:
        """Let drains that wait end within *limit* seconds from now."""
        for scope in self._drains:
            scope.deadline = min(scope.deadline, self.now() + limit)

    def take_back_everything(self) -> list[AnyDelivery]:
        """End everything that has not ended; give what had been accepted, in the order of acceptance."""
        left = [each for actor in self.actors.values() for each in actor.take_back_everything(RejectReason.CLOSED)]
        return sorted(left, key=lambda delivery: delivery.number)


def hooks_of(bus: EventBus) -> list[Hooks]:
    """Ask the plug-ins of *bus* what they want to be called for in a run that begins."""
    hooks = [plugin.hooks(bus) for plugin in bus.plugins]
    return [*hooks, HOOKS_OF_TIMES] if bus.measure_times else hooks
