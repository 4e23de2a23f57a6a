"""Leaks: not one object is left of thousands of lives, while the garbage collector is off."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from itertools import count
from typing import Any, NoReturn

import anyio
import pytest

from benchmarks.storms import NEVER_TRIPS, Storm, left_behind
from tests.supervisors.scripted import AT_ONCE, Crash
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    RenewChild,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Strategy,
    Supervisor,
    SuspendChild,
)

pytestmark = pytest.mark.slow

LIVES = 1000
FEWER_LIVES = 500  # of what takes longer
SAME = Crash("the same instance each time")

Fault = Callable[[], Awaitable[None]]


def fail(error: BaseException | None = None) -> NoReturn:
    """Raise *error*, or a new one, with a payload and a cause."""
    try:
        raise OSError("the cause", bytearray(100))
    except OSError as cause:
        raise error or Crash("the failure", bytearray(1000)) from cause


@pytest.fixture(autouse=True)
def untraced() -> Generator[None]:
    """Measure no coverage: to watch each line of thousands of lives takes minutes. All of them are covered elsewhere.

    pytest-cov's own mark for that does not reach the tracer in the workers of pytest-xdist.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


async def left(storm: Storm, lives: int) -> dict[str, int]:
    """Give of which types there are more objects afterwards. Of some there may be fewer: what earlier tests have left
    to other threads ends some time."""
    return {kind: change for kind, change in (await left_behind(storm, lives)).items() if change > 0}


async def raises() -> None:
    fail()


async def raises_the_same_instance() -> None:
    fail(SAME)


async def raises_a_group() -> None:
    raise ExceptionGroup("outer", [Crash(bytearray(1000)), ExceptionGroup("inner", [SAME, KeyError("leaf")])])


async def fails_in_tasks_of_its_own() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(raises)
        group.start_soon(raises_the_same_instance)


async def leaves_a_cancelled_scope() -> None:
    with anyio.move_on_after(0):
        await anyio.sleep_forever()
    fail()


async def asks_to_be_renewed() -> None:
    raise RenewChild


async def asks_to_be_suspended() -> None:
    raise SuspendChild(cause="nothing works")


async def finishes() -> None:
    pass


FAULTS = [
    raises,
    raises_the_same_instance,
    raises_a_group,
    fails_in_tasks_of_its_own,
    leaves_a_cancelled_scope,
    asks_to_be_renewed,
    asks_to_be_suspended,
    finishes,
]


def child_of(storm: Storm, fault: Fault) -> Callable[[], Awaitable[None]]:
    async def child() -> None:
        await storm.turn()
        await fault()

    return child


def child_with_context_of(storm: Storm, fault: Fault) -> Callable[[ChildContext], Awaitable[None]]:
    async def child(context: ChildContext) -> None:
        context.on_stop(lambda: None)
        context.started()
        await storm.turn()
        await fault()

    return child


def child_that_fails_in_its_start(storm: Storm) -> Callable[[ChildContext], Awaitable[None]]:
    async def child(context: ChildContext) -> None:
        if context.incarnation == 1:
            context.started()  # the initial start must not fail, or the supervisor ends
        await storm.turn()
        fail()

    return child


def spec(id: str, start: Any, **options: Any) -> ChildSpec:
    never_trips: dict[str, Any] = {"backoff": AT_ONCE, "suspension": AT_ONCE, "intensity": NEVER_TRIPS}
    return ChildSpec(id, start, **{**never_trips, **options})


@pytest.mark.parametrize("fault", FAULTS)
async def test_thousands_of_lives_leave_no_object_behind(fault: Fault) -> None:
    storm = Storm()
    async with Supervisor(children=[spec("a", child_of(storm, fault))], intensity=NEVER_TRIPS).running():
        assert await left(storm, LIVES) == {}


async def test_thousands_of_lives_with_a_context_leave_no_object_behind() -> None:
    storm = Storm()
    async with Supervisor(children=[spec("a", child_with_context_of(storm, raises))], intensity=NEVER_TRIPS).running():
        assert await left(storm, LIVES) == {}


