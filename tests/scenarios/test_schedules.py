"""What must hold whichever task comes first: each scene on a hundred and more schedules, each of them from a seed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import anyio
import anyio.lowlevel
import pytest

from tests.scheduling import play
from tests.supervisors.scripted import Theatre
from tocsin_supervisors import (
    AutoShutdown,
    Backoff,
    ChildError,
    ChildSpec,
    ChildStarted,
    ChildStartError,
    RenewChild,
    RestartIntensity,
    Strategy,
    Supervisor,
    SuspendChild,
)

PLENTY = RestartIntensity(10**6, 1.0, max_consecutive=None)
PAUSES = [0.0, 0.0, 0.0, 0.001, 0.1, 0.5, 1.0, 2.0]

Scene = Callable[[Random], Awaitable[None]]
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
schedules = pytest.mark.parametrize(
    "seeds", [range(1, 21), pytest.param(range(21, 1_001), marks=pytest.mark.soak)], ids=["20", "980"]
)


def on_every_schedule(scene: Scene, backend: str, seeds: range) -> None:
    """Play *scene* once for each seed, which decides what happens in it and whose turn it is."""
    for seed in seeds:
        try:
            play(partial(scene, Random(seed)), backend, seed)
        except BaseException as error:
            error.add_note(f"replay: the schedule of seed {seed} on {backend}")
            raise


class Company:
    """A supervisor of puppets that something happens to."""

    def __init__(
        self, random: Random, *ids: str, needs: dict[str, tuple[str, ...]] | None = None, strategy: Strategy
    ) -> None:
        self.random = random
        self.ids = ids
        self.down: set[str] = set()  # by request
        self.theatre = Theatre(*ids, cleanup=random.choice([0.0, 0.0, 0.2]))
        self.supervisor = Supervisor(
            "root",
            [self.spec(id, needs=(needs or {}).get(id, ())) for id in ids],
            strategy=strategy,
            intensity=PLENTY,
            observer=self.theatre.record.observe,
            random=random,
        )

    def spec(self, id: str, **options: object) -> ChildSpec:
        """Describe a child that may fail as often as it likes."""
        delay = self.random.choice([0.01, 0.01, 0.1, 1.0])  # with none, no time would pass while one refuses its starts
        backoff = Backoff(delay, delay)
        return self.theatre[id].spec(backoff=backoff, suspension=backoff, intensity=PLENTY, **options)

    async def pause(self) -> None:
        """Let nothing, a little or much happen."""
        await anyio.sleep(self.random.choice(PAUSES))

    def crash(self, *ids: str) -> None:
        """Have several fail at once, of one of a few causes."""
        kind = self.random.choice([ConnectionError, OSError, SuspendChild, RenewChild])
        for id in ids:
            self.theatre[id].crash(kind())

    def some(self) -> list[str]:
        """Choose some of the children."""
        return self.random.sample(self.ids, self.random.randint(1, len(self.ids)))

    async def terminate_and_restart(self) -> None:
        """Do so with one of the children, as an operator would."""
        id = self.random.choice(self.ids)
        self.down.add(id)
        await self.supervisor.terminate_child(id)
        await self.pause()
        try:
            await self.supervisor.restart_child(id)
        except (ChildStartError, ChildError):
            return
        self.down.discard(id)

    async def outage(self) -> None:
        """Let one of the children refuse its starts for a while."""
        puppet = self.theatre[self.random.choice(self.ids)]
        puppet.refuses = True
        puppet.crash()
        await anyio.sleep(self.random.choice([0.1, 3.0, 10.0]))
        puppet.refuses = False

    def check(self) -> None:
        """See that all are up who should be, and that nobody ever lived twice at a time."""
        states = {each.id: each.state for each in self.supervisor.which_children()}
        assert {id for id, state in states.items() if state == "running"} == set(self.ids) - self.down
        assert {id for id, state in states.items() if state == "stopped"} == self.down
        for id in self.ids:
            lives = [line for line in self.theatre.record.lines if line in (f"{id} up", f"{id} down")]
            assert lives == [f"{id} up", f"{id} down"] * (len(lives) // 2) + [f"{id} up"] * (len(lives) % 2)


# ── common causes ──

NEEDS = {
    "cache": ("database",),
    "orders": ("database", "cache"),
    "mail": ("cache",),
    "left": ("right",),
    "right": ("left",),  # each other
    "ring": ("orders", "left"),
}


async def two_causes(random: Random) -> None:
    company = Company(random, "database", *NEEDS, "alone", needs=NEEDS, strategy=Strategy.ONE_FOR_ONE)
    async with company.supervisor.running(), anyio.create_task_group() as group:
        for _ in range(random.randint(1, 15)):
            await company.pause()
            happens = random.random()
            if happens < 0.7:
                company.crash(*company.some())
            elif happens < 0.85:
                group.start_soon(company.outage)
            else:
                await company.terminate_and_restart()
        await anyio.sleep(100.0)
        company.check()


@pytest.mark.slow
@backends
@schedules
def test_N19_nobody_waits_for_ever_whatever_fails_of_which_causes_at_once(backend: str, seeds: range) -> None:
    on_every_schedule(two_causes, backend, seeds)


# ── changes while something fails ──


async def crash_during_reconfigure(random: Random) -> None:
    company = Company(random, "a", "b", "c", "d", strategy=random.choice(list(Strategy)))
    supervisor = company.supervisor
    strategies, changed = [random.choice(list(Strategy)) for _ in range(3)], set[str]()

    async def crash() -> None:
        for _ in range(4):
            await company.pause()
            company.crash(*company.some())

    async def reconfigure() -> None:
        for number, strategy in enumerate(strategies):
            await company.pause()
            id = random.choice(company.ids)
            changed.add(id)
            new = ChildSpec(f"new {number}", anyio.sleep_forever)
            await supervisor.reconfigure(
                [company.spec(id, grace_period=7.0), new],
                strategy=strategy,
                auto_shutdown=random.choice(list(AutoShutdown)),
            )

    async with supervisor.running():
        async with anyio.create_task_group() as group:
            group.start_soon(crash)
            group.start_soon(reconfigure)
        await anyio.sleep(60.0)
        assert supervisor.options.strategy is strategies[-1]
        assert {id for id in company.ids if supervisor.child_spec(id).grace_period == 7.0} == changed
        news = [each for each in supervisor.which_children() if each.id.startswith("new")]
        assert [each.id for each in news] == ["new 0", "new 1", "new 2"]
        for each in news:
            await supervisor.terminate_child(each.id)
            await supervisor.delete_child(each.id)
        company.check()


@pytest.mark.slow
@backends
@schedules
def test_a_crash_during_a_live_change_leaves_everybody_up_and_the_change_made(backend: str, seeds: range) -> None:
    on_every_schedule(crash_during_reconfigure, backend, seeds)


# ── terminating in a round ──


async def terminate_during_a_round(random: Random) -> None:
    strategy = random.choice([Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
    company = Company(random, "a", "b", "c", "d", strategy=strategy)
    supervisor, reports = company.supervisor, company.theatre.record.reports

    async def terminate(id: str) -> None:
        await company.pause()
        await supervisor.terminate_child(id)
        company.down.add(id)
        assert supervisor.which_child(id).state == "stopped"

    async with supervisor.running():
        for id in company.ids:
            company.theatre[id].start_takes = random.choice([0.0, 0.1])
        del reports[:]
        company.theatre[random.choice(company.ids)].crash()
        while not reports:  # a round that begins later would start again who is down by then, as in OTP
            await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as group:
            for id in random.sample(company.ids, random.randint(1, 3)):
                group.start_soon(terminate, id)
        await anyio.sleep(60.0)
        company.check()
        starts = [each.child for each in reports if isinstance(each, ChildStarted)]
        assert starts == sorted(starts)
        for id in sorted(company.down):
            await supervisor.restart_child(id)
            company.down.discard(id)
        company.check()


@backends
@schedules
def test_a_child_that_is_terminated_during_a_round_stays_down_and_the_others_come_up_in_order(
    backend: str, seeds: range
) -> None:
    on_every_schedule(terminate_during_a_round, backend, seeds)
