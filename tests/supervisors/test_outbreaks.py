"""Many children that fail at once of one cause: charged once, held behind a canary."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from tocsin_supervisors import (
    Backoff,
    ChildHeld,
    ChildSpec,
    RestartIntensity,
    RestartIntensityExceeded,
    RestartPolicy,
    RestartScheduled,
    Strategy,
    Supervisor,
    SuspendChild,
)
from tocsin_supervisors._outbreaks import AT_ONCE, MANY, Outbreaks, Role
from tocsin_supervisors._reports import Report

DOWN = "builtins.ConnectionError"


def anybody(child: str) -> bool:
    """Tell that a child still waits."""
    return True


# ── who plays which part ──


def test_fewer_than_many_failures_are_each_ones_own() -> None:
    outbreaks = Outbreaks()
    assert [outbreaks.failed(child, DOWN, 0.0).role for child in "ab"] == [Role.ALONE] * (MANY - 1)


def test_the_third_child_of_one_cause_makes_the_first_the_canary() -> None:
    outbreaks = Outbreaks()
    ruling = [outbreaks.failed(child, DOWN, 0.0) for child in "abc"][-1]
    assert (ruling.role, ruling.canary, ruling.joined) == (Role.HELD, "a", ("b",))


def test_one_child_failing_thrice_is_no_outbreak() -> None:
    outbreaks = Outbreaks()
    assert {outbreaks.failed("a", DOWN, 0.0).role for _ in range(5)} == {Role.ALONE}


def test_different_causes_are_no_common_cause() -> None:
    outbreaks = Outbreaks()
    assert {outbreaks.failed(child, f"Cause{child}", 0.0).role for child in "abcde"} == {Role.ALONE}


def test_failures_that_are_not_at_once_have_no_common_cause() -> None:
    outbreaks = Outbreaks()
    rulings = [outbreaks.failed(child, DOWN, number * AT_ONCE / 2) for number, child in enumerate("abcdef")]
    assert {ruling.role for ruling in rulings} == {Role.ALONE}


def test_who_fails_later_of_the_same_cause_is_held_too() -> None:
    outbreaks = Outbreaks()
    for child in "abc":
        outbreaks.failed(child, DOWN, 0.0)
    assert outbreaks.failed("d", DOWN, 100.0).role is Role.HELD
    assert outbreaks.failed("a", DOWN, 100.0).role is Role.CANARY


def test_the_first_child_may_be_recognised_as_the_canary_by_its_own_second_failure() -> None:
    outbreaks = Outbreaks()
    for child in "ab":
        outbreaks.failed(child, DOWN, 0.0)
    outbreaks.failed("c", "builtins.OSError", 0.0)
    outbreaks.failed("a", DOWN, 0.1)
    assert outbreaks.failed("c", DOWN, 0.2).canary == "a"


def test_a_canary_that_is_lost_is_replaced_by_the_longest_held() -> None:
    outbreaks = Outbreaks()
    for child in "abcd":
        outbreaks.failed(child, DOWN, 0.0)
    assert outbreaks.lost("a", anybody) == ["b"]
    assert outbreaks.proved("b") == ["c", "d"]


def test_an_outbreak_whose_last_child_is_lost_is_over() -> None:
    outbreaks = Outbreaks()
    for child in "abc":
        outbreaks.failed(child, DOWN, 0.0)
    outbreaks.let_go("b")
    outbreaks.let_go("c")
    assert outbreaks.lost("a", anybody) == []
    assert outbreaks.canaries() == []


def test_losing_the_canary_of_one_outbreak_leaves_others_alone() -> None:
    outbreaks = Outbreaks()
    for child in "abc":
        outbreaks.failed(child, DOWN, 0.0)
    for child in "xyz":
        outbreaks.failed(child, "builtins.OSError", 0.0)
    assert outbreaks.lost("x", anybody) == ["y"]
    assert outbreaks.canaries() == ["a", "y"]


# ── in a supervisor ──


class Dependency:
    """What all children of a test need: it is down until the test says otherwise."""

    def __init__(self) -> None:
        self.is_up = False
        self.tries = 0

    async def child(self) -> None:
        await anyio.sleep(0.01)
        self.tries += 1
        if not self.is_up:
            raise SuspendChild("cannot work", cause=DOWN)
        await anyio.sleep_forever()


def many(dependency: Dependency, count: int, **options: object) -> list[ChildSpec]:
    return [ChildSpec(f"c{number}", dependency.child, **options) for number in range(count)]  # type: ignore[arg-type]


async def test_an_outage_under_many_children_is_probed_by_one_and_charged_once() -> None:
    dependency, reports = Dependency(), list[Report]()
    supervisor = Supervisor(
        "root", many(dependency, 100), intensity=RestartIntensity(10, 60.0), observer=reports.append, random=Random(1)
    )
    async with supervisor.running():
        await anyio.sleep(300)
        held = sum(isinstance(report, ChildHeld) for report in reports)
        assert held == 99
        assert dependency.tries < 100 + 30


async def test_when_the_canary_has_proved_itself_the_others_are_started_spread_over_a_second() -> None:
    dependency, reports = Dependency(), list[Report]()
    supervisor = Supervisor("root", many(dependency, 50), observer=reports.append, random=Random(1))
    async with supervisor.running():
        await anyio.sleep(5)
        dependency.is_up = True
        reports.clear()
        await anyio.sleep(40)
        assert supervisor.count_children().active == 50
        delays = [report.delay for report in reports if isinstance(report, RestartScheduled)]
        assert len(delays) == 49
        assert max(delays) <= 1.0
        assert max(delays) - min(delays) > 0.5


async def test_a_canary_that_is_terminated_leaves_its_part_to_another() -> None:
    dependency = Dependency()
    supervisor = Supervisor("root", many(dependency, 5), random=Random(1))
    async with supervisor.running():
        await anyio.sleep(0.5)
        await supervisor.terminate_child("c0")
        dependency.is_up = True
        await anyio.sleep(10)
        assert supervisor.count_children().active == 4


async def test_a_held_child_can_be_terminated_and_stays_down() -> None:
    dependency = Dependency()
    supervisor = Supervisor("root", many(dependency, 5), random=Random(1))
    async with supervisor.running():
        await anyio.sleep(0.5)
        await supervisor.terminate_child("c3")
        dependency.is_up = True
        await anyio.sleep(10)
        assert {child.id for child in supervisor.which_children() if child.state == "stopped"} == {"c3"}


async def test_a_stop_during_an_outbreak_starts_nobody() -> None:
    dependency = Dependency()
    supervisor = Supervisor("root", many(dependency, 5), random=Random(1))
    async with supervisor.running():
        await anyio.sleep(0.5)
        tries = dependency.tries
        await supervisor.stop()
        await anyio.sleep(100)
        assert dependency.tries == tries


async def test_crashes_of_one_type_are_a_common_cause_too() -> None:
    tries = 0

    async def crashing() -> None:
        nonlocal tries
        tries += 1
        await anyio.sleep(0.01)
        raise OSError("no route")

    specs = [
        ChildSpec(f"c{number}", crashing, backoff=Backoff(10.0, 10.0), intensity=RestartIntensity(5, 1.0))
        for number in range(40)
    ]
    async with Supervisor("root", specs, random=Random(1)).running():
        await anyio.sleep(65)
        assert tries <= 40 + 9


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_where_children_are_restarted_together_nobody_is_held(strategy: Strategy) -> None:
    dependency, reports = Dependency(), list[Report]()
    specs = many(dependency, 4, intensity=RestartIntensity(2, 1000.0))
    supervisor = Supervisor("root", specs, strategy=strategy, observer=reports.append, random=Random(1))
    with pytest.raises(RestartIntensityExceeded):
        async with supervisor.running():
            await anyio.sleep(1000)
    assert not any(isinstance(report, ChildHeld) for report in reports)


async def test_children_that_were_restarted_before_the_cause_was_seen_to_be_common_are_not_held() -> None:
    reports = list[Report]()
    gates = {name: anyio.Event() for name in "abc"}
    failed = set[str]()

    def child(name: str) -> ChildSpec:
        async def body() -> None:
            if name in failed:
                await anyio.sleep_forever()
            await gates[name].wait()
            failed.add(name)
            raise OSError("once")

        return ChildSpec(name, body, backoff=Backoff(0.1, 0.1, jitter=0.0))

    async with Supervisor("root", map(child, "abc"), observer=reports.append).running() as supervisor:
        for name in "abc":
            gates[name].set()
            await anyio.sleep(0.3)
        held = [report.child for report in reports if isinstance(report, ChildHeld)]
        assert held == ["c"]
        await anyio.sleep(5)
        assert supervisor.count_children().active == 3


async def test_a_temporary_canary_does_not_exist() -> None:
    dependency = Dependency()
    specs = many(dependency, 5, restart=RestartPolicy.TEMPORARY)
    async with Supervisor("root", specs).running() as supervisor:
        await anyio.sleep(1)
        assert supervisor.count_children().specs == 0


@pytest.mark.slow
async def test_suspensions_of_many_causes_do_not_use_up_the_budget_of_the_supervisor() -> None:
    def child(number: int) -> ChildSpec:
        async def body() -> None:
            await anyio.sleep(0.01)
            raise SuspendChild("cannot work", cause=f"Cause{number}")

        return ChildSpec(f"c{number}", body)

    supervisor = Supervisor("root", map(child, range(40)), intensity=RestartIntensity(5, 60.0), random=Random(1))
    async with supervisor.running():
        await anyio.sleep(600)
        assert supervisor.state == "running"
