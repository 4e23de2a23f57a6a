"""Starting: nobody to start, starts that fail or return rubbish, and what the errors say."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.scenarios.cast_starting import NEVER, counts, ids, label, states
from tests.supervisors.scripted import Crash, Puppet, Record, Theatre, settle
from tocsin_supervisors import (
    ChildContext,
    ChildSpec,
    ChildStarted,
    ChildStartError,
    ChildStartFailed,
    Supervisor,
)

# ── nobody ──


async def test_O1_a_supervisor_of_nobody_runs_until_it_is_stopped_and_counts_nothing() -> None:
    theatre = Theatre()
    async with theatre.supervisor.running() as supervisor:
        await settle(1000.0)
        assert repr(supervisor) == "<Supervisor root: running, one_for_one, 0 of 0 children up>"
        assert counts(supervisor) == (0, 0, 0, 0)
        assert (supervisor.which_children(), supervisor.tree().children) == ((), ())
    assert supervisor.state == "stopped"
    assert supervisor.stop_report.is_clean
    assert theatre.record.told() == ["SupervisorStopping"]


async def test_O1_a_supervisor_of_nobody_is_a_child_like_any_other() -> None:
    nobody = Supervisor("nobody")
    async with Supervisor("root", [ChildSpec("nobody", nobody)]).running() as root:
        await settle(1000.0)
        assert counts(root) == (1, 1, 1, 0)
        assert counts(nobody) == (0, 0, 0, 0)
        assert (states(root), nobody.state, root.which_child("nobody").incarnation) == (
            {"nobody": "running"},
            "running",
            1,
        )
    assert nobody.state == "stopped"


# ── rubbish ──


async def stream() -> AsyncIterator[int]:
    yield 1  # pragma: no cover  # nobody iterates over it


def of_a_context(context: ChildContext) -> int:
    return 7


RUBBISH: list[tuple[Any, str]] = [
    (lambda: 7, "int"),
    (lambda: None, "NoneType"),
    (of_a_context, "int"),
    (lambda: ("ok", "pid"), "tuple"),
    (lambda: stream(), "async_generator"),
    (dict, "dict"),
]


@pytest.mark.parametrize(("start", "kind"), RUBBISH)
async def test_O8_a_start_that_returns_what_cannot_be_awaited_is_a_failed_start(start: Any, kind: str) -> None:
    theatre = Theatre("before")
    theatre.supervisor.declare(ChildSpec("rubbish", start))
    for incarnation in (1, 2):  # nothing of the first run is in the way of the second one
        theatre.record.reports.clear()
        with pytest.raises(ChildStartError) as caught:
            async with theatre.supervisor.running():
                pytest.fail("it must not run")  # pragma: no cover
        assert (caught.value.supervisor, caught.value.child) == ("root", "rubbish")
        assert isinstance(caught.value.__cause__, TypeError)
        assert str(caught.value.__cause__) == (
            f"start of child 'rubbish' returned {kind}, which cannot be awaited: it must be an async function"
        )
        assert theatre.record.told() == ["ChildStarted", "ChildStartFailed", "SupervisorStopping", "ChildStopped"]
        assert theatre.record.only(ChildStartFailed).incarnation == incarnation
        assert theatre.supervisor.state == "stopped"


async def test_O8_a_start_that_returns_rubbish_is_told_to_who_asked_for_it_and_disturbs_nobody() -> None:
    theatre = Theatre("a", intensity=NEVER)
    start: Any = lambda: 7  # noqa: E731
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildStartError, match="returned int, which cannot be awaited"):
            await supervisor.start_child(ChildSpec("rubbish", start, intensity=NEVER))
        await settle(1000.0)
        assert states(supervisor) == {"a": "running"}
        assert theatre.incarnation("a") == 1


@pytest.mark.parametrize("rubbish", [None, [], {"id": "a"}, "spec", ChildSpec], ids=label)
async def test_O8_a_template_that_returns_no_spec_is_told_to_who_called_it(rubbish: Any) -> None:
    async with Supervisor("root", template=lambda: rubbish).running() as supervisor:
        with pytest.raises(TypeError) as caught:
            await supervisor.start_from_template()
        assert str(caught.value) == f"the template of supervisor 'root' gave {rubbish!r}: it must return a ChildSpec"
        await settle()
        assert supervisor.state == "running"
        assert counts(supervisor) == (1, 0, 0, 0)


# ── failures of the initial start ──


async def test_O9_a_start_that_fails_is_raised_once_and_alone_and_is_not_tried_again() -> None:
    theatre = Theatre("a", "b", "c", "d")
    theatre["c"].refuses = theatre["d"].refuses = True
    with pytest.raises(ChildStartError) as caught:
        async with theatre.supervisor.running():
            pytest.fail("it must not run")  # pragma: no cover
    await settle(1000.0)
    assert (caught.value.supervisor, caught.value.child) == ("root", "c")
    assert type(caught.value.__cause__) is Crash
    assert str(caught.value) == (
        "child 'c' of supervisor 'root' did not start: tests.supervisors.scripted.Crash: c refuses"
    )
    assert theatre.record.lines == ["a up", "b up", "c refuses", "b down", "a down"]
    assert theatre.record.only(ChildStartFailed).child == "c"
    assert theatre.supervisor.state == "stopped"


async def test_O9_a_supervisor_whose_start_failed_can_be_started_when_the_cause_is_gone() -> None:
    theatre = Theatre("a", "b")
    theatre["b"].refuses = True
    with pytest.raises(ChildStartError):
        await theatre.supervisor.run()
    theatre["b"].refuses = False
    async with theatre.supervisor.running():
        assert (theatre.incarnation("a"), theatre.incarnation("b")) == (2, 2)


async def test_O9_a_parent_is_told_once_that_a_supervisor_did_not_start() -> None:
    record = Record()
    leaf = Puppet(record, "leaf")
    leaf.refuses = True
    branch = Supervisor("branch", [leaf.spec()])
    root = Supervisor("root", [ChildSpec("branch", branch)], observer=record.observe)
    with pytest.raises(ChildStartError) as caught:
        await root.run()
    await settle(1000.0)
    assert (caught.value.supervisor, caught.value.child) == ("root", "branch")
    told = [(type(each).__name__, each.supervisor, getattr(each, "child", None)) for each in record.reports]
    assert told == [
        ("ChildStartFailed", "root/branch", "leaf"),
        ("SupervisorStopping", "root/branch", None),
        ("ChildStartFailed", "root", "branch"),
        ("SupervisorStopping", "root", None),
    ]


async def test_O9_an_init_that_makes_faulty_specs_fails_its_start_with_that_error() -> None:
    async def init(context: ChildContext) -> None:
        specs: Any = [{"id": "leaf"}]
        await Supervisor("branch", specs).live_as_child(context)

    theatre = Theatre("a", intensity=NEVER)
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildStartError) as caught:
            await supervisor.start_child(ChildSpec("branch", init))
        assert type(caught.value.__cause__) is TypeError
        assert str(caught.value.__cause__).startswith("{'id': 'leaf'} must be a ChildSpec")
        assert ids(supervisor) == ["a"]


# ── where and why ──


async def broken_init(context: ChildContext) -> None:
    raise ValueError("no such port: 0")


async def test_O15_an_error_deep_in_a_tree_names_each_child_on_the_way_and_has_the_original_with_its_trace() -> None:
    twig = Supervisor("twig", [ChildSpec("leaf", broken_init)])
    branch = Supervisor("branch", [ChildSpec("twig", twig)])
    root = Supervisor("root", [ChildSpec("branch", branch)])
    with pytest.raises(ChildStartError) as caught:
        await root.run()
    error: BaseException | None = caught.value
    where: list[tuple[str, str]] = []
    while isinstance(error, ChildStartError):
        where.append((error.supervisor, error.child))
        error = error.__cause__
    assert where == [("root", "branch"), ("root/branch", "twig"), ("root/branch/twig", "leaf")]
    assert type(error) is ValueError
    assert str(error) == "no such port: 0"
    assert traceback.extract_tb(error.__traceback__)[-1].name == "broken_init"


async def test_O15_the_failure_of_a_nested_start_error_says_it_all_in_text() -> None:
    branch = Supervisor("branch", [ChildSpec("leaf", broken_init)])
    with pytest.raises(ChildStartError) as caught:
        await Supervisor("root", [ChildSpec("branch", branch)]).run()
    failure = caught.value.failure
    assert failure is not None
    assert failure.type == "tocsin_supervisors.exceptions.ChildStartError"
    assert failure.message == (
        "child 'leaf' of supervisor 'root/branch' did not start: builtins.ValueError: no such port: 0"
    )
    assert failure.causes == ("builtins.ValueError: no such port: 0",)
    inner = caught.value.__cause__
    assert isinstance(inner, ChildStartError)
    assert inner.failure is not None
    assert "broken_init" in inner.failure.traceback


# ── the value of a start ──


async def test_O16_the_value_of_a_start_is_given_at_each_start_that_was_asked_for() -> None:
    theatre = Theatre()
    child = Puppet(theatre.record, "child")
    async with theatre.supervisor.running() as supervisor:
        child.value = "first"
        assert await supervisor.start_child(child.spec()) == "first"
        await supervisor.terminate_child("child")
        child.value = "second"
        assert await supervisor.restart_child("child") == "second"
        child.value = "lost: nobody has asked for it"
        child.crash()
        await settle()
        assert theatre.incarnation("child") == 3
        await supervisor.terminate_child("child")
        child.value = "fourth"
        assert await supervisor.restart_child("child") == "fourth"
    assert [each.incarnation for each in theatre.record.reports if isinstance(each, ChildStarted)] == [1, 2, 3, 4]


async def test_O16_a_child_that_has_nothing_to_give_gives_none_and_a_supervisor_itself() -> None:
    branch = Supervisor("branch")
    async with Supervisor().running() as supervisor:
        assert await supervisor.start_child(ChildSpec("plain", anyio.sleep_forever)) is None
        assert await supervisor.start_child(ChildSpec("branch", branch)) is branch
        await supervisor.terminate_child("branch")
        assert await supervisor.restart_child("branch") is branch


async def test_O16_a_start_from_a_template_gives_its_value_with_the_reference() -> None:
    record = Record()
    puppets = iter([Puppet(record, "one"), Puppet(record, "two")])
    async with Supervisor("root", template=lambda: next(puppets).spec()).running() as supervisor:
        first, second = await supervisor.start_from_template(), await supervisor.start_from_template()
        assert first is not None
        assert second is not None
        assert [(each.id, each.value.id) for each in (first, second)] == [("one-1", "one"), ("two-2", "two")]
        first.value.crash()
        await settle()
        assert supervisor.which_child(first).incarnation == 2
        assert first.value.id == "one"
