"""Who goes on next: the schedules themselves, without anything that runs."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tocsin.testing import AtRandom, ByPriority, InOrder, Recorded, Schedule
from tocsin.testing._schedules import Recorder, others

TASKS = [3, 5, 8, 9]


def choices_of(schedule: Schedule, count: int = 50) -> list[int]:
    return [schedule.choose(TASKS) for _ in range(count)]


def test_in_order_the_task_that_was_first_seen_goes_on() -> None:
    assert set(choices_of(InOrder())) == {0}


@given(st.integers())
def test_chance_is_the_same_for_the_same_seed(seed: int) -> None:
    assert choices_of(AtRandom(seed)) == choices_of(AtRandom(seed))


def test_other_seeds_give_other_schedules() -> None:
    assert len({tuple(choices_of(AtRandom(seed))) for seed in range(100)}) == 100


def test_chance_lets_everybody_go_on_in_the_end() -> None:
    assert set(choices_of(AtRandom(1), 200)) == {0, 1, 2, 3}


def longest_wait(choices: list[int]) -> int:
    """How often others went on between two turns of one task, at most."""
    turns = [[step for step, choice in enumerate(choices) if choice == place] for place in range(len(TASKS))]
    return max(later - earlier for steps in turns for earlier, later in itertools.pairwise(steps))


def test_whoever_is_held_back_waits_much_longer_than_chance_alone_has_it() -> None:
    held = choices_of(AtRandom(1, hold_back=0.2), 2000)
    free = choices_of(AtRandom(1, hold_back=0.0), 2000)
    assert longest_wait(held) > longest_wait(free)


def test_when_all_are_held_back_one_of_them_goes_on() -> None:
    assert set(choices_of(AtRandom(1, hold_back=1.0))) == {0, 1, 2, 3}


def test_by_priority_one_task_goes_on_until_a_change() -> None:
    choices = choices_of(ByPriority(1, depth=2, horizon=50), 49)
    runs = 1 + sum(earlier != later for earlier, later in itertools.pairwise(choices))
    assert runs == 2


def test_by_priority_without_changes_one_task_goes_on_for_ever() -> None:
    assert len(set(choices_of(ByPriority(1, depth=1)))) == 1


@given(st.integers())
def test_what_was_recorded_is_repeated(seed: int) -> None:
    recorder = Recorder(AtRandom(seed))
    made = choices_of(recorder)
    assert recorder.choices == made
    assert choices_of(Recorded(recorder.choices)) == made


def test_after_what_was_recorded_it_goes_on_in_order() -> None:
    assert choices_of(Recorded([2, 1]), 4) == [2, 1, 0, 0]


def test_a_recorded_choice_that_there_is_not_is_the_last_one() -> None:
    assert Recorded([7]).choose(TASKS) == 3


def explored(widths: list[int], bound: int) -> list[tuple[int, ...]]:
    """All schedules with so many tasks to choose from at each step, as the search for them meets them."""
    met: list[tuple[int, ...]] = []
    waiting: list[list[int]] = [[]]
    while waiting:
        begun = waiting.pop()
        choices = [*begun, *[0] * (len(widths) - len(begun))]
        met.append(tuple(choices))
        waiting += others(choices, widths, len(begun), bound)
    return met


@given(st.lists(st.integers(1, 3), max_size=5), st.integers(0, 3))
def test_every_schedule_within_the_bound_is_met_once(widths: list[int], bound: int) -> None:
    every: list[tuple[int, ...]] = [()]
    for width in widths:
        every = [(*begun, choice) for begun in every for choice in range(width)]
    wanted = [schedule for schedule in every if sum(choice > 0 for choice in schedule) <= bound]
    assert sorted(explored(widths, bound)) == sorted(wanted)
