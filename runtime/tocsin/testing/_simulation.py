"""One run of user code in which everything is decided: who goes on next, what time it is, and what chance brings."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import TYPE_CHECKING, Any, Literal, final

import anyio
from attrs import frozen

from ._engine import START, Engine
from ._schedules import AtRandom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from tocsin._bus import EventBus

    from ._faults import Faults
    from ._schedules import Schedule
    from ._trace import Trace

Backend = Literal["asyncio", "trio"]
BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")
MAX_STEPS = 1_000_000


@final
class Simulation:
    """What code that runs in a simulation may ask of it; made by `simulate`, which calls the code with it.

    The clock shows virtual time, which passes only while every task waits: an hour of `anyio.sleep` takes as long as a
    moment. While a worker thread is at work, or a file is waited for, time stands still, for a second of real time at
    most.
    """

    def __init__(self, backend: Backend, seed: int, engine: Engine) -> None:
        self.backend: Backend = backend
        self.seed: int = seed
        self.random: random.Random = random.Random(seed)
        """Chance that is the same for the same seed, for whoever needs some."""
        self._engine = engine
        self._cancels: dict[str, Callable[[], object]] = {"run": engine.cancel}
        self._natives: set[str] = set()
        self.cancelled: set[str] = set()  # what was cancelled by `cancel`
        self._audits: list[Callable[[], object]] = []
        self._checks: list[Callable[[], object]] = []

    @property
    def steps(self) -> int:
        """How many steps tasks have made: a step is what a task does between two moments in which others may."""
        return self._engine.steps

    def now(self) -> float:
        """Give the seconds of virtual time since the beginning."""
        return self._engine.now - START

    def on_step(self, look: Callable[[int], object]) -> None:
        """Have *look* called before each step that a task makes, with the number of the step, from 1 on.

        It is called between two steps, in none of the tasks, so it must not await; it may look at anything, and cancel
        scopes. What it raises ends the run, and comes out of `simulate`.
        """
        self._engine.watchers.append(look)

    def at_end(self, check: Callable[[], object]) -> None:
        """Have *check* called when the run has ended, however it did, and its loop is closed. What it raises comes out
        of `simulate`: the place for what must hold also when all was cancelled."""
        self._checks.append(check)

    def conclude(self) -> None:
        """Call the checks that were asked for by `at_end`; done by `simulate`."""
        for check in self._checks:
            check()

    async def settle(self, bus: EventBus) -> None:
        """Wait until nothing is left that an actor of *bus* may still handle, retries included: in the very instant at
        which that is so. Letters of actors that are parked or gone do not count, as nobody will handle them."""

        def look(*_step: int) -> bool:
            is_idle = bus.is_idle()
            if is_idle:
                settled.set()
            return is_idle

        settled = anyio.Event()
        self._engine.watchers.append(look)
        self._engine.idlers.append(look)
        try:
            look()
            await settled.wait()
        finally:
            self._engine.watchers.remove(look)
            self._engine.idlers.remove(look)

    def watch(self, bus: EventBus, *, faults: Faults | None = None) -> Trace:
        """Look on from now on while *bus* runs, and give its trace, which grows.

        The bus gets the seed of the simulation for its jitter. When the run has ended, however it did, it is checked
        that the bus has kept its promises: `PromiseBroken` comes out of `simulate` if not. Call it once for each bus,
        before it runs. *faults* says what is to go wrong with its handlers, by chance for example: `sometimes`.
        """
        from ._watcher import Watcher  # only here: most simulations have none, and it needs all of the bus

        watcher = Watcher(bus, self._engine, self.seed, self._current_task, faults)
        self.at_end(watcher.check)
        self._audits.append(watcher.audit)
        return watcher.trace

    def audit(self) -> None:
        """Check by now what is checked at the end of the run, and forget the traces so far: for runs so long that they
        would not fit into memory. To be called when all buses that are watched are settled, and nobody publishes."""
        for audit in self._audits:
            audit()

    def _current_task(self) -> object:
        """Give the task that runs, as its backend knows it."""
        if self.backend == "asyncio":
            return sys.modules["asyncio"].current_task()
        return sys.modules["trio"].lowlevel.current_task()

    # ── cancellations ──

    @property
    def targets(self) -> frozenset[str]:
        """What is known to `cancel` by now."""
        return frozenset(self._cancels)

    @property
    def was_cancelled_natively(self) -> bool:
        """True once a task was cancelled that was given by `offer_task`."""
        return not self._natives.isdisjoint(self.cancelled)

    @contextlib.contextmanager
    def cancellable(self, name: str) -> Generator[anyio.CancelScope]:
        """Let the block be cancelled as *name*, by `cancel` and by `cancel_at_every_step`."""
        with anyio.CancelScope() as scope:
            self._cancels[name] = scope.cancel
            yield scope

    def offer_task(self, name: str) -> None:
        """On asyncio, let the task that runs be cancelled as *name* natively, as `asyncio.timeout` and strangers do; on
        trio, which has no such thing, do nothing."""
        if self.backend == "asyncio":
            task: Any = self._current_task()
            self._natives.add(name)
            self._cancels[name] = task.cancel

    def cancel(self, name: str = "run") -> bool:
        """Cancel what is known as *name*: "run" for all that runs, and what was made `cancellable`. False: nothing is
        known as that yet."""
        cancel = self._cancels.get(name)
        if cancel is not None:
            self.cancelled.add(name)
            cancel()
        return cancel is not None


@final
@frozen(kw_only=True)
class Trial:
    """How a simulation went."""

    value: Any
    """What the code returned; None if it was cancelled."""
    cancelled: bool
    """True if the run as a whole was cancelled, and ended because of that."""
    steps: int
    seconds: float
    """Of virtual time."""
    fingerprint: str
    """The same for the same schedule, whatever process or version of Python."""
    choices: tuple[int, ...]
    """What `Recorded` takes to make the same run once more."""
    widths: tuple[int, ...]
    """How many tasks could have gone on, for each of the choices."""
    targets: frozenset[str]
    """What could be cancelled by name."""


def simulate(
    main: Callable[[Simulation], Awaitable[object]],
    *,
    backend: Backend = "asyncio",
    seed: int = 0,
    schedule: Schedule | None = None,
    max_steps: int = MAX_STEPS,
    prepare: Callable[[Simulation], object] | None = None,
) -> Trial:
    """Run *main* in a simulation on *backend*, and tell how it went. *schedule* is `AtRandom(seed)` unless given.

    The same code, backend, schedule and seed make the same run, in any process. The module `random` is seeded for the
    time of it. What has chance of its own (`random.Random()`, `EventBus` without `random=`) must be given some by
    *main*; `Simulation.watch` does so for a bus. *prepare* is called with the simulation before it begins.

    Raise what *main* raises; `Deadlock`, when every task waits for ever; `StepLimit` after *max_steps* steps (a
    million); what a look between two steps raised. Not for code that has to do with sockets and processes: it runs, but
    their answers come in real time.
    """
    engine = Engine(AtRandom(seed) if schedule is None else schedule, max_steps)
    simulation = Simulation(backend, seed, engine)
    if prepare is not None:
        prepare(simulation)
    ended: list[object] = []

    async def run() -> None:
        with anyio.CancelScope() as scope:
            engine.enter(scope)
            ended.append(await main(simulation))

    with _seeded(seed):
        try:
            _run(run, backend, engine)
        except BaseException as error:
            if engine.fault is not None:  # it is the reason, or says more than what it has led to
                raise engine.fault from None
            if not simulation.was_cancelled_natively or type(error).__name__ != "CancelledError":
                raise
    if engine.fault is not None:
        raise engine.fault
    if not engine.steps:
        raise RuntimeError(
            f"{backend} runs tasks in a way that is not known here, so nothing was simulated: use a version of it, and "
            "of Python, that this version of tocsin was tested with"
        )
    simulation.conclude()
    return Trial(
        value=ended[0] if ended else None,
        cancelled=not ended,
        steps=engine.steps,
        seconds=simulation.now(),
        fingerprint=engine.fingerprint,
        choices=tuple(engine.recorder.choices),
        widths=tuple(engine.recorder.widths),
        targets=simulation.targets,
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Seed the module `random` for the time of the block."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _run(main: Callable[[], Awaitable[None]], backend: Backend, engine: Engine) -> None:
    """Run *main* on *backend*, under *engine*. Each is imported only here: nobody needs both."""
    if backend == "asyncio":
        from ._on_asyncio import SimulatedLoop

        anyio.run(main, backend=backend, backend_options={"loop_factory": lambda: SimulatedLoop(engine)})
        return
    from ._on_trio import SimulatedClock, schedule_of

    with schedule_of(engine):
        anyio.run(main, backend=backend, backend_options={"clock": SimulatedClock(engine)})
