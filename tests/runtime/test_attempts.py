"""One attempt: whatever a handler raises or returns has one outcome, the same on both backends, and harms nobody."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from itertools import pairwise
from typing import Any, NoReturn

import anyio
import pytest

from tests.runtime.failing import EVERY_SECOND, ONCE, MakeBus, only_letter, outcome_of, stop_now
from tests.runtime.helpers import Gated
from tocsin import (
    AskFailed,
    AskTimeout,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    EventBus,
    Handled,
    RetryPolicy,
    Returned,
)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class TwoArguments(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__("fault A19: unpicklable")


class Unhashable(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]


class Disguised(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("asked for its class")


def circle() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chain(length: int) -> Exception:
    error = ValueError("the first of many")
    for number in range(length):
        following = ValueError(number)
        following.__context__, error = error, following
    return error


def nested(depth: int) -> Exception:
    error: Exception = ValueError("at the bottom")
    for _ in range(depth):
        error = ExceptionGroup[Exception]("", [error])
    return error


ORDINARY: dict[str, Callable[[], Exception]] = {
    "fault A1: a plain one": lambda: ValueError("no"),
    "fault A2: a group": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "fault A3: a group too deep for split()": lambda: nested(1_500),
    "fault A3: a group of absurd depth": lambda: nested(100_000),
    "fault A10: StopIteration": lambda: StopIteration("end"),
    "fault A10: StopAsyncIteration": lambda: StopAsyncIteration("end"),
    "fault A12: a cancelled future of a pool": concurrent.futures.CancelledError,
    "fault A15: unprintable": Unprintable,
    "fault A16: ten million characters": lambda: ValueError("x" * 10_000_000),
    "fault A18: causes in a circle": circle,
    "fault A18: a hundred thousand contexts": lambda: chain(100_000),
    "fault A19: unpicklable": lambda: TwoArguments(1, 2),
    "fault A20: unhashable and not to be compared": Unhashable,
    "lying about its class": Disguised,
    "fault A21: too deep a recursion": lambda: RecursionError("1000 frames"),
    "fault A22: no memory": MemoryError,
    "fault A13: a time-out of its own": TimeoutError,
}
COSTLY = {"fault A3: a group of absurd depth", "fault A18: a hundred thousand contexts"}  # a second each, to build


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind in COSTLY else []) for kind in ORDINARY]
)
@pytest.mark.parametrize("options", [{}, {"timeout": None}, {"context": "delivery"}, {"concurrency": 2}], ids=str)
async def test_an_exception_of_any_shape_fails_the_delivery_and_nothing_else(
    make_bus: MakeBus, kind: str, options: dict[str, Any]
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE, **options)
    async def subject(text: str) -> None:
        if text == "bad":
            raise ORDINARY[kind]()

    @bus.subscriber(str, name="sibling")
    async def sibling(text: str) -> None: ...

    async with bus.running():
        receipt = await bus.publish("bad")
        outcomes = await receipt.settled()
        assert await outcome_of(bus, "good") == Handled()
        statistics = bus.statistics().subscriptions
    letter = only_letter(bus)
    assert outcomes == {"subject": DeadLettered(DeadLetterReason.HANDLER_ERROR, letter.id), "sibling": Handled()}
    assert letter.failure is not None
    assert len(letter.failure.message) <= 1000
    assert (statistics["subject"].restarts, statistics["sibling"].restarts) == (0, 0)


async def test_fault_A21_a_recursion_without_end_fails_the_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        await subject(text)

    async with bus.running():
        assert isinstance(await outcome_of(bus, "text"), DeadLettered)
    failure = only_letter(bus).failure
    assert failure is not None
    assert failure.type == "builtins.RecursionError"


async def test_fault_A2_C6_a_failed_task_group_of_the_handler_fails_the_delivery_with_all_its_leaves(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(fail, ValueError("a"))

    async def fail(error: Exception) -> NoReturn:
        raise error

    async with bus.running():
        await outcome_of(bus, "text")
    failure = only_letter(bus).failure
    assert failure is not None
    assert failure.leaves == ("builtins.ValueError: a",)


async def test_fault_A17_an_instance_raised_again_and_again_gathers_no_traceback(make_bus: MakeBus) -> None:
    bus = make_bus()
    error = ValueError("always the same")

    @bus.subscriber(int, name="subject", retry=ONCE, sick_after=10_000)
    async def subject(number: int) -> None:
        raise error

    async with bus.running():
        for number in range(300):
            await outcome_of(bus, number)
    assert error.__traceback__ is None
    assert error.__context__ is None


# ── what it returns ──


async def _coroutine() -> None: ...


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


class AwaitableObject:
    def __await__(self) -> Generator[Any, Any, None]:
        yield


@pytest.mark.parametrize("make", [_coroutine, _generator, _async_generator, AwaitableObject])
async def test_fault_A23_a_result_that_nobody_would_run_is_a_bad_handler(
    make_bus: MakeBus, make: Callable[[], object]
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> object:
        return make()

    async with bus.running():
        outcome = await outcome_of(bus, "text")
    letter = only_letter(bus)
    assert outcome == DeadLettered(DeadLetterReason.BAD_HANDLER, letter.id)
    assert letter.attempts == 1
    assert letter.failure is not None
    assert "which nobody would run: await it, or return a value" in letter.failure.message


async def test_whoever_asks_a_bad_handler_is_told_what_it_did(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> object:
        return _coroutine()

    async with bus.running():
        with pytest.raises(AskFailed, match="which nobody would run"):
            await bus.ask("text")
    assert bus.ledger().rejected == 1
    assert len(bus.dead_letters) == 0


class HostileResult:
    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("asked for its class")

    def __bool__(self) -> bool:
        raise RuntimeError("asked for its truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("make", [int, str, list, HostileResult])
async def test_any_other_result_is_fine(make_bus: MakeBus, make: Callable[[], object]) -> None:
    bus = make_bus()
    result = make()

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> object:
        return result

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert await bus.ask("text") is result


# ── how often ──


async def test_attempts_count_from_one_without_a_gap(make_bus: MakeBus) -> None:
    bus = make_bus()
    attempts: list[int] = []

    @bus.subscriber(str, name="subject", retry=RetryPolicy(max_attempts=4, backoff=EVERY_SECOND))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        attempts.append(delivery.attempt)
        raise ValueError(text)

    async with bus.running():
        await outcome_of(bus, "text")
    assert attempts == [1, 2, 3, 4]
    assert only_letter(bus).attempts == 4


@pytest.mark.parametrize("patience", [1.0, 100.0])
async def test_a_question_is_attempted_once_also_when_nobody_waits_for_the_answer_any_more(
    make_bus: MakeBus, patience: float
) -> None:
    bus = make_bus()
    attempts: list[int] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str, delivery: Delivery[str]) -> None:
        attempts.append(delivery.attempt)
        await anyio.sleep(10.0)
        raise ValueError(text)

    async with bus.running():
        with pytest.raises(AskTimeout if patience < 10.0 else AskFailed):
            await bus.ask("text", timeout=patience)
        await bus.drain()
    assert attempts == [1]
    assert bus.ledger().rejected == 1
    assert len(bus.dead_letters) == 0


async def test_an_attempt_that_a_stop_interrupts_does_not_count(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = Gated()
    bus.subscribe(subject, str, name="subject", grace_period=1.0)
    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        await stop_now(bus)
        assert anyio.current_time() - began == pytest.approx(1.0, abs=0.5)
    assert receipt.outcomes == {"subject": Returned()}
    assert bus.stop_report is not None
    (returned,) = bus.stop_report.returned
    assert (returned.event, returned.attempts, returned.was_in_flight) == ("text", 0, True)
    assert bus.ledger().live == 0


async def test_an_attempt_that_ends_within_its_grace_period_counts(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", grace_period=5.0)
    async def subject(text: str) -> None:
        await anyio.sleep(4.0)

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
    assert receipt.outcomes == {"subject": Handled()}


async def test_a_failure_within_the_grace_period_counts_and_its_retry_is_returned(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", grace_period=5.0)
    async def subject(text: str) -> None:
        await anyio.sleep(4.0)
        raise ValueError(text)

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
    assert receipt.outcomes == {"subject": Returned()}
    assert bus.stop_report is not None
    (returned,) = bus.stop_report.returned
    assert (returned.attempts, returned.was_in_flight) == (1, False)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_fault_B2_a_result_after_the_cancellation_of_a_stop_is_too_late(
    make_bus: MakeBus, concurrency: int
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", grace_period=1.0, concurrency=concurrency)
    async def subject(text: str) -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "swallowed"
        raise AssertionError

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
    assert receipt.outcomes == {"subject": Returned()}


async def _raises_in_cleanup() -> None:
    try:
        await anyio.sleep_forever()
    finally:
        raise ValueError("while cleaning up")


async def _raises_in_a_child_while_cleaning_up() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_raises_in_cleanup)
        group.start_soon(anyio.sleep_forever)


@pytest.mark.parametrize("clean_up", [_raises_in_cleanup, _raises_in_a_child_while_cleaning_up])
@pytest.mark.parametrize("context", ["actor", "delivery"])
async def test_fault_A9_an_error_while_being_stopped_is_logged_and_the_delivery_returned(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture, clean_up: Callable[[], Awaitable[None]], context: Any
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", grace_period=1.0, retry=ONCE, context=context)
    async def subject(text: str) -> None:
        await clean_up()

    with caplog.at_level(logging.ERROR, "tocsin"):
        async with bus.running():
            receipt = await bus.publish("text")
            await anyio.wait_all_tasks_blocked()
            await stop_now(bus)
    assert receipt.outcomes == {"subject": Returned()}
    assert len(bus.dead_letters) == 0
    assert "subject raised while stopping: builtins.ValueError: while cleaning up" in caplog.messages


async def test_fault_B3_an_unshielded_wait_in_a_cleanup_ends_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    cleaned: list[str] = []

    @bus.subscriber(str, name="subject", grace_period=1.0)
    async def subject(text: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep(100)  # the mistake that is tested
            cleaned.append("never")

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
    assert receipt.outcomes == {"subject": Returned()}
    assert cleaned == []


async def test_an_expired_delivery_is_never_attempted(make_bus: MakeBus) -> None:
    bus = make_bus()
    subject = Gated()
    bus.subscribe(subject, str, name="subject")
    async with bus.running():
        await bus.publish("first")
        receipt = await bus.publish("second", expires_in=10.0)
        await anyio.sleep(10.0)
        subject.open()
        outcomes = await receipt.settled()
    assert subject.started == ["first"]
    letter = only_letter(bus)
    assert outcomes == {"subject": DeadLettered(DeadLetterReason.EXPIRED, letter.id)}
    assert letter.attempts == 0


@pytest.mark.parametrize("concurrency", [1, 2, 7])
async def test_no_more_deliveries_than_wanted_are_handled_at_a_time(make_bus: MakeBus, concurrency: int) -> None:
    bus = make_bus()
    at_once = 0
    most = 0

    @bus.subscriber(int, name="subject", concurrency=concurrency)
    async def subject(number: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(1.0)
        at_once -= 1

    async with bus.running():
        began = anyio.current_time()
        receipts = [await bus.publish(number) for number in range(2 * concurrency)]
        for receipt in receipts:
            await receipt.settled()
        assert anyio.current_time() - began == pytest.approx(2.0, abs=0.5)
    assert most == concurrency


async def test_a_handler_that_never_waits_does_not_starve_the_loop(make_bus: MakeBus) -> None:
    bus = make_bus()
    handled: list[int] = []
    seen: list[int] = []

    @bus.subscriber(int, name="subject")
    async def subject(number: int) -> None:
        handled.append(number)

    async def look_on() -> None:
        while len(handled) < 999:
            seen.append(len(handled))
            await anyio.lowlevel.checkpoint()

    async with bus.running(), anyio.create_task_group() as group:
        for number in range(999):
            bus.publish_nowait(number)
        group.start_soon(look_on)
    assert max(second - first for first, second in pairwise(seen)) <= 64


async def test_a_bus_whose_handler_failed_is_told_by_its_repr_and_statistics(make_bus: MakeBus) -> None:
    bus: EventBus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        raise ValueError("a\nb")

    async with bus.running():
        await outcome_of(bus, "text")
        assert bus.statistics().subscriptions["subject"].last_error == "builtins.ValueError: a\\nb"
