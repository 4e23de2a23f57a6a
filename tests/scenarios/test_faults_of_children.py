"""What a child does to itself, or strangers do to it, reaches nobody else; an interrupt reaches everybody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Crash, Record, Theatre, forever, settle
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    ChildContext,
    ChildCrashed,
    ChildSpec,
    ChildStartError,
    ForeignCancellation,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Supervisor,
)

# ── faults of a child ──


async def cancels_itself() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep_forever()
    raise Crash("after its own scope")


async def pretends_to_be_cancelled() -> None:
    raise anyio.get_cancelled_exc_class()


async def cancels_its_own_task() -> None:
    task = cast("asyncio.Task[None]", asyncio.current_task())
    task.cancel()
    await anyio.sleep_forever()


async def awaits_what_others_cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def cancels_the_group_around_it() -> None:
    import trio

    task = trio.lowlevel.current_task()
    assert task.parent_nursery is not None
    task.parent_nursery.cancel_scope.cancel()
    await anyio.sleep_forever()


async def leaves_a_crashing_task_in_the_group_around_it() -> None:
    import trio

    async def stray() -> None:
        raise Crash("stray")

    nursery = trio.lowlevel.current_task().parent_nursery
    assert nursery is not None
    nursery.start_soon(stray)
    await anyio.sleep_forever()


async def abandons_a_generator_with_a_group() -> None:
    async def stream() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield 1

    async for _ in stream():
        break
    raise Crash("left a generator")


async def closes_a_generator_with_a_group() -> None:
    async def stream() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield 1

    async with contextlib.aclosing(cast("Any", stream())) as numbers:
        async for _ in numbers:
            raise Crash("in the loop")


async def fails_in_a_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        raise Crash("in a group")


async def stops_iterating() -> None:
    raise StopIteration


async def recurses() -> None:
    await recurses()


BOTH = [cancels_itself, closes_a_generator_with_a_group, fails_in_a_group, stops_iterating, recurses]
ASYNCIO = [pretends_to_be_cancelled, cancels_its_own_task, awaits_what_others_cancelled]
TRIO = [cancels_the_group_around_it, leaves_a_crashing_task_in_the_group_around_it, abandons_a_generator_with_a_group]


async def _contained(fault: Callable[[], Awaitable[None]]) -> ChildCrashed:
    """Let a child commit *fault* once, and see that it is restarted and its sibling is not."""
    record = Record()
    lives = 0

    async def child() -> None:
        nonlocal lives
        lives += 1
        if lives == 1:
            await fault()
        await anyio.sleep_forever()

    sibling = forever(record.note, "sibling")
    specs = [ChildSpec("sibling", sibling), ChildSpec("child", child, backoff=AT_ONCE)]
    async with Supervisor(children=specs, observer=record.observe).running() as supervisor:
        await settle()
        assert [each.incarnation for each in supervisor.which_children()] == [1, 2]
        assert record.lines == []
    assert record.lines == ["sibling down"]
    return cast("ChildCrashed", record.only(ChildCrashed))


@pytest.mark.parametrize("fault", BOTH)
async def test_a_fault_of_a_child_is_its_own_crash(fault: Callable[[], Awaitable[None]]) -> None:
    assert not (await _contained(fault)).foreign_cancel


@pytest.mark.parametrize("fault", ASYNCIO)
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N6_a_foreign_cancellation_is_a_crash_on_asyncio(
    fault: Callable[[], Awaitable[None]], anyio_backend: object
) -> None:
    assert (await _contained(fault)).foreign_cancel


@pytest.mark.parametrize("fault", TRIO)
@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
async def test_N6_a_fault_that_reaches_the_group_is_a_crash_on_trio(
    fault: Callable[[], Awaitable[None]], anyio_backend: object
) -> None:
    crashed = await _contained(fault)
    assert crashed.foreign_cancel == (fault is cancels_the_group_around_it)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N6_a_stranger_that_cancels_a_childs_task_hits_only_that_child(anyio_backend: object) -> None:
    victim: list[asyncio.Task[Any]] = []

    async def fault() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        victim.append(task)
        await anyio.sleep_forever()

    assert (await _contained(fault)).foreign_cancel
    assert victim[0].done()


async def test_what_a_child_leaves_in_its_own_scope_does_not_matter() -> None:
    async def child(context: ChildContext) -> None:
        context.started()
        with contextlib.suppress(TimeoutError):
            with anyio.fail_after(0.5):
                await anyio.sleep_forever()
        await context.wait_stop_requested()

    async with Supervisor(children=[ChildSpec("a", child)]).running() as supervisor:
        await settle(1.0)
        assert [each.state for each in supervisor.which_children()] == ["running"]


# ── N6: what follows ──


@pytest.mark.parametrize(
    ("restart", "then"),
    [
        (RestartPolicy.PERMANENT, [("running", 2)]),
        (RestartPolicy.TRANSIENT, [("running", 2)]),
        (RestartPolicy.TEMPORARY, []),
    ],
)
async def test_N6_a_child_that_strangers_cancelled_is_restarted_as_one_that_crashed(
    restart: RestartPolicy, then: list[tuple[str, int]]
) -> None:
    record = Record()

    async def child() -> None:
        await settle(1.0)
        await cancel_as_a_stranger()

    spec = ChildSpec("child", child, restart=restart, backoff=AT_ONCE)
    async with Supervisor("root", [spec], observer=record.observe).running() as supervisor:
        await settle(1.5)
        assert [(each.state, each.incarnation) for each in supervisor.which_children()] == then
    crashed = record.only(ChildCrashed)
    assert crashed.foreign_cancel
    assert crashed.failure.type == "tocsin_supervisors._exits.ForeignCancellation"


async def test_N6_foreign_cancellations_are_charged_as_crashes_are() -> None:
    lives = 0

    async def child() -> None:
        nonlocal lives
        lives += 1
        await cancel_as_a_stranger()

    spec = ChildSpec("child", child, backoff=AT_ONCE, intensity=RestartIntensity(3, 60.0))
    with pytest.raises(RestartIntensityExceeded) as caught:
        await Supervisor("root", [spec]).run()
    assert lives == 4
    assert caught.value.restarts == 4
    assert isinstance(caught.value.__cause__, ForeignCancellation)


async def test_N6_a_foreign_cancellation_in_a_start_is_a_start_that_failed() -> None:
    async def child(context: ChildContext) -> None:
        await cancel_as_a_stranger()

    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildStartError) as caught:
            await supervisor.start_child(ChildSpec("child", child))
        assert isinstance(caught.value.__cause__, ForeignCancellation)
        assert [each.id for each in supervisor.which_children()] == ["a"]
        assert theatre.record.lines == ["a up"]


async def test_N6_a_foreign_cancellation_while_the_child_is_stopped_is_no_crash() -> None:
    async def child(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        await cancel_as_a_stranger()

    record = Record()
    supervisor = Supervisor("root", [ChildSpec("child", child)], observer=record.observe)
    async with supervisor.running():
        await settle()
    assert record.told() == ["ChildStarted", "SupervisorStopping", "ChildStopped"]
    assert supervisor.stop_report.is_clean


# ── N5: an error and an interrupt at once ──


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
async def test_N5_of_a_group_the_interrupt_comes_out_and_the_rest_is_recorded(
    fatal: type[BaseException], nested: bool
) -> None:
    theatre = Theatre("a", "b", "c")
    interrupt = fatal(3)
    group = BaseExceptionGroup("at once", [ValueError("the other one"), interrupt])
    error = BaseExceptionGroup("outer", [KeyError("third"), group]) if nested else group

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["b"].crash(error)
            await anyio.sleep_forever()

    with pytest.raises(fatal) as caught:
        await scene()
    assert caught.value is interrupt
    assert theatre.record.lines[3:] == ["b down", "c down", "a down"]
    failure = theatre.record.only(ChildCrashed).failure
    assert failure.type == "builtins.BaseExceptionGroup"
    leaves = ["builtins.ValueError: the other one", f"builtins.{fatal.__name__}: 3"]
    assert sorted(failure.leaves) == sorted(["builtins.KeyError: 'third'", *leaves] if nested else leaves)
    assert theatre.record.told("b") == ["ChildStarted", "ChildCrashed"]


async def test_N5_a_group_of_ordinary_errors_is_an_ordinary_crash() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash(ExceptionGroup("at once", [ValueError("one"), KeyError("other")]))
        await settle()
        assert theatre.incarnation("a") == 2
        assert len(theatre.record.only(ChildCrashed).failure.leaves) == 2
