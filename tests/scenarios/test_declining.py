"""Children that decline their start: OTP's `ignore`. They stay down, that is no failure, and nobody is disturbed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.scenarios.cast_starting import NEVER, asked, counts, ids, states
from tests.supervisors.scripted import Puppet, Theatre, settle
from tocsin_supervisors import (
    ChildAlreadyPresent,
    ChildContext,
    ChildNotFound,
    ChildSpec,
    DeclineStart,
    RestartPolicy,
    Strategy,
    Supervisor,
)

TEMPORARY = RestartPolicy.TEMPORARY
STAYING = [RestartPolicy.PERMANENT, RestartPolicy.TRANSIENT]


def named(policy: RestartPolicy) -> str:
    return policy.value


# ── supervisors ──

Init = Callable[[Supervisor, ChildContext], Awaitable[None]]


async def before_it_runs(inner: Supervisor, context: ChildContext) -> None:
    raise DeclineStart("not configured")


async def while_it_runs(inner: Supervisor, context: ChildContext) -> None:
    async with inner.running():
        raise DeclineStart("on second thoughts")


async def in_a_group_beside_it(inner: Supervisor, context: ChildContext) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(inner.run)
        await settle()
        assert inner.state == "running"
        raise DeclineStart("on second thoughts")


class Declining:
    """The start function of a supervisor, which has to decide whether that is to run."""

    def __init__(self, theatre: Theatre, init: Init) -> None:
        self.init: Init | None = init
        self.leaves = [Puppet(theatre.record, "leaf1"), Puppet(theatre.record, "leaf2")]
        self.inner = Supervisor("inner", [each.spec() for each in self.leaves])

    async def __call__(self, context: ChildContext) -> None:
        if self.init is not None:
            await self.init(self.inner, context)
        await self.inner.live_as_child(context)

    def left_nobody(self, lines: list[str]) -> bool:
        ups = sorted(line.removesuffix(" up") for line in lines if line.startswith("leaf") and line.endswith(" up"))
        downs = sorted(line.removesuffix(" down") for line in lines if line.startswith("leaf") and "down" in line)
        return ups == downs and self.inner.state == "stopped"


INITS = [before_it_runs, while_it_runs, in_a_group_beside_it]


@pytest.mark.parametrize("init", INITS)
async def test_O2_a_supervisor_that_declines_to_run_leaves_nobody_running_and_its_parent_undisturbed(
    init: Init,
) -> None:
    theatre = Theatre("first", intensity=NEVER)
    declining = Declining(theatre, init)
    last = Puppet(theatre.record, "last")
    theatre.supervisor.declare(ChildSpec("branch", declining, intensity=NEVER))
    theatre.supervisor.declare(last.spec())
    async with theatre.supervisor.running() as supervisor:
        assert ("leaf1 up" in theatre.record.lines) is (init is not before_it_runs)
        assert declining.left_nobody(theatre.record.lines)
        await settle(1000.0)
        assert states(supervisor) == {"first": "running", "branch": "stopped", "last": "running"}
        assert [each.incarnation for each in supervisor.which_children()] == [1, 1, 1]
        assert counts(supervisor) == (3, 2, 0, 3)
        assert theatre.record.told("branch") == ["ChildDeclined"]
    assert supervisor.stop_report.is_clean


@pytest.mark.parametrize("init", INITS)
async def test_O2_a_supervisor_that_declines_when_started_by_request_gives_none(init: Init) -> None:
    theatre = Theatre("first", intensity=NEVER)
    declining = Declining(theatre, init)
    async with theatre.supervisor.running() as supervisor:
        assert await supervisor.start_child(ChildSpec("branch", declining, intensity=NEVER)) is None
        assert declining.left_nobody(theatre.record.lines)
        await settle(1000.0)
        assert states(supervisor) == {"first": "running", "branch": "stopped"}
        assert theatre.record.told("branch") == ["ChildDeclined"]


async def test_O2_a_supervisor_that_declined_runs_when_it_is_asked_again_and_wants_to() -> None:
    theatre = Theatre("first")
    declining = Declining(theatre, while_it_runs)
    theatre.supervisor.declare(ChildSpec("branch", declining))
    async with theatre.supervisor.running() as supervisor:
        assert await supervisor.restart_child("branch") is None
        declining.init = None
        assert await supervisor.restart_child("branch") is declining.inner
        assert states(declining.inner) == {"leaf1": "running", "leaf2": "running"}
    assert declining.left_nobody(theatre.record.lines)


async def test_O2_a_supervisor_whose_children_all_decline_is_up_all_the_same() -> None:
    theatre = Theatre("a", "b")
    theatre["a"].declines = theatre["b"].declines = True
    async with Supervisor("top", [ChildSpec("root", theatre.supervisor)]).running() as top:
        assert states(top) == {"root": "running"}
        assert counts(theatre.supervisor) == (2, 0, 0, 2)


# ── children that stay ──


@pytest.mark.parametrize("policy", STAYING, ids=named)
async def test_O3_a_child_that_declines_keeps_its_place_without_an_incarnation_and_the_next_one_starts(
    policy: RestartPolicy,
) -> None:
    theatre = Theatre("a", "b", spec={"restart": policy, "intensity": NEVER}, intensity=NEVER)
    theatre["a"].declines = True
    async with theatre.supervisor.running() as supervisor:
        await settle(1000.0)
        assert states(supervisor) == {"a": "stopped", "b": "running"}
        assert counts(supervisor) == (2, 1, 0, 2)
        info = supervisor.which_child("a")
        assert (info.restarts, info.last_failure) == (0, None)
        assert theatre.record.told("a") == ["ChildDeclined"]
    assert theatre.record.lines == ["a declines", "b up", "b down"]


async def test_O3_a_child_that_declined_is_asked_again_by_a_restart_by_request() -> None:
    theatre = Theatre("a")
    theatre["a"].declines = True
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildAlreadyPresent):
            await supervisor.start_child(theatre["a"].spec())
        assert await supervisor.restart_child("a") is None
        theatre["a"].declines = False
        assert await supervisor.restart_child("a") is theatre["a"]
        assert theatre["a"].incarnation == 3


async def test_O3_a_child_that_declined_is_asked_again_when_its_group_is_restarted() -> None:
    theatre = Theatre("a", "b", strategy=Strategy.ONE_FOR_ALL)
    theatre["a"].declines = True
    async with theatre.supervisor.running():
        theatre["a"].declines = False
        theatre["b"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in "ab"] == [2, 2]
        assert [theatre.state(id) for id in "ab"] == ["running", "running"]


async def test_O3_a_child_declines_only_before_it_is_up() -> None:
    """OTP's `ignore` can be returned by a start alone; raised by a child that is up, ours is a crash."""
    theatre = Theatre("a")
    async with theatre.supervisor.running():
        theatre["a"].crash(DeclineStart("too late"))
        await settle()
        assert theatre["a"].incarnation == 2
        assert theatre.record.told("a") == ["ChildStarted", "ChildCrashed", "RestartScheduled", "ChildStarted"]


