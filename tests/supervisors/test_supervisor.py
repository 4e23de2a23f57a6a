"""The supervisor on both backends: starting, restarting by policy and strategy, stopping in order."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Crash, Record, Theatre, forever, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildParked,
    ChildSpec,
    ChildStartError,
    RenewChild,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RestartScheduled,
    Strategy,
    Supervisor,
    SupervisorAlreadyRunning,
    SupervisorNotRunning,
    SuspendChild,
    sort_leaves,
)

PLENTY = RestartIntensity(1000, 1.0, max_consecutive=None)


async def test_children_start_in_order_and_stop_in_reverse_order() -> None:
    theatre = Theatre("a", "b", "c")
    async with theatre.supervisor.running():
        assert theatre.record.lines == ["a up", "b up", "c up"]
        theatre.record.lines.clear()
    assert theatre.record.lines == ["c down", "b down", "a down"]


async def test_the_next_child_starts_only_when_the_former_one_is_up() -> None:
    record = Record()

    async def slow(context: ChildContext) -> None:
        record.note("slow begins")
        await anyio.sleep(5)
        record.note("slow is up")
        context.started()
        await context.wait_stop_requested()

    async def next_one() -> None:
        record.note("next begins")
        await anyio.sleep_forever()

    async with Supervisor(children=[ChildSpec("slow", slow), ChildSpec("next", next_one)]).running():
        await settle()
    assert record.lines == ["slow begins", "slow is up", "next begins"]


async def test_children_stop_one_at_a_time() -> None:
    theatre = Theatre("a", "b", "c", cleanup=2.0)
    async with theatre.supervisor.running():
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(6.0, abs=0.3)


async def test_a_child_without_a_context_is_stopped_by_cancelling_it() -> None:
    record = Record()
    specs = [ChildSpec(name, forever(record.note, name, cleanup=1.0)) for name in "ab"]
    async with Supervisor(children=specs).running():
        pass
    assert record.lines == ["b down", "a down"]


async def test_one_for_one_restarts_only_the_child_that_failed() -> None:
    theatre = Theatre("a", "b", "c")
    async with theatre.supervisor.running():
        theatre["b"].crash()
        await settle()
        assert [theatre[id].incarnation for id in "abc"] == [1, 2, 1]


async def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() -> None:
    theatre = Theatre("a", "b", "c", strategy=Strategy.ONE_FOR_ALL)
    async with theatre.supervisor.running():
        theatre.record.lines.clear()
        theatre["b"].crash()
        await settle()
        assert theatre.record.lines == ["b down", "c down", "a down", "a up", "b up", "c up"]


async def test_a_restart_waits_for_the_backoff() -> None:
    backoff = Backoff(initial=2.0, maximum=30.0, jitter=0.0)
    theatre = Theatre("a", spec={"backoff": backoff, "intensity": PLENTY})
    async with theatre.supervisor.running():
        for delay in (2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
            theatre["a"].crash()
            await settle(delay - 0.5)
            assert theatre.state("a") == "waiting"
            await settle(1.0)
            assert theatre.state("a") == "running"


async def test_a_stable_life_ends_the_row_of_failures() -> None:
    backoff = Backoff(initial=1.0, maximum=30.0, jitter=0.0)
    theatre = Theatre("a", spec={"backoff": backoff, "stable_after": 60.0})
    async with theatre.supervisor.running():
        for _ in range(3):
            theatre["a"].crash()
            await settle(1.1)
            await settle(60.0)
    delays = [each.delay for each in theatre.record.reports if isinstance(each, RestartScheduled)]
    assert delays == [1.0, 1.0, 1.0]


async def test_a_renewal_replaces_the_child_alone_at_once_and_uncharged() -> None:
    theatre = Theatre("a", "b", strategy=Strategy.ONE_FOR_ALL, intensity=RestartIntensity(0, 1.0))
    async with theatre.supervisor.running():
        for _ in range(100):
            theatre["a"].crash(RenewChild("fresh"))
            await settle()
        assert theatre["a"].incarnation == 101
        assert theatre["b"].incarnation == 1


async def test_a_suspension_has_a_backoff_of_its_own_and_no_end() -> None:
    suspension = Backoff(initial=10.0, maximum=40.0, jitter=0.0)
    intensity = RestartIntensity(3, 5.0, max_consecutive=1)
    theatre = Theatre("a", spec={"suspension": suspension, "intensity": intensity})
    async with theatre.supervisor.running():
        for delay in (10.0, 20.0, 40.0, 40.0):
            theatre["a"].crash(SuspendChild("sick"))
            await settle(delay - 0.5)
            assert theatre.state("a") == "suspended"
            await settle(1.0)
            assert theatre.state("a") == "running"


async def test_a_child_over_its_limit_ends_the_supervisor() -> None:
    theatre = Theatre("a", "b", spec={"intensity": RestartIntensity(2, 5.0)})

    async def scene() -> None:
        async with theatre.supervisor.running():
            for _ in range(3):
                theatre["a"].crash()
                await settle()
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    error = caught.value
    assert (error.supervisor, error.child, error.rule, error.restarts, error.limit) == ("root", "a", "window", 3, 2)
    assert not error.of_supervisor
    assert isinstance(error.__cause__, Crash)
    assert error.failure is not None
    assert error.failure.message == "a"
    assert theatre["a"].incarnation == 3
    assert theatre.record.lines[-1] == "b down"


async def test_a_parked_child_stays_down_while_its_siblings_live_until_somebody_restarts_it() -> None:
    theatre = Theatre("a", "b", spec={"on_exhausted": "park", "intensity": RestartIntensity(1, 60.0)})
    async with theatre.supervisor.running() as supervisor:
        for _ in range(2):
            theatre["a"].crash()
            await settle()
        assert (theatre.state("a"), theatre.state("b")) == ("parked", "running")
        assert theatre.record.only(ChildParked).exceeded.restarts == 2
        await settle(100.0)
        assert theatre.state("a") == "parked"
        await supervisor.restart_child("a")
        theatre["a"].crash()
        await settle()
        assert theatre.state("a") == "running"


async def test_a_start_that_takes_too_long_is_a_failed_start() -> None:
    async def never_up(context: ChildContext) -> None:
        await anyio.sleep_forever()

    with pytest.raises(ChildStartError, match="not up within start_timeout=3 s"):
        async with Supervisor(children=[ChildSpec("a", never_up, start_timeout=3.0)]).running():
            pytest.fail("it must not run")  # pragma: no cover


async def test_fault_D3_a_permanent_child_that_returns_without_being_up_failed_to_start() -> None:
    async def returns(context: ChildContext) -> None:
        pass

    with pytest.raises(ChildStartError, match="without having called"):
        async with Supervisor(children=[ChildSpec("a", returns)]).running():
            pytest.fail("it must not run")  # pragma: no cover


async def test_a_transient_child_that_returns_without_being_up_has_finished() -> None:
    async def returns(context: ChildContext) -> None:
        pass

    spec = ChildSpec("a", returns, restart=RestartPolicy.TRANSIENT)
    async with Supervisor(children=[spec]).running() as supervisor:
        assert [each.state for each in supervisor.which_children()] == ["finished"]


async def test_a_body_error_passes_through_as_itself_after_the_stop() -> None:
    theatre = Theatre("a")
    problem = Crash("of the body")
    with pytest.raises(Crash) as caught:
        async with theatre.supervisor.running():
            raise problem
    assert caught.value is problem
    assert theatre.record.lines == ["a up", "a down"]


async def test_a_body_and_a_supervisor_that_fail_together_make_a_group() -> None:
    theatre = Theatre("a", spec={"intensity": RestartIntensity.never()})

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["a"].crash()
            try:
                await anyio.sleep_forever()
            finally:
                raise Crash("of the body")

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene()
    assert {type(each) for each in caught.value.exceptions} == {Crash, RestartIntensityExceeded}


async def _gives_up_and_is_asked(theatre: Theatre, asked: Supervisor, *, in_a_group: bool) -> None:
    async def ask() -> None:
        theatre["b"].crash()
        await settle()
        assert theatre.supervisor.state == "stopping"
        await asked.start_child(ChildSpec("late", anyio.sleep_forever))

    async with theatre.supervisor.running(), anyio.create_task_group() as group:
        if in_a_group:
            group.start_soon(ask)
        else:
            await ask()


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_a_body_that_was_only_refused_a_request_raises_why_the_supervisor_ends(in_a_group: bool) -> None:
    theatre = Theatre("a", "b", spec={"intensity": RestartIntensity.never()}, cleanup=1.0)
    with pytest.raises(RestartIntensityExceeded):
        await _gives_up_and_is_asked(theatre, theatre.supervisor, in_a_group=in_a_group)


async def test_a_body_that_was_refused_a_request_by_another_supervisor_has_failed_on_its_own() -> None:
    theatre = Theatre("a", "b", spec={"intensity": RestartIntensity.never()}, cleanup=1.0)
    with pytest.raises(BaseExceptionGroup) as caught:
        await _gives_up_and_is_asked(theatre, Supervisor("other"), in_a_group=False)
    leaves = sort_leaves(caught.value, anyio.get_cancelled_exc_class()).ordinary
    assert {type(each) for each in leaves} == {SupervisorNotRunning, RestartIntensityExceeded}


async def test_run_ends_when_a_stop_is_requested() -> None:
    theatre = Theatre("a")
    async with anyio.create_task_group() as group:
        group.start_soon(theatre.supervisor.run)
        await settle()
        assert theatre.supervisor.state == "running"
        theatre.supervisor.request_stop()
        theatre.supervisor.request_stop()
    assert theatre.record.lines == ["a up", "a down"]


async def test_a_stop_requested_before_the_first_child_is_up_ends_the_start() -> None:
    supervisor: Supervisor

    async def stops(context: ChildContext) -> None:
        supervisor.request_stop()
        await context.wait_stop_requested()

    theatre = Theatre("never")
    supervisor = theatre.supervisor
    supervisor = Supervisor(children=[ChildSpec("stops", stops), theatre["never"].spec()])
    await supervisor.run()
    assert theatre.record.lines == []


async def test_a_supervisor_runs_one_run_at_a_time_but_many_in_its_life() -> None:
    theatre = Theatre("a")
    for number in (1, 2, 3):
        async with theatre.supervisor.running():
            assert theatre["a"].incarnation == number
            with pytest.raises(SupervisorAlreadyRunning):
                await theatre.supervisor.run()


async def test_fault_D18_a_stop_during_a_backoff_returns_at_once_and_nothing_is_started_after() -> None:
    theatre = Theatre("a", spec={"backoff": Backoff(initial=1000.0, maximum=1000.0)})
    async with theatre.supervisor.running():
        theatre["a"].crash()
        await settle()
        began = anyio.current_time()
    assert anyio.current_time() - began < 1.0
    assert theatre["a"].incarnation == 1


async def test_each_life_has_a_context_of_its_own() -> None:
    from contextvars import ContextVar

    var: ContextVar[str] = ContextVar("var", default="clean")
    seen: list[str] = []

    async def child() -> None:
        seen.append(var.get())
        var.set("dirty")
        if len(seen) < 4:
            raise Crash

    def observer(report: object) -> None:
        var.set("observer")

    var.set("host")
    supervisor = Supervisor(observer=observer)
    spec: dict[str, Any] = {"backoff": AT_ONCE, "restart": RestartPolicy.TRANSIENT}
    supervisor.declare(ChildSpec("a", child, **spec))
    async with supervisor.running():
        await settle()
        var.set("caller")
        await supervisor.start_child(ChildSpec("b", child, **spec))
        await settle()
    assert seen == ["host"] * 5


async def test_an_observer_that_raises_is_counted_and_changes_nothing() -> None:
    def observer(report: object) -> None:
        raise SystemExit

    theatre = Theatre("a")
    supervisor = Supervisor(children=[theatre["a"].spec()], observer=observer)
    async with supervisor.running():
        assert supervisor.observer_errors == 1
    assert supervisor.observer_errors == 3  # up, stopping, stopped
    assert supervisor.stop_report.is_clean
