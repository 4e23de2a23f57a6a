"""How many children there may be while the supervisor runs, and that each restart is given what the start was."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tests.scenarios.cast_dynamic import Agency, Way, ways
from tests.supervisors.scripted import AT_ONCE, Crash, Gate, Puppet, Record, settle
from tocsin_supervisors import (
    Backoff,
    ChildContext,
    ChildSpec,
    RestartPolicy,
    RestartScheduled,
    Supervisor,
    TooManyChildren,
)

SLOW = Backoff(initial=1.0, maximum=1.0, jitter=0.0)


# ── how many there may be ──


@ways
async def test_E2_where_no_child_is_allowed_none_is_started(way: Way) -> None:
    agency = Agency(way, max_children=0)
    async with agency.supervisor.running() as supervisor:
        with pytest.raises(TooManyChildren, match="max_children=0") as caught:
            await agency.engage("a")
        assert (caught.value.supervisor, caught.value.limit) == ("root", 0)
        assert caught.value.child == ("a" if way == "named" else "a-1")
        assert supervisor.count_children() == agency.counts(children=0, active=0)
    assert agency.record.lines == []
    assert agency.record.told() == ["SupervisorStopping"]


async def test_E2_where_no_child_is_allowed_none_can_be_declared() -> None:
    with pytest.raises(TooManyChildren, match="max_children=0"):
        Supervisor("root", [ChildSpec("a", anyio.sleep_forever)], max_children=0)
    supervisor = Supervisor("root", max_children=0)
    with pytest.raises(TooManyChildren):
        supervisor.declare(ChildSpec("a", anyio.sleep_forever))
    assert supervisor.which_children() == ()


async def _is_full(agency: Agency) -> None:
    with pytest.raises(TooManyChildren, match="max_children=1") as caught:
        await agency.engage("late")
    assert caught.value.limit == 1


@ways
async def test_E5_a_child_in_its_start_counts(way: Way) -> None:
    agency = Agency(way, max_children=1)
    puppet = Puppet(agency.record, "a")
    puppet.gate = gate = Gate()
    async with agency.supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(agency.start, puppet.spec())
        await settle()
        await _is_full(agency)
        gate.open()
    assert agency.record.lines == ["a up", "a down"]


@ways
async def test_E5_a_child_that_waits_for_its_restart_or_is_in_it_counts(way: Way) -> None:
    agency = Agency(way, max_children=1)
    async with agency.supervisor.running():
        puppet, at = await agency.engage("a", backoff=SLOW)
        puppet.gate = gate = Gate()
        puppet.crash()
        await settle(0.5)
        assert agency.info(at).state == "waiting"
        await _is_full(agency)
        await settle(1.0)
        assert (agency.info(at).state, gate.arrivals) == ("starting", 1)
        await _is_full(agency)
        gate.open()
        await settle()
        assert (agency.info(at).state, agency.info(at).incarnation) == ("running", 2)


@ways
async def test_E5_a_child_that_is_being_stopped_counts_until_it_is_down_and_forgotten(way: Way) -> None:
    agency = Agency(way, max_children=1)
    async with agency.supervisor.running() as supervisor, anyio.create_task_group() as group:
        puppet, at = await agency.engage("a", restart=RestartPolicy.TEMPORARY)
        puppet.cleanup = 3.0
        group.start_soon(supervisor.terminate_child, at)
        await settle(2.0)
        assert agency.info(at).state == "stopping"
        await _is_full(agency)
        await settle(2.0)
        await agency.engage("late")


async def test_E5_a_named_child_that_is_down_counts_until_it_is_deleted() -> None:
    agency = Agency("named", max_children=1)
    async with agency.supervisor.running() as supervisor:
        await agency.engage("a")
        await supervisor.terminate_child("a")
        await _is_full(agency)
        await supervisor.delete_child("a")
        await agency.engage("late")


# ── arguments ──


async def test_E6_each_restart_is_given_the_same_arguments_again() -> None:
    record = Record()
    asked: list[str] = []

    async def greet(name: str, context: ChildContext, *, greeting: str) -> None:
        record.note(f"{greeting} {name}, life {context.incarnation}")
        context.started()
        await anyio.sleep({"Ada": 2.0, "Bob": 3.0}[name])
        raise Crash

    def greeter(name: str, *, greeting: str) -> ChildSpec:
        asked.append(name)
        return ChildSpec("greeter", partial(greet, name, greeting=greeting), backoff=AT_ONCE)

    async with Supervisor("root", template=greeter, observer=record.observe).running() as supervisor:
        await supervisor.start_from_template("Ada", greeting="hello")
        await supervisor.start_from_template("Bob", greeting="hi")
        await settle(4.5)
        assert record.lines == [
            "hello Ada, life 1",
            "hi Bob, life 1",
            "hello Ada, life 2",
            "hi Bob, life 2",
            "hello Ada, life 3",
        ]
    assert asked == ["Ada", "Bob"]  # the template is asked once for each child, never for a restart
    assert [each.child for each in record.reports if isinstance(each, RestartScheduled)] == [
        "greeter-1",
        "greeter-2",
        "greeter-1",
    ]
