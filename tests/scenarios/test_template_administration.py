"""Administration under a template: children have references, not ids, and one spec between them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.scenarios.cast_starting import NEVER, asked, counts, ids, label, states
from tests.supervisors.scripted import Puppet, Record, Theatre, settle
from tocsin_supervisors import (
    ChildCounts,
    ChildNotFound,
    ChildRef,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    RestartPolicy,
    Strategy,
    Supervisor,
    TemplateSupervisor,
)

POLICIES = pytest.mark.parametrize("policy", list(RestartPolicy), ids=lambda policy: policy.value)


class Ensemble:
    """A supervisor of puppets that come from a template."""

    def __init__(self, name: str = "root", **options: Any) -> None:
        self.record = Record()
        self.puppets: list[Puppet] = []
        self.supervisor = Supervisor(name, template=self.template, observer=self.record.observe, **options)

    def template(self, id: str = "a", **options: Any) -> ChildSpec:
        self.puppets.append(Puppet(self.record, id))
        return self.puppets[-1].spec(**options)

    async def start(self, **options: Any) -> ChildRef:
        ref = await self.supervisor.start_from_template(**options)
        assert ref is not None
        return ref


# ── by id ──


@pytest.mark.parametrize("id", ["a-1", "a", "unknown"])
@pytest.mark.parametrize("request_", ["start", "terminate", "restart", "delete"])
async def test_O26_no_child_of_a_template_is_administered_by_an_id(request_: str, id: str) -> None:
    ensemble = Ensemble()
    async with ensemble.supervisor.running() as supervisor:
        await ensemble.start()
        with pytest.raises(TemplateSupervisor) as caught:
            await asked(supervisor, request_, id)
        assert (caught.value.supervisor, caught.value.child) == ("root", id)
        assert str(caught.value) == (
            f"child {id!r} of supervisor 'root' cannot be addressed by its id, as the supervisor has a template: "
            "use start_from_template() and terminate_child() with the ChildRef it gave"
        )
        await settle()
        assert states(supervisor) == {"a-1": "running"}
        assert ensemble.record.told() == ["ChildStarted"]


async def test_O26_a_child_of_a_template_can_be_looked_at_by_its_id_and_by_its_reference() -> None:
    ensemble = Ensemble()
    async with ensemble.supervisor.running() as supervisor:
        ref = await ensemble.start()
        assert supervisor.which_child(ref) == supervisor.which_child("a-1") == supervisor.which_children()[0]
        assert supervisor.child_spec(ref) is supervisor.child_spec("a-1")
        assert repr(ref) == "<ChildRef a-1>"


# ── by reference ──


@POLICIES
async def test_O26_a_child_is_terminated_by_its_reference_and_forgotten(policy: RestartPolicy) -> None:
    ensemble = Ensemble(intensity=NEVER)
    async with ensemble.supervisor.running() as supervisor:
        first, second = await ensemble.start(restart=policy), await ensemble.start(restart=policy)
        ensemble.puppets[0].cleanup = 2.0
        began = anyio.current_time()
        await supervisor.terminate_child(first)
        assert anyio.current_time() - began == 2.0
        await settle(1000.0)
        assert states(supervisor) == {second.id: "running"}
        assert ensemble.record.told(first.id) == ["ChildStarted", "ChildStopped", "ChildRemoved"]
        assert supervisor.which_child(second).incarnation == 1


@pytest.mark.parametrize("end", ["terminate", "finish", "crash"])
async def test_O26_the_reference_of_a_child_that_is_gone_may_be_terminated_again(end: str) -> None:
    ensemble = Ensemble()
    async with ensemble.supervisor.running() as supervisor:
        ref, other = await ensemble.start(restart=RestartPolicy.TEMPORARY), await ensemble.start()
        if end == "terminate":
            await supervisor.terminate_child(ref)
        else:
            getattr(ensemble.puppets[0], end)()
            await settle()
        assert ids(supervisor) == [other.id]
        reports = len(ensemble.record.reports)
        for _ in range(3):
            await supervisor.terminate_child(ref)
        assert states(supervisor) == {other.id: "running"}
        assert len(ensemble.record.reports) == reports


@pytest.mark.parametrize("request_", ["terminate", "restart", "delete", "which", "spec"])
async def test_O26_a_reference_of_another_template_is_unknown_and_its_child_lives_on(request_: str) -> None:
    ours, theirs = Ensemble("ours"), Ensemble("theirs")
    async with ours.supervisor.running(), theirs.supervisor.running():
        own, foreign = await ours.start(), await theirs.start()
        assert own.id == foreign.id == "a-1"
        with pytest.raises(ChildNotFound) as caught:
            await asked(ours.supervisor, request_, foreign)
        assert (caught.value.supervisor, caught.value.child) == ("ours", "a-1")
        await settle()
        assert (states(ours.supervisor), states(theirs.supervisor)) == ({"a-1": "running"}, {"a-1": "running"})
        assert (own.is_of(ours.supervisor), foreign.is_of(ours.supervisor)) == (True, False)


async def test_O26_a_reference_outlives_restarts_and_never_means_another_child() -> None:
    ensemble = Ensemble()
    async with ensemble.supervisor.running() as supervisor:
        first = await ensemble.start()
        ensemble.puppets[0].crash()
        await settle()
        assert supervisor.which_child(first).incarnation == 2
        await supervisor.terminate_child(first)
    async with ensemble.supervisor.running() as supervisor:  # the numbers go on: no id is given twice
        second = await ensemble.start()
        assert (first.id, second.id) == ("a-1", "a-2")
        await supervisor.terminate_child(first)
        assert states(supervisor) == {"a-2": "running"}


@pytest.mark.parametrize("request_", ["restart", "delete"])
async def test_O26_a_child_that_is_there_is_neither_restarted_nor_deleted_by_its_reference(request_: str) -> None:
    """OTP refuses both under a template at all; ours by the state, and a child that is down for good is gone."""
    ensemble = Ensemble()
    async with ensemble.supervisor.running() as supervisor:
        ref = await ensemble.start()
        with pytest.raises(ChildRunning):
            await asked(supervisor, request_, ref)
        ensemble.puppets[0].refuses = True
        ensemble.puppets[0].start_takes = 1.0
        ensemble.puppets[0].crash()
        await settle()
        with pytest.raises(ChildRestarting):
            await asked(supervisor, request_, ref)
        await supervisor.terminate_child(ref)
        with pytest.raises(ChildNotFound):
            await asked(supervisor, request_, ref)


# ── counts ──


async def test_O27_a_template_is_one_spec_and_its_children_are_counted_as_they_are() -> None:
    ensemble = Ensemble()
    assert counts(ensemble.supervisor) == (1, 0, 0, 0)
    async with ensemble.supervisor.running() as supervisor:
        assert counts(supervisor) == (1, 0, 0, 0)
        refs = [await ensemble.start(), await ensemble.start()]
        assert counts(supervisor) == (1, 2, 0, 2)
        assert supervisor.count_children() == ChildCounts(specs=1, active=2, supervisors=0, actors=2)
        for left, ref in zip((1, 0), refs, strict=True):
            await supervisor.terminate_child(ref)
            assert counts(supervisor) == (1, left, 0, left)
    assert counts(ensemble.supervisor) == (1, 0, 0, 0)


async def test_O27_supervisors_from_a_template_are_counted_as_such() -> None:
    def template(name: str) -> ChildSpec:
        return ChildSpec(name, Supervisor(name))

    async with Supervisor("root", template=template).running() as supervisor:
        first, second = [await supervisor.start_from_template(name) for name in ("one", "two")]
        assert counts(supervisor) == (1, 2, 2, 0)
        assert first is not None
        assert second is not None
        await supervisor.terminate_child(first)
        assert counts(supervisor) == (1, 1, 1, 0)
        assert second.value.state == "running"


# ── one spec, no more and no less ──


@pytest.mark.parametrize("specs", [1, 2])
def test_O32_a_template_goes_with_no_children_of_its_own(specs: int) -> None:
    """OTP's template is the one spec of its supervisor; ours is a function beside none."""
    children = [ChildSpec(f"a{number}", anyio.sleep_forever) for number in range(specs)]
    with pytest.raises(TemplateSupervisor) as caught:
        Supervisor("root", children, template=Ensemble().template)
    assert (caught.value.supervisor, caught.value.child) == ("root", "a0")


