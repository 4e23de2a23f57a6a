"""Lifecycle reports: what each exit is told as, and the report of a stop."""

from __future__ import annotations

import pytest

from tests.supervisors.scripted import Crash, Theatre, settle
from tocsin_supervisors import (
    ChildCrashed,
    ChildFinished,
    ChildRenewed,
    ChildStarted,
    ChildSuspended,
    RenewChild,
    Report,
    RestartPolicy,
    RestartScheduled,
    SupervisorGaveUp,
    SupervisorStopReport,
    SuspendChild,
    Unstopped,
)

STOP = ["SupervisorStopping", "ChildStopped"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Crash(), ["ChildStarted", "ChildCrashed", "RestartScheduled", "ChildStarted", *STOP]),
        (RenewChild(), ["ChildStarted", "ChildRenewed", "ChildStarted", *STOP]),
        (SuspendChild(), ["ChildStarted", "ChildSuspended", "RestartScheduled", "ChildStarted", *STOP]),
    ],
)
async def test_each_step_of_a_life_is_reported_in_order(error: Exception, told: list[str]) -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash(error)
        await settle()
    assert theatre.record.told() == told


async def test_a_temporary_child_that_finished_is_reported_removed() -> None:
    theatre = Theatre("a", spec={"restart": RestartPolicy.TEMPORARY})
    async with theatre.supervisor.running():
        theatre["a"].finish()
        await settle()
    assert theatre.record.told() == ["ChildStarted", "ChildFinished", "ChildRemoved", "SupervisorStopping"]


async def test_reports_carry_path_child_incarnation_and_time() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash()
        await settle(1.0)
        theatre["a"].crash()
        await settle()
    crashes = [each for each in theatre.record.reports if isinstance(each, ChildCrashed)]
    assert [(each.supervisor, each.child, each.incarnation) for each in crashes] == [("root", "a", 1), ("root", "a", 2)]
    assert crashes[1].at - crashes[0].at == pytest.approx(1.0, abs=0.3)
    assert [each.restarts for each in theatre.record.reports if isinstance(each, RestartScheduled)] == [1, 2]


def test_a_stop_report_is_clean_when_nothing_went_wrong() -> None:
    assert SupervisorStopReport().is_clean
    assert not SupervisorStopReport(unstopped=(Unstopped("root/a", "file:1 f"),)).is_clean


def test_reports_are_a_closed_union_that_can_be_matched() -> None:
    kinds = Report.__args__
    assert {ChildStarted, ChildFinished, ChildRenewed, ChildSuspended, SupervisorGaveUp} <= set(kinds)
    assert all(kind.__module__ == "tocsin_supervisors._reports" for kind in kinds)
