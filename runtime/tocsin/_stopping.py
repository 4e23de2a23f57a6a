"""How a run ends: drain, stop the tree in order, take back what is left, and say so in a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

import anyio
from attrs import frozen

from ._lifecycle import Phase

if TYPE_CHECKING:
    import tocsin_supervisors as supervision

    from ._delivery import AnyDelivery
    from ._envelope import Envelope
    from ._run import Run


@final
@frozen(kw_only=True)
class ReturnedDelivery:
    """One accepted delivery that was not handled before the bus stopped; publish its event again, or store it."""

    envelope: Envelope[Any]
    subscription: str
    attempts: int
    """How many attempts had failed before."""
    was_in_flight: bool
    """True: its handler was running when it was stopped, and may have done part of its work."""
    is_durable: bool = False
    """True: it is in the store, and the next run handles it: there is nothing to be done about it."""

    @property
    def event(self) -> Any:
        """The event itself."""
        return self.envelope.event


@final
@frozen(kw_only=True)
class StopReport:
    """What a stop left behind."""

    returned: tuple[ReturnedDelivery, ...] = ()
    """Accepted and not handled, in the order of acceptance. Empty after a drain that was given enough time, if nobody
    was paused, stopped or parked.
    """
    unpublished: tuple[Any, ...] = ()
    """Events of `post_from_thread` that were still on their way, or that a full mailbox had not taken by then."""
    unstopped: tuple[supervision.Unstopped, ...] = ()
    """Actors that had not ended when their time was up, each with the line it is stuck at."""
    unkept: int = 0
    """Changes that the store had not kept within the shutdown deadline, as a disk that hangs: whether it does so later
    is not known. What was committed before is there."""

    @property
    def handed_back(self) -> tuple[ReturnedDelivery, ...]:
        """Of `returned`, those that are lost unless somebody takes them from here."""
        return tuple(each for each in self.returned if not each.is_durable)

    @property
    def kept(self) -> tuple[ReturnedDelivery, ...]:
        """Of `returned`, those that the store has for the next run."""
        return tuple(each for each in self.returned if each.is_durable)

    def __str__(self) -> str:
        unkept = f", {self.unkept} changes not kept by the store" if self.unkept else ""
        return f"stopped: {len(self.returned)} deliveries returned, {len(self.unstopped)} actors not stopped{unkept}"


@final
class Stopper:
    """Ends one run, once, for whoever asks first; later ones wait for the same end, or make it quicker."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._requested = anyio.Event()
        self._stopped = anyio.Event()
        self._limit = math.inf
        self.report: StopReport | None = None

    def request(self, drain_timeout: float) -> None:
        """Ask for the end, with at most *drain_timeout* seconds for the drain.

        A later, shorter one shortens the drain that runs.
        """
        self._limit = min(self._limit, drain_timeout)
        self._requested.set()
        self._run.enter(Phase.DRAINING)
        self._run.shorten_drains(drain_timeout)

    async def run(self) -> None:
        """Wait until asked, then drain and stop."""
        await self._requested.wait()
        await self._run.drain(self._limit)
        self._run.enter(Phase.STOPPING)
        stop = await self._run.root.stop()
        await self._run.close_store()
        self.finish(stop)

    async def stopped(self) -> StopReport:
        """Wait for the end and give its report."""
        await self._stopped.wait()
        assert self.report is not None
        return self.report

    def finish(self, stop: supervision.SupervisorStopReport | None) -> StopReport:
        """Take back what is left and write the report. Idempotent: the first one counts."""
        if self.report is None:
            self._run.enter(Phase.STOPPED)
            hanging = {delivery for actor in self._run.actors.values() for delivery in actor.in_flight}
            returned = tuple(_returned(each, hangs=each in hanging) for each in self._run.take_back_everything())
            self._run.close_routes()
            self.report = StopReport(
                returned=returned,
                unpublished=tuple(self._run.posts.close()),
                unstopped=() if stop is None else stop.unstopped,
                unkept=self._run.unkept,
            )
            self._stopped.set()
        return self.report


def _returned(delivery: AnyDelivery, *, hangs: bool) -> ReturnedDelivery:
    return ReturnedDelivery(
        envelope=delivery.envelope,
        subscription=delivery.subscription,
        # An attempt that was interrupted is not counted any more; one that still runs did not fail.
        attempts=delivery.attempt - hangs,
        was_in_flight=hangs or delivery.interrupted,
        is_durable=delivery.kept is not None and delivery.kept.is_kept,
    )
