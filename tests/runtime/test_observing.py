"""The observer: it sees everything in order, and nothing it does matters to a delivery."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.virtual_time import run_on_asyncio
from tocsin import (
    Backoff,
    DeadLetterReason,
    DeliveryDeadLettered,
    DeliveryDropped,
    DeliveryRetried,
    DropOldest,
    DropReason,
    EventBus,
    EventUndeliverable,
    PhaseChanged,
    RetryPolicy,
    StopReport,
)

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


def kinds(reports: list[Any]) -> list[str]:
    return [type(report).__name__ for report in reports]


class Collecting:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    async def __call__(self, report: Any) -> None:
        self.reports.append(report)

    def of(self, kind: type) -> list[Any]:
        return [report for report in self.reports if type(report) is kind]


async def test_an_observer_sees_a_whole_run_in_order(make_bus: MakeBus) -> None:
    observer = Collecting()
    bus = make_bus(observer=observer)
    bus.subscribe(ignore, int)
    async with bus.running():
        await bus.publish(1)
    assert kinds(observer.reports) == [
        "ChildStarted",
        "PhaseChanged",
        "PhaseChanged",
        "PhaseChanged",
        "SupervisorStopping",
        "ChildStopped",
        "PhaseChanged",
    ]
    at = [report.at for report in observer.reports]
    assert at == sorted(at)


async def test_retries_and_dead_letters_are_told(make_bus: MakeBus) -> None:
    observer = Collecting()

    async def fail(event: int) -> None:
        raise LookupError("no such row")

    bus = make_bus(observer=observer)
    bus.subscribe(fail, int, retry=RetryPolicy(max_attempts=2, backoff=Backoff(initial=2.0, maximum=2.0)))
    async with bus.running():
        receipt = await bus.publish(1)
        await receipt.settled()
    (retried,) = observer.of(DeliveryRetried)
    assert (retried.subscription, retried.event_id, retried.attempt) == ("fail", receipt.event_id, 1)
    assert 0 < retried.delay <= 2.0
    assert retried.failure.message == "no such row"
    (buried,) = observer.of(DeliveryDeadLettered)
    assert (buried.subscription, buried.event_id, buried.attempts) == ("fail", receipt.event_id, 2)
    assert buried.reason is DeadLetterReason.HANDLER_ERROR
    assert bus.dead_letters.get(buried.letter).failure == buried.failure


async def test_drops_and_events_for_nobody_are_told(make_bus: MakeBus) -> None:
    observer = Collecting()

    async def slow(event: int) -> None:
        await anyio.sleep(1)

    bus = make_bus(observer=observer)
    bus.subscribe(slow, int, mailbox=1, overflow=DropOldest())
    async with bus.running():
        await bus.publish(0)
        await anyio.wait_all_tasks_blocked()
        dropped = await bus.publish(1)
        await bus.publish(2)
        nobody = await bus.publish("a", topic="a.b")
    (drop,) = observer.of(DeliveryDropped)
    assert (drop.subscription, drop.event_id, drop.reason) == ("slow", dropped.event_id, DropReason.OLDEST)
    (undeliverable,) = observer.of(EventUndeliverable)
    assert (undeliverable.event_id, undeliverable.event_type, undeliverable.topic) == (
        nobody.event_id,
        "builtins.str",
        "a.b",
    )


@pytest.mark.real_time
async def test_a_plain_observer_is_called_in_a_thread_of_its_own(make_bus: MakeBus) -> None:
    threads, reports = set[int](), list[Any]()

    def observe(report: Any) -> None:
        threads.add(threading.get_ident())
        reports.append(report)

    bus = make_bus(observer=observe)
    async with bus.running():
        pass
    assert threading.get_ident() not in threads
    assert [report.phase for report in reports if isinstance(report, PhaseChanged)] == [
        "running",
        "draining",
        "stopping",
        "stopped",
    ]


# ── it harms nobody ──


async def trace(bus: EventBus) -> list[Any]:
    """Run a program with failures, retries and drops, and give what its handlers saw and when."""
    seen: list[Any] = []
    start = anyio.current_time()

    async def handle(event: int, delivery: Any) -> None:
        seen.append((event, delivery.attempt, round(anyio.current_time() - start, -1)))
        await anyio.sleep(100)
        if event % 3 == 0:
            raise ConnectionError

    retry = RetryPolicy(backoff=Backoff(initial=20.0, maximum=40.0, jitter=0))
    bus.subscribe(handle, int, mailbox=4, overflow=DropOldest(), retry=retry, timeout=None)
    async with bus.running():
        for number in range(10):
            await bus.publish(number)
            await anyio.sleep(30)
        await bus.drain(timeout=10_000)
    return seen


async def raises(report: object) -> None:
    raise LookupError(report)


async def raises_a_group(report: object) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(raises, report)
        await anyio.sleep_forever()


async def ends_programs(report: object) -> None:
    raise GeneratorExit


async def is_slow(report: object) -> None:
    await anyio.sleep(5)


async def hangs(report: object) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("observer", [raises, raises_a_group, ends_programs, is_slow, hangs])
async def test_fault_C12_the_deliveries_are_the_same_whatever_the_observer_does(
    make_bus: MakeBus, observer: Any
) -> None:
    assert await trace(make_bus(observer=observer)) == await trace(make_bus())


@pytest.mark.parametrize("observer", [raises, raises_a_group, ends_programs])
async def test_an_observer_that_raises_is_counted(make_bus: MakeBus, observer: Any) -> None:
    bus = make_bus(observer=observer)
    bus.subscribe(ignore, int)
    async with bus.running():
        await anyio.sleep(1)
        errors = bus.statistics().observer_errors
        assert errors == 2  # a child has started, the bus runs
    assert bus.statistics().observer_errors > errors
    assert bus.statistics().reports_lost == 0


def test_an_observer_that_is_cancelled_by_a_stranger_is_counted_and_goes_on(make_bus: MakeBus) -> None:
    async def observe(report: object) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    bus = make_bus(observer=observe)
    bus.subscribe(ignore, int)

    async def main() -> None:
        async with bus.running():
            await asyncio.sleep(0.01)  # of virtual time
            await (await bus.publish(1)).settled()
            assert bus.statistics().observer_errors == 2
        assert bus.stop_report == StopReport()

    run_on_asyncio(main)
    assert bus.ledger().handled == 1


async def test_an_observer_that_hangs_holds_up_the_end_for_a_second_and_loses_the_rest(make_bus: MakeBus) -> None:
    bus = make_bus(observer=hangs)
    bus.subscribe(ignore, int)
    async with bus.running():
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
    assert anyio.current_time() - before == pytest.approx(1.0, abs=0.1)
    assert bus.statistics().reports_lost >= 4  # all but the one in its hands


async def test_an_observer_that_is_too_far_behind_loses_reports(make_bus: MakeBus) -> None:
    bus = make_bus(observer=hangs)
    async with bus.running():
        await anyio.wait_all_tasks_blocked()
        for number in range(10_050):
            bus.publish_nowait(number)
        assert bus.statistics().reports_lost == 50
        assert bus.statistics().undeliverable == 10_050


@pytest.mark.slow
@pytest.mark.real_time
async def test_a_thread_of_an_observer_that_blocks_does_not_keep_the_bus_from_ending(make_bus: MakeBus) -> None:
    release = threading.Event()

    def block(report: object) -> None:
        release.wait(20)

    bus = make_bus(observer=block)
    try:
        with anyio.fail_after(5):
            async with bus.running():
                await anyio.sleep(0.01)
        assert bus.statistics().phase == "stopped"
    finally:
        release.set()


async def test_fault_E16_an_observer_may_publish(make_bus: MakeBus) -> None:
    seen: list[str] = []

    async def observe(report: object) -> None:
        if isinstance(report, EventUndeliverable):
            await bus.publish("nobody wanted it")

    async def note(text: str) -> None:
        seen.append(text)

    bus = make_bus(observer=observe)
    bus.subscribe(note, str)
    async with bus.running():
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
    assert seen == ["nobody wanted it"]


async def test_an_observer_may_stop_the_bus(make_bus: MakeBus) -> None:
    reports: list[Any] = []

    async def observe(report: object) -> None:
        if isinstance(report, DeliveryDeadLettered):
            reports.append(await bus.stop())

    async def fail(event: int) -> None:
        raise LookupError

    bus = make_bus(observer=observe)
    bus.subscribe(fail, int, retry=RetryPolicy(max_attempts=1))
    async with bus.running():
        await bus.publish(1)
        await bus.wait_stopped()
    assert reports == [bus.stop_report]


def test_a_keyboard_interrupt_is_nothing_an_observer_may_swallow(make_bus: MakeBus) -> None:
    async def interrupted(report: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        async with make_bus(observer=interrupted).running():
            await anyio.sleep(1)

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # its shape differs
        anyio.run(main, backend="trio")
    assert "KeyboardInterrupt" in repr(caught.value)


async def test_the_reports_of_each_run_are_counted_anew(make_bus: MakeBus) -> None:
    bus = make_bus(observer=raises)
    for _ in range(2):
        async with bus.running():
            pass
        assert bus.statistics().observer_errors in (4, 5)
