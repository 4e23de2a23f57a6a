"""Children administered while the supervisor runs, and supervisors below supervisors."""

from __future__ import annotations

import warnings
from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Crash, Puppet, Record, Theatre, forever, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildCounts,
    ChildNotFound,
    ChildSpec,
    ChildStartError,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    StopTimedOut,
    Strategy,
    SupervisionWarning,
    Supervisor,
    TreeNode,
)

LONG = Backoff(initial=1000.0, maximum=1000.0)


def ids(supervisor: Supervisor) -> list[str]:
    return [each.id for each in supervisor.which_children()]


# ── one child ──


async def test_a_child_started_later_is_the_last_and_gives_what_it_passed_to_started() -> None:
    theatre = Theatre("a")
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        assert await supervisor.start_child(late.spec()) is late
        assert ids(supervisor) == ["a", "late"]
        theatre.record.lines.clear()
    assert theatre.record.lines == ["late down", "a down"]
    assert ids(theatre.supervisor) == ["a"]


async def test_a_child_to_be_kept_is_there_in_the_next_run() -> None:
    theatre = Theatre()
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(late.spec(), keep=True)
    async with theatre.supervisor.running() as supervisor:
        assert late.incarnation == 2
        await supervisor.terminate_child("late")
        await supervisor.delete_child("late")
    assert ids(theatre.supervisor) == []


async def test_a_child_to_be_kept_replaces_one_of_the_same_id_that_was_declared_meanwhile() -> None:
    theatre = Theatre()
    declared, kept = Puppet(theatre.record, "late"), Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        supervisor.declare(declared.spec())
        await supervisor.start_child(kept.spec(), keep=True)
    async with theatre.supervisor.running():
        assert (declared.incarnation, kept.incarnation) == (0, 2)


async def test_a_start_that_is_cancelled_is_undone() -> None:
    async def never_up(context: ChildContext) -> None:
        await anyio.sleep_forever()

    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with anyio.move_on_after(1.0):
            await supervisor.start_child(ChildSpec("never", never_up, grace_period=2.0))
        await settle(3.0)
        assert ids(supervisor) == ["a"]


async def test_a_restart_that_is_cancelled_brings_the_child_down_again() -> None:
    theatre = Theatre()
    ready = True

    async def sometimes_up(context: ChildContext) -> None:
        if ready:
            context.started()
        await anyio.sleep_forever()

    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(ChildSpec("a", sometimes_up, grace_period=0.0))
        await supervisor.terminate_child("a")
        ready = False
        with anyio.move_on_after(1.0):
            await supervisor.restart_child("a")
        await settle(2.0)
        assert theatre.state("a") == "stopped"


async def test_a_child_can_be_deleted_while_the_supervisor_does_not_run() -> None:
    supervisor = Theatre("a", "b").supervisor
    await supervisor.delete_child("a")
    assert ids(supervisor) == ["b"]
    with pytest.raises(ChildNotFound):
        await supervisor.delete_child("a")


async def test_a_termination_that_is_not_waited_for_goes_on() -> None:
    theatre = Theatre("a", cleanup=5.0)
    async with theatre.supervisor.running() as supervisor:
        with anyio.move_on_after(1.0):
            await supervisor.terminate_child("a")
        assert theatre.state("a") == "stopping"
        await settle(5.0)
        assert theatre.state("a") == "stopped"


