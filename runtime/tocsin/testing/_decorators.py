"""Tests that run many times: on many schedules, with a cancellation at every step, on every schedule that there is."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeAlias, final

from attrs import evolve, frozen

from ._plans import REPLAY, Kind, Plan, plans
from ._schedules import others
from ._simulation import BACKENDS, MAX_STEPS, Simulation, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from ._simulation import Backend, Trial

Test: TypeAlias = "Callable[..., Coroutine[Any, Any, object]]"
Decorated: TypeAlias = "Callable[..., None]"


def simulated(
    *,
    seeds: int = 20,
    backends: Iterable[Backend] = BACKENDS,
    schedules: Iterable[Kind] = ("random", "priority"),
    max_steps: int = MAX_STEPS,
) -> Callable[[Test], Decorated]:
    """Make a plain test of an asynchronous one: it is run in a simulation, on each of *backends*, for each of so many
    *seeds*, on each of *schedules*.

    The test takes the `Simulation` as its parameter `simulation`; others are for fixtures. What it raises is raised,
    with a note that says how to repeat that very run: with TOCSIN_REPLAY=… in the environment the same test makes
    nothing but that run. TOCSIN_SEEDS=10000 tries so many seeds in the place of *seeds*.
    """
    backends, schedules = tuple(backends), tuple(schedules)

    def decorate(test: Test) -> Decorated:
        def run(code: Code) -> None:
            for plan in plans(backends, schedules, seeds):
                code.run(plan, max_steps)

        return _plain(test, run)

    return decorate


def cancelled_at_every_step(
    *,
    targets: Iterable[str] = ("run",),
    seeds: int = 1,
    backends: Iterable[Backend] = BACKENDS,
    runs: int | None = None,
    max_steps: int = MAX_STEPS,
) -> Callable[[Test], Decorated]:
    """Make a plain test of an asynchronous one: it is run once as it is, then once for each step that this took, with
    one of *targets* cancelled just before that step.

    Targets are "run", which is everything, and what the test has made `Simulation.cancellable` or has given by
    `offer_task`; one that is not there yet at that step is cancelled when it is. What must hold afterwards belongs into
    `Simulation.at_end`, since what the test says after the cancellation is not run; for a bus that is watched all its
    promises are there already. *runs*: so many for each target, spread over all steps, if there are more steps.
    """
    targets, backends = tuple(targets), tuple(backends)

    def decorate(test: Test) -> Decorated:
        def run(code: Code) -> None:
            for plan in plans(backends, ("random",), seeds):
                whole = code.run(plan, max_steps)
                for cancelled in _cancellations(plan, targets, whole, runs):
                    code.run(cancelled, max_steps)

        return _plain(test, run)

    return decorate


def _cancellations(plan: Plan, targets: tuple[str, ...], whole: Trial, runs: int | None) -> Iterator[Plan]:
    if plan.cancelled is not None:
        return  # it is one of them itself, made again
    stride = 1 if runs is None else max(1, whole.steps // runs)
    for target in (each for each in targets if each in whole.targets):
        for at in range(1 + plan.seed % stride, whole.steps + 1, stride):
            yield evolve(plan, cancelled=target, at=at)


def explored(
    *, bound: int = 1, backends: Iterable[Backend] = BACKENDS, limit: int = 10_000, max_steps: int = MAX_STEPS
) -> Callable[[Test], Decorated]:
    """Make a plain test of an asynchronous one: it is run on every schedule that differs from the one in order in at
    most *bound* choices.

    For tests of a few tasks and steps: a run of n choices has about n^bound schedules. Raise RuntimeError when these
    are more than *limit*, as then "every" would not be true.
    """
    backends = tuple(backends)

    def decorate(test: Test) -> Decorated:
        def run(code: Code) -> None:
            replayed = list(plans((), (), 0))
            for plan in replayed:
                code.run(plan, max_steps)
            for backend in () if replayed else backends:
                _explore(code, backend, bound, limit, max_steps)

        return _plain(test, run)

    return decorate


def _explore(code: Code, backend: Backend, bound: int, limit: int, max_steps: int) -> None:
    waiting: list[list[int]] = [[]]
    count = 0
    while waiting:
        if count == limit:
            raise RuntimeError(f"{code.name}: more than limit={limit} schedules on {backend}: lower bound={bound}")
        begun = waiting.pop()
        count += 1
        trial = code.run(Plan(backend, "choices", choices=tuple(begun)), max_steps)
        waiting += others(trial.choices, trial.widths, len(begun), bound)


# ── running one ──


@final
@frozen
class Code:
    """A test with its fixtures, as a simulation can run it."""

    name: str
    test: Callable[[Simulation], Coroutine[Any, Any, object]]

    def run(self, plan: Plan, max_steps: int) -> Trial:
        """Make the run of *plan*; a failure gets a note that says how to repeat it."""

        def prepare(simulation: Simulation) -> None:
            if plan.cancelled is not None:
                simulation.on_step(functools.partial(_cancel, simulation, plan.cancelled, plan.at))

        try:
            return simulate(
                self.test,
                backend=plan.backend,
                seed=plan.seed,
                schedule=plan.schedule(),
                max_steps=max_steps,
                prepare=prepare,
            )
        except BaseException as error:
            error.add_note(f"to repeat this run: {REPLAY}={plan} python -m pytest -k {self.name}")
            raise


def _cancel(simulation: Simulation, target: str, at: int, step: int) -> None:
    """Cancel *target* before step *at*, or as soon after as it is known."""
    if step >= at and target not in simulation.cancelled:
        simulation.cancel(target)


def _plain(test: Test, run: Callable[[Code], None]) -> Decorated:
    """Give the plain function that takes what *test* takes, but for the simulation."""
    signature = inspect.signature(test)
    if "simulation" not in signature.parameters:
        raise TypeError(f"{test.__qualname__}: it must have a parameter named simulation, the Simulation it runs in")

    @functools.wraps(test)
    def plain(*arguments: Any, **fixtures: Any) -> None:
        run(Code(test.__name__, lambda simulation: test(*arguments, simulation=simulation, **fixtures)))

    # A runner of tests looks for fixtures, and must not take it for asynchronous.
    del plain.__dict__["__wrapped__"]
    parameters = [each for each in signature.parameters.values() if each.name != "simulation"]
    plain.__dict__["__signature__"] = signature.replace(parameters=parameters, return_annotation=None)
    return plain