async def test_O32_a_template_supervisor_accepts_no_declaration_before_its_run_and_in_it() -> None:
    supervisor = Ensemble().supervisor
    spec = ChildSpec("a", anyio.sleep_forever)
    with pytest.raises(TemplateSupervisor):
        supervisor.declare(spec)
    async with supervisor.running():
        with pytest.raises(TemplateSupervisor):
            supervisor.declare(spec)
        with pytest.raises(TemplateSupervisor):
            await supervisor.reconfigure([spec])
        await settle()
        assert ids(supervisor) == []
    assert ids(supervisor) == []


async def test_O32_without_a_template_nobody_is_started_from_it() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(LookupError) as caught:
            await supervisor.start_from_template("a", b="c")
        assert str(caught.value) == "supervisor 'root' has no template: give it one, or use start_child()"
        assert states(supervisor) == {"a": "running"}


@pytest.mark.parametrize("number", [0, 2])
async def test_O32_a_template_that_gives_none_or_two_specs_starts_nobody(number: int) -> None:
    spec = ChildSpec("a", anyio.sleep_forever)
    given: Any = [spec] * number
    async with Supervisor("root", template=lambda: given).running() as supervisor:
        with pytest.raises(TypeError) as caught:
            await supervisor.start_from_template()
        assert str(caught.value) == f"the template of supervisor 'root' gave {given!r}: it must return a ChildSpec"
        await settle()
        assert (supervisor.state, counts(supervisor)) == ("running", (1, 0, 0, 0))