async def test_terminating_a_child_of_a_supervisor_that_stops_waits_for_it() -> None:
    theatre = Theatre("a", "b", cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        supervisor.request_stop()
        await supervisor.terminate_child("a")
        assert theatre.record.lines == ["a up", "b up", "b down", "a down"]


async def test_terminating_a_child_that_is_down_while_the_supervisor_stops_is_done() -> None:
    theatre = Theatre("a", "b", cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("a")
        supervisor.request_stop()
        await supervisor.terminate_child("a")
        assert theatre.record.lines[-1] == "a down"


async def test_terminating_a_child_that_is_starting_tells_whoever_had_it_started() -> None:
    async def never_up(context: ChildContext) -> None:
        await anyio.sleep_forever()

    errors: list[ChildStartError] = []

    async with Supervisor().running() as supervisor, anyio.create_task_group() as group:

        async def start() -> None:
            with pytest.raises(ChildStartError, match="terminated before it was up") as caught:
                await supervisor.start_child(ChildSpec("a", never_up, grace_period=0.0))
            errors.append(caught.value)

        group.start_soon(start)
        await settle()
        await supervisor.terminate_child("a")
        assert [each.state for each in supervisor.which_children()] == ["stopped"]
    assert errors[0].failure is None


async def test_fault_D20_terminating_a_member_of_a_group_restart_takes_it_out() -> None:
    theatre = Theatre("a", "b", "c", strategy=Strategy.REST_FOR_ONE, spec={"backoff": Backoff(initial=5.0)})
    async with theatre.supervisor.running() as supervisor:
        theatre["b"].crash()
        await settle(1.0)
        assert [theatre.state(id) for id in "abc"] == ["running", "waiting", "waiting"]
        await supervisor.terminate_child("b")
        await settle(10.0)
        assert [theatre.state(id) for id in "abc"] == ["running", "stopped", "running"]


async def test_a_member_of_a_group_restart_that_was_terminated_stays_down_also_when_another_one_fails() -> None:
    theatre = Theatre("a", "b", "c", "d", strategy=Strategy.ONE_FOR_ALL, cleanup=1.0)
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].crash()
        await settle()
        assert [theatre.state(id) for id in "abcd"] == ["waiting", "running", "running", "stopping"]
        with anyio.move_on_after(0.1):
            await supervisor.terminate_child("c")
        theatre["b"].crash()
        await settle(10.0)
        assert [(theatre.state(id), theatre.incarnation(id)) for id in "abcd"] == [
            ("running", 2),
            ("running", 2),
            ("stopped", 1),
            ("running", 2),
        ]


async def test_fault_D20_a_child_started_during_a_group_restart_takes_the_last_turn() -> None:
    theatre = Theatre("a", "b", strategy=Strategy.ONE_FOR_ALL, spec={"backoff": Backoff(initial=5.0, jitter=0.0)})
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].crash()
        await settle(1.0)
        theatre.record.lines.clear()
        await supervisor.start_child(late.spec())
        assert theatre.record.lines == ["a up", "b up", "late up"]


async def test_a_group_restart_starts_terminated_and_finished_children_too() -> None:
    theatre = Theatre("a", "b", "c", strategy=Strategy.ONE_FOR_ALL, spec={"restart": RestartPolicy.TRANSIENT})
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("a")
        theatre["b"].finish()
        await settle()
        theatre["c"].crash()
        await settle()
        assert [theatre.incarnation(id) for id in "abc"] == [2, 2, 2]


async def test_a_child_that_was_made_temporary_while_it_is_restarted_is_forgotten_when_its_start_fails() -> None:
    theatre = Theatre("a", "b", spec={"backoff": LONG})
    async with theatre.supervisor.running() as supervisor:
        theatre["a"].refuses = True
        theatre["a"].crash()
        await settle()
        await supervisor.reconfigure([theatre["a"].spec(restart=RestartPolicy.TEMPORARY)])
        await settle(1000.0)
        assert (supervisor.state, ids(supervisor)) == ("running", ["b"])
        assert theatre.record.told("a")[-2:] == ["ChildStartFailed", "ChildRemoved"]


async def test_incarnations_of_a_child_that_was_forgotten_begin_anew() -> None:
    theatre = Theatre()
    late = Puppet(theatre.record, "late")
    async with theatre.supervisor.running() as supervisor:
        for _ in range(2):
            await supervisor.start_child(late.spec(restart=RestartPolicy.TEMPORARY))
            assert late.incarnation == 1
            late.finish()
            await settle()


# ── trees ──


class Tree:
    """root: first, branch (leaf1, leaf2), last."""

    def __init__(self, *, branch: dict[str, Any] | None = None, spec: dict[str, Any] | None = None) -> None:
        self.record = Record()
        self.puppets = {id: Puppet(self.record, id) for id in ("first", "leaf1", "leaf2", "last")}
        leaves = [self.puppets["leaf1"].spec(**(spec or {})), self.puppets["leaf2"].spec(**(spec or {}))]
        self.branch = Supervisor("branch", leaves, **(branch or {}))
        children = [
            self.puppets["first"].spec(),
            ChildSpec("branch", self.branch, backoff=AT_ONCE),
            self.puppets["last"].spec(),
        ]
        self.root = Supervisor("root", children, observer=self.record.observe)


async def test_a_tree_starts_in_order_and_stops_in_reverse() -> None:
    tree = Tree()
    async with tree.root.running():
        assert tree.record.lines == ["first up", "leaf1 up", "leaf2 up", "last up"]
        tree.record.lines.clear()
    assert tree.record.lines == ["last down", "leaf2 down", "leaf1 down", "first down"]


