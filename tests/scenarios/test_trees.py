"""O91, O92 and O98: supervisors below a supervisor, and names that outlive those who bear them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.cast_endings import Mortal, Troupe, Way
from tests.supervisors.scripted import AT_ONCE, Puppet, Record, settle
from tocsin_supervisors import (
    ChildRef,
    ChildSpec,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    Strategy,
    Supervisor,
    SupervisorGaveUp,
)

FOUR = RestartIntensity(4, 3600.0, max_consecutive=None)
MANY = RestartIntensity(1000, 3600.0, max_consecutive=None)


class Tree:
    """top, one for all: S1 with the static children a and b; S2, empty; S3, transient, with the child c."""

    def __init__(self) -> None:
        self.record = Record()
        self.puppets = {id: Puppet(self.record, id) for id in ("a", "b", "c", "good", "bad")}
        self.s1 = Supervisor("S1", [self.spec("a"), self.spec("b")], intensity=FOUR)
        self.s2 = Supervisor("S2", intensity=FOUR)
        self.s3 = Supervisor("S3", [self.spec("c")], intensity=FOUR)
        options: dict[str, Any] = {"backoff": AT_ONCE, "intensity": MANY}
        children = [
            ChildSpec("S1", self.s1, **options),
            ChildSpec("S2", self.s2, **options),
            ChildSpec("S3", self.s3, restart=RestartPolicy.TRANSIENT, **options),
        ]
        self.top = Supervisor(
            "top", children, strategy=Strategy.ONE_FOR_ALL, intensity=FOUR, observer=self.record.observe
        )

    def spec(self, id: str) -> ChildSpec:
        """Give the spec of a puppet: only its supervisor's limit matters."""
        return self.puppets[id].spec(intensity=MANY)

    async def grow(self) -> None:
        """Start two children under S2, the second of which never starts again; terminate S3."""
        await self.s2.start_child(self.spec("good"))
        await self.s2.start_child(self.spec("bad"))
        self.puppets["bad"].refuses = True
        await self.top.terminate_child("S3")

    def lives(self, supervisor: Supervisor) -> dict[str, tuple[str, int]]:
        """Give state and incarnation of each child."""
        return {each.id: (each.state, each.incarnation) for each in supervisor.which_children()}


async def test_O91_a_crash_deep_in_a_tree_replaces_that_child_only() -> None:
    tree = Tree()
    async with tree.top.running() as top:
        await tree.grow()
        tree.record.lines.clear()
        tree.puppets["good"].crash()
        await settle()
        assert tree.record.lines == ["good down", "good up"]
        assert tree.lives(tree.s2) == {"good": ("running", 2), "bad": ("running", 1)}
        assert tree.lives(tree.s1) == {"a": ("running", 1), "b": ("running", 1)}
        assert tree.lives(top) == {"S1": ("running", 1), "S2": ("running", 1), "S3": ("stopped", 1)}


async def test_O92_a_supervisor_that_gives_up_takes_the_whole_group_through_a_restart() -> None:
    tree = Tree()
    async with tree.top.running() as top:
        await tree.grow()
        tree.puppets["good"].crash()
        await settle()
        tree.record.lines.clear()
        tree.puppets["bad"].crash()
        await settle()
        # Its fall and three attempts, with the earlier one five charges, of which four are allowed.
        gave_up = ["bad down", "bad refuses", "bad refuses", "bad refuses", "good down"]
        assert tree.record.lines == [*gave_up, "b down", "a down", "a up", "b up", "c up"]
        report = tree.record.only(SupervisorGaveUp)
        assert (report.supervisor, report.child, report.of_supervisor) == ("top/S2", "bad", True)
        assert (report.exceeded.restarts, report.exceeded.limit) == (5, 4)
        assert tree.lives(top) == {"S1": ("running", 2), "S2": ("running", 2), "S3": ("running", 2)}


