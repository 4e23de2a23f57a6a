"""Partitions: children made alike, one of them for each key, as many as are wanted at the moment."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Gate, Puppet, Record, settle
from tocsin_supervisors import (
    ChildSpec,
    ChildStartError,
    Partitions,
    RestartIntensity,
    Strategy,
    Supervisor,
    SupervisorNotRunning,
)


class Company:
    """Partitions of puppets called p0, p1, …, all recorded."""

    def __init__(self, count: int, *, cleanup: float = 0.0, **options: Any) -> None:
        self.record = Record()
        self.puppets = [Puppet(self.record, f"p{number}", cleanup=cleanup) for number in range(count)]
        self.partitions = Partitions(
            "pool", lambda number: self.puppets[number].spec(), count, observer=self.record.observe, **options
        )
        self.supervisor = self.partitions.supervisor

    def up(self) -> list[str]:
        """Give the ids of those that are up."""
        return [each.id for each in self.supervisor.which_children() if each.state == "running"]

    def keyed(self) -> list[str]:
        """Give the ids of those that have keys."""
        return sorted({self.partitions.child_of(key) for key in range(100)})


# ── the children ──


async def test_E14_a_key_meets_the_same_partition_over_its_restarts() -> None:
    company = Company(3)
    async with company.supervisor.running():
        number = company.partitions.partition_of("customer 7")
        company.puppets[number].crash()
        await settle()
        assert company.partitions.partition_of("customer 7") == number
        assert company.supervisor.which_child(company.partitions.child_of("customer 7")).incarnation == 2


async def test_E14_partitions_are_ordinary_children_in_order() -> None:
    company = Company(3)
    async with company.supervisor.running():
        assert company.partitions.size == 3
        assert company.record.lines == ["p0 up", "p1 up", "p2 up"]
        company.record.lines.clear()
    assert company.record.lines == ["p2 down", "p1 down", "p0 down"]


@pytest.mark.parametrize(
    ("strategy", "incarnations"),
    [(None, [1, 2, 1]), (Strategy.REST_FOR_ONE, [1, 2, 2]), (Strategy.ONE_FOR_ALL, [2, 2, 2])],
)
async def test_E14_one_that_crashes_is_restarted_alone_unless_said_otherwise(
    strategy: Strategy | None, incarnations: list[int]
) -> None:
    options: dict[str, Any] = {} if strategy is None else {"strategy": strategy}
    company = Company(3, **options)
    async with company.supervisor.running():
        company.puppets[1].crash()
        await settle()
        assert [each.incarnation for each in company.supervisor.which_children()] == incarnations


# ── other sizes ──


async def test_E14_going_down_stops_from_the_last_and_leaves_the_others_alone() -> None:
    company = Company(4)
    async with company.supervisor.running():
        company.record.lines.clear()
        await company.partitions.resize(2)
        assert company.record.lines == ["p3 down", "p2 down"]
        assert company.partitions.size == 2
        assert company.up() == company.keyed() == ["p0", "p1"]
        assert [each.incarnation for each in company.supervisor.which_children()] == [1, 1]


async def test_E14_growing_back_starts_in_order_and_spreads_the_keys_again() -> None:
    company = Company(4)
    async with company.supervisor.running():
        await company.partitions.resize(1)
        company.record.lines.clear()
        await company.partitions.resize(3)
        assert company.record.lines == ["p1 up", "p2 up"]
        assert company.up() == company.keyed() == ["p0", "p1", "p2"]
        company.record.lines.clear()
    assert company.record.lines == ["p2 down", "p1 down", "p0 down"]


async def test_E14_with_no_partition_a_lookup_says_so_and_after_growing_back_it_works() -> None:
    company = Company(2)
    async with company.supervisor.running() as supervisor:
        await company.partitions.resize(0)
        assert (company.partitions.size, company.up(), supervisor.state) == (0, [], "running")
        assert supervisor.which_children() == ()
        for look in (company.partitions.partition_of, company.partitions.child_of):
            with pytest.raises(LookupError, match=r"'pool' has no partition for key 'x': it was resized to 0; .* to 2"):
                look("x")
        await company.partitions.resize(2)
        assert company.up() == company.keyed() == ["p0", "p1"]


@pytest.mark.parametrize(("count", "error"), [(4, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
async def test_E14_any_other_size_is_refused_and_changes_nothing(count: Any, error: type[Exception]) -> None:
    company = Company(3)
    async with company.supervisor.running():
        await company.partitions.resize(2)
        with pytest.raises(error, match=f"^count={count} must"):
            await company.partitions.resize(count)
        assert (company.partitions.size, company.up()) == (2, ["p0", "p1"])


async def test_E14_the_size_it_has_already_restarts_nobody_and_can_be_cancelled() -> None:
    company = Company(2)
    async with company.supervisor.running():
        await company.partitions.resize(2)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await company.partitions.resize(0)
        assert scope.cancelled_caught
        assert (company.partitions.size, company.record.lines) == (2, ["p0 up", "p1 up"])


# ── meanwhile ──


async def test_E14_going_down_keys_go_at_once_to_those_that_stay() -> None:
    company = Company(3, cleanup=2.0)
    async with company.supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(company.partitions.resize, 1)
        await settle()
        assert company.supervisor.which_child("p2").state == "stopping"
        assert (company.partitions.size, company.keyed()) == (1, ["p0"])


async def test_E14_going_up_keys_go_to_the_new_ones_once_all_are_up() -> None:
    company = Company(3)
    async with company.supervisor.running(), anyio.create_task_group() as group:
        await company.partitions.resize(1)
        company.puppets[2].gate = gate = Gate()
        group.start_soon(company.partitions.resize, 3)
        await settle()
        assert company.up() == ["p0", "p1"]
        assert (company.partitions.size, company.keyed()) == (1, ["p0"])
        gate.open()
        await settle()
        assert company.up() == company.keyed() == ["p0", "p1", "p2"]


async def test_E14_one_resize_at_a_time() -> None:
    company = Company(3, cleanup=1.0)
    async with company.supervisor.running():
        async with anyio.create_task_group() as group:
            group.start_soon(company.partitions.resize, 1)
            await settle()
            with pytest.raises(RuntimeError, match="'pool' is being resized already"):
                await company.partitions.resize(3)
        assert (company.partitions.size, company.up()) == (1, ["p0"])
        await company.partitions.resize(3)
        assert company.up() == ["p0", "p1", "p2"]


@pytest.mark.parametrize("then", [0, 1, 2, 4])
async def test_E14_what_a_cancelled_way_down_leaves_is_put_right_by_the_next_resize(then: int) -> None:
    company = Company(4, cleanup=2.0)
    async with company.supervisor.running():
        with anyio.move_on_after(3.0) as scope:
            await company.partitions.resize(1)
        assert scope.cancelled_caught
        assert (company.partitions.size, company.keyed()) == (1, ["p0"])
        assert company.up() == ["p0", "p1"]  # p3 is down, and p2, being stopped already, will be
        await company.partitions.resize(then)
        assert company.partitions.size == then
        assert company.up() == [f"p{number}" for number in range(then)]
        assert [each.id for each in company.supervisor.which_children()] == company.up()


@pytest.mark.parametrize("then", [0, 1, 2, 3])
async def test_E14_what_a_cancelled_way_up_leaves_is_put_right_by_the_next_resize(then: int) -> None:
    company = Company(3)
    async with company.supervisor.running():
        await company.partitions.resize(1)
        company.puppets[2].gate = Gate()
        with anyio.move_on_after(1.0) as scope:
            await company.partitions.resize(3)
        assert scope.cancelled_caught
        assert (company.partitions.size, company.up()) == (1, ["p0", "p1"])
        company.puppets[2].gate = None
        await company.partitions.resize(then)
        assert company.partitions.size == then
        assert company.up() == [f"p{number}" for number in range(then)]
        assert company.puppets[0].incarnation == 1


async def test_E14_a_start_that_fails_leaves_the_size_as_it_was() -> None:
    company = Company(3)
    async with company.supervisor.running():
        await company.partitions.resize(1)
        company.puppets[2].refuses = True
        with pytest.raises(ChildStartError, match="p2 refuses"):
            await company.partitions.resize(3)
        assert (company.partitions.size, company.keyed()) == (1, ["p0"])
        company.puppets[2].refuses = False
        await company.partitions.resize(3)
        assert company.up() == company.keyed() == ["p0", "p1", "p2"]


# ── over runs, and with a group ──


async def test_E14_a_supervisor_that_does_not_run_begins_its_next_run_with_the_new_size() -> None:
    company = Company(4)
    await company.partitions.resize(1)
    async with company.supervisor.running():
        assert company.up() == company.keyed() == ["p0"]
    await company.partitions.resize(3)
    assert company.partitions.size == 3
    async with company.supervisor.running():
        assert company.up() == company.keyed() == ["p0", "p1", "p2"]


async def test_E14_partitions_below_a_supervisor_keep_their_size_when_that_restarts_them() -> None:
    company = Company(3, intensity=RestartIntensity.never())
    async with Supervisor("root", [ChildSpec("pool", company.supervisor, backoff=AT_ONCE)]).running() as root:
        await company.partitions.resize(1)
        await company.partitions.resize(2)
        company.puppets[0].crash()
        await settle()
        assert root.which_child("pool").incarnation == 2
        assert company.partitions.size == 2
        assert company.up() == company.keyed() == ["p0", "p1"]


async def test_E14_a_group_restart_does_not_bring_back_who_was_resized_away() -> None:
    company = Company(3, strategy=Strategy.ONE_FOR_ALL)
    async with company.supervisor.running():
        await company.partitions.resize(2)
        company.puppets[0].crash()
        await settle()
        assert company.up() == ["p0", "p1"]


async def test_E14_a_group_restart_in_the_middle_of_going_down_does_not_either() -> None:
    company = Company(2, strategy=Strategy.ONE_FOR_ALL, cleanup=1.0)
    async with company.supervisor.running(), anyio.create_task_group() as group:
        group.start_soon(company.partitions.resize, 1)
        await settle(0.5)
        company.puppets[0].crash()  # takes the other one along, which is being stopped
        await settle(10.0)
        assert company.up() == company.keyed() == ["p0"]
        assert [each.id for each in company.supervisor.which_children()] == ["p0"]
        assert company.puppets[0].incarnation == 2


@pytest.mark.parametrize("count", [1, 3])
async def test_E14_a_supervisor_that_stops_is_not_resized(count: int) -> None:
    company = Company(3, cleanup=1.0)
    async with company.supervisor.running() as supervisor:
        await company.partitions.resize(2)
        supervisor.request_stop()
        await settle()
        with pytest.raises(SupervisorNotRunning):
            await company.partitions.resize(count)
    await company.partitions.resize(3)
    async with company.supervisor.running():
        assert company.up() == company.keyed() == ["p0", "p1", "p2"]


async def test_E14_partitions_tell_what_they_are() -> None:
    company = Company(3)
    assert repr(company.partitions) == "<Partitions pool: 3 of 3, stopped>"
    async with company.supervisor.running():
        await company.partitions.resize(1)
        assert repr(company.partitions) == "<Partitions pool: 1 of 3, running>"
