"""Ten thousand restarts leave nothing behind; a thousand crashes at one instant are one failure."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Crash, Record, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildHeld,
    ChildSpec,
    ChildStarted,
    RenewChild,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RestartScheduled,
    Supervisor,
    SuspendChild,
)

pytestmark = pytest.mark.slow

PLENTY = RestartIntensity(10**6, 1.0, max_consecutive=None)
SAME = Crash("the same instance each time")


# ── N8: nothing is left ──


class Mortal:
    """A child that ends at once, in one of the ways that are followed by another start."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.lives = 0

    async def __call__(self) -> None:
        self.lives += 1
        payload = bytearray(1000)
        if self.how == "scopes":
            with anyio.move_on_after(0.1), anyio.CancelScope():
                await anyio.sleep_forever()
        if self.how == "groups":
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                raise Crash(len(payload))
        if self.how == "renews":
            await anyio.sleep(1.0)  # no backoff follows
        if self.how == "finishes":
            return
        raise {"renews": RenewChild(), "same": SAME}.get(self.how, Crash(len(payload)))

    async def never_up(self, context: ChildContext) -> None:
        """Fail each start but the first."""
        self.lives += 1
        if self.lives > 1:
            raise Crash("not up")
        context.started()


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", ["crashes", "same", "finishes", "renews", "scopes", "groups", "never up"])
async def test_fault_D22_N8_thousands_of_restarts_leave_no_object_behind(how: str, times: int) -> None:
    child = Mortal(how)
    # Apart by more than any memory of recent failures reaches, all of which are bounded by time as well.
    backoff = Backoff(initial=2.0, maximum=2.0, jitter=0.0)
    start: Any = child.never_up if how == "never up" else child
    spec = ChildSpec("a", start, backoff=backoff, intensity=PLENTY)
    async with Supervisor(children=[spec], intensity=PLENTY).running():
        # On asyncio anyio itself leaves a ring of each task of a group that was cancelled.
        # More of the most frequent kind; what a rarer one leaves behind shows in fewer.
        until = times * (2_000 if how == "crashes" else 1_000)
        left = await _objects_left(lambda: child.lives, until, collects=how == "groups")
    assert left < until / 10


