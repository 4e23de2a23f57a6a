"""Faults: what children do to themselves and to others is contained, what comes from outside is obeyed."""

from __future__ import annotations

import signal
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.supervisors.scripted import Crash, Record, Theatre, forever, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    ChildStarted,
    ForeignCancellation,
    StopFailed,
    Strategy,
    Supervisor,
    SupervisorNotRunning,
)
from tocsin_supervisors._errors import to_raise


class Odd(BaseException):
    """Neither an Exception nor a cancellation."""


# ── outside ──


async def test_a_cancellation_during_the_start_stops_whom_it_had_started() -> None:
    theatre = Theatre("a", "b")

    async def never_up(context: ChildContext) -> None:
        await anyio.sleep_forever()

    theatre.supervisor.declare(ChildSpec("never up", never_up))
    with anyio.move_on_after(1.0) as scope:
        async with theatre.supervisor.running():
            pytest.fail("it must not run")  # pragma: no cover
    assert scope.cancelled_caught
    assert theatre.record.lines == ["a up", "b up", "b down", "a down"]


async def test_a_stop_is_bounded_by_the_deadline_of_the_supervisor() -> None:
    async def slow(context: ChildContext) -> None:
        context.started()
        await anyio.sleep_forever()

    specs = [ChildSpec(name, slow, grace_period=float("inf")) for name in "abc"]
    async with Supervisor(children=specs, shutdown_deadline=7.0).running():
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(7.0, abs=0.3)


# ── fatal ──


@pytest.mark.parametrize(
    ("fatal", "grouped"),
    [
        (KeyboardInterrupt, False),
        (SystemExit, False),
        (GeneratorExit, False),
        (Odd, False),
        (KeyboardInterrupt, True),
        (SystemExit, True),
        (Odd, True),  # a GeneratorExit in a group is a crash, see below
    ],
)
async def test_what_ends_programs_ends_the_supervisor_in_order_and_comes_out_ungrouped(
    fatal: type[BaseException], grouped: bool
) -> None:
    problem = fatal(3)
    theatre = Theatre("a", "b")

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["b"].crash(BaseExceptionGroup("mixed", [ValueError(), problem]) if grouped else problem)
            await anyio.sleep_forever()

    with pytest.raises(fatal) as caught:
        await scene()
    assert caught.value is problem
    assert theatre.record.lines == ["a up", "b up", "b down", "a down"]


async def test_a_generator_exit_in_a_group_is_a_crash() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash(BaseExceptionGroup("generator", [GeneratorExit()]))
        await settle()
        assert theatre["a"].incarnation == 2


async def test_a_fatal_error_while_stopping_replaces_the_end_that_was_meant() -> None:
    theatre = Theatre("a", "b")

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["a"].crash(KeyboardInterrupt())
            theatre.supervisor.request_stop()

    with pytest.raises(KeyboardInterrupt):
        await scene()
    assert theatre.record.lines == ["a up", "b up", "a down", "b down"]


