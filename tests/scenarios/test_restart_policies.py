"""What follows the exit of a child: O33 to O41, the nine cells of OTP's table, and O43, O44, whose spec is kept.

OTP's column `shutdown` has two meanings here. A child that its supervisor stopped stays down. A supervisor among the
children that has ended in order, by its own `stop()` or with its significant children, has returned.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.scenarios.cast_restarts import STRATEGIES, Arena, Mortal, Troupe, at_most
from tests.supervisors.scripted import AT_ONCE, Crash, Puppet, Record, settle
from tocsin_supervisors import (
    AutoShutdown,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildCounts,
    ChildCrashed,
    ChildNotFound,
    ChildSpec,
    RenewChild,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Supervisor,
)

PERMANENT, TRANSIENT, TEMPORARY = RestartPolicy
LIMIT = at_most(2, 3600.0)
After = tuple[str | None, int, list[str]]  # the child's state, its incarnation, and what was reported after its exit
RESTARTED: After = ("running", 2, ["RestartScheduled", "ChildStarted"])
STOPPED: After = ("stopped", 1, [])
FINISHED: After = ("finished", 1, [])
FORGOTTEN: After = (None, 1, ["ChildRemoved"])


class Cell(NamedTuple):
    """One cell of the table."""

    number: int
    policy: RestartPolicy
    exit: str
    after: After

    def __str__(self) -> str:
        return f"O{self.number}-{self.policy.value}-{self.exit}"


async def die(supervisor: Supervisor, child: Mortal, how: str) -> None:
    """Have *child* end, and let what follows happen."""
    if how == "terminated":
        await supervisor.terminate_child(child.id)
    elif how == "returns":
        child.finish()
    elif how == "killed":
        child.kill()
    else:
        child.crash(ExceptionGroup("two", [Crash(), ValueError()]) if how == "raises a group" else None)
    await settle()


ACTORS = [
    Cell(33, PERMANENT, "returns", RESTARTED),
    Cell(34, PERMANENT, "terminated", STOPPED),
    Cell(35, PERMANENT, "crashes", RESTARTED),
    Cell(35, PERMANENT, "raises a group", RESTARTED),
    Cell(35, PERMANENT, "killed", RESTARTED),
    Cell(36, TRANSIENT, "returns", FINISHED),
    Cell(37, TRANSIENT, "terminated", STOPPED),
    Cell(38, TRANSIENT, "crashes", RESTARTED),
    Cell(38, TRANSIENT, "raises a group", RESTARTED),
    Cell(38, TRANSIENT, "killed", RESTARTED),
    Cell(39, TEMPORARY, "returns", FORGOTTEN),
    Cell(40, TEMPORARY, "terminated", FORGOTTEN),
    Cell(41, TEMPORARY, "crashes", FORGOTTEN),
    Cell(41, TEMPORARY, "raises a group", FORGOTTEN),
    Cell(41, TEMPORARY, "killed", FORGOTTEN),
]
REPORTED = {"returns": "ChildFinished", "terminated": "ChildStopped"}


@pytest.mark.parametrize("cell", ACTORS, ids=str)
async def test_fault_D16_the_policy_decides_what_follows_the_exit_of_an_actor(cell: Cell) -> None:
    state, incarnation, reports = cell.after
    theatre = Arena("a", spec={"restart": cell.policy, "intensity": LIMIT}, intensity=LIMIT)
    async with theatre.supervisor.running() as supervisor:
        await die(supervisor, theatre["a"], cell.exit)
        assert [(each.state, each.incarnation) for each in supervisor.which_children()] == (
            [] if state is None else [(state, incarnation)]
        )
        known, up = int(state is not None), int(state == "running")
        assert supervisor.count_children() == ChildCounts(specs=known, active=up, supervisors=0, actors=known)
        exit = REPORTED.get(cell.exit, "ChildCrashed")
        assert theatre.record.told("a") == ["ChildStarted", exit, *reports]
        assert theatre["a"].incarnation == incarnation


NESTED = [
    Cell(34, PERMANENT, "stops itself", RESTARTED),
    Cell(34, PERMANENT, "has no significant child left", RESTARTED),
    Cell(35, PERMANENT, "gives up", RESTARTED),
    Cell(37, TRANSIENT, "stops itself", FINISHED),
    Cell(37, TRANSIENT, "has no significant child left", FINISHED),
    Cell(38, TRANSIENT, "gives up", RESTARTED),
    Cell(40, TEMPORARY, "stops itself", FORGOTTEN),
    Cell(40, TEMPORARY, "has no significant child left", FORGOTTEN),
    Cell(41, TEMPORARY, "gives up", FORGOTTEN),
]


@pytest.mark.parametrize("cell", NESTED, ids=str)
async def test_the_policy_decides_what_follows_the_exit_of_a_supervisor(cell: Cell) -> None:
    """To give up is a crash here, where OTP's exit reason `shutdown` has a transient supervisor vanish."""
    state, incarnation, reports = cell.after
    record = Record()
    leaf = Puppet(record, "leaf")
    leaves = [leaf.spec(restart=TRANSIENT, significant=True, intensity=RestartIntensity.never())]
    branch = Supervisor("branch", leaves, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    spec = ChildSpec("branch", branch, restart=cell.policy, backoff=AT_ONCE, intensity=LIMIT)
    async with Supervisor("root", [spec], intensity=LIMIT, observer=record.observe).running() as root:
        if cell.exit == "stops itself":
            await branch.stop()
        elif cell.exit == "gives up":
            leaf.crash()
        else:
            leaf.finish()
        await settle()
        assert [(each.state, each.incarnation) for each in root.which_children()] == (
            [] if state is None else [(state, incarnation)]
        )
        known, up = int(state is not None), int(state == "running")
        assert root.count_children() == ChildCounts(specs=known, active=up, supervisors=known, actors=0)
        exit = "ChildCrashed" if cell.exit == "gives up" else "ChildFinished"
        assert record.told("branch") == ["ChildStarted", exit, *reports]
        assert leaf.incarnation == incarnation


@pytest.mark.parametrize("policy", [PERMANENT, TRANSIENT], ids=["O34-permanent", "O37-transient"])
async def test_a_child_that_was_terminated_stays_down_until_it_is_restarted(policy: RestartPolicy) -> None:
    theatre = Arena("a", spec={"restart": policy})
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("a")
        await settle(3600.0)
        assert (theatre.state("a"), theatre.incarnation("a")) == ("stopped", 1)
        assert await supervisor.restart_child("a") is theatre["a"]
        assert (theatre.state("a"), theatre.incarnation("a")) == ("running", 2)


async def test_O36_a_transient_child_that_has_returned_can_be_restarted() -> None:
    theatre = Arena("a", spec={"restart": TRANSIENT})
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].finish()
        await settle(3600.0)
        assert supervisor.count_children() == ChildCounts(specs=1, active=0, supervisors=0, actors=1)
        assert await supervisor.restart_child("a") is theatre["a"]
        theatre["a"].crash()
        await settle()
        assert (theatre.state("a"), theatre.incarnation("a")) == ("running", 3)


