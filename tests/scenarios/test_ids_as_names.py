"""Ids as names, where Elixir has its Registry: unique or shared, gone with their owner, and free again at once."""

from __future__ import annotations

import anyio
import pytest

from tests.scenarios.cast_dynamic import Agency
from tests.supervisors.scripted import Puppet, settle
from tocsin_supervisors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRef,
    ChildSpec,
    ChildStarted,
    DuplicateChild,
    RestartPolicy,
    Supervisor,
    check_specs,
)

TEMPORARY = RestartPolicy.TEMPORARY


@pytest.mark.parametrize("how", ["finishes", "crashes", "is terminated"])
async def test_E12_a_name_is_gone_with_its_owner_and_free_again(how: str) -> None:
    agency = Agency("named")
    async with agency.supervisor.running() as supervisor:
        puppet, _ = await agency.engage("worker", restart=TEMPORARY)
        if how == "is terminated":
            await supervisor.terminate_child("worker")  # and when that returns, the name is gone already
        else:
            (puppet.finish if how == "finishes" else puppet.crash)()
            await settle()
        with pytest.raises(ChildNotFound) as caught:
            supervisor.which_child("worker")
        assert (caught.value.supervisor, caught.value.child) == ("root", "worker")
        assert supervisor.which_children() == ()
        other, _ = await agency.engage("worker", restart=TEMPORARY)
        assert other.incarnation == 1  # another child, of which no life is known
        assert supervisor.which_child("worker").state == "running"


async def test_E12_a_name_is_given_back_in_the_very_step_in_which_its_end_is_told() -> None:
    """Elixir's Registry gives it back some time later."""
    known: list[bool] = []

    def observe(report: object) -> None:
        known.append(any(each.id == "worker" for each in supervisor.which_children()))

    async def worker() -> None:
        """Be done at once."""

    supervisor = Supervisor("root", observer=observe)
    async with supervisor.running():
        await supervisor.start_child(ChildSpec("worker", worker, restart=TEMPORARY))
        await settle()
        assert known == [True, False, False]  # when told of its start, its end, and its removal


async def test_E12_a_name_in_use_is_refused_and_its_owner_not_disturbed() -> None:
    agency = Agency("named")
    async with agency.supervisor.running() as supervisor:
        owner, _ = await agency.engage("worker")
        second = Puppet(agency.record, "worker")
        with pytest.raises(ChildAlreadyStarted) as caught:
            await supervisor.start_child(second.spec())
        assert (caught.value.supervisor, caught.value.child) == ("root", "worker")
        info = supervisor.which_child(caught.value.child)  # Elixir's error holds the pid; ours the name to look it up
        assert (info.state, info.incarnation) == ("running", owner.incarnation)
        assert agency.record.lines == ["worker up"]
        await supervisor.terminate_child("worker")
        with pytest.raises(ChildAlreadyPresent):
            await supervisor.start_child(second.spec())  # a permanent one keeps its name while it is down
        await supervisor.delete_child("worker")
        await supervisor.start_child(second.spec())
        assert agency.record.lines == ["worker up", "worker down", "worker up"]


async def test_E12_of_two_that_want_a_name_at_once_one_gets_it() -> None:
    agency = Agency("named")
    refused: list[str] = []

    async def want() -> None:
        try:
            await agency.engage("worker")
        except (ChildAlreadyStarted, ChildAlreadyPresent) as error:
            refused.append(error.child)

    async with agency.supervisor.running() as supervisor, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(want)
        await settle()
        assert refused == ["worker"] * 4
        assert agency.record.lines == ["worker up"]
        assert supervisor.count_children() == agency.counts(children=1, active=1)


def test_E12_a_name_can_be_declared_once() -> None:
    specs = [ChildSpec("worker", anyio.sleep_forever), ChildSpec("worker", anyio.sleep_forever)]
    with pytest.raises(DuplicateChild, match="'worker' of supervisor 'root' is declared already"):
        Supervisor("root", specs)
    with pytest.raises(DuplicateChild, match="'worker' of supervisor 'check_specs' is declared already"):
        check_specs(specs)


async def test_E12_a_name_means_its_owner_over_all_restarts() -> None:
    agency = Agency("named")
    async with agency.supervisor.running() as supervisor:
        puppet, _ = await agency.engage("worker")
        for incarnation in range(1, 4):
            assert supervisor.which_child("worker").incarnation == incarnation == puppet.incarnation
            puppet.crash()
            await settle()
        await supervisor.terminate_child("worker")
        assert agency.record.lines[-1] == "worker down"


async def test_E12_children_of_a_template_share_a_name_and_have_a_number_each() -> None:
    agency = Agency("template")
    async with agency.supervisor.running() as supervisor:
        owners = [await agency.engage("worker", restart=TEMPORARY) for _ in range(3)]
        refs = [ref for _, ref in owners if isinstance(ref, ChildRef)]
        assert [ref.id for ref in refs] == ["worker-1", "worker-2", "worker-3"]
        owners[1][0].crash()
        await settle()
        assert [each.id for each in supervisor.which_children()] == ["worker-1", "worker-3"]
        with pytest.raises(ChildNotFound):
            supervisor.which_child(refs[1])
        _, late = await agency.engage("worker")
        assert isinstance(late, ChildRef)
        assert late.id == "worker-4"  # a number is never given twice, so an old reference means nobody else


async def test_E12_supervisors_may_use_the_same_names() -> None:
    agency = Agency("named")
    branches = [Supervisor(f"branch{n}", [ChildSpec("worker", anyio.sleep_forever)]) for n in (1, 2)]
    async with agency.supervisor.running() as supervisor:
        await agency.engage("worker")
        for branch in branches:
            await supervisor.start_child(ChildSpec(branch.name, branch))
        paths = [f"{each.supervisor}/{each.child}" for each in agency.record.reports if isinstance(each, ChildStarted)]
        assert [path for path in paths if path.endswith("/worker")] == [
            "root/worker",
            "root/branch1/worker",
            "root/branch2/worker",
        ]
        await branches[0].terminate_child("worker")
        assert supervisor.which_child("worker").state == "running"
        assert branches[1].which_child("worker").state == "running"
