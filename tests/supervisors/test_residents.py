"""Children without a task of their own: they begin in one step, and say themselves when a life has ended."""

from __future__ import annotations

from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from tests.supervisors.scripted import AT_ONCE, Crash, Record
from tocsin_supervisors import (
    ChildSpec,
    ChildStartError,
    RestartPolicy,
    StopTimedOut,
    Supervisor,
)
from tocsin_supervisors._children import Resident
from tocsin_supervisors._residences import Residence

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Tenant(Resident):
    """A resident that does as it is told."""

    def __init__(self, record: Record, id: str = "tenant", *, obeys: bool = True) -> None:
        self.record = record
        self.id = id
        self.obeys = obeys
        self.refuses = False
        self.residence: Residence | None = None

    def begin(self, residence: Residence) -> None:
        if self.refuses:
            raise Crash("refuses")
        self.residence = residence
        self.record.note(f"{self.id} begins {residence.context.incarnation}")
        residence.context.started(self)

    def asked_to_stop(self) -> None:
        self.record.note(f"{self.id} is asked to stop")
        if self.obeys:
            self.end(None)

    def cancel(self) -> None:
        self.record.note(f"{self.id} is cancelled")

    def awaitable(self) -> object:
        return None

    def end(self, error: BaseException | None) -> None:
        assert self.residence is not None
        self.residence.ended(error)

    def spec(self, restart: RestartPolicy = RestartPolicy.PERMANENT, *, grace_period: float = 5.0) -> ChildSpec:
        return ChildSpec(self.id, self, restart=restart, backoff=AT_ONCE, grace_period=grace_period)


def supervisor_of(record: Record, *tenants: Tenant) -> Supervisor:
    return Supervisor("root", [tenant.spec() for tenant in tenants], observer=record.observe)


async def test_residents_begin_in_order_and_stop_in_reverse() -> None:
    record = Record()
    async with supervisor_of(record, Tenant(record, "a"), Tenant(record, "b")).running():
        assert record.lines == ["a begins 1", "b begins 1"]
    assert record.lines[2:] == ["b is asked to stop", "a is asked to stop"]


async def test_a_resident_that_says_it_has_failed_begins_again() -> None:
    record = Record()
    tenant = Tenant(record)
    async with supervisor_of(record, tenant).running():
        tenant.end(Crash("once"))
        await anyio.wait_all_tasks_blocked()
        assert record.lines == ["tenant begins 1", "tenant begins 2"]
    assert record.told("tenant")[:3] == ["ChildStarted", "ChildCrashed", "RestartScheduled"]


async def test_a_resident_that_says_it_has_finished_stays_down_if_its_policy_says_so() -> None:
    record = Record()
    tenant = Tenant(record)
    async with Supervisor("root", [tenant.spec(RestartPolicy.TRANSIENT)], observer=record.observe).running():
        tenant.end(None)
        await anyio.wait_all_tasks_blocked()
    assert record.lines == ["tenant begins 1"]


async def test_only_the_first_end_of_a_life_counts() -> None:
    record = Record()
    tenant = Tenant(record)
    async with supervisor_of(record, tenant).running():
        assert tenant.residence is not None
        first = tenant.residence
        tenant.end(Crash("once"))
        first.ended(Crash("again"))
        await anyio.wait_all_tasks_blocked()
        first.ended(Crash("too late"))
        await anyio.wait_all_tasks_blocked()
        assert record.lines == ["tenant begins 1", "tenant begins 2"]


async def test_what_keeps_a_resident_from_beginning_is_its_failed_start() -> None:
    record = Record()
    tenant = Tenant(record)
    tenant.refuses = True
    with pytest.raises(ChildStartError, match="refuses"):
        async with supervisor_of(record, tenant).running():
            pytest.fail("it was entered")


async def test_one_that_does_not_end_when_asked_is_cancelled_and_then_reported() -> None:
    record = Record()
    tenant = Tenant(record, obeys=False)
    supervisor = Supervisor("root", [tenant.spec(grace_period=2.0)], observer=record.observe)
    async with supervisor.running():
        await supervisor.stop()
        assert record.lines == ["tenant begins 1", "tenant is asked to stop", "tenant is cancelled"]
        assert record.only(StopTimedOut).line == "nowhere to be seen"
        tenant.end(None)


async def test_what_a_resident_is_asked_after_its_end_does_not_reach_it() -> None:
    record = Record()
    tenant = Tenant(record)
    supervisor = Supervisor("root", [tenant.spec(grace_period=0.0)], observer=record.observe)
    async with supervisor.running():
        pass
    assert record.lines == ["tenant begins 1", "tenant is asked to stop"]


async def test_one_that_ends_when_asked_is_not_cancelled_though_the_time_of_all_is_over() -> None:
    record = Record()
    stuck = Tenant(record, "stuck", obeys=False)
    specs = [Tenant(record, "obedient").spec(), stuck.spec()]
    supervisor = Supervisor("root", specs, shutdown_deadline=1.0)
    async with supervisor.running():
        await supervisor.stop()
        assert record.lines[2:] == ["stuck is asked to stop", "stuck is cancelled", "obedient is asked to stop"]
        stuck.end(None)


async def test_a_thousand_starts_let_others_have_their_turn() -> None:
    record = Record()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        async with supervisor_of(record, *(Tenant(record, f"tenant {number}") for number in range(1000))).running():
            group.cancel_scope.cancel()
    assert turns >= 10


async def test_code_of_a_resident_runs_in_a_copy_of_the_context_of_its_supervisor() -> None:
    record = Record()
    tenant = Tenant(record)
    variable.set("of the supervisor")
    async with supervisor_of(record, tenant).running():
        variable.set("of the body")
        assert tenant.residence is not None
        context = tenant.residence.variables()
        assert context.run(variable.get) == "of the supervisor"
        context.run(variable.set, "of the resident")
        assert tenant.residence.variables().run(variable.get) == "of the supervisor"


async def test_code_of_a_resident_that_asks_for_the_stop_does_not_wait_for_itself() -> None:
    record = Record()
    tenant = Tenant(record, obeys=False)
    supervisor = supervisor_of(record, tenant)
    asked = anyio.Event()

    async def ask() -> None:
        await supervisor.stop()
        asked.set()

    async with supervisor.running():
        assert tenant.residence is not None
        async with anyio.create_task_group() as group:
            tenant.residence.variables().run(group.start_soon, ask)
            with anyio.fail_after(1):
                await asked.wait()
        tenant.end(None)


async def test_a_resident_of_a_stopped_supervisor_may_live_again_in_its_next_run() -> None:
    record = Record()
    supervisor = supervisor_of(record, Tenant(record))
    for _ in range(2):
        async with supervisor.running():
            pass
    assert record.lines == [
        "tenant begins 1",
        "tenant is asked to stop",
        "tenant begins 2",
        "tenant is asked to stop",
    ]
