"""The supervisor: a declaration of children that can be run, and administered while it runs."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, final

import anyio.lowlevel

from ._administration import Administered
from ._checks import check_stall_threshold, check_text
from ._declaration import Declaration
from ._options import AutoShutdown, Options, default_intensity
from ._reports import SupervisorStopReport
from ._strategies import Strategy
from .exceptions import SupervisionWarning, SupervisorAlreadyRunning

if TYPE_CHECKING:
    from typing import Self

    from ._children import ChildSpec
    from ._contexts import ChildContext
    from ._intensity import RestartIntensity
    from ._reports import Observer
    from ._supervisor_run import Run


@final
class Supervisor(Administered):
    """Starts children in order, restarts them when they fail, and stops them in reverse order.

    It is a declaration: it may run many times, one at a time, on its own (`running`, `run`) or as the `start` of a
    child of another supervisor. All durations are seconds.

    *strategy*: who is restarted along with a child that failed. *intensity*: how many restarts of its children are too
    many; 30 in 60 s unless said otherwise. *subtree_intensity*: the same for all restarts in it and below it, at
    whatever depth; none, as the supervisors below have limits of their own. *auto_shutdown*: whether it ends when its
    significant children have; then the body of `running` is cancelled, and nothing is raised.

    *template*: a function that returns the `ChildSpec` for the arguments of `start_from_template`, instead of children
    of its own. *max_children*: how many there may be, those down or restarting included; no limit.

    *shutdown_deadline*: how long an ordered stop may take before all that is left is cancelled at once.
    *stall_threshold*: after how long a thread notices that the event loop does not turn, and names the child whose code
    blocks it, and the line: at once in the log "tocsin_supervisors", as `LoopStalled` when it turns again. None: nobody
    watches. One supervisor of a process is enough, the root.
    *observer* is called with each lifecycle report, in the supervisor's own task; what it raises is counted in
    `observer_errors`. Without one, a supervisor that is a child reports to its parent's.
    Raise `TypeError` or `ValueError` that name the option, and what `declare` raises. Warn (`SupervisionWarning`) of
    what is very likely a mistake, see `explain`.
    """

    __slots__ = ("__weakref__", "_earlier_observer_errors", "_last_report", "_random", "_stall_threshold", "observer")

    def __init__(
        self,
        name: str = "supervisor",
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        subtree_intensity: RestartIntensity | None = None,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        template: Callable[..., ChildSpec] | None = None,
        max_children: int | None = None,
        shutdown_deadline: float = 30.0,
        stall_threshold: float | None = None,
        observer: Observer | None = None,
        random: Random | None = None,
    ) -> None:
        options = Options(
            strategy=strategy,
            intensity=default_intensity() if intensity is None else intensity,
            subtree_intensity=subtree_intensity,
            auto_shutdown=auto_shutdown,
            template=template,
            max_children=max_children,
            shutdown_deadline=shutdown_deadline,
        )
        _check(name, observer, random)
        if stall_threshold is not None:
            check_stall_threshold(stall_threshold)
        self.name = name
        self.observer: Observer | None = observer
        self._stall_threshold = stall_threshold
        self._random = Random() if random is None else random
        self._declaration = Declaration(name, options)
        self._incarnations: dict[str, int] = {}
        self._from_template = 0
        self._run: Run | None = None
        self._last_report = SupervisorStopReport()
        self._earlier_observer_errors = 0
        self._declaration.add_all(children)
        for text in self._likely_mistakes():
            warnings.warn(text, SupervisionWarning, stacklevel=2)

    def declare(self, spec: ChildSpec) -> None:
        """Add a child to those that every run starts with. One that runs now does not start it: see `start_child`.

        Raise `DuplicateChild`, `TooManyChildren`, `BadCombination` or `TemplateSupervisor`.
        """
        self._declaration.add(spec)

    @property
    def options(self) -> Options:
        """Its options as they are now; `reconfigure` changes them."""
        return self._declaration.options

    # ── running ──

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self, None]:
        """Run beside the body: enter when all children are up, stop them in order when it is left.

        An error of the body passes through as itself. When the supervisor gives up, or a child raises what ends
        programs, the body is cancelled and that error is raised, not in a group; both at once make a group, unless the
        body's only says that a request was refused because the supervisor ends. When its significant children have
        ended (`auto_shutdown`), the body is cancelled and nothing is raised.
        Cancelled, from a scope or natively, the children are still stopped in order, within `shutdown_deadline`.
        Raise `ChildStartError` if a child does not start; those started before it are stopped again.
        """
        run = self._begin(None)
        try:
            async with self._hosted(run):
                yield self
        finally:
            self._end(run)

    async def run(self) -> None:
        """Run until stopped by `request_stop` or `stop`, or cancelled; raise as `running` does."""
        run = self._begin(None)
        try:
            async with self._hosted(run):
                await run.over.wait()
        finally:
            self._end(run)

    async def live_as_child(self, context: ChildContext) -> None:
        """Run as an incarnation of a child of another supervisor; called by it."""
        run = self._begin(context)
        context.on_cut = run.cut
        context.on_stop(run.request_stop)
        try:
            async with self._hosted(run):
                context.started(self)
                await run.over.wait()
        finally:
            self._end(run)

    def _hosted(self, run: Run) -> AbstractAsyncContextManager[None]:
        from ._supervisor_host import hosted  # only here, see `_begin`

        if self._stall_threshold is None:
            return hosted(run)
        from ._supervisor_stalls import watch_for_stalls  # only here: who watches nothing does not pay for it

        return hosted(run, partial(watch_for_stalls, run, self._stall_threshold, self.count_stall))

    def _likely_mistakes(self) -> list[str]:
        from ._advice import explain_own  # only here: an import of the package should not take the time of its advice

        return [str(finding) for finding in explain_own(self.advice_view()) if finding.severity == "warning"]

    def _begin(self, parent: ChildContext | None) -> Run:
        # Only here: who declares a supervisor, or imports the package, does not wait for what only a run needs.
        from ._decisions import Machine
        from ._supervisor_run import Run

        path = self.name if parent is None else parent.path
        if self._run is not None:
            raise SupervisorAlreadyRunning(path)
        observer = self.observer if self.observer is not None or parent is None else parent.host.observer
        machine = Machine(
            path,
            self._declaration.specs.values(),
            options=self._declaration.options,
            random=self._random,
            incarnations=self._incarnations,
        )
        self._run = run = Run(machine, observer, parent, self._forget)
        return run

    def _end(self, run: Run) -> None:
        self._last_report = run.stop_report()
        self._earlier_observer_errors += run.observer_errors
        self._run = None
        # It is being raised, and its traceback leads through frames that hold the run: a circle, unless it is let go.
        run.error = run.machine.error = None
        for child in list(self._incarnations):
            self._forget(child)

    # ── stopping ──

    def request_stop(self) -> None:
        """Begin the ordered stop, from wherever in the loop's thread, also from a child. Does nothing when it has
        begun."""
        if self._run is not None:
            self._run.request_stop()

    async def stop(self) -> SupervisorStopReport:
        """Stop in order and give a report, when all are down or all that is left hangs. Any number of callers may wait.

        From inside a child it only requests the stop: waiting there for its own end would never end.
        """
        run = self._run
        if run is None:
            await anyio.lowlevel.checkpoint()
            return self._last_report
        run.request_stop()
        if run.is_inside():
            await anyio.lowlevel.checkpoint()
        else:
            await run.settled.wait()
        return run.stop_report()

    @property
    def stop_report(self) -> SupervisorStopReport:
        """How the last stop went, or how the current one goes."""
        return self._last_report if self._run is None else self._run.stop_report()

    # ── looking on ──

    @property
    def observer_errors(self) -> int:
        """How often the observer raised."""
        return self._earlier_observer_errors + (0 if self._run is None else self._run.observer_errors)

    def __repr__(self) -> str:
        counts = self.count_children()
        up = f"{counts.active} of {counts.specs} children up"
        return f"<Supervisor {self.name}: {self.state}, {self.options.strategy.value}, {up}>"


def _check(name: object, observer: object, random: object) -> None:
    """Check what is no part of the `Options`: none of it may be found to be wrong only when it is needed."""
    check_text("name", name)
    if observer is not None and not callable(observer):
        raise TypeError(f"observer={observer!r} must be a function that takes a report, or None")
    if random is not None and not isinstance(random, Random):
        raise TypeError(f"random={random!r} must be a random.Random, or None")
