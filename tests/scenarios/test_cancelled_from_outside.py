"""Somebody cancels the task that runs a supervisor: it ends in order all the same, in whatever phase."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest

from tests.scenarios.cast_interruptions import NativeTask
from tests.supervisors.scripted import Gate, Record, Theatre, forever, settle
from tocsin_supervisors import (
    Backoff,
    ChildCrashed,
    ChildSpec,
    ChildStopped,
    ForeignCancellation,
    RestartScheduled,
    Strategy,
    Supervisor,
    SupervisorStopping,
)

LONG = Backoff(100.0, 100.0, jitter=0.0)


# ── N1: a scope around it ──


@pytest.mark.parametrize("takes_context", [False, True])
async def test_N1_an_outer_cancellation_stops_the_children_in_reverse_order_one_at_a_time(takes_context: bool) -> None:
    record = Record()
    theatre = Theatre("a", "b", "c", cleanup=0.1, spec={"grace_period": 1.0})
    plain = [ChildSpec(id, forever(record.note, id, cleanup=0.1), grace_period=1.0) for id in "abc"]
    supervisor = theatre.supervisor if takes_context else Supervisor("root", plain, observer=theatre.record.observe)
    began = anyio.current_time()
    with anyio.move_on_after(1.0) as scope:
        async with supervisor.running():
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert [each for each in (*record.lines, *theatre.record.lines) if "down" in each] == ["c down", "b down", "a down"]
    stopped = {each.child: each.at - began for each in theatre.record.reports if isinstance(each, ChildStopped)}
    assert stopped == pytest.approx({"c": 1.1, "b": 1.2, "a": 1.3})


async def test_N1_the_children_of_a_branch_are_stopped_in_its_turn() -> None:
    record = Record()

    def leaves(*ids: str) -> list[ChildSpec]:
        return [ChildSpec(id, forever(record.note, id, cleanup=0.1)) for id in ids]

    branch = ChildSpec("branch", Supervisor("branch", leaves("b1", "b2")))
    with anyio.move_on_after(1.0):
        async with Supervisor("root", [*leaves("a"), branch, *leaves("c")]).running():
            await anyio.sleep_forever()
    assert record.lines == ["c down", "b2 down", "b1 down", "a down"]


async def test_N1_the_whole_stop_is_bounded_by_the_deadline() -> None:
    theatre = Theatre("a", "b", "c", cleanup=60.0, spec={"grace_period": math.inf}, shutdown_deadline=100.0)
    with anyio.move_on_after(1.0):
        async with theatre.supervisor.running():
            await anyio.sleep_forever()
    assert anyio.current_time() == pytest.approx(theatre.record.only(SupervisorStopping).at + 100.0)
    assert theatre.record.lines[3:] == ["c down"]


# ── N7: its task, natively, once and many times ──

STARTING, RUNNING, STOPPING, BACKOFF, ROUND, WAITING, ASKING = (
    "starting",
    "running",
    "stopping",
    "in a backoff",
    "in a round",
    "in the backoff of a round",
    "in start_child",
)
# phase → what is written from the first cancellation on, and the seconds that the end takes then
ENDS: dict[str, tuple[list[str], float]] = {
    STARTING: (["b down", "a down"], 1.2),  # c, which comes to no end of its start, has its grace period of a second
    RUNNING: (["c down", "b down", "a down"], 0.3),
    STOPPING: (["c down", "b down", "a down"], 0.25),  # one twentieth of a second was over
    BACKOFF: (["c down", "a down"], 0.2),
    ROUND: (["c down", "a down"], 0.15),
    WAITING: ([], 0.0),
    ASKING: (["c down", "b down", "a down"], 1.3),
}


class Stage:
    """A supervisor that is brought into a phase."""

    def __init__(self, phase: str) -> None:
        is_round = phase in (ROUND, WAITING)
        strategy = Strategy.ONE_FOR_ALL if is_round else Strategy.ONE_FOR_ONE
        self.theatre = Theatre("a", "b", "c", "d", cleanup=0.1, strategy=strategy, spec={"grace_period": 1.0})
        self.phase = phase
        self.is_there = anyio.Event()
        self.supervisor = Supervisor("root", observer=self.theatre.record.observe, strategy=strategy)
        for id in "abc":
            self.supervisor.declare(self.theatre[id].spec(grace_period=1.0, backoff=LONG))
        if phase == STARTING:
            self.theatre["c"].gate = Gate()
        self.theatre["d"].gate = Gate()

    async def host(self) -> None:
        async with self.supervisor.running():
            if self.phase in (BACKOFF, ROUND, WAITING):
                self.theatre["b"].crash()
                await settle(0.5 if self.phase == WAITING else 0.05)
            if self.phase == STOPPING:
                self.supervisor.request_stop()
                await settle(0.05)
            self.theatre.record.lines.clear()
            self.is_there.set()
            if self.phase == ASKING:
                await self.supervisor.start_child(self.theatre["d"].spec(grace_period=1.0))
            await anyio.sleep_forever()


@pytest.mark.parametrize(("times", "pause"), [(1, 0.0), (2, 0.0), (3, 0.01), (50, 0.001)])
@pytest.mark.parametrize("phase", ENDS)
async def test_fault_B10_N7_however_often_the_host_is_cancelled_the_end_is_in_order(
    phase: str, times: int, pause: float
) -> None:
    stage = Stage(phase)
    lines, seconds = ENDS[phase]
    async with anyio.create_task_group() as group:
        host = NativeTask(group, stage.host)
        if phase == STARTING:
            await settle()
            stage.theatre.record.lines.clear()
        else:
            await stage.is_there.wait()
        began = anyio.current_time()
        for _ in range(times):
            host.cancel()
            await anyio.sleep(pause)
        await host.wait()
        assert host.was_cancelled
        assert host.ended_at - began == pytest.approx(seconds, abs=0.001)
    assert stage.theatre.record.lines == lines
    assert stage.supervisor.state == "stopped"
    assert stage.supervisor.count_children().active == 0
    await settle(1000.0)
    told = stage.theatre.record.told()
    assert "ChildStarted" not in told[told.index("SupervisorStopping") :]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N7_a_native_timeout_around_the_supervisor_ends_as_a_timeout(anyio_backend: object) -> None:
    record = Record()

    async def scene() -> None:
        async with asyncio.timeout(0.02):
            async with Supervisor(children=[ChildSpec("a", forever(record.note, "a", cleanup=0.02))]).running():
                await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await scene()
    assert record.lines == ["a down"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


def _cancel_tasks(name: str) -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task() and name in task.get_name():
            task.cancel()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N7_a_stranger_who_cancels_the_supervisors_own_task_ends_it_in_order_and_not_without_a_word(
    times: int, anyio_backend: object
) -> None:
    theatre = Theatre("a", "b", "c", cleanup=0.1)

    async def scene() -> None:
        async with theatre.supervisor.running():
            for _ in range(times):
                _cancel_tasks("root: supervisor")
                await settle(0.01)
            await anyio.sleep_forever()

    with pytest.raises(ForeignCancellation, match="supervisor 'root': its own task was cancelled"):
        await scene()
    assert theatre.record.lines[3:] == ["c down", "b down", "a down"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N7_a_branch_whose_own_task_is_cancelled_is_restarted(anyio_backend: object) -> None:
    theatre = Theatre("a", "b")
    branch = Supervisor("branch", [each.spec() for each in theatre.puppets.values()])
    spec = ChildSpec("branch", branch, backoff=Backoff.none())
    async with Supervisor("root", [spec], observer=theatre.record.observe).running() as root:
        _cancel_tasks("root/branch: supervisor")
        await settle()
        assert theatre.record.lines == ["a up", "b up", "b down", "a down", "a up", "b up"]
        assert root.which_child("branch").incarnation == 2
        assert theatre.record.only(ChildCrashed).failure.type == "tocsin_supervisors._exits.ForeignCancellation"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_N7_whoever_cancels_every_task_there_is_ends_the_supervisor_cancelled(anyio_backend: object) -> None:
    theatre = Theatre("a", "b", "c", cleanup=0.1)

    async def host() -> None:
        async with theatre.supervisor.running():
            await anyio.sleep_forever()

    of_the_test = asyncio.all_tasks()
    task = asyncio.ensure_future(host())
    await settle()
    for each in asyncio.all_tasks() - of_the_test:
        each.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert theatre.supervisor.state == "stopped"
    assert theatre.record.told().count("ChildStarted") == 3


# ── N17: in a backoff ──


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("how", ["scope", "native", "request", "body"])
async def test_N17_an_end_in_a_backoff_comes_at_once_and_nobody_is_started_after_it(
    how: str, strategy: Strategy
) -> None:
    theatre = Theatre("a", spec={"backoff": LONG}, strategy=strategy)
    supervisor, scope = theatre.supervisor, anyio.CancelScope()

    async def host() -> None:
        with scope:
            async with supervisor.running():
                theatre["a"].crash()
                await settle(50.0)
                assert theatre.state("a") == "waiting"
                if how == "request":
                    await supervisor.stop()
                elif how != "body":
                    ends[how]()
                    await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        task = NativeTask(group, host)
        ends = {"scope": scope.cancel, "native": task.cancel}
        await task.wait()
        assert task.error is None
    assert anyio.current_time() == pytest.approx(theatre.record.only(RestartScheduled).at + 50.0)
    await settle(1000.0)
    assert theatre.record.told("a") == ["ChildStarted", "ChildCrashed", "RestartScheduled"]


async def test_N17_a_child_whose_backoff_was_cut_off_is_down_for_good() -> None:
    theatre = Theatre("slow", "b", spec={"backoff": LONG}, cleanup=5.0)
    async with theatre.supervisor.running():
        theatre["b"].crash()
        await settle(1.0)
        theatre.supervisor.request_stop()
        await settle(1.0)
        assert theatre.supervisor.state == "stopping"
        assert (theatre.state("slow"), theatre.state("b")) == ("stopping", "stopped")
        await settle(200.0)
    assert theatre.incarnation("b") == 1
