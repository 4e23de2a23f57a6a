"""Schedules: which of the tasks that could go on is the next one to.

A schedule is asked before each step with the numbers of those tasks, and says the place of one of them in that list:
first the one that went on last, if it could go on, then the others, smallest number first. Tasks are numbered in the
order in which they are first seen, so the same answers give the same run. Pure: chance comes from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, final

HOLD_BACK = 0.1
HOLD_FOR = 24  # steps of others at most


class Schedule(Protocol):
    """See the module."""

    def choose(self, tasks: Sequence[int]) -> int:
        """Give the place in *tasks*, which are at least two, of the one to go on."""
        ...


@final
class InOrder:
    """A task goes on as long as it can, then the one that was first seen. For a run that is to be looked at."""

    def choose(self, tasks: Sequence[int]) -> int:
        """See `Schedule`."""
        return 0


@final
class AtRandom:
    """Any of them, each as likely as the others, except those that are held back.

    *hold_back*: how likely it is that a task which could go on has to wait, for up to 24 steps of others, each time it
    went on. Chance alone hardly ever keeps one task back for long while others do a lot, which is what a slow disk or a
    preempted thread does. 0 never holds back.
    """

    def __init__(self, seed: int, *, hold_back: float = HOLD_BACK) -> None:
        self._random = Random(seed)
        self._hold_back = hold_back
        self._steps = 0
        self._until: dict[int, int] = {}  # task → the step before which it does not go on

    def choose(self, tasks: Sequence[int]) -> int:
        """See `Schedule`."""
        self._steps += 1
        free = [place for place, task in enumerate(tasks) if self._until.get(task, 0) <= self._steps]
        place = self._random.choice(free) if free else self._random.randrange(len(tasks))
        held = self._random.random() < self._hold_back
        self._until[tasks[place]] = self._steps + self._random.randrange(HOLD_FOR) if held else 0
        return place


@final
class ByPriority:
    """Probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): each task has a random priority, the
    highest goes on, and at *depth* - 1 random steps among the first *horizon* the one that would goes to the end.

    A bug that takes *depth* steps of different tasks in one certain order, in a run of n tasks and k steps, shows with
    a probability of at least 1 in n · k^(depth-1), which no other schedule promises. It is unfair on purpose: who waits
    for others by giving up its turn again and again waits for ever.
    """

    def __init__(self, seed: int, *, depth: int = 3, horizon: int = 1000) -> None:
        self._random = Random(seed)
        self._priorities: dict[int, float] = {}
        self._changes = set(self._random.sample(range(1, horizon), depth - 1))
        self._steps = 0
        self._lowest = 0.0

    def choose(self, tasks: Sequence[int]) -> int:
        """See `Schedule`."""
        self._steps += 1
        place = self._first(tasks)
        if self._steps in self._changes:
            self._lowest -= 1.0
            self._priorities[tasks[place]] = self._lowest
            place = self._first(tasks)
        return place

    def _first(self, tasks: Sequence[int]) -> int:
        for task in tasks:
            if task not in self._priorities:
                self._priorities[task] = 1.0 + self._random.random()
        return max(range(len(tasks)), key=lambda place: self._priorities[tasks[place]])


@final
class Recorded:
    """The *choices* that a run made before, as `Trial.choices` has them; after them, in order."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = list(choices)
        self._asked = 0

    def choose(self, tasks: Sequence[int]) -> int:
        """See `Schedule`."""
        place = self._choices[self._asked] if self._asked < len(self._choices) else 0
        self._asked += 1
        return min(place, len(tasks) - 1)


@final
class Recorder:
    """Asks another schedule, and keeps its answers, and how many there could have been to each question."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.choices: list[int] = []
        self.widths: list[int] = []

    def choose(self, tasks: Sequence[int]) -> int:
        """See `Schedule`."""
        place = self._schedule.choose(tasks)
        self.choices.append(place)
        self.widths.append(len(tasks))
        return place


def others(choices: Sequence[int], widths: Sequence[int], begun: int, bound: int) -> list[list[int]]:
    """Give the beginnings of all schedules that differ from the one of *choices* in one more place, after the first
    *begun* ones, if they then have at most *bound* choices that are not the first in order.

    Followed from the empty beginning on, these are all schedules with up to *bound* such choices, each of them once. It
    is the context bound of Musuvathi and Qadeer (PLDI 2007), but that choosing another task counts also where the last
    one cannot go on.
    """
    if sum(choice > 0 for choice in choices[:begun]) >= bound:
        return []
    return [[*choices[:place], other] for place in range(begun, len(choices)) for other in range(1, widths[place])]
