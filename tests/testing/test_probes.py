"""A subscriber that gives out what it gets, one by one."""

from __future__ import annotations

import anyio
import pytest
from attrs import frozen

from tocsin import EventBus
from tocsin.testing import Probe


@frozen
class Paid:
    amount: int


async def test_a_probe_gives_events_in_the_order_in_which_they_came() -> None:
    bus, probe = EventBus("probed"), Probe[Paid]()
    bus.subscribe(probe, Paid, name="probe")
    async with bus.running():
        await bus.publish_many([Paid(1), Paid(2)])
        assert [await probe.next(), await probe.next()] == [Paid(1), Paid(2)]
    assert [delivery.subscription for delivery in probe.deliveries] == ["probe", "probe"]


async def test_a_probe_waits_for_what_is_still_to_come() -> None:
    bus, probe = EventBus("probed"), Probe[Paid]()
    bus.subscribe(probe, Paid)
    async with bus.running(), anyio.create_task_group() as group:

        async def later() -> None:
            await anyio.sleep(3)
            await bus.publish(Paid(3))

        group.start_soon(later)
        assert await probe.next() == Paid(3)


async def test_an_event_that_does_not_come_fails_the_test() -> None:
    probe = Probe[Paid]()
    before = anyio.current_time()
    with pytest.raises(AssertionError, match=r"no event came within 2\.0 s, 0 had come before"):
        await probe.next(timeout=2.0)
    assert anyio.current_time() - before == pytest.approx(2.0)


async def test_an_event_that_should_not_have_come_fails_the_test() -> None:
    bus, probe = EventBus("probed"), Probe[Paid]()
    bus.subscribe(probe, Paid)
    async with bus.running():
        await probe.assert_none()
        await bus.publish(Paid(1))
        with pytest.raises(AssertionError, match=r"1 events came that nobody waited for: \[Paid\(amount=1\)\]"):
            await probe.assert_none(within=1.0)