async def test_thousands_of_failed_starts_leave_no_object_behind() -> None:
    storm = Storm()
    children = [spec("a", child_that_fails_in_its_start(storm))]
    async with Supervisor(children=children, intensity=NEVER_TRIPS).running():
        assert await left(storm, LIVES) == {}


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_thousands_of_group_restarts_leave_no_object_behind(strategy: Strategy) -> None:
    storm = Storm()
    idle = Storm()  # never begins: these are restarted only because the first one is
    children = [
        spec("a", child_of(storm, raises)),
        spec("b", child_of(idle, raises)),
        spec("c", child_with_context_of(idle, raises), grace_period=0),
    ]
    async with Supervisor(children=children, strategy=strategy, intensity=NEVER_TRIPS).running():
        assert await left(storm, FEWER_LIVES) == {}


@pytest.mark.parametrize("fault", [raises, raises_the_same_instance, raises_a_group])
async def test_a_thousand_nested_supervisors_that_give_up_leave_no_object_behind(fault: Fault) -> None:
    storm = Storm()
    nested = Supervisor("nested", [spec("a", child_of(storm, fault), intensity=RestartIntensity.never())])
    async with Supervisor(children=[spec("nested", nested)], intensity=NEVER_TRIPS).running():
        assert await left(storm, FEWER_LIVES) == {}


class Repeated(Storm):
    """A storm that is no crash of children that wait, but an act of the test itself, done again and again."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._act = act

    async def rage(self, crashes: int) -> None:
        for _ in range(crashes):
            await self._act()


async def comes_up_and_finishes(context: ChildContext) -> None:
    context.started("up")


@pytest.mark.parametrize("start", [raises, finishes, comes_up_and_finishes])
@pytest.mark.parametrize("ids", [count(), iter(lambda: 7, None)], ids=["of new names", "of one name"])
async def test_thousands_of_dynamic_temporary_children_leave_no_object_behind(
    start: Callable[..., Awaitable[None]], ids: Iterator[int]
) -> None:
    async with Supervisor().running() as supervisor:

        async def start_one() -> None:
            await supervisor.start_child(spec(str(next(ids)), start, restart=RestartPolicy.TEMPORARY))
            await anyio.sleep(0.1)

        assert await left(Repeated(start_one), FEWER_LIVES) == {}


async def test_a_thousand_runs_of_a_supervisor_leave_no_object_behind() -> None:
    supervisor = Supervisor(children=[spec("a", anyio.sleep_forever)])

    async def run() -> None:
        async with supervisor.running():
            await anyio.sleep(0.1)

    assert await left(Repeated(run), FEWER_LIVES) == {}


async def test_a_thousand_supervisors_that_give_up_leave_no_object_behind() -> None:
    supervisor = Supervisor(children=[spec("a", raises, intensity=RestartIntensity.never())])

    async def run() -> None:
        with contextlib.suppress(RestartIntensityExceeded):
            await supervisor.run()

    assert await left(Repeated(run), FEWER_LIVES) == {}


async def test_alarms_of_lives_that_are_over_do_not_pile_up_behind_one_that_is_far_off() -> None:
    async def suspended() -> None:
        raise SuspendChild

    storm = Storm()
    week, month = 7 * 86400, 30 * 86400
    far_off = spec("far off", suspended, suspension=Backoff(week, week))
    children = [far_off, spec("a", child_of(storm, raises), start_timeout=month)]
    async with Supervisor(children=children, intensity=NEVER_TRIPS).running():
        left = await left_behind(storm, LIVES)
        assert sum(left.values()) < LIVES / 10, left


async def test_what_does_stay_behind_is_told_with_its_type() -> None:
    kept: list[object] = []

    async def child() -> None:
        await storm.turn()
        kept.append([])

    storm = Storm()
    async with Supervisor(children=[spec("a", child)], intensity=NEVER_TRIPS).running():
        assert await left(storm, 100) == {"builtins.list": 101}
