"""What a decorator of tests runs: which backends, which schedules and seeds; or the one run that is to be repeated.

A failure names its run by a short text, `backend:schedule:seed` or with a step of a cancellation behind it, which the
environment variable TOCSIN_REPLAY gives back. TOCSIN_SEEDS is how many seeds are tried, in the place of what the test
says, and TOCSIN_FIRST_SEED which is the first: for runs over night.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, assert_never, final

from attrs import frozen

from ._schedules import AtRandom, ByPriority, InOrder, Recorded
from ._simulation import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ._schedules import Schedule
    from ._simulation import Backend

REPLAY = "TOCSIN_REPLAY"
SEEDS = "TOCSIN_SEEDS"
FIRST = "TOCSIN_FIRST_SEED"
Kind = Literal["random", "priority", "order", "choices"]
KINDS: tuple[Kind, ...] = ("random", "priority", "order", "choices")


@final
@frozen
class Plan:
    """One run of a simulation, as it can be written down and repeated.

    *choices*: for `kind="choices"`. *cancelled*, *at*: what is cancelled before which step, if anything is.
    """

    backend: Backend
    kind: Kind
    seed: int = 0
    choices: tuple[int, ...] = ()
    cancelled: str | None = None
    at: int = 0

    def schedule(self) -> Schedule:
        """Make the schedule, which is used up by one run."""
        match self.kind:
            case "random":
                return AtRandom(self.seed)
            case "priority":
                return ByPriority(self.seed)
            case "order":
                return InOrder()
            case "choices":
                return Recorded(self.choices)
            case _:
                assert_never(self.kind)

    def __str__(self) -> str:
        seed = ".".join(map(str, self.choices)) if self.kind == "choices" else str(self.seed)
        plan = f"{self.backend}:{self.kind}:{seed}"
        return plan if self.cancelled is None else f"{plan}:{self.cancelled}@{self.at}"


def plan_of(text: str) -> Plan:
    """Read what `str` of a plan has written; raise ValueError, saying what is allowed."""
    parts = text.split(":")
    known: dict[str, Kind] = {str(each): each for each in KINDS}
    backends: dict[str, Backend] = {str(each): each for each in BACKENDS}
    try:
        backend, kind, seed = backends[parts[0]], known[parts[1]], parts[2]
        numbers = tuple(int(each) for each in seed.split(".") if each)
        cancelled, at = (None, 0) if len(parts) == 3 else _cancellation(parts[3:])
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"{REPLAY}={text!r}: must be what a failed test has printed, such as asyncio:random:17 or "
            "trio:priority:3:run@41"
        ) from error
    if kind == "choices":
        return Plan(backend, kind, choices=numbers, cancelled=cancelled, at=at)
    return Plan(backend, kind, numbers[0], cancelled=cancelled, at=at)


def _cancellation(parts: list[str]) -> tuple[str, int]:
    name, _, at = ":".join(parts).rpartition("@")
    return name, int(at)


def plans(
    backends: Iterable[Backend], kinds: Iterable[Kind], seeds: int, environment: Mapping[str, str] = os.environ
) -> Iterator[Plan]:
    """Give the plans of all runs, for each backend and seed all kinds of schedule; or the one to be replayed."""
    replayed = environment.get(REPLAY)
    if replayed:
        yield plan_of(replayed)
        return
    first, count = number_of(FIRST, 0, environment), number_of(SEEDS, seeds, environment)
    for backend in backends:
        for seed in range(first, first + count):
            for kind in kinds:
                yield Plan(backend, kind, seed)


def number_of(name: str, usual: int, environment: Mapping[str, str] = os.environ) -> int:
    """Give the number that the environment says for *name*, else the *usual* one; raise ValueError for what is none."""
    said = environment.get(name)
    if not said:
        return usual
    if not said.isdecimal():
        raise ValueError(f"{name}={said!r}: must be a number of seeds, such as 10000")
    return int(said)
