"""Poison or sick."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin_supervisors import Diagnosis, Health

WELL, SICK = Diagnosis.WELL, Diagnosis.SICK


def test_failing_first_attempts_of_different_deliveries_make_the_actor_sick() -> None:
    health = Health(3)
    assert [health.on_failure(number, 1) for number in (1, 2, 3)] == [WELL, WELL, SICK]


def test_one_delivery_failing_again_and_again_is_poison_and_not_sickness() -> None:
    health = Health(2)
    assert {health.on_failure(1, attempt) for attempt in range(1, 100)} == {WELL}
    assert health.streak == 1


def test_a_delivery_whose_failures_are_not_counted_enters_the_streak_once() -> None:
    health = Health(2)
    assert [health.on_failure(1, 1), health.on_failure(1, 1)] == [WELL, WELL]
    assert health.streak == 1


def test_a_success_ends_the_streak() -> None:
    health = Health(2)
    health.on_failure(1, 1)
    health.on_success()
    assert health.streak == 0
    assert health.on_failure(2, 1) is WELL


def test_a_retry_neither_lengthens_nor_ends_the_streak() -> None:
    health = Health(2)
    health.on_failure(1, 1)
    assert health.on_failure(1, 2) is WELL
    assert health.on_failure(2, 1) is SICK


def test_a_retry_failing_while_the_actor_is_sick_is_a_sign_of_sickness() -> None:
    health = Health(1)
    assert health.on_failure(1, 1) is SICK
    assert health.on_failure(1, 2) is SICK


@pytest.mark.parametrize("attempt", [1, 2])
def test_any_failure_on_probation_means_sick_again(attempt: int) -> None:
    health = Health(5)
    health.begin_probation()
    assert health.on_probation
    assert health.on_failure(9, attempt) is SICK


def test_the_first_success_ends_the_probation() -> None:
    health = Health(5)
    health.begin_probation()
    health.on_success()
    assert not health.on_probation
    assert health.on_failure(9, 1) is WELL


def test_a_success_of_a_healthy_actor_changes_nothing() -> None:
    health = Health(5)
    health.on_success()
    assert health == Health(5)


def test_the_streak_is_counted_up_to_its_limit() -> None:
    health = Health(2)
    for number in range(1000):
        health.on_failure(number, 1)
    assert health.streak == 2


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError)])
def test_a_limit_that_makes_no_sense_is_refused(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="sick_after="):
        Health(limit)


class HealthMachine(RuleBasedStateMachine):
    """Against the whole story so far, read anew after each step."""

    LIMIT = 3

    def __init__(self) -> None:
        super().__init__()
        self.health = Health(self.LIMIT)
        self.story: list[tuple[str, int, int]] = []

    def since_success(self) -> list[tuple[str, int, int]]:
        last = max((n for n, (what, _, _) in enumerate(self.story) if what == "success"), default=-1)
        return self.story[last + 1 :]

    def streak(self) -> int:
        return len({number for what, number, attempt in self.since_success() if what == "failure" and attempt == 1})

    def on_probation(self) -> bool:
        return any(what == "probation" for what, _, _ in self.since_success())

    @rule()
    def succeed(self) -> None:
        self.story.append(("success", 0, 0))
        self.health.on_success()

    @rule()
    def begin_probation(self) -> None:
        self.story.append(("probation", 0, 0))
        self.health.begin_probation()

    @rule(number=st.integers(0, 6), attempt=st.integers(1, 3))
    def fail(self, number: int, attempt: int) -> None:
        self.story.append(("failure", number, attempt))
        sick = self.on_probation() or self.streak() >= self.LIMIT
        assert self.health.on_failure(number, attempt) is (SICK if sick else WELL)

    @invariant()
    def agrees(self) -> None:
        assert self.health.streak == min(self.streak(), self.LIMIT)
        assert self.health.on_probation == self.on_probation()


TestHealthMachine = HealthMachine.TestCase