async def _objects_left(lives: Callable[[], int], until: int, *, collects: bool = False) -> int:
    """Give how many objects more there are after so many lives than after a thousand, though nobody collects them."""
    await _wait_for(lives, until // 10)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        await _wait_for(lives, until)
        if collects:
            gc.collect()
        return len(gc.get_objects()) - before
    finally:
        gc.enable()


async def _wait_for(lives: Callable[[], int], number: int) -> None:
    while lives() < number:  # noqa: ASYNC110  # what is waited for tells nobody of itself
        await anyio.sleep(10.0)


@pytest.mark.parametrize("from_template", [False, True])
async def test_N8_thousands_of_children_that_come_and_go_leave_no_object_behind(from_template: bool) -> None:
    lives = 0

    async def child() -> None:
        nonlocal lives
        lives += 1

    def spec() -> ChildSpec:
        return ChildSpec(f"child {lives}", child, restart=RestartPolicy.TEMPORARY)

    async def come_and_go(supervisor: Supervisor) -> None:
        while True:
            if from_template:
                await supervisor.start_from_template()
            else:
                await supervisor.start_child(spec())
            await anyio.sleep(1.0)

    supervisor = Supervisor(template=spec) if from_template else Supervisor()
    async with supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(come_and_go, supervisor)
        left = await _objects_left(lambda: lives, 3_000)
        group.cancel_scope.cancel()
        assert left < 300


# ── N19: a thousand at once ──

MANY = 1000


class Dependency:
    """What a thousand children need: when it goes down, all of them fail in the same instant."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self.is_up = True
        self.starts: list[tuple[float, int]] = []  # when, and which child
        self._error = error
        self._down = anyio.Event()

    def child(self, number: int, **options: Any) -> ChildSpec:
        async def live() -> None:
            self.starts.append((anyio.current_time(), number))
            if not self.is_up:
                await anyio.sleep(0.01)
                raise self._error()
            await self._down.wait()
            raise self._error()

        return ChildSpec(f"c{number}", live, **options)

    def go_down(self) -> None:
        """Fail, under all at once."""
        self.is_up = False
        self._down.set()

    def come_up(self) -> None:
        """Work again."""
        self.is_up = True
        self._down = anyio.Event()


def thousand(dependency: Dependency, *others: ChildSpec, **options: Any) -> tuple[Supervisor, Record]:
    record = Record()
    specs = [*(dependency.child(number, intensity=PLENTY) for number in range(MANY)), *others]
    return Supervisor("root", specs, observer=record.observe, random=Random(1), **options), record


errors = pytest.mark.parametrize(
    "error", [lambda: ConnectionError("no route"), lambda: SuspendChild("no route")], ids=["crash", "suspension"]
)


@errors
async def test_N19_a_thousand_that_crash_at_once_are_all_back_after_as_many_attempts_and_the_canary_first(
    error: Callable[[], Exception],
) -> None:
    dependency = Dependency(error)
    supervisor, record = thousand(dependency, intensity=RestartIntensity(2, 3600.0))
    async with supervisor.running():
        del dependency.starts[:]
        dependency.go_down()
        await settle(0.005)
        dependency.come_up()
        await settle(10.0)
        assert supervisor.count_children().active == MANY
    (first, canary), *others = dependency.starts
    assert len(others) == MANY - 1
    assert {number for _, number in others} == set(range(MANY)) - {canary}
    times = [at - first for at, _ in others]
    assert 1.0 <= min(times) <= 1.1
    assert 1.9 <= max(times) <= 2.0
    assert max(Counter(int(at * 10) for at in times).values()) < 150  # in a tenth of a second; a hundred if quite even
    assert sum(isinstance(each, ChildHeld) for each in record.reports) == MANY - 1


@errors
async def test_N19_as_long_as_what_they_need_is_down_only_the_canary_tries(error: Callable[[], Exception]) -> None:
    dependency = Dependency(error)
    supervisor, _ = thousand(dependency, intensity=RestartIntensity(30, 3600.0))
    async with supervisor.running():
        del dependency.starts[:]
        dependency.go_down()
        await settle(120.0)
        assert len({number for _, number in dependency.starts}) == 1
        assert len(dependency.starts) <= 12
        dependency.come_up()
        await settle(60.0)
        assert supervisor.count_children().active == MANY
        assert len(dependency.starts) <= 13 + MANY


async def _crash(number: int) -> None:
    await anyio.sleep(5.0 + number)
    raise Crash(number)


async def _go_down_and_up(dependency: Dependency) -> None:
    await settle()
    dependency.go_down()
    await settle(0.005)
    dependency.come_up()


async def test_N19_a_thousand_crashes_at_once_are_charged_once() -> None:
    dependency = Dependency(lambda: ConnectionError("no route"))
    other = ChildSpec("other", lambda: _crash(0), backoff=AT_ONCE)
    supervisor, record = thousand(dependency, other, intensity=RestartIntensity(3, 3600.0))
    async with anyio.create_task_group() as group:
        group.start_soon(_go_down_and_up, dependency)
        with pytest.raises(RestartIntensityExceeded) as caught:
            await supervisor.run()
        assert (caught.value.child, caught.value.restarts) == ("other", 4)
    restarts = [each.child for each in record.reports if isinstance(each, RestartScheduled)]
    assert restarts.count("other") == 2  # the third one, with that of the canary, was one too many
    assert len(restarts) == MANY + 1 + 2  # of the second to fail the restart was scheduled before the cause was known


async def test_N19_a_thousand_that_fail_with_what_they_need_are_charged_not_at_all() -> None:
    record = Record()
    is_up, down = True, anyio.Event()

    async def database() -> None:
        await down.wait()
        raise Crash("the database")

    def user(number: int) -> ChildSpec:
        async def live() -> None:
            if not is_up:
                raise Crash("too early")  # pragma: no cover
            await down.wait()
            await anyio.sleep(0.001)
            raise Crash(f"of {number}", number)

        return ChildSpec(f"c{number}", live, needs=("database",), intensity=RestartIntensity.never())

    database_spec = ChildSpec("database", database, backoff=Backoff(0.1, 0.1, jitter=0.0))
    supervisor = Supervisor(
        "root", [database_spec, *map(user, range(MANY))], observer=record.observe, intensity=RestartIntensity(1, 60.0)
    )
    async with supervisor.running():
        del record.reports[:]
        down.set()
        down = anyio.Event()
        await settle(10.0)
        assert supervisor.count_children().active == MANY + 1
        starts = [each.child for each in record.reports if isinstance(each, ChildStarted)]
        assert starts[0] == "database"
        assert len(starts) == MANY + 1
