"""What children were started with is let go: O45, of temporary children as soon as they have begun, and O46, under a
template too. A weak reference to an argument tells when it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.scenarios.cast_restarts import STRATEGIES
from tests.supervisors.scripted import AT_ONCE, Crash, settle
from tocsin_supervisors import (
    ChildContext,
    ChildRef,
    ChildSpec,
    ChildStartError,
    DeclineStart,
    RestartPolicy,
    Strategy,
    Supervisor,
)

PERMANENT, TRANSIENT, TEMPORARY = RestartPolicy
Start = Callable[..., Any]


class Load:
    """An argument that would rather not be kept."""

    def __init__(self, size: int = 100) -> None:
        self.parts = list(range(size))


LoadRef = weakref.ref[Load]


async def work(load: Load, context: ChildContext) -> None:
    """Be done with the argument once up."""
    del load
    context.started()
    await context.wait_stop_requested()


async def work_plainly(load: Load) -> None:
    """Do so without a context."""
    del load
    await anyio.sleep_forever()


async def crash_at_once(load: Load, context: ChildContext) -> None:
    """Fail with the argument at hand."""
    context.started()
    raise Crash(len(load.parts))


async def refuse(load: Load, context: ChildContext) -> None:
    """Fail to start, with the argument at hand."""
    raise Crash(len(load.parts))


async def decline(load: Load, context: ChildContext) -> None:
    """Decline, with the argument at hand."""
    raise DeclineStart(len(load.parts))


async def never_up(load: Load, context: ChildContext) -> None:
    """Start for ever, with the argument at hand."""
    await anyio.sleep_forever()
    load.parts.clear()


async def started(supervisor: Supervisor, id: str, start: Start, policy: RestartPolicy) -> LoadRef:
    """Start a child with an argument that nobody holds but those who were given it."""
    load = Load()
    ref = weakref.ref(load)
    await supervisor.start_child(ChildSpec(id, partial(start, load), restart=policy, backoff=AT_ONCE, grace_period=0.0))
    return ref


def hires(start: Start, policy: RestartPolicy) -> Supervisor:
    """Give a supervisor whose template is given the argument."""

    def template(load: Load) -> ChildSpec:
        return ChildSpec("child", partial(start, load), restart=policy, backoff=AT_ONCE)

    return Supervisor(template=template)


async def hired(supervisor: Supervisor, size: int = 100) -> tuple[ChildRef, LoadRef]:
    """Start a child of a template in the same way."""
    load = Load(size)
    ref = weakref.ref(load)
    child = await supervisor.start_from_template(load)
    assert child is not None
    return child, ref


def kept(refs: list[LoadRef]) -> int:
    return sum(ref() is not None for ref in refs)


@STRATEGIES
@pytest.mark.parametrize(("policy", "expected"), [(PERMANENT, 20), (TRANSIENT, 20), (TEMPORARY, 0)])
@pytest.mark.parametrize("start", [work, work_plainly])
async def test_O45_only_what_may_be_started_again_keeps_its_arguments(
    start: Start, policy: RestartPolicy, expected: int, strategy: Strategy
) -> None:
    async with Supervisor(strategy=strategy).running() as supervisor:
        refs = [await started(supervisor, f"c{number}", start, policy) for number in range(20)]
        await settle()
        assert kept(refs) == expected
        assert supervisor.count_children().active == 20


@pytest.mark.parametrize(("policy", "expected"), [(PERMANENT, 20), (TRANSIENT, 20), (TEMPORARY, 0)])
@pytest.mark.parametrize("start", [work, work_plainly])
async def test_O45_only_what_may_be_started_again_keeps_arguments_of_a_template(
    start: Start, policy: RestartPolicy, expected: int
) -> None:
    async with hires(start, policy).running() as supervisor:
        refs = [(await hired(supervisor))[1] for _ in range(20)]
        await settle()
        assert kept(refs) == expected
        assert supervisor.count_children().active == 20


@pytest.mark.parametrize("policy", [PERMANENT, TRANSIENT])
async def test_O45_the_arguments_of_a_child_are_let_go_when_it_is_deleted(policy: RestartPolicy) -> None:
    async with Supervisor().running() as supervisor:
        ref = await started(supervisor, "a", work, policy)
        await supervisor.terminate_child("a")
        assert ref() is not None
        await supervisor.delete_child("a")
        assert ref() is None


async def test_O45_the_arguments_of_a_child_of_a_template_are_let_go_when_it_is_terminated() -> None:
    async with hires(work, PERMANENT).running() as supervisor:
        child, ref = await hired(supervisor)
        assert ref() is not None
        await supervisor.terminate_child(child)
        assert ref() is None


async def test_O45_the_arguments_that_a_temporary_child_has_at_hand_are_let_go_when_it_crashes() -> None:
    async with Supervisor().running() as supervisor:
        ref = await started(supervisor, "a", crash_at_once, TEMPORARY)
        await settle()
        assert supervisor.which_children() == ()
        assert ref() is None


@pytest.mark.parametrize("policy", RestartPolicy)
async def test_O45_the_arguments_of_a_start_that_fails_are_let_go(policy: RestartPolicy) -> None:
    async with Supervisor().running() as supervisor:
        load = Load()
        ref = weakref.ref(load)
        with pytest.raises(ChildStartError, match="100"):
            await supervisor.start_child(ChildSpec("a", partial(refuse, load), restart=policy))
        del load
        assert ref() is None


@pytest.mark.parametrize(("policy", "expected"), [(PERMANENT, 1), (TRANSIENT, 1), (TEMPORARY, 0)])
async def test_O45_what_declined_keeps_its_arguments_if_it_is_kept(policy: RestartPolicy, expected: int) -> None:
    async with Supervisor().running() as supervisor:
        ref = await started(supervisor, "a", decline, policy)
        assert len(supervisor.which_children()) == kept([ref]) == expected


@pytest.mark.parametrize("policy", RestartPolicy)
async def test_O45_the_arguments_of_a_start_that_is_cancelled_are_let_go(policy: RestartPolicy) -> None:
    async with Supervisor().running() as supervisor:
        load = Load()
        ref = weakref.ref(load)
        spec = ChildSpec("a", partial(never_up, load), restart=policy, grace_period=0.0)
        with anyio.move_on_after(1.0):
            await supervisor.start_child(spec)
        del load, spec
        await settle()
        assert supervisor.which_children() == ()
        assert ref() is None


async def test_O45_a_declared_child_keeps_its_arguments_for_the_next_run() -> None:
    """Ours: a declaration may run again, so what it declares is never let go."""
    load = Load()
    ref = weakref.ref(load)
    supervisor = Supervisor(children=[ChildSpec("a", partial(work, load), restart=TEMPORARY)])
    del load
    for _ in range(2):
        async with supervisor.running():
            assert kept([ref]) == 1


@STRATEGIES
async def test_O46_nothing_is_kept_after_a_temporary_child_has_died_once(strategy: Strategy) -> None:
    async with Supervisor(strategy=strategy).running() as supervisor:
        await started(supervisor, "a", crash_at_once, TEMPORARY)
        await settle()
        refs = [await started(supervisor, id, work, TEMPORARY) for id in ("a", "b")]
        await settle()
        assert kept(refs) == 0
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("a", "running"), ("b", "running")]


@pytest.mark.parametrize("death", ["crashes", "terminated"])
async def test_O46_nothing_is_kept_under_a_template_after_a_first_death(death: str) -> None:
    is_dying = death == "crashes"

    def template(load: Load) -> ChildSpec:
        return ChildSpec("child", partial(crash_at_once if is_dying else work, load), restart=TEMPORARY)

    async with Supervisor(template=template).running() as supervisor:
        child, first = await hired(supervisor)
        await supervisor.terminate_child(child)
        is_dying = False
        child, second = await hired(supervisor, size=50_000)
        await settle()
        assert kept([first, second]) == 0
        assert supervisor.which_child(child).state == "running"
        await supervisor.terminate_child(child)
        assert supervisor.which_children() == ()