@pytest.mark.parametrize("policy", RestartPolicy, ids=["O35-permanent", "O38-transient", "O41-temporary"])
async def test_a_cancellation_by_a_stranger_is_reported_as_what_it_is(policy: RestartPolicy) -> None:
    theatre = Arena("a", spec={"restart": policy})
    async with theatre.supervisor.running():
        theatre["a"].kill()
        await settle()
    crash = theatre.record.only(ChildCrashed)
    assert crash.foreign_cancel
    assert crash.failure.type.endswith("ForeignCancellation")


# ── whose spec is kept ──

DEATHS = pytest.mark.parametrize("death", ["killed", "returns", "crashes", "terminated"])


@DEATHS
@STRATEGIES
async def test_O43_a_temporary_child_can_be_started_again_under_its_id(strategy: Strategy, death: str) -> None:
    theatre = Arena(strategy=strategy)
    child = Mortal(theatre.record, "a")
    async with theatre.supervisor.running() as supervisor:
        for _ in range(3):
            assert await supervisor.start_child(child.spec(restart=TEMPORARY)) is child
            # It was forgotten altogether, so it is counted from 1 again.
            assert (theatre.state("a"), child.incarnation) == ("running", 1)
            await die(supervisor, child, death)
            assert supervisor.which_children() == ()


@DEATHS
async def test_O43_a_temporary_child_of_a_template_can_be_started_again(death: str) -> None:
    troupe = Troupe("a", spec={"restart": TEMPORARY})
    async with troupe.supervisor.running() as supervisor:
        for number in (1, 2, 3):
            (ref,) = await troupe.hire("a")
            assert ref.id == f"a-{number}"
            if death == "terminated":
                await supervisor.terminate_child(ref)
            else:
                await die(supervisor, troupe["a"], death)
            assert supervisor.count_children() == ChildCounts(specs=1, active=0, supervisors=0, actors=0)


@DEATHS
async def test_O43_a_temporary_child_that_is_gone_is_unknown(death: str) -> None:
    theatre = Arena("a", spec={"restart": TEMPORARY})
    async with theatre.supervisor.running() as supervisor:
        await die(supervisor, theatre["a"], death)
        for request in (supervisor.terminate_child, supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(ChildNotFound) as caught:
                await request("a")
            assert (caught.value.supervisor, caught.value.child) == ("root", "a")
        for look in (supervisor.which_child, supervisor.child_spec):
            with pytest.raises(ChildNotFound):
                look("a")


async def test_O43_a_declared_temporary_child_is_there_again_in_the_next_run() -> None:
    """Ours: OTP's supervisors run once; a declaration of ours may run again, and then starts all it declares."""
    theatre = Arena("a", spec={"restart": TEMPORARY})
    for number in (1, 2):
        async with theatre.supervisor.running() as supervisor:
            assert theatre["a"].incarnation == number
            theatre["a"].finish()
            await settle()
            assert supervisor.which_children() == ()


@DEATHS
@STRATEGIES
@pytest.mark.parametrize("policy", [PERMANENT, TRANSIENT], ids=["permanent", "transient"])
async def test_O44_the_spec_of_any_other_child_is_kept(policy: RestartPolicy, strategy: Strategy, death: str) -> None:
    theatre = Arena(strategy=strategy)
    child = Mortal(theatre.record, "a")
    spec = child.spec(restart=policy)
    is_down = death == "terminated" or (death == "returns" and policy is TRANSIENT)
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(spec)
        await die(supervisor, child, death)
        assert supervisor.child_spec("a") is spec
        with pytest.raises(ChildAlreadyPresent if is_down else ChildAlreadyStarted):
            await supervisor.start_child(child.spec())
        assert child.incarnation == (1 if is_down else 2)
        if is_down:
            assert await supervisor.restart_child("a") is child
        assert (theatre.state("a"), theatre.incarnation("a")) == ("running", 2)


async def test_O41_a_temporary_child_that_is_not_kept_is_not_renewed_either() -> None:
    """Ours: what it was started with has been let go, so nothing is left to start it with."""
    theatre = Arena("b")
    child = Mortal(theatre.record, "a")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(child.spec(restart=TEMPORARY))
        child.crash(RenewChild("fresh"))
        await settle()
        assert theatre.record.told("a") == ["ChildStarted", "ChildRenewed", "ChildRemoved"]
        assert [(each.id, each.incarnation) for each in supervisor.which_children()] == [("b", 1)]
