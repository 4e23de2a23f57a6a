"""Children that do not end though all was done: they are named with the line, the others stop, nobody is abandoned."""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel
import pytest

from tests.scenarios.cast_interruptions import line_with
from tests.supervisors.scripted import Record, forever, settle
from tocsin_supervisors import ChildContext, ChildSpec, StopTimedOut, Supervisor, Unstopped


class Stuck:
    """Children that cannot be stopped until the test lets them go."""

    def __init__(self) -> None:
        self.released = anyio.Event()
        self.cancellations = 0

    def __enter__(self) -> Stuck:
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()

    async def swallows(self) -> None:
        """Take each cancellation for a failure of what is being done, and try again."""
        while not self.released.is_set():
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                self.cancellations += 1
                with anyio.CancelScope(shield=True), anyio.move_on_after(0.7):
                    await self.released.wait()  # it tries again here

    async def shields(self) -> None:
        """Wait for ever where no cancellation comes."""
        with anyio.CancelScope(shield=True):
            await self.released.wait()  # it hangs here

    async def shields_with_context(self, context: ChildContext) -> None:
        """Do the same, though it could know that it is to stop."""
        context.started()
        await self._deeper()

    async def _deeper(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.released.wait()  # it hangs deep down here


# ── N2: swallowed ──


async def test_N2_a_child_that_swallows_its_cancellation_is_hit_again_at_its_next_checkpoint() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 5:
            try:
                await anyio.lowlevel.checkpoint()
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                swallowed += 1

    async with Supervisor(children=[ChildSpec("stubborn", stubborn)]).running() as supervisor:
        began = anyio.current_time()
        report = await supervisor.stop()
        assert anyio.current_time() == began
    assert swallowed == 5
    assert report.is_clean


async def test_N2_a_child_that_swallows_its_cancellation_for_ever_is_named_with_its_line_and_not_abandoned() -> None:
    stuck, record = Stuck(), Record()
    spec = ChildSpec("stubborn", stuck.swallows, grace_period=3.0)
    supervisor = Supervisor("root", [spec], observer=record.observe)
    line = line_with("it tries again here", Stuck.swallows)
    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(supervisor.run)
            await settle()
            began = anyio.current_time()
            report = await supervisor.stop()
            assert anyio.current_time() == pytest.approx(began + 3.0)
            assert report.unstopped == (Unstopped("root/stubborn", line),)
            told = record.only(StopTimedOut)
            assert (told.child, told.incarnation, told.line) == ("stubborn", 1, line)
            hits = stuck.cancellations
            assert hits > 3
            await settle(1000.0)
            assert stuck.cancellations > hits + 1000
            assert supervisor.state == "stopping"
            assert supervisor.which_child("stubborn").state == "stopping"
    assert supervisor.state == "stopped"
    assert record.told() == ["ChildStarted", "SupervisorStopping", "StopTimedOut", "ChildStopped"]


# ── N3: shielded ──


async def test_N3_a_child_that_hangs_in_a_shield_is_named_with_its_line_and_the_others_stop_meanwhile() -> None:
    stuck, record = Stuck(), Record()
    specs = [
        ChildSpec("a", forever(record.note, "a")),
        ChildSpec("stuck", stuck.shields, grace_period=3.0),
        ChildSpec("z", forever(record.note, "z")),
    ]
    supervisor = Supervisor("root", specs, observer=record.observe)
    unstopped = Unstopped("root/stuck", line_with("it hangs here", Stuck.shields))
    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(supervisor.run)
            await settle()
            began = anyio.current_time()
            report = await supervisor.stop()
            assert anyio.current_time() == pytest.approx(began + 3.0)
            assert record.lines == ["z down", "a down"]
            assert report.unstopped == (unstopped,)
            assert not report.is_clean
            assert supervisor.state == "stopping"
    assert supervisor.state == "stopped"
    assert supervisor.stop_report.unstopped == (unstopped,)


@pytest.mark.parametrize(("cleanup", "seconds"), [(1.0, 4.0), (5.0, 8.0), (0.0, 3.0)])
async def test_N3_a_child_with_a_context_has_its_grace_period_and_then_its_cleanup_period(
    cleanup: float, seconds: float
) -> None:
    stuck = Stuck()
    spec = ChildSpec("stuck", stuck.shields_with_context, grace_period=3.0, cleanup_period=cleanup)
    supervisor = Supervisor("root", [spec])
    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(supervisor.run)
            await settle()
            began = anyio.current_time()
            report = await supervisor.stop()
            assert anyio.current_time() == pytest.approx(began + seconds)
            line = line_with("it hangs deep down here", Stuck._deeper)  # pyright: ignore[reportPrivateUsage]
            assert report.unstopped == (Unstopped("root/stuck", line),)


async def test_N3_at_the_deadline_all_that_is_left_is_cancelled_and_a_second_later_named() -> None:
    stuck, record = Stuck(), Record()
    specs = [
        ChildSpec("first", stuck.shields_with_context, grace_period=math.inf),
        ChildSpec("second", stuck.shields, grace_period=math.inf),
        ChildSpec("third", stuck.shields_with_context, grace_period=math.inf),
    ]
    supervisor = Supervisor("root", specs, shutdown_deadline=10.0, observer=record.observe)
    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(supervisor.run)
            await settle()
            began = anyio.current_time()
            report = await supervisor.stop()
            assert anyio.current_time() == pytest.approx(began + 11.0)
            assert [each.child for each in report.unstopped] == ["root/third", "root/second", "root/first"]


async def test_N3_what_hangs_below_is_named_with_its_whole_path_in_the_reports_of_all_above() -> None:
    stuck, record = Stuck(), Record()
    leaf = Supervisor("leaf", [ChildSpec("stuck", stuck.shields, grace_period=2.0)])
    branch = Supervisor("branch", [ChildSpec("leaf", leaf), ChildSpec("b", forever(record.note, "b"))])
    root = Supervisor("root", [ChildSpec("a", forever(record.note, "a")), ChildSpec("branch", branch)])
    unstopped = (Unstopped("root/branch/leaf/stuck", line_with("it hangs here", Stuck.shields)),)
    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(root.run)
            await settle()
            began = anyio.current_time()
            assert (await root.stop()).unstopped == unstopped
            assert anyio.current_time() == pytest.approx(began + 2.0)
            assert record.lines == ["b down", "a down"]
            assert branch.stop_report.unstopped == leaf.stop_report.unstopped == unstopped


async def test_N3_the_body_is_not_left_before_who_hangs_has_ended_that_is_for_the_caller_to_decide() -> None:
    stuck = Stuck()
    is_left = False

    async def host() -> None:
        nonlocal is_left
        async with Supervisor("root", [ChildSpec("stuck", stuck.shields, grace_period=1.0)]).running():
            await anyio.lowlevel.checkpoint()
        is_left = True

    async with anyio.create_task_group() as group:
        with stuck:
            group.start_soon(host)
            await settle(1000.0)
            assert not is_left
            stuck.released.set()
            await settle()
            assert is_left


async def test_N3_terminating_a_child_that_hangs_names_it_and_the_supervisor_goes_on() -> None:
    stuck, record = Stuck(), Record()
    specs = [ChildSpec("stuck", stuck.shields, grace_period=1.0), ChildSpec("a", forever(record.note, "a"))]
    async with Supervisor("root", specs, observer=record.observe).running() as supervisor:
        with stuck:
            await settle()
            with anyio.move_on_after(5.0) as patience:
                await supervisor.terminate_child("stuck")
            assert patience.cancelled_caught
            assert record.only(StopTimedOut).line == line_with("it hangs here", Stuck.shields)
            assert supervisor.stop_report.unstopped == ()  # it is the report of the supervisor's own stop
            assert await supervisor.start_child(ChildSpec("b", forever(record.note, "b"))) is None
        await settle()
        assert supervisor.which_child("stuck").state == "stopped"


async def test_N3_the_stack_of_a_child_whose_own_task_hangs_leads_to_that_task() -> None:
    release = anyio.Event()

    async def hangs() -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()  # N3: in a task of its own

    async def child() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(hangs, name="the culprit")

    supervisor = Supervisor("root", [ChildSpec("child", child, grace_period=1.0)])
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.run)
        await settle()
        (unstopped,) = (await supervisor.stop()).unstopped
        release.set()
        assert unstopped.line == unstopped.stack[-1]
        assert unstopped.line.endswith("<locals>.hangs")
        assert "task the culprit:" in unstopped.stack
