"""`EventBus(measure_times=True)`: how long handling takes, in the statistics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.runtime.helpers import Note
from tocsin import Delivery, EventBus, RetryPolicy

MakeBus = Callable[..., EventBus]


async def test_half_of_the_attempts_take_p50_and_nearly_all_p99(make_bus: MakeBus) -> None:
    bus = make_bus(measure_times=True)

    @bus.subscriber(int, name="sleep")
    async def sleep(milliseconds: int) -> None:
        await anyio.sleep(milliseconds / 1000)

    async with bus.running():
        for _ in range(90):
            await (await bus.publish(10)).settled()
        seen = sleep_statistics(bus)
        for _ in range(10):
            await (await bus.publish(1000)).settled()
        last = sleep_statistics(bus)
    assert seen == (pytest.approx(0.01, rel=0.25), pytest.approx(0.01, rel=0.25), 90, pytest.approx(0.9))
    assert last == (pytest.approx(0.01, rel=0.25), pytest.approx(1.0, rel=0.25), 100, pytest.approx(10.9))
    assert sleep_statistics(bus) == last  # after the end


def sleep_statistics(bus: EventBus) -> tuple[Any, ...]:
    its = bus.statistics().subscriptions["sleep"]
    return its.p50, its.p99, its.measured, its.handling_time


async def test_after_a_minute_without_an_attempt_there_are_no_percentiles_but_the_sums(make_bus: MakeBus) -> None:
    bus = make_bus(measure_times=True)

    @bus.subscriber(int, name="sleep")
    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)

    async with bus.running():
        await (await bus.publish(2)).settled()
        await anyio.sleep(61)
        assert sleep_statistics(bus) == (None, None, 1, pytest.approx(2.0))


async def test_nothing_is_measured_unless_it_is_asked_for(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="sleep")
    async def sleep(seconds: int) -> None: ...

    async with bus.running():
        await (await bus.publish(2)).settled()
        assert sleep_statistics(bus) == (None, None, 0, 0.0)


async def test_an_attempt_whose_time_is_over_took_its_time(make_bus: MakeBus) -> None:
    bus = make_bus(measure_times=True)

    @bus.subscriber(int, name="sleep", timeout=5, retry=RetryPolicy(max_attempts=1))
    async def sleep(event: int) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        await (await bus.publish(2)).settled()
        p50, *_ = sleep_statistics(bus)
        assert p50 == pytest.approx(5.0, rel=0.25)


async def test_plain_deliveries_and_those_in_full_are_measured_in_every_life(make_bus: MakeBus) -> None:
    bus = make_bus(measure_times=True)

    @bus.subscriber(Note)
    async def plain(event: Note) -> None: ...

    @bus.subscriber(Note, concurrency=2)
    async def full(event: Note, delivery: Delivery[Note]) -> None: ...

    @bus.subscriber(Note, context="delivery")
    async def of_publisher(event: Note) -> None: ...

    async with bus.running():
        for _ in range(3):
            await (await bus.publish(Note("x"))).settled()
        measured = [each.measured for each in bus.statistics().subscriptions.values()]
    assert measured == [3, 3, 3]


async def test_an_event_of_a_measured_bus_still_goes_the_fast_way(make_bus: MakeBus) -> None:
    bus = make_bus(measure_times=True)

    @bus.subscriber(Note)
    async def plain(event: Note) -> None: ...

    async with bus.running():
        await bus.publish(Note("x"))
        assert bus.offer(deque([Note("y")]), 1)
        await bus.drain()
        (its,) = bus.statistics().subscriptions.values()
    assert its.measured == 2
