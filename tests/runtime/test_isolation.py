"""What a handler does to tasks, scopes and generators around it stays with it, and nothing of an event is kept."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, contextmanager
from typing import Any

import anyio
import pytest
import sniffio
import trio

from tests.runtime.failing import (
    EVERY_SECOND,
    ONCE,
    MakeBus,
    group_around,
    leave_behind,
    only_letter,
    outcome_of,
    publish_all,
    skip_where_no_group_can_be_reached,
    skip_where_tasks_cannot_be_cancelled,
    stop_now,
    until,
)
from tests.runtime.helpers import Gated
from tocsin import (
    DeadLettered,
    DeadLetterReason,
    Delivery,
    DropOldest,
    EventBus,
    Handled,
    RetryPolicy,
    Returned,
    handles,
)

EITHER_CONTEXT = pytest.mark.parametrize("context", ["actor", "delivery"])


# ── scopes and tasks ──


@EITHER_CONTEXT
async def test_fault_B5_a_handler_may_cancel_a_scope_of_its_own(make_bus: MakeBus, context: Any) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", context=context)
    async def subject(text: str) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()

    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert bus.statistics().subscriptions["subject"].restarts == 0


def scope_of(task: asyncio.Task[Any]) -> anyio.CancelScope:
    """Reach for what a handler has no business with."""
    from anyio._backends import _asyncio

    scope: anyio.CancelScope = getattr(_asyncio, "_task_states")[task].cancel_scope  # noqa: B009  # private to checkers
    return scope


async def test_fault_B6_a_handler_that_cancels_the_scope_around_it_is_cancelled_by_a_stranger(
    make_bus: MakeBus,
) -> None:
    if sniffio.current_async_library() == "trio":
        pytest.skip("the scope around a handler cannot be reached on trio")
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        scope = scope_of(task)
        scope.cancel()
        await anyio.sleep_forever()

    async with bus.running():
        await outcome_of(bus, "text")
    assert only_letter(bus).reason is DeadLetterReason.FOREIGN_CANCEL


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_task_of_an_idle_actor_that_a_stranger_cancels_is_replaced(make_bus: MakeBus, concurrency: int) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    tasks: list[asyncio.Task[Any]] = []

    @bus.subscriber(str, name="subject", concurrency=concurrency)
    async def subject(text: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)

    async with bus.running():
        await outcome_of(bus, "first")
        tasks[0].cancel()
        await anyio.wait_all_tasks_blocked()
        receipts = await publish_all(bus, *["next"] * 4)
        for receipt in receipts:
            assert await receipt.settled() == {"subject": Handled()}
        assert bus.statistics().subscriptions["subject"].incarnation == 2


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_fault_B8_a_third_party_that_cancels_a_running_handler_costs_one_attempt(
    make_bus: MakeBus, concurrency: int
) -> None:
    skip_where_tasks_cannot_be_cancelled()
    bus = make_bus()
    tasks: list[asyncio.Task[Any]] = []
    attempts: list[int] = []
    cancelling: list[int] = []

    @bus.subscriber(str, name="subject", concurrency=concurrency, retry=RetryPolicy(backoff=EVERY_SECOND))
    async def subject(text: str, delivery: Delivery[str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        attempts.append(delivery.attempt)
        cancelling.append(task.cancelling())
        if delivery.attempt == 1:
            await anyio.sleep_forever()

    async with bus.running():
        receipt = await bus.publish("text")
        await until(lambda: bool(tasks))
        tasks[0].cancel()
        assert await receipt.settled() == {"subject": Handled()}
    assert (attempts, cancelling) == ([1, 2], [0, 0])


async def test_fault_C5_a_task_started_in_the_cell_of_an_actor_ends_with_it(make_bus: MakeBus) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()
    trace: list[str] = []

    @bus.subscriber(str, name="subject")
    async def subject(text: str) -> None:
        leave_behind(trace)

    neighbour = Gated(is_open=True)
    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        assert await outcome_of(bus, "text") == Handled()
        assert await outcome_of(bus, 1, "neighbour") == Handled()
        await stop_now(bus)
        assert trace == ["stray ended"]


async def test_fault_C5_a_task_started_in_the_cell_of_an_actor_that_fails_crashes_that_actor_alone(
    make_bus: MakeBus,
) -> None:
    skip_where_no_group_can_be_reached()
    bus = make_bus()

    async def stray() -> None:
        raise ValueError("astray")

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        if text == "bad":
            group_around().start_soon(stray)
            await trio.sleep(1.0)  # of virtual time

    neighbour = Gated(is_open=True)
    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        outcome = await outcome_of(bus, "bad")
        assert isinstance(outcome, DeadLettered)
        assert await outcome_of(bus, 1, "neighbour") == Handled()
        assert await outcome_of(bus, "good") == Handled()
        assert bus.statistics().subscriptions["neighbour"].restarts == 0


# ── generators that hold a task group ──


async def _generator() -> AsyncGenerator[int, None]:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0.01)
        yield 1
        yield 2


@contextmanager
def unhandled_ignored() -> Generator[None, None, None]:
    """Let asyncio's own task that closes a generator fail without failing the test."""
    if sniffio.current_async_library() != "asyncio":
        yield
        return
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, _context: None)
    yield
    gc.collect()
    loop.set_exception_handler(before)


