"""Windows, backoffs and deadlines go by the monotonic clock: N18."""

from __future__ import annotations

import time

import anyio
import pytest

from tests.supervisors.scripted import Theatre, settle
from tests.virtual_time import block_the_loop
from tocsin_supervisors import Backoff, ChildCrashed, ChildStarted, RestartIntensity, RestartIntensityExceeded

SLOW = Backoff(initial=10.0, maximum=10.0, jitter=0.0)
JUMPS = (-1e9, -3600.0, 3600.0, 1e9)


@pytest.fixture(params=JUMPS)
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the wall clock jump at each look, as if somebody set it again and again."""
    looks = 0

    def jumping() -> float:
        nonlocal looks
        looks += 1
        return 1.7e9 + looks * float(request.param)

    monkeypatch.setattr(time, "time", jumping)


@pytest.mark.usefixtures("jump")
async def test_N18_fault_G6_a_wall_clock_that_jumps_neither_hastens_nor_delays_a_restart() -> None:
    theatre = Theatre("a", spec={"backoff": SLOW})
    async with theatre.supervisor.running():
        theatre["a"].crash()
        await settle(9.5)
        assert theatre.state("a") == "waiting"
        await settle(1.0)
        assert theatre.state("a") == "running"


@pytest.mark.usefixtures("jump")
async def test_N18_a_wall_clock_that_jumps_empties_no_window_and_fills_none() -> None:
    theatre = Theatre("a", spec={"intensity": RestartIntensity(2, 60.0)})

    async def scene() -> None:
        async with theatre.supervisor.running():
            for _ in range(2):
                theatre["a"].crash()
                await settle(29.0)
            theatre["a"].crash()
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert caught.value.restarts == 3


@pytest.mark.usefixtures("jump")
async def test_N18_a_wall_clock_that_jumps_does_not_change_how_long_a_stop_may_take() -> None:
    theatre = Theatre("a", "b", cleanup=2.0)
    async with theatre.supervisor.running():
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(4.0)
    assert theatre.supervisor.stop_report.is_clean


async def test_N18_while_the_monotonic_clock_stands_still_nothing_becomes_due() -> None:
    """As in a machine that sleeps: when it goes on, so does what was waited for."""
    theatre = Theatre("a", spec={"backoff": SLOW})
    async with theatre.supervisor.running():
        theatre["a"].crash()
        frozen_at = anyio.current_time()
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
        assert anyio.current_time() == frozen_at
        assert theatre.state("a") == "waiting"
        await settle(10.5)
        assert theatre.state("a") == "running"


async def test_N18_a_process_that_was_frozen_for_an_hour_goes_on_where_it_was() -> None:
    """As by SIGSTOP, or the lid of a laptop: the loop's clock has moved on, and nobody could run."""
    backoff = Backoff(10.0, 10.0, jitter=0.0)
    theatre = Theatre("a", "b", "c", spec={"backoff": backoff, "intensity": RestartIntensity(1, 60.0)}, cleanup=2.0)
    async with theatre.supervisor.running() as supervisor, anyio.create_task_group() as group:
        theatre["a"].crash()
        group.start_soon(supervisor.terminate_child, "c")
        await settle(1.0)
        assert theatre.state("a") == "waiting"
        block_the_loop(3600.0)
        frozen_until = anyio.current_time()
        await settle(5.0)
        # Due long ago, but only once; the window is past, too.
        starts = [each.at for each in theatre.record.reports if isinstance(each, ChildStarted) and each.child == "a"]
        assert starts[1:] == [pytest.approx(frozen_until)]
        theatre["a"].crash()
        await settle(15.0)
        assert theatre.incarnation("a") == 3
        assert theatre.incarnation("b") == 1
    assert theatre.record.told("c") == ["ChildStarted", "ChildStopped"]
    assert len([each for each in theatre.record.reports if isinstance(each, ChildCrashed)]) == 2
