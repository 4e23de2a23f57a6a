"""O66 to O74: how children are stopped, and what it takes when they do not want to."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.scenarios.cast_endings import (
    Mortal,
    Naughty,
    Troupe,
    dynamic,
    ignores_stop,
    obeys,
    stops_slowly,
    ways_to_end_by_oneself,
)
from tests.supervisors.scripted import Record, Theatre, forever, settle
from tocsin_supervisors import (
    ChildCounts,
    ChildRef,
    ChildSpec,
    ChildStopped,
    RestartPolicy,
    StopFailed,
    StopTimedOut,
    Supervisor,
)

NO_LIMIT = math.inf


class Stopwatch:
    """How long the stop took."""

    seconds = math.nan


@asynccontextmanager
async def timed_stop(supervisor: Supervisor) -> AsyncGenerator[Stopwatch]:
    """Run *supervisor* around the body, and time its stop."""
    watch = Stopwatch()
    async with supervisor.running():
        yield watch
        began = anyio.current_time()
    watch.seconds = anyio.current_time() - began


def exactly(seconds: float) -> object:
    return pytest.approx(seconds, abs=1e-6)


def stopped_in(record: Record) -> list[str]:
    """Give who was reported stopped, in order."""
    return [each.child for each in record.reports if isinstance(each, ChildStopped)]


async def workers(supervisor: Supervisor, count: int) -> list[ChildRef]:
    """Start children from the template."""
    refs = [await supervisor.start_from_template() for _ in range(count)]
    return [ref for ref in refs if ref is not None]


# ── infinite grace ──


async def test_O66_a_child_with_an_infinite_grace_period_is_waited_for_as_long_as_it_takes() -> None:
    theatre = Theatre("a", cleanup=10_000.0, spec={"grace_period": math.inf}, shutdown_deadline=NO_LIMIT)
    async with timed_stop(theatre.supervisor) as stop:
        pass
    assert stop.seconds == exactly(10_000.0)
    assert theatre.record.lines == ["a up", "a down"]  # a cancellation would have cut its cleanup
    assert theatre.record.told() == ["ChildStarted", "SupervisorStopping", "ChildStopped"]


async def test_O66_the_deadline_of_the_supervisor_bounds_an_infinite_grace_period() -> None:
    """Ours: OTP would wait for ever, but a daemon that cannot be stopped is worse than a cleanup that is cut."""
    theatre = Theatre("a", cleanup=10_000.0, spec={"grace_period": math.inf}, shutdown_deadline=30.0)
    async with timed_stop(theatre.supervisor) as stop:
        pass
    assert stop.seconds == exactly(30.0)
    assert theatre.record.lines == ["a up"]
    assert theatre.supervisor.stop_report.is_clean


# ── grace that is over ──


async def test_O67_who_ignores_the_stop_is_cancelled_when_its_grace_period_is_over() -> None:
    record = Record()
    specs = [ChildSpec("obeys", obeys, grace_period=1.0), ChildSpec("ignores", ignores_stop, grace_period=1.0)]
    supervisor = Supervisor("root", specs, observer=record.observe)
    async with timed_stop(supervisor) as stop:
        pass
    assert stop.seconds == exactly(1.0)
    assert stopped_in(record) == ["ignores", "obeys"]
    assert supervisor.stop_report.is_clean


async def test_O67_who_obeys_is_not_cancelled() -> None:
    theatre = Theatre("a", cleanup=0.9, spec={"grace_period": 1.0})
    async with timed_stop(theatre.supervisor) as stop:
        pass
    assert stop.seconds == exactly(0.9)
    assert theatre.record.lines == ["a up", "a down"]


async def test_O68_under_a_template_all_grace_periods_run_at_the_same_time() -> None:
    supervisor = Supervisor(template=dynamic(ignores_stop, grace_period=1.0))
    async with timed_stop(supervisor) as stop:
        assert len(await workers(supervisor, 5)) == 5
    assert stop.seconds == exactly(1.0)


async def test_O68_of_a_template_who_obeys_ends_at_once_and_who_ignores_the_stop_is_cancelled() -> None:
    record = Record()
    starts = iter([ignores_stop, obeys, ignores_stop])
    supervisor = Supervisor(
        "root", template=lambda: ChildSpec("worker", next(starts), grace_period=1.0), observer=record.observe
    )
    async with timed_stop(supervisor) as stop:
        await workers(supervisor, 3)
    assert stop.seconds == exactly(1.0)
    assert stopped_in(record)[0] == "worker-2"
    assert sorted(stopped_in(record)) == ["worker-1", "worker-2", "worker-3"]


# ── no grace ──


async def test_O69_without_grace_a_child_is_cancelled_at_once_and_its_cleanup_is_cut_at_its_first_wait() -> None:
    theatre = Theatre("a", cleanup=1000.0, spec={"grace_period": 0.0})
    async with timed_stop(theatre.supervisor) as stop:
        pass
    assert stop.seconds == exactly(0.0)
    assert theatre.record.lines == ["a up"]
    assert theatre.record.told() == ["ChildStarted", "SupervisorStopping", "ChildStopped"]


async def test_O69_a_shielded_cleanup_is_waited_for_and_reported_once_it_takes_too_long() -> None:
    """Ours: Python cannot kill, so what OTP would have killed is told with its line and waited for."""
    record = Record()
    child = forever(record.note, "a", cleanup=5.0)  # in a shield
    supervisor = Supervisor("root", [ChildSpec("a", child, grace_period=0.0)], observer=record.observe)
    async with timed_stop(supervisor) as stop:
        await settle()
    assert stop.seconds == exactly(5.0)
    assert record.lines == ["a down"]
    report = record.only(StopTimedOut)
    assert "scripted.py" in report.line
    assert [each.child for each in supervisor.stop_report.unstopped] == ["root/a"]


async def test_O70_ten_of_a_template_without_grace_are_gone_at_once_and_the_supervisor_ends_well() -> None:
    record = Record()
    starts = (stops_slowly(record, str(number), 1000.0) for number in range(10))
    supervisor = Supervisor(template=lambda: ChildSpec("worker", next(starts), grace_period=0.0))
    async with timed_stop(supervisor) as stop:
        await workers(supervisor, 10)
        assert supervisor.count_children() == ChildCounts(1, 10, 0, 10)
    assert stop.seconds == exactly(0.0)
    assert record.lines == []
    assert supervisor.state == "stopped"
    assert supervisor.stop_report.is_clean


async def test_O71_a_template_stops_all_at_once_under_one_time_limit() -> None:
    record = Record()
    starts = iter([stops_slowly(record, id, takes) for id, takes in [("a", 1.0), ("b", 1.0), ("c", 5.0)]])
    supervisor = Supervisor(template=lambda: ChildSpec("worker", next(starts), grace_period=2.0))
    async with timed_stop(supervisor) as stop:
        await workers(supervisor, 3)
    assert stop.seconds == exactly(2.0)
    assert sorted(record.lines) == ["a down", "b down"]  # c was cut


# ── what happens meanwhile ──

EXITS = ways_to_end_by_oneself()
TOLD = {
    "returns": "ChildFinished",
    "crashes": "ChildCrashed",
    "crashes in a group": "ChildCrashed",
    "is killed": "ChildCrashed",
    "suspends": "ChildSuspended",
    "renews": "ChildRenewed",
}


async def test_O72_every_exit_during_a_stop_is_told_and_nobody_is_restarted() -> None:
    each_way = [(policy, way) for policy in RestartPolicy for way in EXITS]
    casting = {f"{policy.value} {way}": {"restart": policy} for policy, way in each_way}
    troupe = Troupe({**casting, "slow": {"grace_period": 20.0}})
    troupe["slow"].cleanup = 10.0
    async with timed_stop(troupe.supervisor) as stop:
        troupe.supervisor.request_stop()
        await settle()
        for id, (_, way) in zip(casting, each_way, strict=True):
            EXITS[way](troupe[id])
        await settle()
        assert [troupe.record.told(id) for id in casting] == [["ChildStarted", TOLD[way]] for _, way in each_way]
        assert troupe.record.told("slow") == ["ChildStarted"]
    assert stop.seconds == exactly(9.8)
    assert troupe.record.told()[-1] == "ChildStopped"
    assert [line for line in troupe.record.lines if line.endswith(" up")] == [f"{id} up" for id in [*casting, "slow"]]
    assert troupe.supervisor.stop_report.is_clean


async def test_fault_D5_O73_an_odd_exit_while_being_stopped_is_told_and_does_not_fail_the_stop() -> None:
    record = Record()
    mortals = [Mortal(record, str(number)) for number in range(3)]
    starts = iter(mortals)
    supervisor = Supervisor("root", template=lambda: ChildSpec("worker", next(starts)), observer=record.observe)
    async with supervisor.running():
        await workers(supervisor, 3)
        mortals[1].release = anyio.Event()  # it ends by raising only when the stop has reached it
        supervisor.request_stop()
        mortals[1].crash(OSError("odd"))
        await settle()
        mortals[1].release.set()
    failed = record.only(StopFailed)
    assert (failed.child, failed.incarnation, failed.failure.type) == ("worker-2", 1, "builtins.OSError")
    assert supervisor.stop_report.errors == (failed,)
    assert record.told("worker-2") == ["ChildStarted", "StopFailed"]
    assert record.told("worker-1") == record.told("worker-3") == ["ChildStarted", "ChildStopped"]


# ── children that do not listen ──


async def test_O74_terminating_a_child_that_swallows_its_cancellation_returns_when_it_obeys_a_later_one() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 5:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                swallowed += 1

    async with Supervisor(children=[ChildSpec("stubborn", stubborn)]).running() as supervisor:
        await supervisor.terminate_child("stubborn")
        assert supervisor.which_child("stubborn").state == "stopped"
    assert swallowed == 5


async def test_O74_while_a_child_is_out_of_reach_its_supervisor_goes_on() -> None:
    record, naughty = Record(), Naughty()
    supervisor = Supervisor("root", [ChildSpec("naughty", naughty, grace_period=1.0)], observer=record.observe)
    async with supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(supervisor.terminate_child, "naughty")
        await settle(60.0)
        assert supervisor.which_child("naughty").state == "stopping"
        assert record.only(StopTimedOut).child == "naughty"
        await supervisor.start_child(ChildSpec("b", obeys))
        await supervisor.terminate_child("b")
        await supervisor.restart_child("b")
        assert supervisor.which_child("b").incarnation == 2
        naughty.release.set()
        await settle()
        assert supervisor.which_child("naughty").state == "stopped"
