"""The decision table of docs/supervision.md: exit by policy by strategy, cell by cell."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.supervisors.scripted import Crash, Puppet, Theatre, settle
from tocsin_supervisors import DeclineStart, RenewChild, RestartPolicy, Strategy, SuspendChild

P, T, Y = RestartPolicy.PERMANENT, RestartPolicy.TRANSIENT, RestartPolicy.TEMPORARY
# what becomes of the child that ended: "restart" takes along whom the strategy says, "alone" nobody
CELLS: dict[str, dict[RestartPolicy, str]] = {
    "finished": {P: "restart", T: "finished", Y: "forgotten"},
    "crashed": {P: "restart", T: "restart", Y: "forgotten"},
    "suspended": {P: "restart", T: "restart", Y: "forgotten"},
    "renewed": {P: "alone", T: "alone", Y: "alone"},
    "stopped": {P: "stopped", T: "stopped", Y: "forgotten"},
}
ERRORS: dict[str, Exception] = {"crashed": Crash(), "suspended": SuspendChild(), "renewed": RenewChild()}
ALONG: dict[Strategy, str] = {Strategy.ONE_FOR_ONE: "", Strategy.REST_FOR_ONE: "c", Strategy.ONE_FOR_ALL: "ac"}


async def end(theatre: Theatre, exit: str) -> None:
    """Have b end so."""
    if exit == "stopped":
        await theatre.supervisor.terminate_child("b")
    elif exit == "finished":
        theatre["b"].finish()
    else:
        theatre["b"].crash(ERRORS[exit])
    await settle()


@pytest.mark.parametrize(
    ("exit", "policy", "strategy"),
    [
        pytest.param(exit, policy, strategy, id=f"{exit}-{policy.value}-{strategy.value}")
        for exit, policy, strategy in product(CELLS, RestartPolicy, Strategy)
    ],
)
async def test_each_cell_of_the_decision_table_holds(exit: str, policy: RestartPolicy, strategy: Strategy) -> None:
    theatre = Theatre("a", strategy=strategy)
    for id in "bc":
        theatre.puppets[id] = Puppet(theatre.record, id)
        options: dict[str, Any] = {"restart": policy} if id == "b" else {}
        theatre.supervisor.declare(theatre[id].spec(**options))
    cell = CELLS[exit][policy]
    async with theatre.supervisor.running() as supervisor:
        await end(theatre, exit)
        states = {child.id: child.state for child in supervisor.which_children()}
        assert states.get("b", "forgotten") == {"restart": "running", "alone": "running"}.get(cell, cell)
        assert theatre["b"].incarnation == (2 if cell in ("restart", "alone") else 1)
        along = ALONG[strategy] if cell == "restart" else ""
        assert {id for id in "ac" if theatre[id].incarnation == 2} == set(along)


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("strategy", Strategy)
async def test_a_child_that_declines_stays_down_whatever_the_policy(policy: RestartPolicy, strategy: Strategy) -> None:
    theatre = Theatre("a", strategy=strategy, spec={"restart": policy})
    theatre["a"].declines = True
    async with theatre.supervisor.running() as supervisor:
        await settle()
        states = [child.state for child in supervisor.which_children()]
        assert states == ([] if policy is Y else ["stopped"])
        assert theatre.record.told()[0] == "ChildDeclined"


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_a_child_stopped_with_its_group_is_started_with_it_unless_it_is_temporary(
    policy: RestartPolicy, strategy: Strategy
) -> None:
    theatre = Theatre("a", strategy=strategy)
    theatre.puppets["b"] = Puppet(theatre.record, "b")
    theatre.supervisor.declare(theatre["b"].spec(restart=policy))
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].crash()
        await settle()
        states = {child.id: child.state for child in supervisor.which_children()}
        assert states == ({"a": "running"} if policy is Y else {"a": "running", "b": "running"})


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("strategy", Strategy)
async def test_what_ends_programs_ends_all_of_it(policy: RestartPolicy, strategy: Strategy) -> None:
    theatre = Theatre("a", "b", strategy=strategy, spec={"restart": policy})

    async def scene() -> None:
        async with theatre.supervisor.running():
            theatre["a"].crash(SystemExit(3))
            await settle(1000.0)

    with pytest.raises(SystemExit, match="3"):
        await scene()
    assert theatre.record.lines == ["a up", "b up", "a down", "b down"]


async def test_declining_after_having_been_up_is_a_crash() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash(DeclineStart("too late"))
        await settle()
        assert theatre.record.told("a")[:2] == ["ChildStarted", "ChildCrashed"]
        assert theatre["a"].incarnation == 2


async def test_a_temporary_child_whose_renewal_fails_is_forgotten() -> None:
    theatre = Theatre("a", "b", spec={"restart": Y})
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].refuses = True
        theatre["a"].crash(RenewChild())
        await settle()
        assert [child.id for child in supervisor.which_children()] == ["b"]
        assert theatre.record.told("a")[-2:] == ["ChildStartFailed", "ChildRemoved"]


@pytest.mark.parametrize("keep", [False, True])
async def test_a_temporary_child_started_dynamically_is_renewed_only_if_it_is_kept(keep: bool) -> None:
    theatre = Theatre()
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(late.spec(restart=Y), keep=keep)
        late.crash(RenewChild())
        await settle()
        assert [child.incarnation for child in supervisor.which_children()] == ([2] if keep else [])
