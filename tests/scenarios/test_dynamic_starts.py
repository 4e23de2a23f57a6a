"""Starting children while the supervisor runs, by name and from a template: whatever a start does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.scenarios.cast_dynamic import Agency, Way, ways
from tests.supervisors.scripted import Crash, settle
from tocsin.testing import cancel_as_a_stranger
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildRef,
    ChildRemoved,
    ChildSpec,
    ChildStartError,
    DeclineStart,
    RenewChild,
    RestartIntensity,
    RestartPolicy,
    SuspendChild,
)

SLOW = Backoff(initial=1.0, maximum=1.0, jitter=0.0)
PLENTY = RestartIntensity(100, 1000.0, max_consecutive=None)


# ── what a start may do ──


async def comes_up(context: ChildContext) -> None:
    context.started()
    await anyio.sleep_forever()


async def comes_up_with_a_value(context: ChildContext) -> None:
    context.started(context.path)
    await anyio.sleep_forever()


async def declines(context: ChildContext) -> None:
    raise DeclineStart


async def raises(context: ChildContext) -> None:
    raise Crash("refused")


async def raises_a_group(context: ChildContext) -> None:
    raise ExceptionGroup("both", [Crash("refused"), Crash("as well")])


def raises_before_there_is_a_coroutine(context: ChildContext) -> Awaitable[None]:
    raise Crash("refused")


async def returns(context: ChildContext) -> None:
    """Be done before it is up."""


async def is_cancelled(context: ChildContext) -> None:
    await cancel_as_a_stranger()


async def asks_to_be_renewed(context: ChildContext) -> None:
    raise RenewChild


async def asks_to_be_suspended(context: ChildContext) -> None:
    raise SuspendChild


async def is_never_up(context: ChildContext) -> None:
    await anyio.sleep_forever()


def gives_what_cannot_be_awaited(context: ChildContext) -> Any:
    return 7


def child(start: Callable[[ChildContext], Any], id: str = "child", **options: Any) -> ChildSpec:
    defaults: dict[str, Any] = {"backoff": SLOW, "suspension": SLOW, "intensity": PLENTY}
    return ChildSpec(id, start, **{**defaults, **options})


# a start that fails → the class of the failure that is told
FAILING: dict[Callable[[ChildContext], Any], str] = {
    raises: "Crash",
    raises_a_group: "ExceptionGroup",
    raises_before_there_is_a_coroutine: "Crash",
    returns: "RuntimeError",
    is_cancelled: "ForeignCancellation",
    asks_to_be_renewed: "RenewChild",
    asks_to_be_suspended: "SuspendChild",
    is_never_up: "TimeoutError",
    gives_what_cannot_be_awaited: "TypeError",
}
failing = pytest.mark.parametrize("start", FAILING, ids=lambda start: start.__name__)


@ways
async def test_E1_a_start_that_succeeds_gives_its_value(way: Way) -> None:
    agency = Agency(way)
    async with agency.supervisor.running():
        _, value = await agency.start(child(comes_up))
        assert value is None
        other, value = await agency.start(child(comes_up_with_a_value, "other"))
        assert other is not None
        assert value == f"root/{agency.info(other).id}"
        assert agency.supervisor.count_children() == agency.counts(children=2, active=2)


@pytest.mark.parametrize("policy", RestartPolicy)
@ways
async def test_E1_a_start_that_declines_is_no_error(way: Way, policy: RestartPolicy) -> None:
    """Nothing is kept of it from a template, nor if it is temporary; the spec of a named one is, as in OTP."""
    agency = Agency(way)
    is_kept = way == "named" and policy is not RestartPolicy.TEMPORARY
    async with agency.supervisor.running() as supervisor:
        _, value = await agency.start(child(declines, restart=policy))
        assert value is None
        assert [each.state for each in supervisor.which_children()] == ["stopped"] * is_kept
        assert supervisor.state == "running"
    assert agency.record.told("child" if way == "named" else "child-1")[0] == "ChildDeclined"


@failing
@pytest.mark.parametrize("policy", [RestartPolicy.PERMANENT, RestartPolicy.TEMPORARY])
@ways
async def test_E1_a_start_that_fails_is_told_to_who_asked_and_leaves_nothing(
    way: Way, policy: RestartPolicy, start: Callable[[ChildContext], Any]
) -> None:
    agency = Agency(way)
    async with agency.supervisor.running() as supervisor:
        sibling, at = await agency.engage("sibling")
        if start is returns and policy is RestartPolicy.TEMPORARY:
            await agency.start(child(start, restart=policy))  # it may: it had nothing to do
        else:
            with pytest.raises(ChildStartError) as caught:
                await agency.start(child(start, restart=policy))
            assert caught.value.supervisor == "root"
            assert caught.value.child == ("child" if way == "named" else "child-2")
            assert caught.value.failure is not None
            assert caught.value.failure.type.rpartition(".")[2] == FAILING[start]
        assert agency.supervisor.count_children() == agency.counts(children=1, active=1)
        assert (sibling.incarnation, agency.info(at).state, supervisor.state) == (1, "running", "running")
        await agency.start(child(comes_up))  # its id is free again
        await settle(100.0)
        assert agency.supervisor.count_children() == agency.counts(children=2, active=2)


@ways
async def test_E1_the_exception_of_a_start_is_the_cause_of_its_error(way: Way) -> None:
    agency = Agency(way)
    async with agency.supervisor.running():
        with pytest.raises(ChildStartError, match=r"did not start: .*Crash: refused") as caught:
            await agency.start(child(raises))
        assert isinstance(caught.value.__cause__, Crash)


@pytest.mark.parametrize("fatal", [SystemExit, KeyboardInterrupt])
@ways
async def test_E1_what_ends_programs_ends_the_supervisor_also_out_of_a_start(
    way: Way, fatal: type[BaseException]
) -> None:
    """Unlike Elixir's `exit` in a start, which is one error among others."""
    agency = Agency(way)

    async def ends_the_program(context: ChildContext) -> None:
        raise fatal(3)

    async def scene() -> None:
        async with agency.supervisor.running():
            await agency.engage("sibling")
            await agency.start(child(ends_the_program))

    with pytest.raises(fatal):
        await scene()
    assert agency.record.lines == ["sibling up", "sibling down"]