async def test_a_keyboard_interrupt_out_of_the_observer_ends_the_supervisor() -> None:
    record = Record()

    def observer(report: object) -> None:
        record.note(type(report).__name__)
        if record.lines == ["ChildStarted"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Supervisor(children=[ChildSpec("a", forever(record.note, "a"))], observer=observer).run()
    assert record.lines == ["ChildStarted", "SupervisorStopping", "a down", "ChildStopped"]


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_an_interrupt_that_strikes_a_child_ends_the_supervisor_in_order(anyio_backend: object) -> None:
    theatre = Theatre("a")

    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    theatre.supervisor.declare(ChildSpec("interrupted", interrupted))
    with pytest.raises(KeyboardInterrupt):
        await theatre.supervisor.run()
    assert theatre.record.lines == ["a up", "a down"]


async def test_an_error_in_the_host_group_is_raised_as_itself() -> None:
    interrupt = KeyboardInterrupt()
    assert to_raise(None, BaseExceptionGroup("of the host group", [interrupt]), None) is interrupt


async def test_an_error_of_the_body_says_more_than_that_a_stranger_cancelled_the_supervisor() -> None:
    error = Crash("of the body")
    assert to_raise(error, None, ForeignCancellation()) is error


async def test_a_child_that_is_cancelled_before_its_first_step_ends_at_its_first_checkpoint() -> None:
    record = Record()
    supervisor: Supervisor

    async def second() -> None:
        record.note("second begins")
        await anyio.lowlevel.checkpoint()
        record.note("never")  # pragma: no cover

    def observer(report: object) -> None:
        if isinstance(report, ChildStarted):
            supervisor.request_stop()

    specs = [ChildSpec("first", forever(record.note, "first")), ChildSpec("second", second)]
    supervisor = Supervisor(children=specs, observer=observer)
    await supervisor.run()
    assert record.lines == ["second begins", "first down"]


class BrokenChance(Random):
    """A source of randomness that fails, and with it the code of the supervisor itself."""

    def random(self) -> float:
        raise RuntimeError("out of entropy")


async def test_fault_D12_an_error_of_the_supervisor_itself_ends_its_children_and_is_raised() -> None:
    theatre = Theatre("a", "b", spec={"backoff": Backoff()}, random=BrokenChance())

    async def never_up(context: ChildContext) -> None:
        await anyio.sleep_forever()

    async def scene() -> None:
        async with theatre.supervisor.running() as supervisor, anyio.create_task_group() as group:

            async def start() -> None:
                with anyio.CancelScope(shield=True), pytest.raises(SupervisorNotRunning):
                    await supervisor.start_child(ChildSpec("never", never_up))
                theatre.record.note("refused")

            group.start_soon(start)
            await settle()
            theatre["a"].crash()
            await anyio.sleep_forever()

    with pytest.raises(RuntimeError, match="out of entropy"):
        await scene()
    assert theatre.record.lines[-1] == "refused"
    assert theatre.supervisor.state == "stopped"


async def test_a_branch_that_is_stopped_before_its_first_step_stops() -> None:
    record = Record()
    root: Supervisor

    def observer(report: object) -> None:
        if isinstance(report, ChildStarted):
            root.request_stop()

    branch = Supervisor("branch", [ChildSpec("leaf", forever(record.note, "leaf"))])
    root = Supervisor(children=[ChildSpec("a", forever(record.note, "a")), ChildSpec("branch", branch)])
    root.observer = observer
    root.request_stop()  # not running yet: nothing to stop
    await root.run()
    assert record.lines == ["leaf down", "a down"]


# ── children that do not stop ──


async def test_a_group_restart_waits_for_a_child_that_hangs() -> None:
    record = Record()
    release = anyio.Event()
    theatre = Theatre("a")

    async def stuck() -> None:
        record.note("stuck up")
        if not release.is_set():
            with anyio.CancelScope(shield=True):
                await release.wait()
        await anyio.sleep_forever()

    specs = [theatre["a"].spec(), ChildSpec("stuck", stuck, grace_period=1.0)]
    async with Supervisor(children=specs, strategy=Strategy.ONE_FOR_ALL).running():
        theatre["a"].crash()
        await settle(60.0)
        assert theatre["a"].incarnation == 1
        release.set()
        await settle()
        assert theatre["a"].incarnation == 2
        assert record.lines == ["stuck up", "stuck up"]


async def test_what_a_child_raises_while_it_is_stopped_is_reported_and_fails_nothing() -> None:
    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Crash("in its cleanup")

    record = Record()
    supervisor = Supervisor(children=[ChildSpec("a", child)], observer=record.observe)
    async with supervisor.running():
        await settle()
    (error,) = supervisor.stop_report.errors
    assert error is record.only(StopFailed)
    assert "in its cleanup" in error.failure.message or "in its cleanup" in error.failure.leaves[0]


async def test_a_stop_callback_that_raises_does_not_keep_the_child_from_being_stopped() -> None:
    async def child(context: ChildContext) -> None:
        def wrong() -> None:
            raise Crash("in a callback")

        context.on_stop(wrong)
        context.started()
        await context.wait_stop_requested()

    supervisor = Supervisor(children=[ChildSpec("a", child)])
    async with supervisor.running():
        pass
    assert [each.failure.message for each in supervisor.stop_report.errors] == ["in a callback"]


async def test_fault_D21_a_crash_while_others_are_being_stopped_is_not_followed_by_a_restart() -> None:
    theatre = Theatre("a", "b", cleanup=1.0)
    async with theatre.supervisor.running():
        theatre.supervisor.request_stop()
        await settle()
        theatre["a"].crash()
    assert theatre.record.lines == ["a up", "b up", "a down", "b down"]
    assert theatre.record.told("a") == ["ChildStarted", "ChildCrashed"]


# ── stopping ──


async def test_a_stop_from_inside_a_child_returns_at_once() -> None:
    record = Record()
    supervisor: Supervisor

    async def child(context: ChildContext) -> None:
        context.started()
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.stop)
        record.note("asked")
        await context.wait_stop_requested()
        record.note("told")

    supervisor = Supervisor(children=[ChildSpec("a", child)])
    await supervisor.run()
    assert record.lines == ["asked", "told"]


async def test_stop_may_be_called_by_many_and_again_afterwards() -> None:
    theatre = Theatre("a", cleanup=1.0)
    reports: list[Any] = []

    async def stop() -> None:
        reports.append(await theatre.supervisor.stop())

    async with theatre.supervisor.running():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(stop)
        assert theatre.record.lines == ["a up", "a down"]
    await stop()
    assert len(reports) == 4
    assert all(report.is_clean for report in reports)


async def test_a_child_with_a_long_cleanup_is_not_reported_before_its_time_is_up() -> None:
    async def child(context: ChildContext) -> None:
        context.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(4.0)

    spec = ChildSpec("child", child, grace_period=1.0, cleanup_period=5.0)
    async with Supervisor("root", [spec]).running() as supervisor:
        assert (await supervisor.stop()).unstopped == ()
