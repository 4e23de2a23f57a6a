"""O75 to O83: children that matter so much that their supervisor ends with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.cast_endings import WAYS, Mortal, Troupe, Way
from tests.supervisors.scripted import Record, settle
from tocsin_supervisors import (
    AutoShutdown,
    ChildRef,
    ChildSpec,
    RestartPolicy,
    Strategy,
    Supervisor,
    SupervisorFinished,
)

ANY, ALL = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
TEMPORARY: dict[str, Any] = {"restart": RestartPolicy.TEMPORARY}
TRANSIENT: dict[str, Any] = {"restart": RestartPolicy.TRANSIENT}
SIGNIFICANT_TEMPORARY: dict[str, Any] = {**TEMPORARY, "significant": True}
SIGNIFICANT_TRANSIENT: dict[str, Any] = {**TRANSIENT, "significant": True}

# How the first of several ends → what its supervisor shows of it, if it lives on
AFTER_TEMPORARY: dict[Way, tuple[str, int] | None] = dict.fromkeys(WAYS)
AFTER_TRANSIENT: dict[Way, tuple[str, int] | None] = {
    "terminated": ("stopped", 1),
    "killed": ("running", 2),
    "abnormal": ("running", 2),
    "normal": ("finished", 1),
}


def ended_by(troupe: Troupe, child: str) -> bool:
    """Tell whether it ended by itself, in order, because *child* was the last significant one."""
    told = [each.child for each in troupe.record.reports if isinstance(each, SupervisorFinished)]
    stopping = troupe.record.told().count("SupervisorStopping")
    return told == [child] and stopping == 1 and troupe.supervisor.state == "stopped"


def lived_on(troupe: Troupe) -> bool:
    """Tell whether it went on until it was stopped from outside."""
    return "SupervisorFinished" not in troupe.record.told()


# ── ordinary children ──


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("auto_shutdown", AutoShutdown)
async def test_O75_an_ordinary_temporary_child_shuts_nothing_down(auto_shutdown: AutoShutdown, way: Way) -> None:
    troupe = Troupe({"c1": TEMPORARY, "c2": {}}, auto_shutdown=auto_shutdown)
    assert await troupe.play(("c1", way)) == 1
    assert troupe.seen == {"c2": ("running", 1)}
    assert lived_on(troupe)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("auto_shutdown", AutoShutdown)
async def test_O76_an_ordinary_transient_child_shuts_nothing_down(auto_shutdown: AutoShutdown, way: Way) -> None:
    troupe = Troupe({"c1": TRANSIENT, "c2": {}}, auto_shutdown=auto_shutdown)
    assert await troupe.play(("c1", way)) == 1
    assert troupe.seen == {"c1": AFTER_TRANSIENT[way], "c2": ("running", 1)}
    assert lived_on(troupe)


# ── any ──


async def test_O77_a_significant_temporary_child_that_is_terminated_shuts_nothing_down() -> None:
    troupe = Troupe({"c1": SIGNIFICANT_TEMPORARY, "c2": {}}, auto_shutdown=ANY)
    assert await troupe.play(("c1", "terminated")) == 1
    assert troupe.seen == {"c2": ("running", 1)}
    assert lived_on(troupe)


@pytest.mark.parametrize("way", ["killed", "abnormal", "normal"])
async def test_O77_any_significant_temporary_child_that_ends_by_itself_ends_its_supervisor(way: Way) -> None:
    casting = {"c1": {}, "c2": SIGNIFICANT_TEMPORARY, "c3": {}, "c4": SIGNIFICANT_TEMPORARY}
    troupe = Troupe(casting, auto_shutdown=ANY)
    assert await troupe.play(("c2", way)) == 0
    assert ended_by(troupe, "c2")
    assert troupe.record.lines[-4:] == ["c2 down", "c4 down", "c3 down", "c1 down"]


async def test_O77_a_significant_child_that_ends_in_the_initial_start_ends_its_supervisor_before_its_body() -> None:
    async def has_nothing_to_do() -> None: ...

    record = Record()
    late = Mortal(record, "late")
    late.start_takes = 100.0
    specs = [ChildSpec("first", has_nothing_to_do, **SIGNIFICANT_TEMPORARY), late.spec(grace_period=1.0)]
    supervisor = Supervisor("root", specs, auto_shutdown=ANY, observer=record.observe)
    async with supervisor.running():
        await settle()
        record.note("the body went on")
    assert record.lines == []
    assert record.told("first") == ["ChildStarted", "ChildFinished", "ChildRemoved", "SupervisorFinished"]
    assert record.told("late") == ["ChildStopped"]


@pytest.mark.parametrize("way", ["terminated", "killed", "abnormal"])
async def test_O79_a_significant_transient_child_that_is_terminated_or_restarted_shuts_nothing_down(way: Way) -> None:
    troupe = Troupe({"c1": SIGNIFICANT_TRANSIENT, "c2": {}}, auto_shutdown=ANY)
    assert await troupe.play(("c1", way)) == 1
    assert troupe.seen == {"c1": AFTER_TRANSIENT[way], "c2": ("running", 1)}
    assert lived_on(troupe)


async def test_O79_any_significant_transient_child_that_returns_ends_its_supervisor() -> None:
    casting = {"c1": {}, "c2": SIGNIFICANT_TRANSIENT, "c3": {}, "c4": SIGNIFICANT_TRANSIENT}
    troupe = Troupe(casting, auto_shutdown=ANY)
    assert await troupe.play(("c2", "normal")) == 0
    assert ended_by(troupe, "c2")
    assert troupe.record.lines[-4:] == ["c2 down", "c4 down", "c3 down", "c1 down"]


async def test_O79_terminating_a_significant_child_that_waits_for_its_restart_shuts_nothing_down() -> None:
    troupe = Troupe({"c1": SIGNIFICANT_TRANSIENT, "c2": {}}, auto_shutdown=ANY)
    async with troupe.supervisor.running() as supervisor:
        troupe["c1"].start_takes = 10.0
        await troupe.end("c1", "abnormal")
        assert troupe.seen["c1"] == ("starting", 2)
        await troupe.end("c1", "terminated")
        assert supervisor.state == "running"
    assert lived_on(troupe)


# ── all ──


@pytest.mark.parametrize("second", ["killed", "abnormal", "normal"])
@pytest.mark.parametrize("first", WAYS)
async def test_O78_the_last_significant_temporary_child_ends_its_supervisor(first: Way, second: Way) -> None:
    casting = {"c1": SIGNIFICANT_TEMPORARY, "c2": SIGNIFICANT_TEMPORARY, "c3": {}}
    troupe = Troupe(casting, auto_shutdown=ALL)
    assert await troupe.play(("c1", first), ("c2", second)) == 1
    assert troupe.seen == {"c2": ("running", 1), "c3": ("running", 1)}
    assert ended_by(troupe, "c2")


@pytest.mark.parametrize("first", WAYS)
async def test_O78_terminating_the_last_significant_temporary_child_shuts_nothing_down(first: Way) -> None:
    casting = {"c1": SIGNIFICANT_TEMPORARY, "c2": SIGNIFICANT_TEMPORARY, "c3": {}}
    troupe = Troupe(casting, auto_shutdown=ALL)
    assert await troupe.play(("c1", first), ("c2", "terminated")) == 2
    assert troupe.seen == {"c3": ("running", 1)}
    assert lived_on(troupe)


@pytest.mark.parametrize("first", ["terminated", "normal"])
async def test_O80_the_last_significant_transient_child_that_returns_ends_its_supervisor(first: Way) -> None:
    casting = {"c1": SIGNIFICANT_TRANSIENT, "c2": SIGNIFICANT_TRANSIENT, "c3": {}}
    troupe = Troupe(casting, auto_shutdown=ALL)
    assert await troupe.play(("c1", first), ("c2", "normal")) == 1
    assert troupe.seen == {"c1": AFTER_TRANSIENT[first], "c2": ("running", 1), "c3": ("running", 1)}
    assert ended_by(troupe, "c2")


@pytest.mark.parametrize("first", ["killed", "abnormal"])
async def test_O80_a_significant_transient_child_that_was_restarted_has_not_ended(first: Way) -> None:
    casting = {"c1": SIGNIFICANT_TRANSIENT, "c2": SIGNIFICANT_TRANSIENT, "c3": {}}
    troupe = Troupe(casting, auto_shutdown=ALL)
    assert await troupe.play(("c1", first), ("c2", "normal"), ("c1", "normal")) == 2
    assert troupe.seen == {"c1": ("running", 2), "c2": ("finished", 1), "c3": ("running", 1)}
    assert ended_by(troupe, "c1")


async def test_O80_a_significant_transient_child_that_still_waits_for_its_restart_has_not_ended() -> None:
    troupe = Troupe({"c1": SIGNIFICANT_TRANSIENT, "c2": SIGNIFICANT_TRANSIENT}, auto_shutdown=ALL)
    async with troupe.supervisor.running():
        troupe["c1"].start_takes = 10.0
        await troupe.end("c1", "abnormal")
        await troupe.end("c2", "normal")
        assert troupe.seen == {"c1": ("starting", 2), "c2": ("finished", 1)}
    assert lived_on(troupe)


# ── templates ──


class Dynamic:
    """A supervisor whose template makes significant children."""

    def __init__(self, auto_shutdown: AutoShutdown, spec: dict[str, Any]) -> None:
        self.record = Record()
        self.mortals: list[Mortal] = []
        self.supervisor = Supervisor(
            "root", template=lambda: self._next(spec), auto_shutdown=auto_shutdown, observer=self.record.observe
        )

    def _next(self, spec: dict[str, Any]) -> ChildSpec:
        self.mortals.append(Mortal(self.record, "worker"))
        return self.mortals[-1].spec(**spec)

    async def two(self) -> list[ChildRef]:
        """Start two."""
        refs = [await self.supervisor.start_from_template() for _ in range(2)]
        return [ref for ref in refs if ref is not None]

    def states(self) -> dict[str, tuple[str, int]]:
        """Give state and incarnation of each child there is."""
        return {each.id: (each.state, each.incarnation) for each in self.supervisor.which_children()}


@pytest.mark.parametrize("spec", [SIGNIFICANT_TEMPORARY, SIGNIFICANT_TRANSIENT], ids=["temporary", "transient"])
async def test_O81_under_a_template_any_significant_child_that_returns_ends_its_supervisor(
    spec: dict[str, Any],
) -> None:
    stage = Dynamic(ANY, spec)
    async with stage.supervisor.running():
        await stage.two()
        stage.mortals[0].finish()
        await settle()
        stage.record.note("the body went on")
    assert stage.record.lines == ["worker up", "worker up", "worker down", "worker down"]
    assert stage.record.only(SupervisorFinished).child == "worker-1"


@pytest.mark.parametrize("spec", [SIGNIFICANT_TEMPORARY, SIGNIFICANT_TRANSIENT], ids=["temporary", "transient"])
async def test_O81_under_a_template_only_the_last_significant_child_that_returns_ends_its_supervisor(
    spec: dict[str, Any],
) -> None:
    stage = Dynamic(ALL, spec)
    async with stage.supervisor.running():
        await stage.two()
        stage.mortals[0].finish()
        await settle()
        assert stage.states() == {"worker-2": ("running", 1)}
        stage.mortals[1].finish()
        await settle()
        stage.record.note("the body went on")
    assert stage.record.lines == ["worker up", "worker up", "worker down", "worker down"]
    assert stage.record.only(SupervisorFinished).child == "worker-2"


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
async def test_O81_under_a_template_a_significant_child_that_is_terminated_or_restarted_shuts_nothing_down(
    auto_shutdown: AutoShutdown,
) -> None:
    stage = Dynamic(auto_shutdown, SIGNIFICANT_TRANSIENT)
    async with stage.supervisor.running() as supervisor:
        first, _ = await stage.two()
        stage.mortals[1].crash()
        await settle()
        await supervisor.terminate_child(first)
        await settle()
        assert stage.states() == {"worker-2": ("running", 2)}
        assert supervisor.state == "running"
    assert "SupervisorFinished" not in stage.record.told()


# ── bystanders ──

INCARNATIONS = {Strategy.ONE_FOR_ONE: (1, 2, 1), Strategy.REST_FOR_ONE: (1, 2, 2), Strategy.ONE_FOR_ALL: (2, 2, 2)}


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("way", ["killed", "abnormal"])
async def test_O82_a_significant_bystander_of_a_restart_has_not_ended_by_itself(
    strategy: Strategy, auto_shutdown: AutoShutdown, way: Way
) -> None:
    casting = {"c1": SIGNIFICANT_TRANSIENT, "c2": TRANSIENT, "c3": SIGNIFICANT_TRANSIENT}
    troupe = Troupe(casting, strategy=strategy, auto_shutdown=auto_shutdown)
    assert await troupe.play(("c2", way)) == 1
    assert troupe.seen == {
        f"c{place}": ("running", number) for place, number in enumerate(INCARNATIONS[strategy], start=1)
    }
    assert lived_on(troupe)


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
async def test_O82_significant_temporary_bystanders_are_gone_and_shut_nothing_down(auto_shutdown: AutoShutdown) -> None:
    casting = {"c1": SIGNIFICANT_TEMPORARY, "c2": TRANSIENT, "c3": SIGNIFICANT_TEMPORARY}
    troupe = Troupe(casting, strategy=Strategy.ONE_FOR_ALL, auto_shutdown=auto_shutdown)
    assert await troupe.play(("c2", "abnormal")) == 1
    assert troupe.seen == {"c2": ("running", 2)}
    assert lived_on(troupe)


# ── trees ──


class Tree:
    """A, with the child B, that is a supervisor of C: what B is to A is said by *b*."""

    def __init__(self, **b: Any) -> None:
        self.record = Record()
        self.c = Mortal(self.record, "C")
        self.other = Mortal(self.record, "other")
        self.b = Supervisor("B", [self.c.spec(**SIGNIFICANT_TRANSIENT)], auto_shutdown=ANY)
        children = [ChildSpec("B", self.b, **b), self.other.spec()]
        self.a = Supervisor("A", children, auto_shutdown=ANY, observer=self.record.observe)


async def test_O83_an_automatic_shutdown_climbs_as_far_as_supervisors_are_significant() -> None:
    tree = Tree(**SIGNIFICANT_TRANSIENT)
    async with tree.a.running():
        tree.c.finish()
        await settle()
        tree.record.note("the body went on")
    assert tree.record.lines == ["C up", "other up", "C down", "other down"]
    finished = [(each.supervisor, each.child) for each in tree.record.reports if isinstance(each, SupervisorFinished)]
    assert finished == [("A/B", "C"), ("A", "B")]


async def test_O83_an_automatic_shutdown_ends_at_a_supervisor_that_is_not_significant() -> None:
    tree = Tree(**TRANSIENT)
    async with tree.a.running():
        tree.c.finish()
        await settle()
        assert tree.record.lines == ["C up", "other up", "C down"]
        assert [(each.id, each.state) for each in tree.a.which_children()] == [("B", "finished"), ("other", "running")]
        assert (tree.a.state, tree.b.state) == ("running", "stopped")


async def test_O83_a_permanent_supervisor_that_has_shut_down_by_itself_is_restarted() -> None:
    tree = Tree()
    async with tree.a.running():
        tree.c.finish()
        await settle(1.0)
        assert [(each.id, each.incarnation) for each in tree.a.which_children()] == [("B", 2), ("other", 1)]
        assert tree.c.incarnation == 2