async def _idle_generator() -> AsyncIterator[int]:
    async with anyio.create_task_group():
        yield 1


@pytest.mark.filterwarnings("ignore")  # about the generator that is left behind, on either backend
@pytest.mark.parametrize("options", [{}, {"timeout": None}, {"concurrency": 2}, {"context": "delivery"}], ids=str)
@pytest.mark.parametrize("kept", [False, True])
async def test_fault_B15_a_generator_left_behind_with_its_task_group_harms_nobody_else(
    make_bus: MakeBus, options: dict[str, Any], *, kept: bool
) -> None:
    bus = make_bus()
    generators: list[AsyncIterator[int]] = []

    @bus.subscriber(str, name="subject", retry=ONCE, **options)
    async def subject(text: str) -> None:
        if text == "bad":
            generator = _generator() if kept else _idle_generator()
            if kept:
                generators.append(generator)
            async for _ in generator:  # pragma: no branch
                break
            await anyio.sleep(0.1)

    neighbour = Gated(is_open=True)
    bus.subscribe(neighbour, int, name="neighbour")
    async with bus.running():
        with unhandled_ignored():
            await outcome_of(bus, "bad")
            await anyio.sleep(1.0)
        assert await outcome_of(bus, 1, "neighbour") == Handled()
        assert await outcome_of(bus, "good") == Handled()
        assert bus.statistics().subscriptions["neighbour"].restarts == 0


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"context": "delivery"}], ids=str)
async def test_fault_B16_a_generator_closed_with_its_task_group_open_fails_the_delivery_at_most(
    make_bus: MakeBus, options: dict[str, Any]
) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE, **options)
    async def subject(text: str) -> None:
        if text == "bad":
            async with aclosing(_generator()) as generator:
                async for _ in generator:  # pragma: no branch
                    break

    async with bus.running():
        outcome = await outcome_of(bus, "bad")
        assert isinstance(outcome, DeadLettered | Handled)
        assert await outcome_of(bus, "good") == Handled()


async def test_fault_B16_a_group_of_a_generator_exit_fails_the_delivery(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str, name="subject", retry=ONCE)
    async def subject(text: str) -> None:
        raise BaseExceptionGroup("a generator held a task group", [GeneratorExit()])

    async with bus.running():
        await outcome_of(bus, "bad")
    assert only_letter(bus).reason is DeadLetterReason.HANDLER_ERROR


# ── handlers that do not stop ──


