"""O95 to O97: thousands of children, whose cost must grow with their number and not with its square.

Costs are seconds of this process, so that a machine that has other things to do fails nothing. Only ratios are held
against a limit: one far above what growth in proportion gives, and far below what a square gives.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.scenarios.cast_endings import Mortal, dynamic, obeys
from tests.supervisors.scripted import Record, settle
from tocsin_supervisors import (
    AutoShutdown,
    ChildCounts,
    ChildRef,
    ChildSpec,
    RestartPolicy,
    Supervisor,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FEW = 1_000
TEMPORARY: dict[str, Any] = {"restart": RestartPolicy.TEMPORARY}


def spent() -> float:
    """Give the seconds that this process has worked."""
    return time.process_time()


# ── counting ──


def mixed(mortals: list[Mortal], supervisors: list[Supervisor]) -> Callable[[str], ChildSpec]:
    """Make a template of actors and supervisors, which are noted."""

    def template(kind: str) -> ChildSpec:
        if kind == "supervisor":
            supervisors.append(Supervisor(kind))
            return ChildSpec(kind, supervisors[-1], **TEMPORARY)
        mortals.append(Mortal(Record(), kind))
        return ChildSpec(kind, mortals[-1], **TEMPORARY)

    return template


async def test_O95_two_thousand_children_of_a_template_are_counted_exactly() -> None:
    mortals: list[Mortal] = []
    supervisors: list[Supervisor] = []
    async with Supervisor(template=mixed(mortals, supervisors)).running() as root:
        for count in (500, 1000):
            for _ in range(500):
                await root.start_from_template("actor")
                await root.start_from_template("supervisor")
            assert root.count_children() == ChildCounts(1, 2 * count, count, count)
            assert root.which_children() == root.which_children()
            assert [each.state for each in root.which_children()] == ["running"] * (2 * count)
        for mortal in mortals:
            mortal.strike()
        for supervisor in supervisors:
            supervisor.request_stop()
        await settle()
        assert root.count_children() == ChildCounts(1, 0, 0, 0)
        assert root.which_children() == ()


# ── terminating ──


async def cost_of_terminating(count: int) -> float:
    """Give what it takes to terminate *count* temporary children, one after the other."""
    async with Supervisor().running() as supervisor:
        for number in range(count):
            await supervisor.start_child(ChildSpec(str(number), obeys, **TEMPORARY))
        gc.collect()
        began = spent()
        for number in range(count):
            await supervisor.terminate_child(str(number))
        assert supervisor.which_children() == ()
        return spent() - began


async def cost_of_terminating_by_reference(count: int) -> float:
    """Give what it takes to terminate *count* children of a template, the last one first."""
    async with Supervisor(template=dynamic(obeys)).running() as supervisor:
        refs = [await supervisor.start_from_template() for _ in range(count)]
        gc.collect()
        began = spent()
        for ref in reversed(refs):
            assert isinstance(ref, ChildRef)
            await supervisor.terminate_child(ref)
        assert supervisor.which_children() == ()
        return spent() - began


@pytest.mark.soak
@pytest.mark.parametrize("cost_of", [cost_of_terminating, cost_of_terminating_by_reference], ids=["named", "template"])
async def test_O96_terminating_ten_times_as_many_costs_at_most_fifty_times_as_much(
    cost_of: Callable[[int], Awaitable[float]],
) -> None:
    assert await cost_of(10 * FEW) < 50 * await cost_of(FEW)


# ── starting and stopping ──


async def costs_of_a_life(count: int) -> tuple[float, float]:
    """Give what it takes to start a supervisor of *count* named children, and to stop it. OTP's suite takes 100,000,
    with which this works for a minute."""
    specs = [ChildSpec(str(number), obeys) for number in range(count)]
    gc.collect()
    began = spent()
    async with Supervisor(children=specs, shutdown_deadline=math.inf).running() as supervisor:
        up = spent()
        assert supervisor.count_children().active == count
    return up - began, spent() - up


@pytest.mark.soak
async def test_O97_starting_and_stopping_twenty_times_as_many_costs_at_most_a_hundred_times_as_much() -> None:
    many, few = await costs_of_a_life(20 * FEW), await costs_of_a_life(FEW)
    assert many[0] < 100 * few[0]
    assert many[1] < 100 * few[1]


# ── what else may be done with all of them ──


async def cost_of_looking(count: int) -> float:
    """Give what it takes to look at each of *count* children, ten times."""
    async with Supervisor(children=[ChildSpec(str(number), obeys) for number in range(count)]).running() as supervisor:
        gc.collect()
        began = spent()
        for _ in range(10):
            assert all(supervisor.which_child(str(number)).state == "running" for number in range(count))
        return spent() - began


async def cost_of_finishing(count: int) -> float:
    """Give what it takes until the last of *count* significant children has finished."""
    mortals = [Mortal(Record(), str(number)) for number in range(count)]
    specs = [each.spec(restart=RestartPolicy.TRANSIENT, significant=True) for each in mortals]
    async with Supervisor(children=specs, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT).running():
        gc.collect()
        began = spent()
        for mortal in mortals:
            mortal.finish()
        await settle(3600.0)  # cancelled by the end of the supervisor
    return spent() - began


@pytest.mark.parametrize("cost_of", [cost_of_looking, cost_of_finishing])
async def test_what_four_thousand_children_do_costs_at_most_twenty_times_what_five_hundred_do(
    cost_of: Callable[[int], Awaitable[float]],
) -> None:
    assert await cost_of(4000) < 20 * await cost_of(500)
