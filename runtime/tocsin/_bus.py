"""The bus: declared once, run as often as wanted, the one object that users hold."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager, nullcontext
from random import Random
from typing import TYPE_CHECKING, Any, final

import anyio

from tocsin_supervisors import DeadLetterOffice, Strategy, safe_text
from tocsin_supervisors._checks import check_stall_threshold

from ._asking import ask as ask_actor
from ._asking import whom_to_ask
from ._composing import cause_of, check_duration, compose
from ._fast_publishing import NOBODY
from ._forks import watch_forks
from ._lifecycle import Phase, is_over
from ._observing import check_observer
from ._plugins import checked_plugins
from ._publishing import own_server
from ._publishing_from_threads import PublishingFromThreads
from ._receipt import Receipt
from ._registry import default_intensity
from ._replay import replay as replay_letters
from ._snapshot import snapshot
from ._statistics import NEVER_RAN
from ._stopping import StopReport
from ._subscription import Subscription
from .exceptions import (
    BusAlreadyRunning,
    BusClosed,
    BusNotRunning,
    ForkedProcess,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from typing import Unpack

    from tocsin_supervisors import Conditions, Finding, RestartIntensity

    from ._ledger import Ledger
    from ._observing import Observer
    from ._plugins import Plugin
    from ._publish_options import PublishOptions
    from ._registry import Group, Registrar
    from ._replay import ReplayReport
    from ._run import Run
    from ._statistics import BusStatistics
    from ._stopping import Stopper
    from .durable._outbox import Outbox
    from .durable._store import Store


@final
class EventBus(PublishingFromThreads):
    """An event bus whose subscribers are supervised actors.

    Declare it at import, subscribe to it, then run it::

        bus = EventBus("shop")

        @bus.subscriber(OrderPlaced)
        async def confirm(order: OrderPlaced) -> None: ...

        async with bus.running():
            await bus.publish(OrderPlaced("o-1"))

    *observer* is called with every `Report`, in order: an asynchronous one in a task, a plain one in a worker thread of
    its own. It cannot hold anything up; when it is more than 10,000 reports behind, it loses some
    (`statistics().reports_lost`). *dead_letters* is the office to use, by default one that keeps 1,000 letters in
    memory. *dead_letter_undeliverable* keeps events that matched nobody there, too. *strategy* and *intensity* are
    those of the top supervisor. *stall_threshold*: after how many seconds without a turn of the event loop a thread
    names the actor whose code blocks it, and the line, in the log and to the observer (`LoopStalled`); None: nobody
    watches. *store* keeps what durable subscriptions have accepted, and dead letters, over the end of the process; see
    `tocsin.durable`. *outbox* brings what was added in transactions of the application's own. *plugins* look on while
    the bus runs, the first one outermost; see `Plugin`. *measure_times*: take the time of each attempt, for `p50` and
    `p99` in the statistics; it costs two looks at the clock for each, and a kilobyte for each subscription. *random* is
    the source of jitter, for reproducible tests.

    Everything but `publish_from_thread` must be called in the thread and loop that run the bus.
    """

    def __init__(
        self,
        name: str = "bus",
        *,
        observer: Observer | None = None,
        dead_letters: DeadLetterOffice[Any] | None = None,
        dead_letter_undeliverable: bool = False,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        stall_threshold: float | None = None,
        store: Store | None = None,
        outbox: Outbox | None = None,
        plugins: Iterable[Plugin] = (),
        measure_times: bool = False,
        random: Random | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check
            raise TypeError(f"name={name!r}: the name of a bus is a text that is not empty")
        if observer is not None:
            check_observer(observer)
        self.names: dict[str, Subscription | Group] = {}  # of all that are declared, also in groups
        super().__init__(name, strategy=strategy, intensity=default_intensity() if intensity is None else intensity)
        self.observer = observer
        self.dead_letters: DeadLetterOffice[Any] = DeadLetterOffice() if dead_letters is None else dead_letters
        self.dead_letter_undeliverable = dead_letter_undeliverable
        if stall_threshold is not None:
            check_stall_threshold(stall_threshold)
        self.stall_threshold: float | None = stall_threshold
        self.store: Store | None = store  # of the next run: it may be set as long as none is up
        self.outbox: Outbox | None = outbox  # of the next run, as the store
        self.plugins: tuple[Plugin, ...] = checked_plugins(plugins)  # of the next run, as the store
        self.measure_times: bool = measure_times  # in the next run, as the store
        self.random: Random = Random() if random is None else random  # jitter needs no secrecy
        self._run: Run | None = None  # the one that is up, or the last one
        self._stopper: Stopper | None = None
        self._publisher = NOBODY
        watch_forks(self)

    # ── what is declared ──

    @property
    def bus(self) -> EventBus:
        """Itself: groups ask their parent, and the bus is the last parent."""
        return self

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """The subscriptions declared on the bus and its groups, by name, in order."""
        return {subscription.name: subscription for subscription in self.all_subscriptions()}

    def group_names(self) -> frozenset[str]:
        """The names of all groups, nested ones included."""
        return frozenset(group.name for group in self.all_groups())

    @property
    def registrar(self) -> Registrar | None:
        """The run that is up, for those who subscribe while running."""
        return None if self._run is None or is_over(self._run.phase) else self._run.members

    def explain(self, *, shutdown_deadline: float = 30.0) -> tuple[Finding, ...]:
        """Say in sentences what in the declared tree will not do what its numbers promise; see `Supervisor.explain`.

        Of what is very likely a mistake, `running` warns as well (`SupervisionWarning`).
        """
        from ._tree import explain  # only here, as what carries a run

        return explain(self, check_duration("shutdown_deadline", shutdown_deadline))

    # ── running ──

    @asynccontextmanager
    async def running(
        self, *, drain_timeout: float = 30.0, shutdown_deadline: float = 30.0
    ) -> AsyncGenerator[EventBus, None]:
        """Run the bus for as long as the block lasts: start the supervision tree, and at the end drain it, then stop
        it, last child first.

        Entered, every actor has started, in order of declaration; if one does not start, those before it are stopped in
        reverse and ChildStartError is raised. Left normally, no new events are taken, what was accepted is handled
        within *drain_timeout* seconds (30: what Kubernetes grants), and what is left then is in `stop_report`. Left by
        an exception or a cancellation, native ones of asyncio included, there is no drain, but the same ordered stop:
        each actor may finish its delivery within its grace period, all of them within *shutdown_deadline* seconds. When
        the tree gives up, the block is cancelled and RestartIntensityExceeded is raised; KeyboardInterrupt and
        SystemExit from a handler come out as themselves.

        One run at a time; later ones, also on another loop or backend, start with empty mailboxes and statistics. Raise
        ValueError if a subscription is durable, or there is an outbox, and the bus has no store, StoreError if that
        cannot be used.
        """
        check_duration("drain_timeout", drain_timeout)
        check_duration("shutdown_deadline", shutdown_deadline)
        if self.registrar is not None:
            raise BusAlreadyRunning(f"{self!r} is running already: a bus runs once at a time, make a second one")
        missing = self.without_a_store()
        if missing is not None:
            raise ValueError(missing)
        # Only here: what carries a run is a third of the library, and an import should not take the time of it.
        from ._lifetime import lifetime

        async with lifetime(self, drain_timeout=drain_timeout, shutdown_deadline=shutdown_deadline):
            yield self

    def note_fork(self) -> None:
        """Called in a forked child: the tasks of a run stayed with the parent."""
        if self._run is not None and not is_over(self._run.phase):
            self._run.phase = Phase.FORKED
            self.detach()

    def attach(self, run: Run, stopper: Stopper) -> None:
        """Take *run* as the one that is up; called by the run itself before its tree starts."""
        self._run, self._stopper, self._publisher = run, stopper, run.publisher

    def detach(self) -> None:
        """Take no more events: the run is over."""
        self._publisher = NOBODY

    async def drain(self, timeout: float = 30.0) -> bool:  # noqa: ASYNC109  # it gives up waiting, and raises nothing
        """Take no new events, and wait until everything accepted has ended, *timeout* seconds at most.

        True: nothing is left.

        Handlers may go on publishing what follows from their work. The bus takes nothing again after a drain; stop it.
        Cancelled, it stays draining. In a handler it waits in vain, for that handler, too.
        """
        run = self._up()
        return await run.drain(check_duration("timeout", timeout))

    def request_stop(self, *, drain_timeout: float = 30.0) -> None:
        """Ask the bus to drain and stop, and return at once.

        Idempotent; a later call with a shorter *drain_timeout* makes it quicker.

        Safe from inside of handlers and from signal receivers of the loop. The body of `running()` is not cancelled: it
        may wait for `wait_stopped()`.
        """
        stopper = self._its_stopper()
        check_duration("drain_timeout", drain_timeout)
        stopper.request(drain_timeout)

    async def stop(self, *, drain_timeout: float = 30.0) -> StopReport | None:
        """Drain and stop, and give the report. Idempotent, and any number may call it at a time.

        From inside of a handler it only asks for the stop and gives None: waiting there would be waiting for itself.
        Cancelled, the stop goes on.
        """
        self.request_stop(drain_timeout=drain_timeout)
        run = self._run
        assert run is not None
        if own_server(run) is not None:
            await anyio.lowlevel.checkpoint()
            return None
        return await self.wait_stopped()

    async def wait_stopped(self) -> StopReport:
        """Wait until the bus has stopped, whoever asked for it, and give the report: the body of a daemon."""
        return await self._its_stopper().stopped()

    @property
    def stop_report(self) -> StopReport | None:
        """What the last stop left behind; None before the first one."""
        return None if self._stopper is None else self._stopper.report

    # ── publishing ──

    async def publish_many(self, events: Iterable[object], **options: Unpack[PublishOptions]) -> list[Receipt]:
        """Publish *events* one after the other, with the same options, and give a receipt for each.

        Interrupted or refused, those before are published.
        """
        return [await self.publish(event, **options) for event in events]

    async def ask(
        self,
        event: object,
        *,
        to: str | Subscription | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109  # it says more than fail_after: who did not answer, and the withdrawal
        **options: Unpack[PublishOptions],
    ) -> Any:
        """Put a question to one actor and give the return value of its handler.

        *to* names the subscription; without it exactly one must match the event (those for `object` do not count). The
        question waits in the mailbox like any delivery, but is attempted once only. Raise AskTimeout after *timeout*
        seconds (5, as OTP's call), AskFailed when the handler raised, ActorRestarting or ActorStopped at once when
        nobody is there to answer, WouldDeadlock, NobodyToAsk. Cancelled or late, the question is withdrawn.
        """
        run = self._up()
        run.publisher.check_open(from_handler=own_server(run) is not None)
        check_duration("timeout", timeout)
        announce = run.instruments.announce
        with nullcontext() if announce is None else announce(event, options, None):
            envelope = compose(run, event, options, cause_of(own_server(run)))
            return await ask_actor(run, whom_to_ask(run, envelope, to), envelope, timeout)

    # ── dead letters ──

    async def replay(
        self,
        *,
        rate: float | None = None,
        dry_run: bool = False,
        **conditions: Unpack[Conditions],
    ) -> ReplayReport:
        """Have dead letters handled once more: each by the subscription that failed, oldest first, *rate* of them a
        second at most.

        *conditions* choose the letters as in `dead_letters.list`. Each letter leaves the office as its
        mailbox takes it, with its attempts counted anew and its event id kept; if it fails again, a new letter carries
        the history on. A letter that nobody matched is published again. What cannot be replayed stays in the office,
        and the report says why. *dry_run* only says what would be replayed. Raise BusClosed when the bus takes no
        events. Cancelled, the letters not yet taken are in the office.
        """
        run = self._up()
        run.publisher.check_open(from_handler=own_server(run) is not None)
        if rate is not None and not (type(rate) in (int, float) and 0 < rate < math.inf):
            raise ValueError(f"rate={rate!r}: must be letters per second, above 0, or None for no limit")
        return await replay_letters(run, self.dead_letters.list(**conditions), rate=rate, dry_run=dry_run)

    # ── being looked at ──

    @property
    def phase(self) -> str:
        """Where it is between start and stop: new, starting, running, draining, stopping or stopped; forked, in a child
        of the process that runs it. In any thread, and at the cost of reading an attribute.
        """
        return str(Phase.NEW if self._run is None else self._run.phase)

    def statistics(self) -> BusStatistics:
        """Give a frozen snapshot: phase, ledger, tree, and the counters and gauges of each subscription.

        Costs about 10 µs per subscription.
        """
        return snapshot(self, self._run)

    def ledger(self) -> Ledger:
        """Give the ledger of the current or last run; its `balanced` is the proof that nothing was lost."""
        return NEVER_RAN if self._run is None else self._run.ledger()

    def __repr__(self) -> str:
        if self._run is None:
            return f"<EventBus {safe_text(self.name)} new, {len(self.subscriptions)} subscriptions>"
        queued = sum(actor.mailbox.queued for actor in self._run.actors.values())
        count = len(self.subscriptions)
        return f"<EventBus {safe_text(self.name)} {self._run.phase}, {count} subscriptions, {queued} queued>"

    # ── inside ──

    def is_idle(self) -> bool:
        """True when nothing is left that an actor may still handle, as far as it was published by now."""
        return self._run is None or self._run.is_idle()

    def _up(self) -> Run:
        """Give the run that is up, after checking that this is its thread. One that is over belongs to none."""
        run = self._up_or_over()
        if is_over(run.phase):
            raise BusClosed(self.name, str(run.phase))
        run.check_thread()
        return run

    def _its_stopper(self) -> Stopper:
        """Give what ends the run that is up, or has ended the last one; while it is up, in its own thread only."""
        run = self._up_or_over()
        if not is_over(run.phase):
            run.check_thread()
        assert self._stopper is not None
        return self._stopper

    def _up_or_over(self) -> Run:
        run = self._run
        if run is None:
            raise BusNotRunning(f"bus {self.name!r} is not running: use it inside of `async with bus.running():`")
        if run.phase is Phase.FORKED:
            raise ForkedProcess(
                f"bus {self.name!r} runs in the parent of this forked process: start a bus here, or spawn, not fork"
            )
        return run
