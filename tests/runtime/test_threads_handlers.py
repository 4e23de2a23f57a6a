"""Plain functions as handlers: they run in threads of the bus's own, are never abandoned, and starve nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.runtime.failing import ONCE, MakeBus, only_letter, outcome_of, publish_all, run_until_it_ends, until
from tocsin import (
    DeadLettered,
    DeadLetterReason,
    Delivery,
    Handled,
    RetryPolicy,
    Returned,
)

pytestmark = pytest.mark.real_time

LIMIT = 10.0  # real seconds after which a thread of a test that went wrong gives up waiting


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Open at the end of the test, so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_plain_handler_runs_in_a_thread_and_gets_the_delivery_if_it_wants_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[tuple[str, int, int]] = []

    @bus.subscriber(str, name="subject")
    def subject(text: str, delivery: Delivery[str]) -> None:
        seen.append((text, delivery.attempt, threading.get_ident()))

    @bus.subscriber(str, name="other")
    def other(text: str) -> None: ...

    async with bus.running():
        assert await (await bus.publish("text")).settled() == {"subject": Handled(), "other": Handled()}
    ((text, attempt, thread),) = seen
    assert (text, attempt) == ("text", 1)
    assert thread != threading.get_ident()


@pytest.mark.parametrize(
    "make", [ValueError, StopIteration, StopAsyncIteration, lambda: ExceptionGroup("", [ValueError()])]
)
async def test_an_exception_in_a_thread_fails_the_delivery(make_bus: MakeBus, make: Callable[[], Exception]) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts=2))
    def subject(text: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1:
            raise make()

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert bus.statistics().subscriptions["subject"].incarnation == 1


@pytest.mark.parametrize("make", [KeyboardInterrupt, partial(SystemExit, 3)])
@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"context": "delivery"}], ids=str)
async def test_what_ends_programs_comes_out_of_a_thread_too(
    make_bus: MakeBus, make: Callable[[], BaseException], options: dict[str, Any]
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", **options)
    def subject(text: str) -> None:
        raise make()

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        await run_until_it_ends(bus, "text")
    assert bus.ledger().returned == 1


async def test_a_cancellation_raised_in_a_thread_is_foreign(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    def subject(text: str) -> None:
        raise asyncio.CancelledError

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.FOREIGN_CANCEL


async def test_a_plain_handler_that_gives_back_a_coroutine_is_a_bad_handler(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def inner(text: str) -> None: ...

    def subject(text: str) -> Any:
        return inner(text)

    bus.subscribe(subject, str, name="subject")
    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.BAD_HANDLER


async def test_a_thread_that_is_late_is_waited_for_and_its_result_stands(make_bus: MakeBus) -> None:
    bus = make_bus()
    finished: list[str] = []
    late = threading.Event()

    @bus.subscriber(str, name="subject", timeout=0.05, retry=ONCE)
    def subject(text: str) -> None:
        late.wait(0.2)
        finished.append(text)

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
    assert finished == ["text"]


async def test_a_thread_that_is_late_and_fails_has_timed_out(make_bus: MakeBus) -> None:
    bus = make_bus()
    late = threading.Event()

    @bus.subscriber(str, name="subject", timeout=0.05, retry=ONCE)
    def subject(text: str) -> None:
        late.wait(0.2)
        raise ValueError("late")

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.TIMEOUT


@pytest.mark.slow
async def test_fault_C3_a_thread_is_not_abandoned_when_its_actor_is_stopped(
    make_bus: MakeBus, gate: threading.Event
) -> None:
    bus = make_bus()
    trace: list[str] = []
    begun = threading.Event()

    @bus.subscriber(str, name="subject", grace_period=0.05)
    def subject(text: str) -> None:
        begun.set()
        gate.wait(LIMIT)
        trace.append("thread ended")

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.to_thread.run_sync(begun.wait, LIMIT)
        report = await bus.stop(drain_timeout=0.0)
        assert report is not None
        assert [unstopped.child for unstopped in report.unstopped] == ["test/subject"]
        assert trace == []
        gate.set()
    trace.append("bus ended")
    assert trace == ["thread ended", "bus ended"]
    assert receipt.outcomes == {"subject": Returned()}
    assert bus.ledger().live == 0


async def test_fault_C7_threads_that_block_starve_neither_the_loop_nor_the_threads_of_others(
    make_bus: MakeBus, gate: threading.Event
) -> None:
    bus = make_bus()

    @bus.subscriber(int, name="subject", concurrency=45)
    def subject(number: int) -> None:
        gate.wait(LIMIT)

    @bus.subscriber(str, name="neighbour")
    async def neighbour(text: str) -> None: ...

    async with bus.running():
        receipts = await publish_all(bus, *range(45))
        await until(lambda: bus.statistics().subscriptions["subject"].in_flight == 45, limit=LIMIT)
        with anyio.fail_after(LIMIT):
            assert await outcome_of(bus, "text", "neighbour") == Handled()
            assert await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()
        gate.set()
        for receipt in receipts:
            assert await receipt.settled() == {"subject": Handled()}


async def test_a_recursion_without_end_in_a_thread_fails_the_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    def subject(text: str) -> None:
        subject(text)

    async with bus.running():
        assert isinstance(await outcome_of(bus, "text"), DeadLettered)