async def test_O92_after_a_restart_of_the_tree_static_children_are_back_and_dynamic_ones_are_not() -> None:
    tree = Tree()
    async with tree.top.running():
        await tree.grow()
        tree.puppets["bad"].crash()
        await settle()
        assert tree.lives(tree.s1) == {"a": ("running", 2), "b": ("running", 2)}
        assert tree.lives(tree.s2) == {}
        assert tree.lives(tree.s3) == {"c": ("running", 2)}
        # The ids of those who are gone are free, and count from one again.
        await tree.s2.start_child(tree.spec("good"))
        assert tree.lives(tree.s2) == {"good": ("running", 1)}


async def test_O92_a_supervisor_that_gives_up_too_often_has_the_top_give_up() -> None:
    """Ours: a supervisor that gives up raises, so that even a transient one is restarted, and the root's is raised."""
    tree = Tree()

    async def scene() -> None:
        async with tree.top.running():
            for _ in range(5):
                await tree.grow()
                tree.puppets["bad"].crash()
                await settle()
                tree.puppets["bad"].refuses = False
            pytest.fail("the top did not give up")

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.supervisor, caught.value.child, caught.value.restarts) == ("top", "S2", 5)
    assert isinstance(caught.value.__cause__, RestartIntensityExceeded)
    assert caught.value.__cause__.supervisor == "top/S2"


# ── names ──


@pytest.mark.parametrize("way", ["killed", "abnormal", "normal", "terminated"])
async def test_O98_the_id_of_a_child_means_its_current_incarnation(way: Way) -> None:
    troupe = Troupe({"a": {}})
    async with troupe.supervisor.running() as supervisor:
        for number in range(2, 5):
            await troupe.end("a", way)
            if way == "terminated":
                assert await supervisor.restart_child("a") is troupe["a"]
            info = supervisor.which_child("a")
            assert (info.state, info.incarnation, troupe["a"].incarnation) == ("running", number, number)
        await supervisor.terminate_child("a")
        assert troupe.record.lines == ["a up", "a down"] * 4


@pytest.mark.parametrize("way", ["gives up", "stops itself", "terminated"])
async def test_O98_the_id_of_a_supervisor_means_its_current_incarnation_and_reaches_its_children(way: str) -> None:
    record = Record()
    leaf = Puppet(record, "leaf")
    branch = Supervisor("branch", [leaf.spec(intensity=RestartIntensity.never())])
    root = Supervisor("root", [ChildSpec("branch", branch, backoff=AT_ONCE)])
    async with root.running():
        for number in range(2, 4):
            if way == "gives up":
                leaf.crash()
            elif way == "stops itself":
                branch.request_stop()
            else:
                await root.terminate_child("branch")
                assert await root.restart_child("branch") is branch
            await settle()
            info = root.which_child("branch")
            assert (info.state, info.incarnation) == ("running", number)
            assert info.supervisor is branch
            assert (branch.which_child("leaf").state, leaf.incarnation) == ("running", number)
        await branch.terminate_child("leaf")
        assert record.lines == ["leaf up", "leaf down"] * 3


@pytest.mark.parametrize("way", ["killed", "abnormal", "normal"])
async def test_O98_a_reference_means_the_current_incarnation_of_a_child_of_a_template(way: Way) -> None:
    record = Record()
    mortal = Mortal(record, "worker")
    supervisor = Supervisor(template=lambda: mortal.spec())
    async with supervisor.running():
        ref = await supervisor.start_from_template()
        assert isinstance(ref, ChildRef)
        {"killed": mortal.strike, "abnormal": mortal.crash, "normal": mortal.finish}[way]()
        await settle()
        assert (supervisor.which_child(ref).state, supervisor.which_child(ref).incarnation) == ("running", 2)
        await supervisor.terminate_child(ref)
        assert record.lines == ["worker up", "worker down"] * 2
        assert supervisor.which_children() == ()


async def test_O98_a_name_that_is_free_again_can_be_given_to_another_child() -> None:
    troupe = Troupe({"a": {}})
    other = Mortal(troupe.record, "other")
    async with troupe.supervisor.running() as supervisor:
        await supervisor.terminate_child("a")
        await supervisor.delete_child("a")
        assert await supervisor.start_child(ChildSpec("a", other)) is other
        assert (supervisor.which_child("a").state, supervisor.which_child("a").incarnation) == ("running", 1)