async def test_fault_B4_a_handler_that_does_not_stop_is_named_with_its_line_and_holds_up_nobody_else(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    release = anyio.Event()
    neighbour_stopped: list[float] = []

    @bus.actor(name="neighbour")
    class Neighbour:
        @handles(int)
        async def handle(self, number: int) -> None: ...

        async def stopping(self) -> None:
            neighbour_stopped.append(anyio.current_time())

    @bus.subscriber(str, name="subject", grace_period=2.0)
    async def subject(text: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await release.wait()

    async with bus.running():
        receipts = await publish_all(bus, "running", "queued")
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        report = await bus.stop(drain_timeout=0.0)
        assert anyio.current_time() - began == pytest.approx(2.0 + 1.0, abs=0.5)
        assert report is not None
        (unstopped,) = report.unstopped
        assert "test_isolation.py" in unstopped.line
        assert [(each.event, each.attempts, each.was_in_flight) for each in report.returned] == [
            ("running", 0, True),
            ("queued", 0, False),
        ]
        assert neighbour_stopped[0] - began == pytest.approx(3.0, abs=0.5)
        release.set()
    assert [receipt.outcomes for receipt in receipts] == [{"subject": Returned()}] * 2
    assert bus.ledger().live == 0
    assert bus.ledger().handled == 0


async def test_fault_B1_a_handler_that_swallows_its_cancellation_for_a_while_is_stopped_in_the_end(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    swallowed = 0

    @bus.subscriber(str, name="subject", grace_period=2.0)
    async def subject(text: str) -> None:
        nonlocal swallowed
        for _ in range(50):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                swallowed += 1

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
    assert swallowed == 50
    assert receipt.outcomes == {"subject": Returned()}


async def test_fault_B1_what_a_handler_that_did_not_stop_returns_later_changes_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    release = anyio.Event()

    @bus.subscriber(str, name="subject", grace_period=0.0)
    async def subject(text: str) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()
        raise ValueError("late")

    async with bus.running():
        receipt = await bus.publish("text")
        await anyio.wait_all_tasks_blocked()
        await stop_now(bus)
        release.set()
    assert receipt.outcomes == {"subject": Returned()}
    assert len(bus.dead_letters) == 0
    assert bus.ledger().returned == 1


# ── one subscriber's failures are not seen by another ──


async def _trace_of_neighbour(bus: EventBus, *, with_failing: str | None) -> list[tuple[Any, float]]:
    trace: list[tuple[Any, float]] = []
    began = anyio.current_time()

    @bus.subscriber(int, name="neighbour")
    async def neighbour(number: int) -> None:
        trace.append((number, round(2 * (anyio.current_time() - began))))  # half seconds
        await anyio.sleep(0.5)

    if with_failing is not None:

        @bus.subscriber(int, name="subject", mailbox=3, overflow=DropOldest(), timeout=1.0)
        async def subject(number: int) -> None:
            if with_failing == "raises":
                raise ValueError(number)
            if with_failing == "groups":
                raise ExceptionGroup("", [ValueError(number)])
            await anyio.sleep_forever()

    async with bus.running():
        for number in range(30):
            await bus.publish(number)
            await anyio.sleep(0.25)
        await until(lambda: len(trace) == 30)
        await stop_now(bus)
    return trace


@pytest.mark.parametrize("fault", ["raises", "groups", "hangs"])
async def test_a_subscriber_is_served_at_the_same_instants_beside_one_that_fails(make_bus: MakeBus, fault: str) -> None:
    alone = await _trace_of_neighbour(make_bus(), with_failing=None)
    beside = await _trace_of_neighbour(make_bus(), with_failing=fault)
    assert beside == alone


async def test_an_observer_that_raises_changes_nothing(make_bus: MakeBus) -> None:
    async def observe(report: object) -> None:
        raise RuntimeError("I only look on")

    ledgers: list[object] = []
    for observer in (None, observe):
        bus = make_bus(observer=observer)

        @bus.subscriber(int, name="subject", retry=RetryPolicy(backoff=EVERY_SECOND))
        async def subject(number: int) -> None:
            if number % 3 == 0:
                raise ValueError(number)

        async with bus.running():
            for receipt in await publish_all(bus, *range(30)):
                await receipt.settled()
        ledgers.append(bus.ledger())
    assert ledgers[0] == ledgers[1]


# ── nothing is kept ──


class Weakly:
    """An event that can be looked for after its end."""


@pytest.mark.parametrize("options", [{}, {"timeout": None}, {"concurrency": 2}, {"context": "delivery"}], ids=str)
@pytest.mark.parametrize(
    "end", [*(pytest.param(end, marks=pytest.mark.slow) for end in ("handled", "retried")), "buried"]
)
async def test_fault_C9_an_event_dies_with_its_delivery_without_the_garbage_collector(
    make_bus: MakeBus, options: dict[str, Any], end: str
) -> None:
    bus = make_bus()

    @bus.subscriber(Weakly, name="subject", retry=RetryPolicy(max_attempts=2, backoff=EVERY_SECOND), **options)
    async def subject(event: Weakly, delivery: Delivery[Weakly]) -> None:
        if end == "buried" or (end == "retried" and delivery.attempt == 1):
            raise ValueError(end)

    async with bus.running():
        gc.collect()
        gc.disable()
        try:
            event = Weakly()
            there = weakref.ref(event)
            receipt = await bus.publish(event)
            del event
            await receipt.settled()
            bus.dead_letters.purge()
            await anyio.wait_all_tasks_blocked()
            assert there() is None
        finally:
            gc.enable()


async def test_a_handler_dies_with_its_subscription(make_bus: MakeBus) -> None:
    bus = make_bus()
    handler = Gated(is_open=True)
    there = weakref.ref(handler)
    async with bus.running():
        subscription = await bus.subscribe_now(handler, str, name="subject")
        await outcome_of(bus, "text")
        await subscription.unsubscribe()
        del subscription, handler
        gc.collect()
        assert there() is None


@pytest.mark.slow
async def test_crashes_without_number_leave_no_objects_behind(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor(name="subject", retry=ONCE, sick_after=1_000_000)
    class Subject:
        @handles(int)
        async def handle(self, number: int) -> None:
            raise ValueError("always")

    async def crash(times: int) -> int:
        for number in range(times):
            await outcome_of(bus, number)
            bus.dead_letters.purge()
        gc.collect()
        return len(gc.get_objects())

    async with bus.running():
        await crash(100)
        before = await crash(100)
        after = await crash(500)
    assert after - before < 100
