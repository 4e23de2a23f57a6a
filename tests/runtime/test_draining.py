"""Draining: nothing new is taken, what was accepted is brought to its end."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tocsin import (
    Backoff,
    BusClosed,
    EventBus,
    Handled,
    Receipt,
    Rejected,
    RejectReason,
    RestartIntensity,
    RetryPolicy,
)

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


async def slow(event: object) -> None:
    await anyio.sleep(1)


async def test_draining_waits_for_everything_that_was_accepted(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        before = anyio.current_time()
        await bus.publish_many(range(10))
        assert await bus.drain() is True
        assert anyio.current_time() - before == pytest.approx(10, abs=0.1)
        assert bus.ledger().handled == 10
        assert bus.ledger().live == 0
        assert bus.statistics().phase == "draining"


async def test_an_idle_bus_is_drained_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        assert await bus.drain(timeout=0) is True
        assert await bus.drain(timeout=math.inf) is True


async def test_a_drain_that_takes_too_long_says_so_and_goes_on(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(3))
        assert await bus.drain(timeout=1.5) is False
        assert bus.ledger().handled == 1
        assert await bus.drain(timeout=10) is True
    assert bus.ledger().handled == 3


@pytest.mark.parametrize("value", [-1, math.nan, "30", None, True])
async def test_the_limit_of_a_drain_is_seconds(make_bus: MakeBus, value: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match=r"timeout=.*: must be seconds, 0 or more"):
            await bus.drain(timeout=value)
        with pytest.raises(ValueError, match=r"drain_timeout=.*: must be seconds, 0 or more"):
            await bus.stop(drain_timeout=value)
        with pytest.raises(ValueError, match=r"drain_timeout=.*: must be seconds, 0 or more"):
            bus.request_stop(drain_timeout=value)
        assert bus.statistics().phase == "running"


async def test_one_who_waits_a_short_time_does_not_cut_short_the_other(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    results: dict[float, bool] = {}

    async def wait(seconds: float) -> None:
        results[seconds] = await bus.drain(seconds)

    async with bus.running():
        await bus.publish_many(range(5))
        async with anyio.create_task_group() as group:
            for seconds in (20.0, 2.0, 10.0):
                group.start_soon(wait, seconds)
    assert results == {20.0: True, 2.0: False, 10.0: True}


async def test_one_who_waits_a_short_time_does_not_cut_short_the_stop(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(5))
        bus.request_stop(drain_timeout=30)
        await anyio.wait_all_tasks_blocked()
        assert await bus.drain(timeout=1) is False
        report = await bus.wait_stopped()
    assert report.returned == ()
    assert bus.ledger().handled == 5


async def test_strangers_are_refused_while_the_bus_drains(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish(1)
        await bus.drain(timeout=0)
        for use in (bus.publish(2), bus.publish_many([2]), bus.ask(2), bus.replay()):
            with pytest.raises(BusClosed, match="bus 'test' is draining and accepts no new events"):
                await use
        with pytest.raises(BusClosed):
            bus.publish_nowait(2)
        assert bus.ledger().matched == 1


async def test_what_handlers_publish_while_the_bus_drains_is_handled_too(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[object]()

    @bus.subscriber(int)
    async def chain(number: int) -> None:
        await anyio.sleep(1)
        if number:
            await bus.publish(number - 1)
            bus.publish_nowait(str(number))

    @bus.subscriber(str)
    async def note(text: str) -> None:
        seen.append(text)

    async with bus.running():
        await bus.publish(3)
    assert seen == ["3", "2", "1"]
    assert bus.ledger().handled == 7


async def test_what_a_task_of_a_handler_publishes_while_the_bus_drains_is_taken(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[object]()

    @bus.subscriber(int)
    async def spread(number: int) -> None:
        await anyio.sleep(1)
        async with anyio.create_task_group() as group:
            for text in "abc":
                group.start_soon(bus.publish, text)

    @bus.subscriber(str)
    async def note(text: str) -> None:
        seen.append(text)

    async with bus.running():
        await bus.publish(3)
    assert sorted(map(str, seen)) == ["a", "b", "c"]


async def test_handlers_may_ask_while_the_bus_drains(make_bus: MakeBus) -> None:
    bus, answers = make_bus(), list[int]()

    @bus.subscriber(int)
    async def curious(number: int) -> None:
        await anyio.sleep(1)
        answers.append(await bus.ask("abc"))

    @bus.subscriber(str)
    async def length(text: str) -> int:
        return len(text)

    async with bus.running():
        await bus.publish(1)
    assert answers == [3]


async def test_publishers_that_wait_for_room_are_refused_when_the_drain_begins(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int, mailbox=1)
    receipts = [Receipt(), Receipt()]
    refused: list[BusClosed] = []

    async def publish(receipt: Receipt) -> None:
        with pytest.raises(BusClosed) as caught:
            await bus.publish(3, receipt=receipt)
        refused.append(caught.value)

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(2)
        for receipt in receipts:
            group.start_soon(publish, receipt)
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().blocked == 2
        assert await bus.drain()
    assert {error.receipt for error in refused} == set(receipts)
    assert [receipt.outcomes for receipt in receipts] == [{"slow": Rejected(RejectReason.CLOSED)}] * 2
    assert bus.ledger().handled == 2
    assert bus.ledger().rejected == 2


async def test_a_handler_that_waits_for_room_goes_on_waiting_in_a_drain(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    @bus.subscriber(str)
    async def burst(text: str) -> None:
        await bus.publish_many(range(4))

    @bus.subscriber(int, mailbox=1)
    async def note(number: int) -> None:
        await anyio.sleep(1)
        seen.append(number)

    async with bus.running():
        await bus.publish("now")
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().blocked == 1
        assert await bus.drain()
    assert seen == [0, 1, 2, 3]


async def test_retries_are_waited_for(make_bus: MakeBus) -> None:
    bus, attempts = make_bus(), list[int]()

    async def fail_twice(event: int, delivery: Any) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError

    bus.subscribe(fail_twice, int, retry=RetryPolicy(max_attempts=3, backoff=Backoff(initial=5.0, maximum=5.0)))
    async with bus.running():
        await bus.publish(1)
        assert await bus.drain()
    assert attempts == [1, 2, 3]


async def test_what_a_parked_actor_holds_is_not_waited_for(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        raise ConnectionError

    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    bus.subscribe(slow, str)
    async with bus.running():
        await bus.publish_many([1, 2, 3])
        await anyio.sleep(1)
        await bus.publish("a")
        before = anyio.current_time()
        assert await bus.drain()
        assert anyio.current_time() - before == pytest.approx(1, abs=0.1)
        assert bus.ledger().queued == 3
    assert bus.stop_report is not None
    assert [each.event for each in bus.stop_report.returned] == [1, 2, 3]


async def test_a_drain_that_runs_ends_when_the_last_actor_with_work_is_parked(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def fail(event: int) -> None:
        await anyio.sleep(3)
        raise ConnectionError

    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    async with bus.running():
        await bus.publish(1)
        before = anyio.current_time()
        assert await bus.drain(timeout=100)
        assert anyio.current_time() - before == pytest.approx(3, abs=0.1)


async def test_a_stop_ends_the_wait_of_those_who_drain(make_bus: MakeBus) -> None:
    bus, results = make_bus(), list[bool]()

    async def forever(event: int) -> None:
        await anyio.sleep_forever()

    async def drain() -> None:
        results.append(await bus.drain(timeout=1000))

    bus.subscribe(forever, int, grace_period=0, timeout=None)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
        await bus.stop(drain_timeout=2)
        assert anyio.current_time() - before == pytest.approx(2, abs=0.1)
    assert results == [False]


async def test_cancelled_it_stays_draining(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running():
        await bus.publish_many(range(5))
        with anyio.move_on_after(1.5) as scope:
            await bus.drain()
        assert scope.cancelled_caught
        assert bus.statistics().phase == "draining"
        with pytest.raises(BusClosed):
            await bus.publish(1)
    assert bus.ledger().handled == 5


async def test_in_a_handler_a_drain_waits_for_that_handler_in_vain(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, timeout=None)
    async def drain(text: str) -> None:
        before = anyio.current_time()
        assert await bus.drain(timeout=5) is False
        assert anyio.current_time() - before == pytest.approx(5, abs=0.1)

    async with bus.running():
        receipt = await bus.publish("now")
        assert await receipt.settled() == {"drain": Handled()}


async def test_draining_what_has_drained_is_done_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(slow, int)
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        for _ in range(3):
            group.start_soon(functools.partial(bus.drain, timeout=10))
        assert await bus.drain()
        assert await bus.drain()
