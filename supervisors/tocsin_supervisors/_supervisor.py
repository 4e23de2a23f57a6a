"""The supervisor: a declaration of children that can be run, and administered while it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, final

import anyio.lowlevel

from ._checks import check_number
from ._children import ChildCounts, ChildInfo, ChildSpec, ChildState, Nested, TreeNode
from ._decisions import Machine
from ._directives import DeleteAsked, RestartAsked, StartAsked, TerminateAsked
from ._intensity import RestartIntensity
from ._reports import SupervisorStopReport
from ._slots import Slot
from ._strategies import Strategy
from ._supervisor_host import hosted
from ._supervisor_run import Run
from .exceptions import ChildNotFound, DuplicateChild, SupervisorAlreadyRunning, SupervisorNotRunning

if TYPE_CHECKING:
    from typing import Self

    from ._contexts import ChildContext
    from ._directives import Request
    from ._reports import Observer


@final
class Supervisor(Nested):
    """Starts children in order, restarts them when they fail, and stops them in reverse order.

    It is a declaration: it may run many times, one at a time, on its own (`running`, `run`) or as the `start` of a
    child of another supervisor. *observer* is called with each lifecycle report, in the supervisor's own task; what
    it raises is counted in `observer_errors`. Without one, a supervisor that is a child reports to its parent's.
    *shutdown_deadline*: seconds that an ordered stop may take before all that is left is cancelled at once.
    """

    def __init__(
        self,
        name: str = "supervisor",
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        shutdown_deadline: float = 30.0,
        observer: Observer | None = None,
        random: Random | None = None,
    ) -> None:
        if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may not check types
            raise TypeError(f"strategy={strategy!r} must be one of {', '.join(map(str, Strategy))}")
        check_number("shutdown_deadline", shutdown_deadline, at_least=0, at_most=float("inf"))
        self.name = name
        self.strategy = strategy
        # Thirty a minute, whoever they are of: a tree of many children may lose some without being given up.
        self.intensity: RestartIntensity = RestartIntensity(30, 60.0) if intensity is None else intensity
        self.shutdown_deadline = shutdown_deadline
        self.observer = observer
        self._random = Random() if random is None else random
        self._specs: dict[str, ChildSpec] = {}  # what every run starts with
        self._incarnations: dict[str, int] = {}  # id → its last incarnation, over all runs
        self._run: Run | None = None
        self._last_report = SupervisorStopReport()
        self._earlier_observer_errors = 0
        for spec in children:
            self.declare(spec)

    def declare(self, spec: ChildSpec) -> None:
        """Add a child to those that every run starts with. One that runs now does not start it: see `start_child`.

        Raise `DuplicateChild` if the id is taken.
        """
        if spec.id in self._specs:
            raise DuplicateChild(self.name, spec.id)
        self._specs[spec.id] = spec

    # ── running ──

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self, None]:
        """Run beside the body: enter when all children are up, stop them in order when it is left.

        An error of the body passes through as itself. When the supervisor gives up, or a child raises what ends
        programs, the body is cancelled and that error is raised, not in a group; both at once make a group.
        Cancelled, from a scope or natively, the children are still stopped in order, within `shutdown_deadline`.
        Raise `ChildStartError` if a child does not start; those started before it are stopped again.
        """
        run = self._begin(None)
        try:
            async with hosted(run):
                yield self
        finally:
            self._end(run)

    async def run(self) -> None:
        """Run until stopped by `request_stop` or `stop`, or cancelled; raise as `running` does."""
        run = self._begin(None)
        try:
            async with hosted(run):
                await run.over.wait()
        finally:
            self._end(run)

    async def live_as_child(self, context: ChildContext) -> None:
        """Run as an incarnation of a child of another supervisor; called by it."""
        run = self._begin(context)
        context.on_cut = run.cut
        context.on_stop(run.request_stop)
        try:
            async with hosted(run):
                context.started(self)
                await run.over.wait()
        finally:
            self._end(run)

    def _begin(self, parent: ChildContext | None) -> Run:
        path = self.name if parent is None else parent.path
        if self._run is not None:
            raise SupervisorAlreadyRunning(path)
        observer = self.observer if self.observer is not None or parent is None else parent.host.observer
        machine = Machine(
            path,
            self._specs.values(),
            strategy=self.strategy,
            intensity=self.intensity,
            shutdown_deadline=self.shutdown_deadline,
            random=self._random,
            incarnations=self._incarnations,
        )
        self._run = run = Run(machine, observer, parent, self._forget)
        return run

    def _end(self, run: Run) -> None:
        self._last_report = run.stop_report()
        self._earlier_observer_errors += run.observer_errors
        self._run = None

    def _forget(self, child: str) -> None:
        if child not in self._specs:
            # Ids of dynamic children may be endless; numbers are kept only for those that may come back.
            self._incarnations.pop(child, None)

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

    # ── children while running ──

    async def start_child(self, spec: ChildSpec, *, keep: bool = False) -> Any:
        """Start a child after all others, and give what it passed to `started()`. Others being (re)started come first.

        With *keep* it is started again when this supervisor is; without, it ends with this run.
        Raise `ChildAlreadyStarted`, `ChildAlreadyPresent`, `ChildStartError` (nothing is kept then) or
        `SupervisorNotRunning`. Cancelled, the start is undone.
        """
        value = await self._ask(lambda token: StartAsked(token, spec))
        if keep:
            self._specs.setdefault(spec.id, spec)
        return value

    async def terminate_child(self, id: str) -> None:
        """Stop a child, or its restart loop, and wait until it is down; it is not restarted. One that is down is
        left so.

        A temporary child is forgotten. Cancelled, the child is stopped all the same. Raise `ChildNotFound`.
        """
        await self._ask(lambda token: TerminateAsked(token, id))

    async def restart_child(self, id: str) -> Any:
        """Start a child that is down, parked ones too, with all its restarts to spare; give what it passed to
        `started()`.

        Raise `ChildNotFound`, `ChildRunning`, `ChildRestarting` or `ChildStartError` (it stays down then).
        Cancelled, it is brought down again.
        """
        return await self._ask(lambda token: RestartAsked(token, id))

    async def delete_child(self, id: str) -> None:
        """Forget a child that is down, for later runs too; also when this supervisor does not run. Raise
        `ChildNotFound`, `ChildRunning` or `ChildRestarting`."""
        is_running = self._run is not None
        if is_running:
            await self._ask(lambda token: DeleteAsked(token, id))
        elif id not in self._specs:
            raise ChildNotFound(self.name, id)
        self._specs.pop(id, None)
        self._forget(id)
        if not is_running:
            # Only now: what begins to run meanwhile must not begin with this child.
            await anyio.lowlevel.checkpoint()

    async def _ask(self, request: Callable[[int], Request]) -> Any:
        if self._run is None:
            await anyio.lowlevel.checkpoint()
            raise SupervisorNotRunning(self.name, "not running")
        return await self._run.ask(request)

    # ── looking on ──

    @property
    def state(self) -> str:
        """The state in a word: starting, running, stopping or stopped."""
        return "stopped" if self._run is None else self._run.state

    @property
    def observer_errors(self) -> int:
        """How often the observer raised."""
        return self._earlier_observer_errors + (0 if self._run is None else self._run.observer_errors)

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Give the children in start order, as they are now; when not running, as they will be."""
        return tuple(_info(slot) for slot in self._slots())

    def count_children(self) -> ChildCounts:
        """Count the children."""
        slots = self._slots()
        supervisors = sum(slot.spec.kind == "supervisor" for slot in slots)
        active = sum(slot.state.value in ("running", "stopping") for slot in slots)
        return ChildCounts(len(slots), active, supervisors, len(slots) - supervisors)

    def tree(self) -> TreeNode:
        """Give a snapshot of this supervisor and all below it."""
        children = tuple(_node(slot) for slot in self._slots())
        return TreeNode(self.name, "supervisor", self.state, self.strategy.value, 0, 0, None, children)

    def _slots(self) -> list[Slot]:
        if self._run is not None:
            return list(self._run.machine.children.slots.values())
        return [_down(spec, self._incarnations.get(spec.id, 0)) for spec in self._specs.values()]

    def __repr__(self) -> str:
        counts = self.count_children()
        up = f"{counts.active} of {counts.specs} children up"
        return f"<Supervisor {self.name}: {self.state}, {self.strategy.value}, {up}>"


def _down(spec: ChildSpec, incarnation: int) -> Slot:
    return Slot(spec, ChildState.STOPPED, incarnation)


def _info(slot: Slot) -> ChildInfo:
    start = slot.spec.start
    nested = start if isinstance(start, Nested) else None
    return ChildInfo(
        slot.spec.id, slot.spec.kind, slot.state.value, slot.incarnation, slot.restarts, slot.last_failure, nested
    )


def _node(slot: Slot) -> TreeNode:
    nested = slot.spec.start if isinstance(slot.spec.start, Supervisor) else None
    below = nested.tree() if nested is not None else None
    return TreeNode(
        slot.spec.id,
        slot.spec.kind,
        slot.state.value,
        below.strategy if below is not None else None,
        slot.incarnation,
        slot.restarts,
        slot.last_failure,
        below.children if below is not None else (),
    )
