"""A thousand children that crash in the same instant, as when what they all need goes down: N19."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from tests.supervisors.scripted import Crash
from tocsin_supervisors import (
    Backoff,
    ChildHeld,
    ChildSpec,
    ChildStarted,
    Report,
    RestartIntensity,
    RestartScheduled,
    Strategy,
    Supervisor,
)

COUNT = 1000


class Outage:
    """A thing that a thousand children need; it is down for a while."""

    def __init__(self, lasts: float, strategy: Strategy = Strategy.ONE_FOR_ONE) -> None:
        self.lasts = lasts
        self.over_at = 0.0
        self.began = anyio.Event()
        self.attempts = 0  # while it was down
        self.reports: list[Report] = []
        self.supervisor = Supervisor(
            "many",
            [ChildSpec(f"child {number}", self.child, backoff=Backoff(initial=1.0)) for number in range(COUNT)],
            strategy=strategy,
            intensity=RestartIntensity(30, 60.0),
            observer=self.reports.append,
            random=Random(7),
        )

    async def child(self) -> None:
        if self.began.is_set() and anyio.current_time() < self.over_at:
            self.attempts += 1
            raise Crash("it is down")
        if not self.began.is_set():
            await self.began.wait()
            raise Crash("it went down")
        await anyio.sleep_forever()

    def begin(self) -> None:
        self.over_at = anyio.current_time() + self.lasts
        self.began.set()

    def starts(self) -> list[float]:
        """Give when children came up again, in seconds since the outage was over."""
        again = [each for each in self.reports if isinstance(each, ChildStarted) and each.incarnation > 1]
        return [each.at - self.over_at for each in again if each.at >= self.over_at]


async def test_N19_all_are_back_after_it_and_the_supervisor_has_not_given_up() -> None:
    outage = Outage(lasts=20.0)
    async with outage.supervisor.running() as supervisor:
        outage.begin()
        await anyio.sleep(60.0)
        assert supervisor.count_children().active == COUNT


async def test_N19_while_it_is_down_only_the_canary_tries() -> None:
    outage = Outage(lasts=20.0)
    async with outage.supervisor.running():
        outage.begin()
        await anyio.sleep(60.0)
    # Two failed before it was seen that they had one cause; then one probe per backoff: after 1, 2, 4, 8 and 16 s.
    assert outage.attempts <= 7
    held = [each for each in outage.reports if isinstance(each, ChildHeld)]
    assert len({each.child for each in held}) == COUNT - 1
    assert len({each.canary for each in held}) == 1


async def test_N19_the_canary_comes_first_and_the_others_are_spread_after_it() -> None:
    outage = Outage(lasts=5.0)
    async with outage.supervisor.running():
        outage.begin()
        await anyio.sleep(60.0)
    first, *others = outage.starts()
    assert len(others) == COUNT - 1
    assert min(others) >= first + 1.0
    assert max(others) - min(others) == pytest.approx(1.0, abs=0.05)
    tenths = [sum(1 for each in others if number <= 10 * (each - first - 1.0) < number + 1) for number in range(10)]
    assert all(50 < count < 150 for count in tenths), f"bunched: {tenths}"


async def test_N19_it_is_charged_once_however_many_there_are() -> None:
    outage = Outage(lasts=0.5)
    outage_budget = RestartIntensity(2, 60.0)
    async with outage.supervisor.running() as supervisor:
        await supervisor.reconfigure(intensity=outage_budget)
        outage.begin()
        await anyio.sleep(30.0)
        assert supervisor.state == "running"
        assert supervisor.count_children().active == COUNT


async def test_N19_under_one_for_all_they_make_one_round() -> None:
    outage = Outage(lasts=0.0, strategy=Strategy.ONE_FOR_ALL)
    async with outage.supervisor.running() as supervisor:
        outage.begin()
        await anyio.sleep(30.0)
        assert {child.incarnation for child in supervisor.which_children()} == {2}
    assert sum(isinstance(each, RestartScheduled) for each in outage.reports) >= 1