async def waiting_template() -> ChildSpec:
    raise AssertionError("nobody waits for it")  # pragma: no cover  # nobody does


def test_O32_a_template_that_would_have_to_be_awaited_is_refused_by_name() -> None:
    template: Any = waiting_template
    with pytest.raises(TypeError, match=r"template=.*waiting_template.* is an async function"):
        Supervisor("root", template=template)


async def test_O32_a_template_that_gives_a_coroutine_is_refused_without_leaving_it_behind() -> None:
    template: Any = lambda: waiting_template()  # noqa: E731
    async with Supervisor("root", template=template).running() as supervisor:
        with pytest.raises(TypeError, match="gave <coroutine object waiting_template"):
            await supervisor.start_from_template()


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_O32_a_template_goes_with_one_strategy_only(strategy: Strategy) -> None:
    with pytest.raises(ValueError, match=f"strategy={strategy} does not go with a template"):
        Supervisor("root", template=Ensemble().template, strategy=strategy)


@pytest.mark.parametrize("value", [ChildSpec("a", anyio.sleep_forever), "a", [], 7], ids=label)
def test_O32_a_template_that_is_no_function_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Supervisor("root", template=value)
    assert str(caught.value) == f"template={value!r} must be a function that returns a ChildSpec, or None"


async def test_O32_a_template_that_raises_is_the_callers_matter() -> None:
    problem = ValueError("no such room")

    def template() -> ChildSpec:
        raise problem

    async with Supervisor("root", template=template).running() as supervisor:
        with pytest.raises(ValueError, match="no such room") as caught:
            await supervisor.start_from_template()
        assert caught.value is problem
        await settle()
        assert (supervisor.state, counts(supervisor)) == ("running", (1, 0, 0, 0))
