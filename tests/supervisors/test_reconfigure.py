"""Changing a supervisor while it runs, and while it does not: all of a change is made, or none of it."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import Puppet, Record, Theatre, settle
from tocsin_supervisors import (
    AutoShutdown,
    BadCombination,
    ChildSpec,
    DuplicateChild,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Strategy,
    Supervisor,
    TemplateSupervisor,
    TooManyChildren,
)


def idle(id: str, **options: Any) -> ChildSpec:
    return ChildSpec(id, anyio.sleep_forever, **options)


async def test_a_supervisor_that_does_not_run_is_changed_for_its_next_run() -> None:
    supervisor = Supervisor(children=[idle("a")])
    await supervisor.reconfigure([idle("b")], strategy=Strategy.ONE_FOR_ALL)
    assert supervisor.options.strategy is Strategy.ONE_FOR_ALL
    async with supervisor.running():
        assert [(child.id, child.state) for child in supervisor.which_children()] == [
            ("a", "running"),
            ("b", "running"),
        ]


async def test_a_child_that_is_added_while_it_runs_stays_down_until_it_is_started_by_request() -> None:
    async with Supervisor(children=[idle("a")]).running() as supervisor:
        await supervisor.reconfigure([idle("b")])
        assert supervisor.which_child("b").state == "stopped"
        await supervisor.restart_child("b")
        assert supervisor.which_child("b").state == "running"


async def test_a_new_start_function_is_used_from_the_next_start_on() -> None:
    theatre = Theatre("a")
    record = Record()
    replacement = Puppet(record, "a")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([replacement.spec()])
        assert record.lines == []
        theatre["a"].crash()
        await settle()
        assert record.lines == ["a up"]


async def test_a_new_grace_period_holds_for_the_life_that_is_lived() -> None:
    async def deaf(context: Any) -> None:
        context.started()
        await anyio.sleep_forever()

    async with Supervisor(children=[ChildSpec("deaf", deaf, grace_period=1000.0)]).running() as supervisor:
        await supervisor.reconfigure([ChildSpec("deaf", deaf, grace_period=2.0)])
        began = anyio.current_time()
        await supervisor.terminate_child("deaf")
        assert anyio.current_time() - began == pytest.approx(2.0)


async def test_a_life_is_stopped_as_it_was_started_though_the_new_function_takes_no_context() -> None:
    theatre = Theatre("a", cleanup=3.0)
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([idle("a")])
        await supervisor.terminate_child("a")
        assert theatre.record.lines == ["a up", "a down"]


async def test_a_new_limit_counts_the_restarts_there_have_been() -> None:
    theatre = Theatre("a", "b", intensity=RestartIntensity(10, 60.0))

    async def scene() -> None:
        async with theatre.supervisor.running() as supervisor:
            for _ in range(2):
                theatre["a"].crash()
                await settle(1.0)
            await supervisor.reconfigure(intensity=RestartIntensity(2, 60.0))
            theatre["b"].crash(ValueError())
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.child, caught.value.restarts, caught.value.limit) == ("b", 3, 2)


@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize(
    ("children", "changes", "error"),
    [
        ([idle("b"), idle("b")], {}, DuplicateChild),
        ([idle("b", restart=RestartPolicy.TEMPORARY, significant=True)], {}, BadCombination),
        ([idle("b"), idle("c")], {"max_children": 2}, TooManyChildren),
        ([idle("b")], {"strategy": "one_for_all"}, TypeError),
        ([idle("b")], {"shutdown_deadline": -1.0}, ValueError),
        ([idle("b")], {"template": idle}, ValueError),
        ([idle("b")], {"name": "other"}, TypeError),
        ([ChildSpec("a", Supervisor())], {}, BadCombination),
    ],
)
async def test_a_change_that_is_refused_changes_nothing(
    is_running: bool, children: list[ChildSpec], changes: Any, error: type[Exception]
) -> None:
    supervisor = Supervisor(children=[idle("a")])
    before = supervisor.options

    async def refused() -> None:
        with pytest.raises(error):
            await supervisor.reconfigure(children, **changes)
        assert supervisor.options is before
        assert [child.id for child in supervisor.which_children()] == ["a"]

    if is_running:
        async with supervisor.running():
            await refused()
    else:
        await refused()


async def test_a_supervisor_cannot_become_another_one_or_none_while_it_is_a_child() -> None:
    branch = Supervisor("branch")
    root = Supervisor("root", [ChildSpec("branch", branch)])
    with pytest.raises(BadCombination, match="cannot become another supervisor, or cease to be one"):
        await root.reconfigure([idle("branch")])
    await root.reconfigure([ChildSpec("branch", branch, grace_period=3.0)])
    assert root.child_spec("branch").grace_period == 3.0


async def test_a_template_can_be_changed_but_not_taken_away() -> None:
    async with Supervisor(template=idle).running() as supervisor:
        await supervisor.reconfigure(template=lambda: idle("other"))
        ref = await supervisor.start_from_template()
        assert ref is not None
        assert ref.id == "other-1"
        with pytest.raises(ValueError, match="cannot begin or cease to have a template"):
            await supervisor.reconfigure(template=None)
        with pytest.raises(TemplateSupervisor):
            await supervisor.reconfigure([idle("a")])


async def test_more_children_than_a_new_limit_allows_stay() -> None:
    async with Supervisor(children=[idle("a"), idle("b")]).running() as supervisor:
        await supervisor.reconfigure(max_children=1)
        assert supervisor.count_children().active == 2
        with pytest.raises(TooManyChildren):
            await supervisor.start_child(idle("c"))


async def test_a_change_while_it_is_stopping_holds_for_the_next_run() -> None:
    theatre = Theatre("a", cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        supervisor.request_stop()
        await supervisor.reconfigure(shutdown_deadline=7.0)
        assert supervisor.options.shutdown_deadline == 7.0


async def test_a_change_of_the_strategy_leaves_a_round_in_progress_as_it_began() -> None:
    theatre = Theatre("a", "b", cleanup=2.0, strategy=Strategy.ONE_FOR_ALL)
    async with theatre.supervisor.running() as supervisor:
        theatre["b"].crash()
        await settle(1.0)  # a is being stopped
        await supervisor.reconfigure(strategy=Strategy.ONE_FOR_ONE)
        await settle(5.0)
        assert [theatre.incarnation(id) for id in "ab"] == [2, 2]
        theatre["b"].crash()
        await settle(5.0)
        assert [theatre.incarnation(id) for id in "ab"] == [2, 3]


async def test_a_new_deadline_holds_for_a_stop_that_begins_later() -> None:
    async def deaf(context: Any) -> None:
        context.started()
        await anyio.sleep_forever()

    async with Supervisor(children=[ChildSpec("deaf", deaf, grace_period=math.inf)]).running() as supervisor:
        await supervisor.reconfigure(shutdown_deadline=3.0)
        began = anyio.current_time()
        await supervisor.stop()
    assert anyio.current_time() - began == pytest.approx(3.0)


async def test_auto_shutdown_can_be_switched_on_for_children_added_with_it() -> None:
    theatre = Theatre()
    main = Puppet(theatre.record, "main")
    spec = main.spec(restart=RestartPolicy.TRANSIENT, significant=True)
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([spec], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
        await supervisor.restart_child("main")
        main.finish()
        await anyio.sleep_forever()
    assert theatre.record.told("main")[-1] == "SupervisorFinished"


async def test_a_declared_child_that_is_gone_takes_no_more_room_when_it_is_described_anew() -> None:
    theatre = Theatre("a", spec={"restart": RestartPolicy.TEMPORARY}, max_children=1)
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].finish()
        await settle()
        assert supervisor.which_children() == ()
        await supervisor.reconfigure([theatre["a"].spec()])
        assert supervisor.which_child("a").state == "stopped"
