"""Administration of named children: each request to a child in each state, and to nobody."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.scenarios.cast_starting import COMING, DOWN, NEVER, UP, asked, child_that_is, counts, ids, label, states
from tests.supervisors.scripted import Gate, Puppet, Theatre, forever, settle
from tocsin_supervisors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    ChildStopped,
    RestartIntensity,
    RestartPolicy,
    Supervisor,
)

# ── what does not fit the state ──

UNFIT: list[tuple[str, str, tuple[str, ...], type[ChildError], str]] = [
    ("O17", "start", UP, ChildAlreadyStarted, "is up already: terminate it first, or use another id"),
    ("O20", "start", (*COMING, *DOWN), ChildAlreadyPresent, "exists already, but is not up: use restart_child()"),
    ("O21", "restart", UP, ChildRunning, "is up: terminate it first"),
    ("O21", "restart", COMING, ChildRestarting, "is being started or restarted: terminate it first, or wait"),
    ("O22", "delete", UP, ChildRunning, "is up: terminate it first"),
    ("O22", "delete", COMING, ChildRestarting, "is being started or restarted: terminate it first, or wait"),
]
REFUSALS = [
    pytest.param(request, state, error, text, id=f"{number}-{request}-{state}")
    for number, request, states, error, text in UNFIT
    for state in states
]


@pytest.mark.parametrize(("request_", "state", "error", "text"), REFUSALS)
async def test_what_does_not_fit_the_state_is_refused_at_once_and_changes_nothing(
    request_: str, state: str, error: type[ChildError], text: str
) -> None:
    """OTP tells the pid with `already_started`; ours names the child, and `which_child` gives its incarnation."""
    async with child_that_is(state) as theatre:
        supervisor = theatre.supervisor
        before, spec, now = supervisor.tree(), supervisor.child_spec("a"), anyio.current_time()
        with pytest.raises(error) as caught:
            await asked(supervisor, request_, "a")
        assert type(caught.value) is error
        assert (caught.value.supervisor, caught.value.child) == ("root", "a")
        assert str(caught.value).startswith(f"child 'a' of supervisor 'root' {text}")
        assert (supervisor.tree(), supervisor.child_spec("a"), anyio.current_time()) == (before, spec, now)
        await settle()
        assert supervisor.tree() == before
        assert theatre.record.reports == []


async def test_O17_of_two_that_start_one_id_at_once_the_first_gets_it_and_the_second_is_refused() -> None:
    theatre = Theatre()
    first, second = Puppet(theatre.record, "a"), Puppet(theatre.record, "a")
    first.gate = Gate()
    values: list[object] = []
    async with theatre.supervisor.running() as supervisor, anyio.create_task_group() as group:

        async def start_first() -> None:
            values.append(await supervisor.start_child(first.spec()))

        group.start_soon(start_first)
        await settle()
        with pytest.raises(ChildAlreadyPresent):
            await supervisor.start_child(second.spec())
        first.gate.open()
        await settle()
        with pytest.raises(ChildAlreadyStarted):
            await supervisor.start_child(second.spec())
        assert values == [first]
        assert (first.incarnation, second.incarnation) == (1, 0)


# ── terminating ──


@pytest.mark.parametrize("policy", list(RestartPolicy), ids=lambda policy: policy.value)
async def test_O18_a_terminated_child_is_asked_to_stop_waited_for_and_not_restarted(policy: RestartPolicy) -> None:
    theatre = Theatre("a", "b", "c", spec={"restart": policy}, cleanup=2.0, intensity=NEVER)
    async with theatre.supervisor.running() as supervisor:
        theatre.record.lines.clear()
        theatre.record.reports.clear()
        began = anyio.current_time()
        await supervisor.terminate_child("b")
        assert anyio.current_time() - began == 2.0
        assert theatre.record.lines == ["b down"]
        await settle(1000.0)
        stays = policy is not RestartPolicy.TEMPORARY
        assert states(supervisor) == {"a": "running", **({"b": "stopped"} if stays else {}), "c": "running"}
        assert counts(supervisor) == (3 if stays else 2, 2, 0, 3 if stays else 2)
        assert theatre.record.told() == ["ChildStopped", *([] if stays else ["ChildRemoved"])]
        stopped = theatre.record.only(ChildStopped)
        assert (stopped.child, stopped.incarnation, stopped.at) == ("b", 1, began + 2.0)
        assert [theatre[id].incarnation for id in "abc"] == [1, 1, 1]


async def test_O18_a_terminated_child_without_a_context_is_cancelled_and_waited_for() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.start_child(ChildSpec("b", forever(theatre.record.note, "b", cleanup=2.0)))
        began = anyio.current_time()
        await supervisor.terminate_child("b")
        assert (anyio.current_time() - began, theatre.record.lines[-1]) == (2.0, "b down")
        assert states(supervisor) == {"a": "running", "b": "stopped"}


async def test_O18_a_terminated_supervisor_stops_its_children_in_reverse_order() -> None:
    theatre = Theatre("a", "b", "c", cleanup=1.0)
    async with Supervisor("top", [ChildSpec("root", theatre.supervisor)]).running() as top:
        began = anyio.current_time()
        await top.terminate_child("root")
        assert anyio.current_time() - began == 3.0
        assert theatre.record.lines[3:] == ["c down", "b down", "a down"]
        assert (states(top), theatre.supervisor.state, counts(top)) == ({"root": "stopped"}, "stopped", (1, 0, 1, 0))


@pytest.mark.parametrize("state", COMING)
async def test_O18_a_child_that_is_about_to_be_started_is_terminated_too(state: str) -> None:
    async with child_that_is(state) as theatre:
        await theatre.supervisor.terminate_child("a")
        assert states(theatre.supervisor) == {"a": "stopped", "b": "running"}
        await settle(10_000.0)
        assert states(theatre.supervisor) == {"a": "stopped", "b": "running"}
        assert "a up" not in theatre.record.lines


@pytest.mark.parametrize("state", DOWN)
async def test_O19_terminating_a_child_that_is_down_is_done_at_once_as_often_as_one_likes(state: str) -> None:
    async with child_that_is(state) as theatre:
        began = anyio.current_time()
        for _ in range(3):
            await theatre.supervisor.terminate_child("a")
        assert anyio.current_time() == began
        assert theatre.record.reports == []
        assert theatre.incarnation("a") == 1
        assert counts(theatre.supervisor) == (2, 1, 0, 2)


async def test_O19_whoever_terminates_a_child_that_stops_already_waits_for_the_same_end() -> None:
    theatre = Theatre("a", cleanup=2.0)
    ended: list[float] = []
    async with theatre.supervisor.running() as supervisor:
        began = anyio.current_time()

        async def terminate(after: float) -> None:
            await anyio.sleep(after)
            await supervisor.terminate_child("a")
            ended.append(anyio.current_time() - began)

        async with anyio.create_task_group() as group:
            for after in (0.0, 0.0, 1.0):
                group.start_soon(terminate, after)
        assert ended == [2.0, 2.0, 2.0]
        assert theatre.record.told() == ["ChildStarted", "ChildStopped"]


# ── restarting ──


@pytest.mark.parametrize("state", DOWN)
async def test_O21_a_child_that_is_down_is_restarted_as_a_new_incarnation_and_only_once(state: str) -> None:
    async with child_that_is(state) as theatre:
        theatre["a"].declines = False
        assert await theatre.supervisor.restart_child("a") is theatre["a"]
        assert states(theatre.supervisor) == {"a": "running", "b": "running"}
        assert (theatre.incarnation("a"), theatre["a"].incarnation) == (2, 2)
        assert theatre.record.lines == ["a up"]
        with pytest.raises(ChildRunning):
            await theatre.supervisor.restart_child("a")
        assert theatre.incarnation("a") == 2


async def test_O21_a_child_that_was_restarted_by_request_has_all_its_restarts_to_spare() -> None:
    theatre = Theatre("a", spec={"intensity": RestartIntensity(1, 1000.0)})
    async with theatre.supervisor.running() as supervisor:
        for incarnation in (1, 3, 5):
            theatre["a"].crash()
            await settle()
            assert theatre.incarnation("a") == incarnation + 1
            await supervisor.terminate_child("a")
            await supervisor.restart_child("a")
        assert supervisor.which_child("a").restarts == 3  # it counts on: what was, was


# ── deleting ──


@pytest.mark.parametrize("state", DOWN)
async def test_O22_a_child_that_is_down_can_be_deleted_and_is_unknown_then(state: str) -> None:
    async with child_that_is(state) as theatre:
        supervisor = theatre.supervisor
        await supervisor.delete_child("a")
        assert theatre.record.told() == ["ChildRemoved"]
        assert states(supervisor) == {"b": "running"}
        for request in ("restart", "terminate", "delete", "which", "spec"):
            with pytest.raises(ChildNotFound):
                await asked(supervisor, request, "a")
        new = Puppet(theatre.record, "a")
        await supervisor.start_child(new.spec())
        assert (ids(supervisor), new.incarnation) == (["b", "a"], 1)
    assert ids(supervisor) == ["b"]


async def test_O22_a_running_child_is_deleted_in_two_steps() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildRunning):
            await supervisor.delete_child("a")
        await supervisor.terminate_child("a")
        await supervisor.delete_child("a")
        with pytest.raises(ChildNotFound):
            await supervisor.restart_child("a")
        assert counts(supervisor) == (0, 0, 0, 0)
    assert theatre.record.told("a") == ["ChildStarted", "ChildStopped", "ChildRemoved"]


# ── strangers ──

REQUESTS = ("terminate", "restart", "delete", "which", "spec")


@pytest.mark.parametrize("id", ["unknown", "A", "a ", "", "root", "root/a", "a-1"])
@pytest.mark.parametrize("request_", REQUESTS)
async def test_O23_an_unknown_id_is_refused_and_nobody_is_affected(request_: str, id: str) -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        before = supervisor.tree()
        with pytest.raises(ChildNotFound) as caught:
            await asked(supervisor, request_, id)
        assert isinstance(caught.value, LookupError)
        assert (caught.value.supervisor, caught.value.child) == ("root", id)
        assert str(caught.value) == (
            f"child {id!r} of supervisor 'root' does not exist: see which_children() for those that do"
        )
        await settle()
        assert supervisor.tree() == before
        assert theatre.record.told() == ["ChildStarted"]


@pytest.mark.parametrize("value", [1, None, ["a"], {"id": "a"}, b"a", ("a",), object()], ids=label)
@pytest.mark.parametrize("request_", ["terminate", "restart", "delete"])
async def test_O23_what_is_no_id_at_all_is_refused_by_name_and_nobody_is_affected(request_: str, value: Any) -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(TypeError) as caught:
            await asked(supervisor, request_, value)
        assert str(caught.value) == f"child={value!r} must be the id of a child, or the ChildRef of one"
        await settle()
        assert (supervisor.state, states(supervisor)) == ("running", {"a": "running"})


@pytest.mark.parametrize("request_", REQUESTS)
async def test_O25_a_reference_means_nobody_to_a_supervisor_of_named_children(request_: str) -> None:
    """A reference is what ours has for OTP's pid; only children of a template have one."""
    theatre = Theatre("a-1")
    stranger = Puppet(theatre.record, "a")
    async with (
        theatre.supervisor.running() as supervisor,
        Supervisor("other", template=stranger.spec).running() as other,
    ):
        ref = await other.start_from_template()
        assert ref is not None
        assert ref.id == "a-1"  # of all ids the one that could be mistaken
        with pytest.raises(ChildNotFound) as caught:
            await asked(supervisor, request_, ref)
        assert (caught.value.supervisor, caught.value.child) == ("root", "a-1")
        await settle()
        assert (states(supervisor), states(other)) == ({"a-1": "running"}, {"a-1": "running"})
        assert (theatre.incarnation("a-1"), stranger.incarnation) == (1, 1)


@pytest.mark.parametrize("request_", ["terminate", "restart", "delete"])
async def test_O25_what_is_shown_of_a_child_is_no_way_to_address_it(request_: str) -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        info = supervisor.which_child("a")
        for pid in (info, info.incarnation, supervisor.tree().children[0], theatre["a"]):
            with pytest.raises(TypeError, match="must be the id of a child"):
                await asked(supervisor, request_, pid)
        assert states(supervisor) == {"a": "running"}