# ── temporary children ──


async def test_O4_a_temporary_child_that_declines_in_the_initial_start_is_not_kept() -> None:
    theatre = Theatre("a", "b", spec={"restart": TEMPORARY}, intensity=NEVER)
    theatre["a"].declines = True
    async with theatre.supervisor.running() as supervisor:
        assert states(supervisor) == {"b": "running"}
        assert counts(supervisor) == (1, 1, 0, 1)
        assert theatre.record.told("a") == ["ChildDeclined", "ChildRemoved"]


async def test_O4_a_temporary_child_that_declined_is_asked_again_by_the_next_run() -> None:
    """In OTP a new run calls init again; here the declaration stands in its place."""
    theatre = Theatre("a", spec={"restart": TEMPORARY})
    theatre["a"].declines = True
    async with theatre.supervisor.running() as supervisor:
        assert ids(supervisor) == []
    theatre["a"].declines = False
    async with theatre.supervisor.running() as supervisor:
        assert states(supervisor) == {"a": "running"}


@pytest.mark.parametrize("takes", [0.0, 5.0])
async def test_O5_a_temporary_child_that_declines_when_started_dynamically_gives_none_and_is_not_kept(
    takes: float,
) -> None:
    theatre = Theatre(intensity=NEVER)
    child = Puppet(theatre.record, "a")
    child.declines, child.start_takes = True, takes
    async with theatre.supervisor.running() as supervisor:
        began = anyio.current_time()
        assert await supervisor.start_child(child.spec(restart=TEMPORARY)) is None
        assert anyio.current_time() - began == takes
        assert supervisor.which_children() == ()
        assert counts(supervisor) == (0, 0, 0, 0)


@pytest.mark.parametrize("request_", ["terminate", "restart", "delete", "which", "spec"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["initial", "dynamic"])
async def test_O6_a_temporary_child_that_declined_is_unknown(request_: str, dynamic: bool) -> None:
    theatre = Theatre()
    child = Puppet(theatre.record, "a")
    child.declines = True
    if not dynamic:
        theatre.supervisor.declare(child.spec(restart=TEMPORARY))
    async with theatre.supervisor.running() as supervisor:
        if dynamic:
            await supervisor.start_child(child.spec(restart=TEMPORARY))
        with pytest.raises(ChildNotFound) as caught:
            await asked(supervisor, request_, "a")
        assert (caught.value.supervisor, caught.value.child) == ("root", "a")


async def test_O6_the_id_of_a_temporary_child_that_declined_is_free() -> None:
    theatre = Theatre()
    child = Puppet(theatre.record, "a")
    child.declines = True
    async with theatre.supervisor.running() as supervisor:
        for _ in range(3):
            assert await supervisor.start_child(child.spec(restart=TEMPORARY)) is None
        child.declines = False
        assert await supervisor.start_child(child.spec()) is child
        assert child.incarnation == 1


# ── templates ──


@pytest.mark.parametrize("policy", list(RestartPolicy), ids=named)
async def test_O7_a_child_of_a_template_that_declines_gives_none_and_is_not_kept(policy: RestartPolicy) -> None:
    theatre = Theatre()
    child = Puppet(theatre.record, "a")
    child.declines = True
    options: dict[str, Any] = {"intensity": NEVER, "max_children": 1, "observer": theatre.record.observe}
    supervisor = Supervisor("root", template=lambda: child.spec(restart=policy), **options)
    async with supervisor.running():
        for _ in range(3):  # its place under max_children is free again
            assert await supervisor.start_from_template() is None
            assert supervisor.which_children() == ()
            assert counts(supervisor) == (1, 0, 0, 0)
        child.declines = False
        assert await supervisor.start_from_template() is not None
        assert counts(supervisor) == (1, 1, 0, 1)
    assert theatre.record.told("a-1") == ["ChildDeclined", "ChildRemoved"]
    assert theatre.record.lines == [*["a declines"] * 3, "a up", "a down"]
    assert supervisor.stop_report.is_clean
