"""Schedules under control, for tests that have their own way to say what a run is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tocsin.testing import BACKENDS, Backend, Simulation, simulate


def _ignore(_step: int) -> None:
    """Do nothing between steps."""


def play(
    scene: Callable[[], Awaitable[object]], backend: str, seed: int, look: Callable[[int], object] = _ignore
) -> None:
    """Run *scene* in a simulation, on the schedule of *seed*; *look* is called before each step of a task."""
    backends: dict[str, Backend] = {str(each): each for each in BACKENDS}

    def main(_simulation: Simulation) -> Awaitable[object]:
        return scene()

    simulate(main, backend=backends[backend], seed=seed, prepare=lambda simulation: simulation.on_step(look))