async def test_a_tree_reports_to_one_observer_with_paths() -> None:
    tree = Tree()
    async with tree.root.running():
        assert [(each.supervisor, getattr(each, "child", None)) for each in tree.record.reports] == [
            ("root", "first"),
            ("root/branch", "leaf1"),
            ("root/branch", "leaf2"),
            ("root", "branch"),
            ("root", "last"),
        ]


async def test_a_branch_that_gives_up_is_restarted_by_its_parent() -> None:
    tree = Tree(spec={"intensity": RestartIntensity.never()})
    async with tree.root.running() as root:
        tree.puppets["leaf2"].crash()
        await settle()
        assert [each.incarnation for each in root.which_children()] == [1, 2, 1]
        assert tree.puppets["leaf1"].incarnation == 2
        assert tree.record.lines[-4:] == ["leaf2 down", "leaf1 down", "leaf1 up", "leaf2 up"]


async def test_children_started_later_do_not_survive_the_restart_of_their_supervisor_unless_kept() -> None:
    tree = Tree(spec={"intensity": RestartIntensity.never()})
    async with tree.root.running():
        await tree.branch.start_child(Puppet(tree.record, "kept").spec(), keep=True)
        await tree.branch.start_child(Puppet(tree.record, "lost").spec())
        tree.puppets["leaf1"].crash()
        await settle()
        assert ids(tree.branch) == ["leaf1", "leaf2", "kept"]


async def test_failures_escalate_to_the_root_and_come_out_ungrouped() -> None:
    tree = Tree(spec={"intensity": RestartIntensity.never()})
    await tree.root.reconfigure(intensity=RestartIntensity.never())

    async def scene() -> None:
        async with tree.root.running():
            tree.puppets["leaf1"].crash()
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded) as caught:
        await scene()
    assert (caught.value.supervisor, caught.value.child) == ("root", "branch")
    cause = caught.value.__cause__
    assert isinstance(cause, RestartIntensityExceeded)
    assert (cause.supervisor, cause.child) == ("root/branch", "leaf1")
    assert isinstance(cause.__cause__, Crash)
    assert tree.record.lines[-4:] == ["leaf1 down", "leaf2 down", "last down", "first down"]


async def test_a_fatal_error_deep_in_the_tree_ends_all_of_it() -> None:
    tree = Tree()

    async def scene() -> None:
        async with tree.root.running():
            tree.puppets["leaf1"].crash(KeyboardInterrupt())
            await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        await scene()
    assert tree.record.lines[-4:] == ["leaf1 down", "leaf2 down", "last down", "first down"]


async def test_a_leaf_that_does_not_start_is_told_at_the_root() -> None:
    tree = Tree()
    tree.puppets["leaf2"].refuses = True
    with pytest.raises(ChildStartError) as caught:
        async with tree.root.running():
            pytest.fail("it must not run")  # pragma: no cover
    assert caught.value.child == "branch"
    assert isinstance(caught.value.__cause__, ChildStartError)
    assert tree.record.lines == ["first up", "leaf1 up", "leaf2 refuses", "leaf1 down", "first down"]


async def test_a_branch_that_stops_itself_is_restarted_like_any_child_that_returns() -> None:
    tree = Tree()
    async with tree.root.running():
        await tree.branch.stop()
        await settle()
        assert tree.puppets["leaf1"].incarnation == 2


async def test_the_roots_deadline_cuts_the_whole_tree() -> None:
    async def slow(context: ChildContext) -> None:
        context.started()
        await anyio.sleep_forever()

    branch = Supervisor("branch", [ChildSpec(id, slow, grace_period=100.0) for id in "abc"], shutdown_deadline=1000.0)
    async with Supervisor("root", [ChildSpec("branch", branch)], shutdown_deadline=5.0).running():
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(5.0, abs=0.3)


async def test_a_hanging_leaf_is_named_at_the_root_and_does_not_hold_up_the_rest_of_the_tree() -> None:
    record = Record()
    release = anyio.Event()

    async def stuck() -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    branch = Supervisor("branch", [ChildSpec("stuck", stuck, grace_period=2.0)])
    specs = [ChildSpec("first", forever(record.note, "first")), ChildSpec("branch", branch)]
    root = Supervisor("root", specs, observer=record.observe)
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settle()
        began = anyio.current_time()
        report = await root.stop()
        assert anyio.current_time() - began == pytest.approx(2.0, abs=0.3)
        assert record.lines == ["first down"]
        assert [each.child for each in report.unstopped] == ["root/branch/stuck"]
        assert record.only(StopTimedOut).child == "stuck"
        release.set()


