"""Starts by request that fail: who asked is told why, and all is as if nobody had asked."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import anyio
import attrs
import pytest

from tests.scenarios.cast_starting import NEVER, counts, ids, states
from tests.supervisors.scripted import Crash, Puppet, Theatre, settle
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    ChildContext,
    ChildNotFound,
    ChildSpec,
    ChildStartError,
    ForeignCancellation,
    RenewChild,
    RestartPolicy,
    Supervisor,
    SupervisorAlreadyRunning,
    SuspendChild,
)

# ── ways to fail ──


async def raises(context: ChildContext) -> None:
    raise Crash("no such port")


async def raises_a_group(context: ChildContext) -> None:
    raise ExceptionGroup("two ports", [Crash("no such port"), Crash("no other port")])


async def returns(context: ChildContext) -> None:
    pass


async def suspends(context: ChildContext) -> None:
    raise SuspendChild("not now")


async def renews(context: ChildContext) -> None:
    raise RenewChild("not so")


async def is_cancelled(context: ChildContext) -> None:
    await cancel_as_a_stranger()


async def is_late(context: ChildContext) -> None:
    await anyio.sleep_forever()


def fails_when_called() -> Awaitable[None]:
    raise Crash("no such port")


@attrs.frozen
class Way:
    """A start that fails, and what is to be said of it."""

    start: Callable[..., Any]
    kind: str
    message: str
    cause: type[BaseException] | None = None

    def spec(self, id: str = "new", **options: Any) -> ChildSpec:
        return ChildSpec(id, self.start, start_timeout=3.0, intensity=NEVER, **options)

    def check(self, error: ChildStartError, *, supervisor: str = "root", child: str = "new") -> None:
        failure = error.failure
        assert failure is not None
        assert (error.supervisor, error.child, failure.type) == (supervisor, child, self.kind)
        assert failure.message.startswith(self.message)
        text = f"{failure.type}: {failure.message}"
        assert str(error) == f"child '{child}' of supervisor '{supervisor}' did not start: {text}"
        assert type(error.__cause__) is (self.cause or type(None))


WAYS = [
    Way(raises, "tests.supervisors.scripted.Crash", "no such port", Crash),
    Way(raises_a_group, "builtins.ExceptionGroup", "two ports (2 sub-exceptions)", ExceptionGroup),
    Way(returns, "builtins.RuntimeError", "it returned without having called context.started()"),
    Way(suspends, "tocsin_supervisors._exits.SuspendChild", "not now", SuspendChild),
    Way(renews, "tocsin_supervisors._exits.RenewChild", "not so"),
    Way(is_cancelled, f"{ForeignCancellation.__module__}.ForeignCancellation", "the child ended", ForeignCancellation),
    Way(is_late, "builtins.TimeoutError", "not up within start_timeout=3 s: call context.started() earlier"),
    Way(fails_when_called, "tests.supervisors.scripted.Crash", "no such port", Crash),
]
in_each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.start.__name__)


# ── start_child ──


@pytest.mark.parametrize("keep", [False, True], ids=["passing", "kept"])
@in_each_way
async def test_O10_a_dynamic_child_whose_start_fails_is_told_with_its_reason_and_is_not_kept(
    way: Way, keep: bool
) -> None:
    theatre = Theatre("up", intensity=NEVER)
    async with theatre.supervisor.running() as supervisor:
        with pytest.raises(ChildStartError) as caught:
            await supervisor.start_child(way.spec(), keep=keep)
        way.check(caught.value)
        assert states(supervisor) == {"up": "running"}
        assert counts(supervisor) == (1, 1, 0, 1)
        with pytest.raises(ChildNotFound):
            supervisor.which_child("new")
        await settle(1000.0)
        assert theatre.incarnation("up") == 1
        assert theatre.record.told("new") == ["ChildStartFailed", "ChildRemoved"]
    assert ids(supervisor) == ["up"]


@in_each_way
async def test_O10_the_id_of_a_dynamic_child_whose_start_failed_is_free_at_once(way: Way) -> None:
    theatre = Theatre("up")
    child = Puppet(theatre.record, "new")
    async with theatre.supervisor.running() as supervisor:
        for _ in range(2):
            with pytest.raises(ChildStartError):
                await supervisor.start_child(way.spec())
        assert await supervisor.start_child(child.spec()) is child
        assert (ids(supervisor), child.incarnation) == (["up", "new"], 1)


async def test_O10_the_error_brings_the_exception_itself_with_its_trace() -> None:
    async with Supervisor("root").running() as supervisor:
        with pytest.raises(ChildStartError) as caught:
            await supervisor.start_child(ChildSpec("new", raises))
        cause = caught.value.__cause__
        assert isinstance(cause, Crash)
        assert traceback.extract_tb(cause.__traceback__)[-1].name == "raises"


async def test_O10_a_supervisor_that_runs_already_is_no_child_and_is_not_disturbed() -> None:
    busy = Theatre("a")
    async with busy.supervisor.running(), Supervisor("other").running() as other:
        for supervisor in (other, busy.supervisor):  # the second one is to be a child of its own
            with pytest.raises(ChildStartError) as caught:
                await supervisor.start_child(ChildSpec("busy", busy.supervisor))
            assert type(caught.value.__cause__) is SupervisorAlreadyRunning
        assert (states(other), states(busy.supervisor)) == ({}, {"a": "running"})
        assert busy.record.told("a") == ["ChildStarted"]


async def test_O10_a_supervisor_whose_start_fails_by_request_is_brought_down_in_order() -> None:
    theatre = Theatre("a", "b", "c")
    theatre["c"].refuses = True
    async with Supervisor("top").running() as top:
        with pytest.raises(ChildStartError, match="child 'c' of supervisor 'top/root' did not start"):
            await top.start_child(ChildSpec("root", theatre.supervisor))
        assert theatre.record.lines == ["a up", "b up", "c refuses", "b down", "a down"]
        assert (counts(top), theatre.supervisor.state) == ((0, 0, 0, 0), "stopped")


# ── restart_child ──


@in_each_way
async def test_O11_a_restart_by_request_that_fails_is_told_and_leaves_the_child_down(
    way: Way,
) -> None:
    theatre = Theatre("up", "old", intensity=NEVER)
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("old")
        await supervisor.reconfigure([way.spec("old")])
        theatre.record.reports.clear()
        with pytest.raises(ChildStartError) as caught:
            await supervisor.restart_child("old")
        way.check(caught.value, child="old")
        await settle(1000.0)
        assert states(supervisor) == {"up": "running", "old": "stopped"}
        assert counts(supervisor) == (2, 1, 0, 2)
        info = supervisor.which_child("old")
        assert (info.incarnation, info.restarts, info.last_failure) == (2, 0, caught.value.failure)
        assert theatre.record.told() == ["ChildStartFailed"]
        assert theatre.incarnation("up") == 1


async def test_O11_a_child_whose_restart_failed_is_started_when_the_cause_is_gone() -> None:
    theatre = Theatre("a")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.terminate_child("a")
        theatre["a"].refuses = True
        for _ in range(20):  # more often than any intensity allows: what is asked for is not charged
            with pytest.raises(ChildStartError, match="a refuses"):
                await supervisor.restart_child("a")
        theatre["a"].refuses = False
        assert await supervisor.restart_child("a") is theatre["a"]
        assert theatre["a"].incarnation == 22


async def test_O11_a_temporary_child_whose_start_by_request_fails_is_not_kept() -> None:
    theatre = Theatre("up")
    async with theatre.supervisor.running() as supervisor:
        await supervisor.reconfigure([ChildSpec("new", raises, restart=RestartPolicy.TEMPORARY)])
        assert states(supervisor) == {"up": "running", "new": "stopped"}
        with pytest.raises(ChildStartError, match="no such port"):
            await supervisor.restart_child("new")
        assert states(supervisor) == {"up": "running"}
        assert theatre.record.told("new") == ["ChildStartFailed", "ChildRemoved"]


# ── templates ──


def same(spec: ChildSpec) -> ChildSpec:
    return spec


# One that is not permanent may say by returning that it has nothing to do: that is no failure.
WAYS_BY_POLICY = [
    pytest.param(way, policy, id=f"{way.start.__name__}-{policy.value}")
    for way, policy in product(WAYS, RestartPolicy)
    if way.start is not returns or policy is RestartPolicy.PERMANENT
]


@pytest.mark.parametrize(("way", "policy"), WAYS_BY_POLICY)
async def test_O12_a_child_of_a_template_whose_start_fails_is_told_and_changes_no_count(
    way: Way, policy: RestartPolicy
) -> None:
    theatre = Theatre()
    good = Puppet(theatre.record, "new")
    options: dict[str, Any] = {"intensity": NEVER, "observer": theatre.record.observe, "max_children": 2}
    async with Supervisor("root", template=same, **options).running() as supervisor:
        first = await supervisor.start_from_template(good.spec(restart=policy))
        assert first is not None
        for number in (2, 3, 4):  # its place under max_children is free again
            before = supervisor.which_children()
            with pytest.raises(ChildStartError) as caught:
                await supervisor.start_from_template(way.spec(restart=policy))
            way.check(caught.value, child=f"new-{number}")
            assert supervisor.which_children() == before
            assert counts(supervisor) == (1, 1, 0, 1)
            assert theatre.record.told(f"new-{number}") == ["ChildStartFailed", "ChildRemoved"]
        await settle(1000.0)
        assert supervisor.which_child(first).incarnation == good.incarnation == 1
