"""Small races, on every schedule there is with one change of task that need not be (two in the long runs), and with a
cancellation at every step.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.properties.races import RACES
from tocsin.testing import BACKENDS, Backend, cancelled_at_every_step, explored

pytestmark = pytest.mark.usefixtures("quiet")
races = pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
backends = pytest.mark.parametrize("backend", BACKENDS)


@races
@backends
def test_promises_hold_on_the_schedule_in_order(race: Any, backend: Backend) -> None:
    explored(bound=0, backends=[backend])(race)()


@pytest.mark.slow
@races
@backends
def test_promises_hold_on_every_schedule_with_one_change_of_task(race: Any, backend: Backend) -> None:
    explored(bound=1, backends=[backend])(race)()


@pytest.mark.soak
@races
@backends
def test_promises_hold_on_every_schedule_with_two_changes_of_task(race: Any, backend: Backend) -> None:
    explored(bound=2, backends=[backend], limit=1_000_000)(race)()


# ── cancellations: of everything, of a publisher or operator, on asyncio natively of tasks of the bus and a handler ──

TARGETS = ("run", "publisher", "operator", "host", "handler")


@races
@backends
def test_promises_hold_wherever_the_run_is_cancelled(race: Any, backend: Backend) -> None:
    cancelled_at_every_step(targets=TARGETS, backends=[backend], runs=3)(race)()


@pytest.mark.slow
@races
@backends
def test_promises_hold_after_a_cancellation_at_many_steps(race: Any, backend: Backend) -> None:
    cancelled_at_every_step(targets=TARGETS, backends=[backend], runs=25)(race)()


@pytest.mark.soak
@races
@backends
def test_promises_hold_after_a_cancellation_at_every_step_of_many_schedules(race: Any, backend: Backend) -> None:
    cancelled_at_every_step(targets=TARGETS, backends=[backend], seeds=50)(race)()