async def test_trouble_of_a_branch_that_is_stopped_alone_is_not_in_the_roots_report() -> None:
    async def fails(context: ChildContext) -> None:
        context.started()
        await context.wait_stop_requested()
        raise Crash("while stopping")

    branch = Supervisor("branch", [ChildSpec("fails", fails)])
    async with Supervisor("root", [ChildSpec("branch", branch)]).running() as root:
        await root.terminate_child("branch")
        assert len(branch.stop_report.errors) == 1
    assert root.stop_report.is_clean


async def test_a_stop_of_the_root_from_inside_a_leaf_returns_at_once() -> None:
    root: Supervisor

    async def leaf() -> None:
        await root.stop()

    branch = Supervisor("branch", [ChildSpec("leaf", leaf)])
    root = Supervisor("root", [ChildSpec("branch", branch)])
    await root.run()
    assert root.state == "stopped"


async def test_a_stranger_that_cancels_a_branch_has_it_stopped_in_order_and_restarted() -> None:
    tree = Tree()
    scopes: list[anyio.CancelScope] = []

    class Holder:
        async def __call__(self, context: ChildContext) -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await tree.branch.live_as_child(context)
            raise Crash("its scope was cancelled")

    root = Supervisor("root", [ChildSpec("branch", Holder(), backoff=AT_ONCE)])
    async with root.running():
        scopes[0].cancel()
        await settle()
        assert tree.record.lines == ["leaf1 up", "leaf2 up", "leaf2 down", "leaf1 down", "leaf1 up", "leaf2 up"]


async def test_a_tree_can_be_looked_at() -> None:
    tree = Tree()
    async with tree.root.running() as root:
        node = root.tree()
        assert isinstance(node, TreeNode)
        assert (node.id, node.kind, node.state, node.strategy) == ("root", "supervisor", "running", "one_for_one")
        assert [each.id for each in node.children] == ["first", "branch", "last"]
        first, branch, _ = node.children
        assert (first.kind, first.strategy, first.incarnation, first.children) == ("actor", None, 1, ())
        assert (branch.kind, branch.strategy) == ("supervisor", "one_for_one")
        assert [(each.id, each.state) for each in branch.children] == [("leaf1", "running"), ("leaf2", "running")]
        assert root.count_children() == ChildCounts(specs=3, active=3, supervisors=1, actors=2)
        assert root.which_children()[1].supervisor is tree.branch
    assert [each.state for each in tree.root.tree().children] == ["stopped", "stopped", "stopped"]


# ── advice ──


async def never_parked() -> None:
    await anyio.sleep_forever()


def test_what_is_very_likely_a_mistake_is_a_warning_when_the_supervisor_is_made() -> None:
    spec = ChildSpec("a", never_parked, unpark_after=5.0)
    with pytest.warns(SupervisionWarning, match=r"^root: unpark_after=5 of child 'a' will not be consulted"):
        Supervisor("root", [spec])


def test_the_warning_points_at_whoever_made_the_supervisor() -> None:
    with pytest.warns(SupervisionWarning) as caught:
        Supervisor("root", [ChildSpec("a", never_parked, unpark_after=5.0)])
    assert caught[0].filename == __file__


def test_a_supervisor_warns_of_its_own_children_and_leaves_the_others_to_theirs() -> None:
    with pytest.warns(SupervisionWarning):
        branch = Supervisor("branch", [ChildSpec("a", never_parked, unpark_after=5.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Supervisor("root", [ChildSpec("branch", branch)])


def test_an_explanation_goes_through_the_whole_tree() -> None:
    branch = Supervisor("branch", [ChildSpec("a", never_parked, unpark_after=5.0)])
    root = Supervisor("root", [ChildSpec("branch", branch)])
    assert [each.supervisor for each in root.explain() if each.rule == "option_without_effect"] == ["root/branch"]


async def test_an_explanation_is_about_the_children_there_are() -> None:
    async with Supervisor("root").running() as root:
        assert root.explain() == ()
        await root.start_child(ChildSpec("late", never_parked, unpark_after=5.0))
        assert [each.children for each in root.explain() if each.severity == "warning"] == [("late",)]


@pytest.mark.parametrize("count", [1, 6, 100])
def test_a_supervisor_of_defaults_warns_of_nothing(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Supervisor("root", [ChildSpec(f"child {number}", never_parked) for number in range(count)])