# ── what the start of a restart may do ──


class Changing:
    """A child whose first start is fine, and whose later ones go as *then* does."""

    def __init__(self, then: Callable[[ChildContext], Any]) -> None:
        self.then = then
        self.starts = 0
        self._strings = anyio.Event()

    def __call__(self, context: ChildContext) -> Any:
        self.starts += 1
        return self._first(context) if self.starts == 1 else self.then(context)

    async def _first(self, context: ChildContext) -> None:
        context.started("first")
        await self._strings.wait()
        raise Crash

    def crash(self) -> None:
        self._strings.set()


@ways
async def test_E4_a_restart_that_gives_another_value_is_a_restart_like_any_other(way: Way) -> None:
    agency, changing = Agency(way), Changing(comes_up_with_a_value)
    async with agency.supervisor.running() as supervisor:
        at, value = await agency.start(child(changing))
        assert at is not None
        changing.crash()
        await settle(2.0)
        info = agency.info(at)
        assert (info.state, info.incarnation, info.restarts) == ("running", 2, 1)
        assert value == "first"
        if isinstance(at, ChildRef):
            assert at.value == "first"  # what it is addressed by does not change with what it says
        await supervisor.terminate_child(at)
        assert supervisor.count_children().active == 0


async def test_E4_a_child_of_a_template_that_declines_its_restart_is_forgotten() -> None:
    agency, changing = Agency("template"), Changing(declines)
    async with agency.supervisor.running() as supervisor:
        await agency.start(child(changing))
        changing.crash()
        await settle(100.0)
        assert changing.starts == 2
        assert supervisor.count_children() == agency.counts(children=0, active=0)
        assert agency.record.only(ChildRemoved).child == "child-1"


async def test_E4_a_named_child_that_declines_its_restart_stays_down() -> None:
    """As under OTP's supervisor; Elixir's dynamic children have no names."""
    agency, changing = Agency("named"), Changing(declines)
    async with agency.supervisor.running():
        await agency.start(child(changing))
        changing.crash()
        await settle(100.0)
        assert changing.starts == 2
        assert agency.info("child").state == "stopped"


@failing
@ways
async def test_E4_a_restart_that_fails_is_tried_again_after_its_backoff(
    way: Way, start: Callable[[ChildContext], Any]
) -> None:
    agency, changing = Agency(way), Changing(start)
    async with agency.supervisor.running():
        at, _ = await agency.start(child(changing, start_timeout=0.25))
        assert at is not None
        changing.crash()
        await settle(1.5)
        assert (changing.starts, agency.info(at).incarnation) == (2, 2)
        assert agency.info(at).state == ("suspended" if start is asks_to_be_suspended else "waiting")
        assert agency.supervisor.count_children() == agency.counts(children=1, active=0)
        changing.then = comes_up
        await settle(1.0)
        assert (changing.starts, agency.info(at).incarnation, agency.info(at).state) == (3, 3, "running")
