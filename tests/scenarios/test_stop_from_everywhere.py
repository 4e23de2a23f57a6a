"""A stop may be asked for from wherever one is: N16."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.supervisors.scripted import Crash, Record, Theatre, forever, settle
from tocsin_supervisors import ChildContext, ChildSpec, RestartPolicy, Supervisor, SupervisorStopReport

CLEAN = SupervisorStopReport()

Stop = Callable[[Supervisor], Awaitable[object]]


async def directly(supervisor: Supervisor) -> object:
    return await supervisor.stop()


async def in_a_task(supervisor: Supervisor) -> object:
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.stop)
    return None


async def twice_at_once(supervisor: Supervisor) -> object:
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.stop)
        group.start_soon(supervisor.stop)
    return None


async def by_request(supervisor: Supervisor) -> object:
    supervisor.request_stop()
    supervisor.request_stop()
    return None


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("stop", [directly, in_a_task, twice_at_once, by_request])
async def test_N16_a_stop_from_inside_a_child_returns_at_once_and_ends_all_in_order(stop: Stop, depth: int) -> None:
    record = Record()
    root: Supervisor

    async def asks(context: ChildContext) -> None:
        context.started()
        await settle()
        began = anyio.current_time()
        await stop(root)
        assert anyio.current_time() == began
        record.note("asked")
        await context.wait_stop_requested()
        record.note("asks down")

    specs = [ChildSpec("first", forever(record.note, "first")), ChildSpec("asks", asks)]
    for level in range(depth - 1):
        specs = [ChildSpec(f"branch {level}", Supervisor(f"branch {level}", specs))]
    root = Supervisor("root", [*specs, ChildSpec("last", forever(record.note, "last"))])
    await root.run()
    assert [line for line in record.lines if line != "asked"] == ["last down", "asks down", "first down"]
    assert record.lines.index("asked") < record.lines.index("asks down")
    assert root.state == "stopped"


async def test_N16_whoever_asks_from_outside_gets_the_report_when_all_are_down() -> None:
    theatre = Theatre("a", "b", cleanup=2.0)
    reports: list[SupervisorStopReport] = []

    async def ask() -> None:
        reports.append(await theatre.supervisor.stop())
        assert theatre.record.lines[-2:] == ["b down", "a down"]

    async with theatre.supervisor.running(), anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    assert [report.is_clean for report in reports] == [True, True, True]
    assert theatre.record.told().count("SupervisorStopping") == 1


@pytest.mark.real_time
@pytest.mark.parametrize("times", [1, 3])
async def test_N16_a_stop_may_be_asked_for_from_worker_threads(times: int) -> None:
    theatre = Theatre("a", "b")

    def ask() -> SupervisorStopReport:
        return anyio.from_thread.run(theatre.supervisor.stop)

    async with theatre.supervisor.running():
        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(anyio.to_thread.run_sync, ask)
        assert theatre.record.lines == ["a up", "b up", "b down", "a down"]
    assert theatre.supervisor.state == "stopped"


@pytest.mark.real_time
async def test_N16_a_child_in_a_thread_may_ask_for_the_stop_of_its_own_supervisor() -> None:
    record = Record()
    supervisor: Supervisor

    async def asks(context: ChildContext) -> None:
        context.started()
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(supervisor.stop))
        record.note("asked")
        await context.wait_stop_requested()

    supervisor = Supervisor(children=[ChildSpec("asks", asks)])
    with anyio.fail_after(5.0):
        await supervisor.run()
    assert record.lines == ["asked"]


async def test_N16_a_stop_after_the_end_gives_the_same_report_again() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        first = await theatre.supervisor.stop()
    assert await theatre.supervisor.stop() == first


async def test_N16_a_leaf_may_wait_for_the_stop_of_another_branch() -> None:
    record = Record()
    other = Supervisor("other", [ChildSpec("x", forever(record.note, "x", cleanup=1.0))])

    async def leaf() -> None:
        await settle()
        assert await other.stop() == CLEAN
        record.note("it is down")
        await anyio.sleep_forever()

    branch = Supervisor("branch", [ChildSpec("leaf", leaf)])
    specs = [ChildSpec("other", other, restart=RestartPolicy.TEMPORARY), ChildSpec("branch", branch)]
    async with Supervisor("root", specs).running():
        await settle(2.0)
        assert record.lines == ["x down", "it is down"]
        assert branch.state == "running"


async def test_N16_a_child_that_terminates_itself_ends() -> None:
    record = Record()
    supervisor: Supervisor

    async def child(context: ChildContext) -> None:
        context.started()
        await settle()
        record.note("asks")
        await supervisor.terminate_child("child")

    spec = ChildSpec("child", child, grace_period=2.0)
    supervisor = Supervisor("root", [spec, ChildSpec("a", forever(record.note, "a"))])
    async with supervisor.running():
        await settle(1.0)
        assert supervisor.which_child("child").state == "stopping"
        await settle(2.0)
        assert supervisor.which_child("child").state == "stopped"
        assert record.lines == ["asks"]


async def test_N16_a_stop_before_the_first_run_does_nothing() -> None:
    theatre = Theatre("a")
    assert await theatre.supervisor.stop() == CLEAN
    theatre.supervisor.request_stop()
    async with theatre.supervisor.running():
        assert theatre.state("a") == "running"


async def test_N16_who_waits_for_a_stop_may_leave() -> None:
    theatre = Theatre("a", cleanup=3.0)
    async with theatre.supervisor.running():
        with anyio.move_on_after(1.0) as patience:
            await theatre.supervisor.stop()
        assert patience.cancelled_caught
        assert theatre.supervisor.state == "stopping"
    assert theatre.record.lines == ["a up", "a down"]


async def test_N16_the_report_says_what_children_raised_meanwhile_to_whoever_asks() -> None:
    async def child(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        raise Crash("in its end")

    supervisor = Supervisor("root", [ChildSpec("a", child)])
    async with supervisor.running():
        report = await supervisor.stop()
    assert [each.failure.message for each in report.errors] == ["in its end"]
    assert await supervisor.stop() == supervisor.stop_report == report
