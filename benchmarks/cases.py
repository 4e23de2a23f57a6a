"""What a benchmark is made of: a workload, the contenders that run it, and the targets it must meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, final

from attrs import frozen

Figures = dict[str, float]  # "seconds" and "operations" at least; more where the workload needs it ("p99_us", …)
Medians = Mapping[str, Figures]  # of each contender of one workload on one backend, by its name, ratios included


@final
@frozen(kw_only=True)
class Case:
    """One contender of one workload."""

    name: str
    run: Callable[[str, int], Figures]
    """(backend, size) → figures. Called in a fresh process; starts and ends its own loop, and does not count that."""
    backends: tuple[str, ...] = ("asyncio", "trio")
    needs: tuple[str, ...] = ()
    """Modules without which the case is left out, with the reason said."""
    program: str | None = None
    """An executable that must be on PATH, likewise."""
    kind: Literal["floor", "baseline", "peer", "tocsin"] = "baseline"


@final
@frozen(kw_only=True)
class Target:
    """What the figures of one backend must show."""

    text: str
    holds: Callable[[Medians], bool | None]
    """The verdict; None if it cannot be told, because a contender is absent."""
    value: Callable[[Medians], float | None]
    """What was measured, to stand beside the target."""


@final
@frozen(kw_only=True)
class Workload:
    """One question, asked of all contenders alike."""

    key: str
    title: str
    what: str
    """The sentence it is there to prove, and what is counted as one operation."""
    size: int
    """Operations of a full run."""
    quick: int
    """Operations of a run with `--quick`."""
    cases: tuple[Case, ...]
    targets: tuple[Target, ...]
