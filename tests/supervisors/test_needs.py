"""Children that need a sibling: who fails while that one is down has not failed by itself."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.supervisors.scripted import AT_ONCE, Puppet, Record, settle
from tocsin_supervisors import (
    Backoff,
    ChildHeld,
    ChildSpec,
    RestartIntensity,
    RestartScheduled,
    Strategy,
    Supervisor,
    SuspendChild,
)

SLOW = Backoff(initial=5.0, maximum=5.0, jitter=0.0)
ONE = RestartIntensity(1, 60.0)


class Shop:
    """A database, and an API that needs it; the database takes 5 s to be restarted."""

    def __init__(self, *, api: dict[str, Any] | None = None, **options: Any) -> None:
        self.record = Record()
        self.database, self.api = Puppet(self.record, "database"), Puppet(self.record, "api")
        specs = [self.database.spec(backoff=SLOW), self.api.spec(needs=["database"], **(api or {}))]
        self.supervisor = Supervisor("shop", specs, observer=self.record.observe, **options)

    async def break_down(self) -> None:
        """The database fails, and the API over it."""
        self.database.crash()
        await settle()
        self.api.crash(ValueError("no database"))
        await settle()

    def states(self) -> list[str]:
        return [child.state for child in self.supervisor.which_children()]


async def test_a_child_that_fails_while_what_it_needs_is_down_is_held_until_that_has_been_up_for_a_second() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        await shop.break_down()
        assert shop.states() == ["waiting", "suspended"]
        await settle(5.5)  # the database is up again
        assert shop.states() == ["running", "suspended"]
        await settle(2.0)
        assert shop.states() == ["running", "running"]
        assert shop.api.incarnation == 2
        assert [child.restarts for child in shop.supervisor.which_children()] == [1, 1]


async def test_such_a_failure_is_charged_to_nobody() -> None:
    shop = Shop(api={"intensity": RestartIntensity.never()}, intensity=ONE)
    async with shop.supervisor.running():
        await shop.break_down()
        await settle(10.0)
        assert shop.states() == ["running", "running"]


async def test_the_report_names_whom_it_waits_for_and_why() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        await shop.break_down()
        held = shop.record.only(ChildHeld)
        assert (held.child, held.canary, held.cause) == ("api", "database", "needs database")


async def test_a_failure_while_what_it_needs_is_up_is_its_own() -> None:
    shop = Shop(api={"backoff": AT_ONCE})
    async with shop.supervisor.running():
        shop.api.crash()
        await settle()
        assert shop.api.incarnation == 2
        assert shop.record.only(RestartScheduled).child == "api"


async def test_one_that_is_down_for_good_is_not_waited_for() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        await shop.supervisor.terminate_child("database")
        shop.api.crash()
        await settle()
        assert shop.states() == ["stopped", "running"]
        assert shop.api.incarnation == 2


async def test_when_what_it_needs_is_given_up_meanwhile_it_tries_on_its_own_account() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        await shop.break_down()
        await shop.supervisor.terminate_child("database")
        await settle()
        assert shop.states() == ["stopped", "running"]


async def test_it_is_held_again_when_what_it_needs_fails_again_before_a_second_has_passed() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        await shop.break_down()
        await settle(5.2)
        shop.database.crash()
        await settle(3.0)
        assert shop.states() == ["waiting", "suspended"]
        await settle(10.0)
        assert shop.states() == ["running", "running"]


async def test_two_that_need_each_other_do_not_wait_for_each_other() -> None:
    record = Record()
    left, right = Puppet(record, "left"), Puppet(record, "right")
    specs = [left.spec(needs=("right",), backoff=SLOW), right.spec(needs=("left",), backoff=SLOW)]
    async with Supervisor("pair", specs).running() as pair:
        for _ in range(2):
            left.crash()
            right.crash(ValueError())
            await settle(10.0)
            assert [child.state for child in pair.which_children()] == ["running", "running"]


async def test_a_suspension_while_what_it_needs_is_down_is_held_as_well() -> None:
    shop = Shop()
    async with shop.supervisor.running():
        shop.database.crash()
        await settle()
        shop.api.crash(SuspendChild("no database"))
        await settle(8.0)
        assert shop.states() == ["running", "running"]
        assert shop.api.incarnation == 2


async def test_under_a_strategy_that_restarts_together_needs_change_nothing() -> None:
    shop = Shop(strategy=Strategy.REST_FOR_ONE)
    async with shop.supervisor.running():
        shop.database.crash()
        await settle(6.0)
        assert (shop.database.incarnation, shop.api.incarnation) == (2, 2)
        assert "ChildHeld" not in shop.record.told()


def test_a_text_is_no_list_of_ids() -> None:
    with pytest.raises(TypeError, match=r"needs='database' must be a tuple of ids, not a text: write \('database',\)"):
        ChildSpec("api", anyio.sleep_forever, needs="database")


def test_only_ids_can_be_needed() -> None:
    wrong: Any = [1]
    with pytest.raises(TypeError, match=r"needs=\(1,\) must be a tuple of ids"):
        ChildSpec("api", anyio.sleep_forever, needs=wrong)


def test_nobody_needs_itself() -> None:
    with pytest.raises(ValueError, match="names the child itself"):
        ChildSpec("api", anyio.sleep_forever, needs=("api",))
