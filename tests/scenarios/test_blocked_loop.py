"""The event loop is blocked for a while: time in which nobody could run is held against nobody."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.supervisors.scripted import Crash, Record, settle
from tests.virtual_time import block_the_loop
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    ChildStarted,
    ChildStartError,
    ChildStartFailed,
    RestartIntensity,
    StopTimedOut,
    Supervisor,
)

NEVER = RestartIntensity.never()
# When the loop is blocked, in seconds after the victim's time has begun to run, and for how long. The victim needs 0.8
# of its one second, in turns of 0.1.
BLOCKS = {
    "from the first moment": [(0.0, 2.0)],
    "in the middle": [(0.45, 2.0)],
    "just over the time-out": [(0.65, 0.4)],
    "until just before the time-out": [(0.25, 0.7)],
    "shortly before the end": [(0.75, 2.0)],
    "for an hour": [(0.45, 3600.0)],
    "again and again": [(0.15, 1.5), (0.2, 1.5), (0.2, 0.8), (0.1, 60.0)],
}
blocks = pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)


async def in_turns() -> None:
    """Work for 0.8 seconds in steps, each of which comes late if the loop is blocked."""
    for _ in range(8):
        await anyio.sleep(0.1)


class Blocker:
    """A child that blocks the loop when it is told to: each time so many seconds after it could run again."""

    def __init__(self) -> None:
        self._go = anyio.Event()
        self._blocks: list[tuple[float, float]] = []

    async def __call__(self) -> None:
        await self._go.wait()
        for pause, seconds in self._blocks:
            await anyio.sleep(pause)
            block_the_loop(seconds)
        await anyio.sleep_forever()

    def begin(self, blocks: list[tuple[float, float]]) -> None:
        """Begin to block."""
        self._blocks = blocks
        self._go.set()


def stage(victim: Callable[..., Any], **options: Any) -> tuple[Supervisor, Record, Blocker]:
    """Give a supervisor of a blocker and of a victim that must not be restarted."""
    record, blocker = Record(), Blocker()
    specs = [ChildSpec("blocker", blocker, intensity=NEVER), ChildSpec("victim", victim, intensity=NEVER, **options)]
    return Supervisor("root", specs, observer=record.observe), record, blocker


# ── what is not held against others ──


@blocks
async def test_N4_fault_G18_a_start_is_not_too_late_because_another_child_blocked_the_loop(
    blocks: list[tuple[float, float]],
) -> None:
    async def victim(context: ChildContext) -> None:
        blocker.begin(blocks)
        await in_turns()
        context.started()
        await anyio.sleep_forever()

    supervisor, record, blocker = stage(victim, start_timeout=1.0)
    async with supervisor.running():
        assert supervisor.which_child("victim").incarnation == 1
    assert "ChildStartFailed" not in record.told("victim")


@blocks
async def test_N4_a_grace_period_is_not_over_because_another_child_blocked_the_loop(
    blocks: list[tuple[float, float]],
) -> None:
    async def victim(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        blocker.begin(blocks)
        await in_turns()
        record.note("stopped by itself")

    supervisor, record, blocker = stage(victim, grace_period=1.0)
    async with supervisor.running():
        await supervisor.terminate_child("victim")
    assert record.lines == ["stopped by itself"]
    assert record.told("victim") == ["ChildStarted", "ChildStopped"]


@blocks
async def test_N4_a_cleanup_does_not_hang_because_another_child_blocked_the_loop(
    blocks: list[tuple[float, float]],
) -> None:
    async def victim() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                blocker.begin(blocks)
                await in_turns()

    supervisor, record, blocker = stage(victim, grace_period=1.0)
    async with supervisor.running():
        await settle()
        await supervisor.terminate_child("victim")
    assert record.told("victim") == ["ChildStarted", "ChildStopped"]


async def test_N4_a_start_is_not_too_late_because_the_observer_blocked_the_loop() -> None:
    record = Record()

    def observer(report: object) -> None:
        record.observe(report)  # type: ignore[arg-type]
        if isinstance(report, ChildStarted) and report.child == "first":
            block_the_loop(5.0)

    async def first() -> None:
        await anyio.sleep_forever()

    async def second(context: ChildContext) -> None:
        await in_turns()
        context.started()
        await anyio.sleep_forever()

    specs = [ChildSpec("first", first), ChildSpec("second", second, start_timeout=1.0)]
    async with Supervisor("root", specs, observer=observer).running():
        assert record.told("second") == ["ChildStarted"]


async def test_N4_a_canary_has_not_proved_itself_while_nobody_could_run() -> None:
    starts = 0

    async def child() -> None:
        nonlocal starts
        starts += 1
        if starts == 5:  # of four children: the canary, which is down again before it has proved itself
            blocker.begin([(0.1, 5.0)])
            await in_turns()
        raise Crash("the same for all")

    blocker = Blocker()
    backoff = Backoff(1.0, 1.0, jitter=0.0)
    specs = [ChildSpec(f"c{number}", child, backoff=backoff) for number in range(4)]
    async with Supervisor("root", [ChildSpec("blocker", blocker), *specs]).running() as supervisor:
        await settle(8.0)
        assert [each.incarnation for each in supervisor.which_children()] == [1, 3, 1, 1, 1]


# ── what it does not excuse ──


async def test_N4_without_a_block_the_time_out_of_a_start_is_exact() -> None:
    async def victim(context: ChildContext) -> None:
        await anyio.sleep_forever()

    supervisor, record, _ = stage(victim, start_timeout=0.7)
    began = anyio.current_time()
    with pytest.raises(ChildStartError, match=r"not up within start_timeout=0\.7 s"):
        await supervisor.run()
    assert record.only(ChildStartFailed).at == pytest.approx(began + 0.7)


async def test_N4_a_child_that_did_not_work_in_the_time_that_was_given_back_is_too_late() -> None:
    async def victim(context: ChildContext) -> None:
        blocker.begin([(0.4, 10.0)])
        await anyio.sleep_forever()

    supervisor, record, blocker = stage(victim, start_timeout=1.0)
    began = anyio.current_time()
    with pytest.raises(ChildStartError, match="not up within start_timeout=1 s"):
        await supervisor.run()
    assert 11.0 <= record.only(ChildStartFailed).at - began <= 11.25


async def test_N4_a_child_that_itself_blocks_the_loop_again_and_again_is_not_excused_for_ever() -> None:
    async def never_up(context: ChildContext) -> None:
        while True:
            block_the_loop(2.0)
            await anyio.lowlevel.checkpoint()

    record = Record()
    supervisor = Supervisor("root", [ChildSpec("a", never_up, start_timeout=1.0)], observer=record.observe)
    began = anyio.current_time()
    with pytest.raises(ChildStartError, match="not up within start_timeout=1 s"):
        await supervisor.run()
    assert record.only(ChildStartFailed).at - began < 100.0


async def test_N4_the_deadline_of_the_whole_stop_is_kept_whoever_blocks_the_loop() -> None:
    async def slow(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        if context.id == "c":
            block_the_loop(20.0)
        await anyio.sleep_forever()

    record = Record()
    specs = [ChildSpec(id, slow, grace_period=math.inf) for id in "abc"]
    async with Supervisor("root", specs, observer=record.observe, shutdown_deadline=10.0).running() as supervisor:
        began = anyio.current_time()
        await supervisor.stop()
        assert anyio.current_time() - began == pytest.approx(20.0)
    assert not any(isinstance(each, StopTimedOut) for each in record.reports)
