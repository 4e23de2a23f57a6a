"""O84 to O90, O93 and O94: a supervisor that is given other options and other specs while it runs."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.scenarios.cast_endings import Mortal, Troupe, dynamic, ignores_stop, obeys
from tests.supervisors.scripted import AT_ONCE, Puppet, Theatre, settle
from tocsin_supervisors import (
    AutoShutdown,
    BadCombination,
    ChildCounts,
    ChildSpec,
    DuplicateChild,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Strategy,
    Supervisor,
    SupervisorFinished,
    TemplateSupervisor,
    TooManyChildren,
)

NEVER, ANY, ALL = AutoShutdown.NEVER, AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
SIGNIFICANT: dict[str, Any] = {"restart": RestartPolicy.TRANSIENT, "significant": True}
ORDINARY: dict[str, Any] = {"restart": RestartPolicy.TRANSIENT}


def last_significant(troupe: Troupe) -> str:
    """Give the child with which the supervisor has ended by itself."""
    assert troupe.supervisor.state == "stopped"
    return str(troupe.record.only(SupervisorFinished).child)


# ── automatic shutdown ──


@pytest.mark.parametrize(
    "changed", [pytest.param(ANY, id="O84-never-to-any"), pytest.param(ALL, id="O85-never-to-all")]
)
async def test_significant_children_are_refused_until_they_have_a_meaning(changed: AutoShutdown) -> None:
    troupe = Troupe({"c1": {}}, auto_shutdown=NEVER)
    spec = Mortal(troupe.record, "c2").spec(**SIGNIFICANT)
    async with troupe.supervisor.running() as supervisor:
        with pytest.raises(BadCombination, match="significant=True has no meaning under auto_shutdown") as caught:
            await supervisor.start_child(spec)
        assert caught.value.child == "c2"
        assert [each.id for each in supervisor.which_children()] == ["c1"]
        await supervisor.reconfigure(auto_shutdown=changed)
        assert supervisor.options.auto_shutdown is changed
        await supervisor.start_child(spec)
        assert supervisor.which_child("c2").state == "running"


async def _with_two_more(troupe: Troupe, changed: AutoShutdown) -> None:
    """Change the mode, and start two significant children, c1 and c2."""
    await troupe.supervisor.reconfigure(auto_shutdown=changed)
    for id in ("c1", "c2"):
        troupe.mortals[id] = Mortal(troupe.record, id)
        await troupe.supervisor.start_child(troupe[id].spec(**SIGNIFICANT))


async def test_O84_after_a_change_from_never_to_any_one_significant_child_is_enough() -> None:
    troupe = Troupe({"c0": {}}, auto_shutdown=NEVER)
    async with troupe.supervisor.running():
        await _with_two_more(troupe, ANY)
        troupe.record.lines.clear()
        await troupe.end("c1", "normal")
        troupe.record.note("the body went on")
    assert troupe.record.lines == ["c1 down", "c2 down", "c0 down"]
    assert last_significant(troupe) == "c1"


async def test_O85_after_a_change_from_never_to_all_every_significant_child_has_to_end() -> None:
    troupe = Troupe({"c0": {}}, auto_shutdown=NEVER)
    async with troupe.supervisor.running():
        await _with_two_more(troupe, ALL)
        await troupe.end("c1", "normal")
        assert troupe.seen["c1"] == ("finished", 1)
        troupe.record.lines.clear()
        await troupe.end("c2", "normal")
        troupe.record.note("the body went on")
    assert troupe.record.lines == ["c2 down", "c0 down"]
    assert last_significant(troupe) == "c2"


@pytest.mark.parametrize("before", [pytest.param(ANY, id="O86-any-to-never"), pytest.param(ALL, id="O88-all-to-never")])
async def test_after_a_change_to_never_the_significant_children_stay_but_end_nothing(before: AutoShutdown) -> None:
    troupe = Troupe({"c1": SIGNIFICANT, "c2": SIGNIFICANT}, auto_shutdown=before)
    async with troupe.supervisor.running() as supervisor:
        await supervisor.reconfigure(auto_shutdown=NEVER)
        assert supervisor.child_spec("c1").significant
        await troupe.end("c1", "normal")
        await troupe.end("c2", "normal")
        assert troupe.seen == {"c1": ("finished", 1), "c2": ("finished", 1)}
        assert supervisor.state == "running"
        with pytest.raises(BadCombination):
            await supervisor.start_child(Mortal(troupe.record, "c3").spec(**SIGNIFICANT))
    assert "SupervisorFinished" not in troupe.record.told()


async def test_O87_after_a_change_from_any_to_all_every_significant_child_has_to_end() -> None:
    troupe = Troupe({"c1": SIGNIFICANT, "c2": SIGNIFICANT}, auto_shutdown=ANY)
    async with troupe.supervisor.running() as supervisor:
        await supervisor.reconfigure(auto_shutdown=ALL)
        await troupe.end("c1", "normal")
        assert troupe.seen == {"c1": ("finished", 1), "c2": ("running", 1)}
        await troupe.end("c2", "normal")
        troupe.record.note("the body went on")
    assert troupe.record.lines[-1] == "c2 down"
    assert last_significant(troupe) == "c2"


async def test_O89_after_a_change_from_all_to_any_one_significant_child_is_enough() -> None:
    troupe = Troupe({"c1": SIGNIFICANT, "c2": SIGNIFICANT, "c3": SIGNIFICANT}, auto_shutdown=ALL)
    async with troupe.supervisor.running() as supervisor:
        await troupe.end("c1", "normal")
        await supervisor.reconfigure(auto_shutdown=ANY)
        await settle()  # what had ended before counts for nothing
        troupe.record.lines.clear()
        await troupe.end("c2", "normal")
        troupe.record.note("the body went on")
    assert troupe.record.lines == ["c2 down", "c3 down"]
    assert last_significant(troupe) == "c2"


async def test_O90_a_child_that_becomes_significant_counts_without_a_restart() -> None:
    troupe = Troupe({"c1": ORDINARY, "c2": {}}, auto_shutdown=ANY)
    async with troupe.supervisor.running() as supervisor:
        await supervisor.reconfigure([troupe["c1"].spec(**SIGNIFICANT)])
        assert supervisor.which_child("c1").incarnation == 1
        await troupe.end("c1", "normal")
        troupe.record.note("the body went on")
    assert troupe.record.lines == ["c1 up", "c2 up", "c1 down", "c2 down"]
    assert last_significant(troupe) == "c1"


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
async def test_O90_a_child_that_ceases_to_be_significant_counts_no_more(auto_shutdown: AutoShutdown) -> None:
    troupe = Troupe({"c1": SIGNIFICANT, "c2": {}}, auto_shutdown=auto_shutdown)
    async with troupe.supervisor.running() as supervisor:
        await supervisor.reconfigure([troupe["c1"].spec(**ORDINARY)])
        await troupe.end("c1", "normal")
        assert troupe.seen == {"c1": ("finished", 1), "c2": ("running", 1)}
        assert supervisor.state == "running"


# ── options ──


async def test_O93_other_options_hold_from_the_next_decision_on() -> None:
    theatre = Theatre("a", "b")
    async with theatre.supervisor.running() as supervisor:
        theatre["b"].crash()
        await settle()
        assert (theatre.incarnation("a"), theatre.incarnation("b")) == (1, 2)
        await supervisor.reconfigure(strategy=Strategy.ONE_FOR_ALL)
        assert (theatre.incarnation("a"), theatre.incarnation("b")) == (1, 2)  # the change alone restarts nobody
        theatre["b"].crash()
        await settle()
        assert (theatre.incarnation("a"), theatre.incarnation("b")) == (2, 3)


async def test_O93_a_lower_intensity_counts_the_restarts_there_were() -> None:
    theatre = Theatre("a")

    async def scene() -> None:
        async with theatre.supervisor.running() as supervisor:
            theatre["a"].crash()
            await settle()
            await supervisor.reconfigure(intensity=RestartIntensity(1, 3600.0))
            await settle()
            assert supervisor.state == "running"
            theatre["a"].crash()
            await settle()
            pytest.fail("the supervisor did not give up")

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.of_supervisor, caught.value.restarts, caught.value.limit) == (True, 2, 1)


async def test_O93_another_deadline_holds_for_the_next_stop() -> None:
    supervisor = Supervisor(children=[ChildSpec("a", ignores_stop, grace_period=100.0)], shutdown_deadline=50.0)
    async with supervisor.running():
        await supervisor.reconfigure(shutdown_deadline=2.0)
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(2.0, abs=1e-6)


# ── specs ──


async def test_O93_a_spec_that_is_added_stays_down_until_somebody_starts_it() -> None:
    theatre = Theatre("a")
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([late.spec()])
        await settle(100.0)
        assert (theatre.state("late"), theatre.incarnation("late")) == ("stopped", 0)
        assert supervisor.count_children() == ChildCounts(specs=2, active=1, supervisors=0, actors=2)
        assert await supervisor.restart_child("late") is late
        assert (theatre.state("late"), theatre.incarnation("late")) == ("running", 1)
        assert [each.id for each in supervisor.which_children()] == ["a", "late"]
    theatre.record.lines.clear()
    async with theatre.supervisor.running():
        assert theatre.record.lines == ["a up", "late up"]


async def test_O93_another_grace_period_is_seen_and_holds_at_once() -> None:
    supervisor = Supervisor(children=[ChildSpec("a", ignores_stop, grace_period=20.0)])
    async with supervisor.running():
        await supervisor.reconfigure([ChildSpec("a", ignores_stop, grace_period=1.0)])
        assert supervisor.child_spec("a").grace_period == 1.0
        assert supervisor.which_child("a").incarnation == 1
        began = anyio.current_time()
        await supervisor.terminate_child("a")
        assert anyio.current_time() - began == pytest.approx(1.0, abs=1e-6)


async def test_O93_another_start_function_is_called_from_the_next_start_on() -> None:
    theatre = Theatre("a")
    other = Puppet(theatre.record, "other")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([ChildSpec("a", other, backoff=AT_ONCE)])
        await settle()
        assert theatre.record.lines == ["a up"]
        theatre["a"].crash()
        await settle()
        assert theatre.record.lines == ["a up", "a down", "other up"]
        assert (theatre.state("a"), theatre.incarnation("a")) == ("running", 2)


async def test_O93_a_child_that_is_not_among_the_specs_stays_as_it_is() -> None:
    """As in OTP, where leaving a spec out removes nothing; `delete_child` does."""
    theatre = Theatre("a", "b", "c")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([theatre["b"].spec(grace_period=1.0)])
        assert [(each.id, each.state, each.incarnation) for each in supervisor.which_children()] == [
            ("a", "running", 1),
            ("b", "running", 1),
            ("c", "running", 1),
        ]


async def test_O93_no_change_is_no_change() -> None:
    theatre = Theatre("a", "b")
    async with theatre.supervisor.running() as supervisor:
        before = (supervisor.options, supervisor.which_children(), list(theatre.record.reports))
        await supervisor.reconfigure()
        await settle()
        assert (supervisor.options, supervisor.which_children(), theatre.record.reports) == before


NEW = ChildSpec("new", obeys)
FAULTS: dict[str, tuple[list[Any], dict[str, Any], type[Exception]]] = {
    "an id twice": ([NEW, NEW], {}, DuplicateChild),
    "significant for nothing": ([ChildSpec("a", obeys, **SIGNIFICANT)], {}, BadCombination),
    "an actor that becomes a supervisor": ([ChildSpec("a", Supervisor("a"))], {}, BadCombination),
    "no spec": ([NEW, "rubbish"], {}, TypeError),
    "too many specs": ([NEW, ChildSpec("newer", obeys)], {"max_children": 1}, TooManyChildren),
    "too many with those there are": ([NEW, ChildSpec("newer", obeys)], {"max_children": 3}, TooManyChildren),
    "a strategy that is none": ([NEW], {"strategy": "one_for_none"}, TypeError),
    "an intensity that is none": ([NEW], {"intensity": 3}, TypeError),
    "an automatic shutdown that is none": ([NEW], {"auto_shutdown": "sometimes"}, TypeError),
    "a deadline that is none": ([NEW], {"shutdown_deadline": -1.0}, ValueError),
    "a number that is none": ([NEW], {"max_children": -1}, ValueError),
    "an option that is none": ([NEW], {"stratgy": Strategy.ONE_FOR_ALL}, TypeError),
    "a template": ([NEW], {"template": dynamic(obeys)}, ValueError),
}


async def _refused(supervisor: Supervisor, fault: str) -> None:
    specs, options, error = FAULTS[fault]
    before = (supervisor.options, supervisor.which_children(), supervisor.child_spec("a"))
    with pytest.raises(error):
        await supervisor.reconfigure(specs, **options)
    assert (supervisor.options, supervisor.which_children(), supervisor.child_spec("a")) == before


@pytest.mark.parametrize("fault", FAULTS)
async def test_O93_a_faulty_change_is_refused_and_leaves_everything_as_it_was(fault: str) -> None:
    theatre = Theatre("a", "b")
    async with theatre.supervisor.running() as supervisor:
        await _refused(supervisor, fault)
        await settle()
        assert theatre.record.told() == ["ChildStarted", "ChildStarted"]
    theatre.record.lines.clear()
    async with theatre.supervisor.running():
        assert theatre.record.lines == ["a up", "b up"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_O93_a_faulty_change_of_a_supervisor_that_does_not_run_is_refused_as_well(fault: str) -> None:
    await _refused(Theatre("a", "b").supervisor, fault)


async def test_O93_who_is_there_already_may_be_more_than_a_new_limit_allows() -> None:
    theatre = Theatre("a", "b", "c")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([theatre["c"].spec(grace_period=1.0)], max_children=2)
        assert supervisor.count_children().active == 3
        with pytest.raises(TooManyChildren):
            await supervisor.start_child(NEW)


async def test_O93_a_change_while_the_supervisor_stops_is_one_for_its_next_run() -> None:
    theatre = Theatre("a", cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        supervisor.request_stop()
        await settle()
        assert supervisor.state == "stopping"
        await supervisor.reconfigure([NEW], strategy=Strategy.ONE_FOR_ALL)
        assert [each.id for each in supervisor.which_children()] == ["a"]
    async with theatre.supervisor.running() as supervisor:
        assert [(each.id, each.state) for each in supervisor.which_children()] == [("a", "running"), ("new", "running")]
        assert supervisor.options.strategy is Strategy.ONE_FOR_ALL


async def test_O93_a_child_that_was_started_later_is_kept_once_it_is_among_the_specs() -> None:
    """As in OTP, where the new specs are what the supervisor starts with the next time."""
    theatre = Theatre("a")
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(late.spec())
        await supervisor.reconfigure([late.spec(grace_period=1.0)])
    async with theatre.supervisor.running():
        assert late.incarnation == 2


# ── templates ──


async def test_O94_another_template_makes_the_children_from_then_on() -> None:
    supervisor = Supervisor(template=dynamic(obeys))
    async with supervisor.running():
        await supervisor.start_from_template()
        await supervisor.reconfigure(template=lambda: ChildSpec("better", obeys))
        await supervisor.start_from_template()
        assert [(each.id, each.state, each.incarnation) for each in supervisor.which_children()] == [
            ("worker-1", "running", 1),
            ("better-2", "running", 1),
        ]


async def test_O94_children_of_the_former_template_are_restarted_as_that_described_them() -> None:
    theatre = Theatre()
    old = Puppet(theatre.record, "old")
    supervisor = Supervisor(template=lambda: old.spec())
    async with supervisor.running():
        await supervisor.start_from_template()
        await supervisor.reconfigure(template=dynamic(obeys))
        old.crash()
        await settle()
        assert old.incarnation == 2


@pytest.mark.parametrize("running", [True, False], ids=["running", "not running"])
async def test_O94_a_template_can_neither_be_taken_away_nor_added(running: bool) -> None:
    plain, templated = Supervisor("plain"), Supervisor("templated", template=dynamic(obeys))

    async def attempt() -> None:
        with pytest.raises(ValueError, match="cannot begin or cease to have a template"):
            await plain.reconfigure(template=dynamic(obeys))
        with pytest.raises(ValueError, match="cannot begin or cease to have a template"):
            await templated.reconfigure(template=None)
        assert plain.options.template is None
        assert templated.options.template is not None

    if running:
        async with plain.running(), templated.running():
            await attempt()
            assert await templated.start_from_template() is not None
    else:
        await attempt()


async def test_O94_a_template_goes_with_no_specs_and_no_other_strategy() -> None:
    supervisor = Supervisor(template=dynamic(obeys))
    async with supervisor.running():
        with pytest.raises(TemplateSupervisor):
            await supervisor.reconfigure([ChildSpec("a", obeys)])
        with pytest.raises(ValueError, match="strategy"):
            await supervisor.reconfigure(strategy=Strategy.ONE_FOR_ALL)
        assert supervisor.options.strategy is Strategy.ONE_FOR_ONE
        assert supervisor.which_children() == ()
