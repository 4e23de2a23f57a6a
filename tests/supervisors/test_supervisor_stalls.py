"""A supervisor that watches the event loop: who blocks it is reported, counted and logged, by name."""

from __future__ import annotations

import logging
import math

import anyio
import pytest

from tests.supervisors.scripted import Record
from tests.supervisors.stalling import BLOCKING_LINE, THRESHOLD, block
from tocsin_supervisors import ChildSpec, LoopStalled, Report, Supervisor

pytestmark = pytest.mark.real_time


async def blocks_once() -> None:
    """Block the event loop once, and be well behaved then."""
    await anyio.sleep(0.05)
    block()
    await anyio.sleep_forever()


class Stalls(Record):
    """A record that tells when a stall is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.reported = anyio.Event()

    def observe(self, report: Report) -> None:
        super().observe(report)
        if isinstance(report, LoopStalled):
            self.reported.set()


async def watched(record: Stalls, spec: ChildSpec) -> Supervisor:
    """Run until a stall is reported, and for which child it was counted."""
    supervisor = Supervisor("root", [spec], observer=record.observe, stall_threshold=THRESHOLD)
    async with supervisor.running():
        with anyio.fail_after(5.0):
            await record.reported.wait()
        assert supervisor.which_child(spec.id).stalls == 1
        assert supervisor.tree().children[0].stalls == 1
        if isinstance(spec.start, Supervisor):
            assert [child.stalls for child in spec.start.which_children()] == [1, 0]
    return supervisor


async def test_who_blocks_the_event_loop_is_reported_with_the_line() -> None:
    record = Stalls()
    await watched(record, ChildSpec("slow", blocks_once))
    stalled = record.only(LoopStalled)
    assert (stalled.supervisor, stalled.child) == ("root", "root/slow")
    assert stalled.line == BLOCKING_LINE
    assert stalled.seconds >= THRESHOLD


async def test_a_stall_is_logged_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "tocsin_supervisors"):
        await watched(Stalls(), ChildSpec("slow", blocks_once))
    (message,) = [record.getMessage() for record in caplog.records]
    assert "child 'root/slow' blocks it at" in message


async def test_a_stall_deep_in_the_tree_counts_for_all_above_it() -> None:
    branch = Supervisor("any name", [ChildSpec("leaf", blocks_once), ChildSpec("other", anyio.sleep_forever)])
    record = Stalls()
    await watched(record, ChildSpec("branch", branch))
    assert record.only(LoopStalled).child == "root/branch/leaf"


async def test_a_stall_during_the_stop_is_reported_too() -> None:
    record = Record()

    async def slow_to_stop() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            block()

    specs = [ChildSpec("slow", slow_to_stop)]
    with anyio.move_on_after(0.05):
        await Supervisor("root", specs, observer=record.observe, stall_threshold=THRESHOLD).run()
    assert record.only(LoopStalled).child == "root/slow"


async def test_nothing_is_watched_unless_it_is_asked_for() -> None:
    record = Record()
    async with Supervisor("root", [ChildSpec("slow", blocks_once)], observer=record.observe).running():
        await anyio.sleep(0.5)
    assert "LoopStalled" not in record.told()


@pytest.mark.parametrize("threshold", [0.0, 0.04, -1.0, math.inf, math.nan])
async def test_a_threshold_that_makes_no_sense_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"stall_threshold=.* must lie between 0.05 and 3600"):
        Supervisor(stall_threshold=threshold)


async def test_a_stall_by_code_of_no_child_is_counted_for_nobody() -> None:
    record = Stalls()
    supervisor = Supervisor(
        "root", [ChildSpec("innocent", anyio.sleep_forever)], observer=record.observe, stall_threshold=THRESHOLD
    )
    async with supervisor.running():
        await anyio.sleep(0.05)
        block()
        with anyio.fail_after(5.0):
            await record.reported.wait()
        assert supervisor.which_child("innocent").stalls == 0
    assert record.only(LoopStalled).child is None


def test_a_supervisor_that_does_not_run_has_nobody_to_count_a_stall_for() -> None:
    supervisor = Supervisor("root", [ChildSpec("a", anyio.sleep_forever)])
    supervisor.count_stall("root/a")
    assert supervisor.which_child("a").stalls == 0
