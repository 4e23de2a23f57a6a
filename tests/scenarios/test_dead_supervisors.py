"""Calls to a supervisor that does not run: refused at once, whatever it died of, and never waited for in vain."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import product

import anyio
import pytest

from tests.scenarios.cast_starting import NEVER, asked, counts, ids
from tests.supervisors.scripted import Gate, Puppet, Record, Theatre, settle
from tocsin_supervisors import ChildSpec, RestartIntensityExceeded, Supervisor, SupervisorNotRunning

# ── ways to be dead ──

Death = Callable[[Theatre], "contextlib.AbstractAsyncContextManager[str]"]


@asynccontextmanager
async def never_run(theatre: Theatre) -> AsyncGenerator[str, None]:
    yield "not running"


@asynccontextmanager
async def has_run(theatre: Theatre) -> AsyncGenerator[str, None]:
    async with theatre.supervisor.running():
        pass
    yield "not running"


@asynccontextmanager
async def was_cancelled(theatre: Theatre) -> AsyncGenerator[str, None]:
    with anyio.move_on_after(1.0):
        await theatre.supervisor.run()
    yield "not running"


@asynccontextmanager
async def stopped_below_its_body(theatre: Theatre) -> AsyncGenerator[str, None]:
    async with theatre.supervisor.running() as supervisor:
        await supervisor.stop()
        yield "stopped"


@asynccontextmanager
async def stops_below_its_body(theatre: Theatre) -> AsyncGenerator[str, None]:
    for puppet in theatre.puppets.values():
        puppet.cleanup = 3.0
    async with theatre.supervisor.running() as supervisor:
        supervisor.request_stop()
        await settle()
        yield "stopping"


@asynccontextmanager
async def gave_up_below_its_body(theatre: Theatre) -> AsyncGenerator[str, None]:
    with contextlib.suppress(RestartIntensityExceeded):
        async with theatre.supervisor.running():
            with anyio.CancelScope(shield=True):
                theatre["a"].crash()
                await settle()
                yield "stopped"


NOT_RUN: list[Death] = [never_run, has_run, was_cancelled]
BELOW_A_BODY: list[Death] = [stopped_below_its_body, stops_below_its_body, gave_up_below_its_body]


def dead() -> Theatre:
    return Theatre("a", "b", spec={"intensity": NEVER})


# ── requests ──


REFUSED = [
    pytest.param(death, request, id=f"{request}-{death.__name__}")
    for death, request in product([*NOT_RUN, *BELOW_A_BODY], ["start", "terminate", "restart"])
    if (death, request) != (stops_below_its_body, "terminate")  # that waits for the stop, and is done with it
]


@pytest.mark.parametrize("id", ["a", "unknown"])
@pytest.mark.parametrize(("death", "request_"), REFUSED)
async def test_O24_a_request_to_a_dead_supervisor_is_refused_at_once(death: Death, request_: str, id: str) -> None:
    """Ours raises `SupervisorNotRunning` where OTP has `noproc`."""
    theatre = dead()
    async with death(theatre) as state:
        now = anyio.current_time()
        with pytest.raises(SupervisorNotRunning) as caught:
            await asked(theatre.supervisor, request_, id)
        assert (caught.value.supervisor, caught.value.state) == ("root", state)
        assert str(caught.value) == (
            f"supervisor 'root' is {state}: call this while it runs, between its start and its stop"
        )
        assert anyio.current_time() == now
        assert max(puppet.incarnation for puppet in theatre.puppets.values()) == (0 if death is never_run else 1)


@pytest.mark.parametrize("death", BELOW_A_BODY)
async def test_O24_what_changes_a_run_is_refused_when_the_run_is_over(death: Death) -> None:
    theatre = dead()
    async with death(theatre) as state:
        now = anyio.current_time()
        with pytest.raises(SupervisorNotRunning) as caught:
            await theatre.supervisor.delete_child("a")
        assert caught.value.state == state
        assert anyio.current_time() == now
        assert ids(theatre.supervisor) == ["a", "b"]


@pytest.mark.parametrize("death", BELOW_A_BODY)
async def test_O24_other_options_wait_for_the_next_run_when_the_run_is_over(death: Death) -> None:
    theatre = dead()
    async with death(theatre):
        await theatre.supervisor.reconfigure(max_children=7)
        assert theatre.supervisor.options.max_children == 7


@pytest.mark.parametrize("death", NOT_RUN)
async def test_O24_what_changes_the_declaration_needs_no_run(death: Death) -> None:
    """OTP keeps nothing over runs; ours is a declaration that can be changed between them."""
    theatre = dead()
    async with death(theatre):
        await theatre.supervisor.delete_child("a")
        await theatre.supervisor.reconfigure(max_children=7)
        assert ids(theatre.supervisor) == ["b"]
        assert theatre.supervisor.options.max_children == 7


async def test_O24_a_template_that_does_not_run_starts_and_terminates_nobody() -> None:
    theatre = Theatre()
    supervisor = Supervisor("root", template=Puppet(theatre.record, "a").spec)
    with pytest.raises(SupervisorNotRunning):
        await supervisor.start_from_template()
    async with supervisor.running():
        ref = await supervisor.start_from_template()
    assert ref is not None
    with pytest.raises(SupervisorNotRunning):
        await supervisor.terminate_child(ref)
    async with supervisor.running():
        await supervisor.terminate_child(ref)  # gone with the former run: that is what it should be


@pytest.mark.parametrize("death", [*NOT_RUN, *BELOW_A_BODY])
async def test_O24_a_dead_supervisor_can_be_looked_at(death: Death) -> None:
    theatre = dead()
    async with death(theatre) as state:
        if state == "stopping":
            await theatre.supervisor.stop()
        supervisor = theatre.supervisor
        assert supervisor.state == supervisor.tree().state == "stopped"
        assert [each.state for each in supervisor.which_children()] == ["stopped", "stopped"]
        assert (supervisor.which_child("a").state, supervisor.child_spec("a").id) == ("stopped", "a")
        assert counts(supervisor) == (2, 0, 0, 2)
        assert repr(supervisor) == "<Supervisor root: stopped, one_for_one, 0 of 2 children up>"


@pytest.mark.parametrize("death", [*NOT_RUN, *BELOW_A_BODY])
async def test_O24_stopping_a_dead_supervisor_is_done(death: Death) -> None:
    theatre = dead()
    async with death(theatre) as state:
        now = anyio.current_time()
        theatre.supervisor.request_stop()
        for _ in range(2):
            assert (await theatre.supervisor.stop()).is_clean
        if state != "stopping":
            assert anyio.current_time() == now
        assert theatre.supervisor.stop_report.is_clean


# ── whoever waits when it dies ──


class Waiting:
    """A supervisor with a child that is sick, and somebody who waits for the start of one that is slow."""

    def __init__(self, request: str) -> None:
        self.record = Record()
        self.slow, self.sick = Puppet(self.record, "slow"), Puppet(self.record, "sick")
        self.request = request
        is_template = request == "start_from_template"
        self.supervisor = Supervisor("root", template=self._spec_of if is_template else None)
        self.told: list[tuple[str, str]] = []

    def _spec_of(self, puppet: Puppet) -> ChildSpec:
        return puppet.spec(intensity=NEVER)

    async def start(self, puppet: Puppet) -> object:
        if self.request == "start_from_template":
            return await self.supervisor.start_from_template(puppet)
        return await self.supervisor.start_child(self._spec_of(puppet))

    async def prepare(self) -> Gate:
        await self.start(self.sick)
        if self.request == "restart_child":
            await self.start(self.slow)
            await self.supervisor.terminate_child("slow")
        gate = self.slow.gate = Gate()
        return gate

    def start_slow(self) -> Awaitable[object]:
        return self.supervisor.restart_child("slow") if self.request == "restart_child" else self.start(self.slow)

    async def ask(self) -> None:
        with pytest.raises(SupervisorNotRunning) as caught:
            await self.start_slow()
        self.told.append((caught.value.supervisor, caught.value.state))


@pytest.mark.parametrize("request_", ["start_child", "restart_child", "start_from_template"])
@pytest.mark.parametrize("end", ["stop", "failure"])
async def test_O24_whoever_waits_for_a_start_when_the_supervisor_dies_is_told(request_: str, end: str) -> None:
    waiting = Waiting(request_)
    async with anyio.create_task_group() as group:
        with contextlib.suppress(RestartIntensityExceeded):
            async with waiting.supervisor.running() as supervisor:
                gate = await waiting.prepare()
                group.start_soon(waiting.ask)
                await settle()
                assert (gate.arrivals, waiting.told) == (1, [])
                if end == "stop":
                    supervisor.request_stop()
                else:
                    waiting.sick.crash()
    assert waiting.told == [("root", "stopping")]
    assert waiting.supervisor.state == "stopped"
