"""The one door for other threads, and that nobody waits behind it for ever."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import pytest

from tocsin import (
    BusClosed,
    EventBus,
    InvalidPriority,
    MailboxFull,
    Receipt,
    Reject,
    RouteError,
    WouldDeadlock,
    WrongThread,
)
from tocsin._threads import ThreadBox

MakeBus = Callable[..., EventBus]
pytestmark = pytest.mark.real_time


async def ignore(event: object) -> None: ...


class InThread:
    """Something done in a thread of its own, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.future.set_result(self._function())
        except BaseException as error:
            self.future.set_exception(error)

    async def result(self) -> Any:
        with anyio.fail_after(5):
            while not self.future.done():  # noqa: ASYNC110  # a thread cannot set an event of the loop
                await anyio.sleep(0.001)
        return self.future.result()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110  # what a thread does can only be looked for
            await anyio.sleep(0.001)


async def test_a_thread_gets_the_receipt_when_the_event_is_taken(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    async def note(event: int) -> None:
        seen.append(event)

    bus.subscribe(note, int)
    async with bus.running():
        receipt = await InThread(lambda: bus.publish_from_thread(1)).result()
        assert receipt.accepted == ("note",)
        await receipt.settled()
    assert seen == [1]


async def test_the_events_of_one_thread_keep_their_order(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[tuple[str, int]]()

    async def note(event: tuple[str, int]) -> None:
        seen.append(event)

    def publish(name: str) -> Callable[[], None]:
        def all_of_them() -> None:
            for number in range(50):
                bus.publish_from_thread((name, number))

        return all_of_them

    bus.subscribe(note, tuple, mailbox=3)
    async with bus.running():
        for thread in [InThread(publish(name)) for name in "abcd"]:
            await thread.result()
    for name in "abcd":
        assert [number for who, number in seen if who == name] == list(range(50))


async def test_a_thread_waits_for_room(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def park(event: int) -> None:
        await gate.wait()

    bus.subscribe(park, int, mailbox=1)
    async with bus.running():
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        thread = InThread(lambda: bus.publish_from_thread(3))
        await until(lambda: bus.ledger().blocked == 1)
        gate.set()
        assert (await thread.result()).accepted == ("park",)
    assert bus.ledger().handled == 3


async def test_one_thread_that_waits_for_room_does_not_hold_up_another(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def park(event: int) -> None:
        await gate.wait()

    bus.subscribe(park, int, mailbox=1)
    bus.subscribe(ignore, str)
    async with bus.running():
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        thread = InThread(lambda: bus.publish_from_thread(3))
        await until(lambda: bus.ledger().blocked == 1)
        assert (await InThread(lambda: bus.publish_from_thread("a")).result()).accepted == ("ignore",)
        gate.set()
        await thread.result()


async def test_a_thread_gets_the_errors_of_publishing(make_bus: MakeBus) -> None:
    def hostile(event: str) -> bool:
        raise LookupError

    bus, gate = make_bus(), anyio.Event()

    async def park(event: int) -> None:
        await gate.wait()

    bus.subscribe(park, int, mailbox=1, overflow=Reject())
    bus.subscribe(ignore, str, when=hostile)
    wrong: Any = {"priority": "high"}
    async with bus.running():
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        for function, error in [
            (lambda: bus.publish_from_thread(3), MailboxFull),
            (lambda: bus.publish_from_thread(3, **wrong), InvalidPriority),
            (lambda: bus.publish_from_thread("a"), RouteError),
        ]:
            with pytest.raises(error):
                await InThread(function).result()
        gate.set()
    assert bus.ledger().rejected == 1


async def test_a_thread_that_waits_long_enough_gives_up(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def park(event: int) -> None:
        await gate.wait()

    bus.subscribe(park, int, mailbox=1)
    async with bus.running():
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        with pytest.raises(TimeoutError):
            await InThread(lambda: bus.publish_from_thread(3, timeout=0.05)).result()
        gate.set()
    assert bus.ledger().balanced


async def test_an_event_that_the_bus_had_no_time_for_is_not_published_after_all(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        thread = InThread(lambda: bus.publish_from_thread(1, timeout=0.05))
        time.sleep(0.2)  # noqa: ASYNC251  # the loop is blocked, that is the point
        with pytest.raises(TimeoutError):
            await thread.result()
        await anyio.wait_all_tasks_blocked()
    assert bus.ledger().matched == 0


async def test_what_was_given_up_does_not_disturb_the_end_of_the_bus(make_bus: MakeBus) -> None:
    bus, threads = make_bus(), list[InThread]()

    async def run() -> None:
        async with bus.running():
            threads.append(InThread(lambda: bus.publish_from_thread(1, timeout=0.05)))
            time.sleep(0.2)  # noqa: ASYNC251  # the loop is blocked, that is the point
            raise LookupError

    with pytest.raises(LookupError):
        await run()
    with pytest.raises(TimeoutError):
        await threads[0].result()


@pytest.mark.parametrize("value", [-1, math.nan, "5", True])
async def test_the_limit_of_a_thread_is_seconds(make_bus: MakeBus, value: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match=r"timeout=.*: must be seconds, 0 or more"):
            await InThread(lambda: bus.publish_from_thread(1, timeout=value)).result()


async def test_in_the_thread_of_the_bus_it_would_wait_for_itself(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(WrongThread, match=r"in its own thread: use publish or publish_nowait"):
            bus.publish_from_thread(1)


async def test_fault_G1_another_loop_in_another_thread_uses_the_door_for_threads(
    make_bus: MakeBus, anyio_backend_name: str
) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)

    async def elsewhere() -> Receipt:
        with pytest.raises(WrongThread):
            await bus.publish(1)
        with pytest.raises(WrongThread):
            bus.publish_nowait(1)
        return bus.publish_from_thread(1)

    async with bus.running():
        receipt = await InThread(lambda: anyio.run(elsewhere, backend=anyio_backend_name)).result()
        assert receipt.accepted == ("ignore",)
    assert bus.ledger().matched == 1


# ── from synchronous handlers ──


async def test_a_synchronous_handler_publishes_what_follows_from_its_event(make_bus: MakeBus) -> None:
    bus, envelopes = make_bus(), list[Any]()

    def relay(text: str) -> None:
        time.sleep(0.02)  # the bus drains by now
        bus.publish_from_thread(len(text))

    async def note(number: int, delivery: Any) -> None:
        envelopes.append(delivery.envelope)

    bus.subscribe(relay, str)
    bus.subscribe(note, int)
    async with bus.running():
        receipt = await bus.publish("abc", correlation_id="c")
    assert [(each.event, each.correlation_id, each.causation_id) for each in envelopes] == [(3, "c", receipt.event_id)]


async def test_a_synchronous_handler_that_would_wait_for_itself_is_refused(make_bus: MakeBus) -> None:
    bus, errors, gate = make_bus(), list[WouldDeadlock](), threading.Event()

    def own(number: int) -> None:
        gate.wait(5)
        if number == 1:
            with pytest.raises(WouldDeadlock) as caught:
                bus.publish_from_thread(3)
            errors.append(caught.value)

    bus.subscribe(own, int, mailbox=1)
    async with bus.running():
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        gate.set()
    assert [error.cycle for error in errors] == [("own", "own")]


async def test_fault_G3_a_synchronous_handler_that_waits_for_room_when_the_bus_stops_is_let_go(
    make_bus: MakeBus,
) -> None:
    bus, errors = make_bus(), list[BaseException]()

    async def park(event: str) -> None:
        await anyio.sleep_forever()

    def relay(number: int) -> None:
        for text in "abc":
            try:
                bus.publish_from_thread(text)
            except BusClosed as error:
                errors.append(error)

    bus.subscribe(park, str, mailbox=1, grace_period=0, timeout=None)
    bus.subscribe(relay, int)
    with anyio.fail_after(5):
        async with bus.running(drain_timeout=0):
            await bus.publish(1)
            await until(lambda: bus.ledger().blocked == 1)
    assert len(errors) == 1
    assert bus.ledger().live == 0


# ── nobody waits for ever ──


async def test_fault_G4_a_thread_that_waits_for_room_when_the_bus_stops_is_let_go(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def park(event: int) -> None:
        await anyio.sleep_forever()

    bus.subscribe(park, int, mailbox=1, grace_period=0, timeout=None)
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await until(lambda: bus.ledger().in_flight == 1)
        await bus.publish(2)
        thread = InThread(lambda: bus.publish_from_thread(3))
        await until(lambda: bus.ledger().blocked == 1)
    with pytest.raises(BusClosed, match="bus 'test' is"):
        await thread.result()


async def test_what_is_in_the_box_when_the_bus_ends_is_refused(make_bus: MakeBus) -> None:
    bus, threads = make_bus(), list[InThread]()

    async def run() -> None:
        async with bus.running():
            threads.append(InThread(lambda: bus.publish_from_thread(1)))
            time.sleep(0.05)  # noqa: ASYNC251  # the loop is blocked, that is the point
            raise LookupError

    with pytest.raises(LookupError):
        await run()
    with pytest.raises(BusClosed):
        await threads[0].result()
    assert bus.ledger().matched == 0


async def test_threads_that_publish_while_the_bus_ends_are_all_answered(make_bus: MakeBus) -> None:
    bus, errors = make_bus(), list[BaseException]()
    bus.subscribe(ignore, int)

    def publish() -> int:
        count = 0
        while True:
            try:
                bus.publish_from_thread(count)
            except BusClosed as error:
                errors.append(error)
                return count
            count += 1

    async with bus.running():
        threads = [InThread(publish) for _ in range(4)]
        await anyio.sleep(0.02)
    counts = [await thread.result() for thread in threads]
    assert len(errors) == 4
    assert sum(counts) == bus.ledger().handled


async def test_a_box_whose_loop_has_ended_refuses(anyio_backend_name: str) -> None:
    async def make() -> ThreadBox:
        return ThreadBox("shop")

    async def publish() -> Receipt:
        raise AssertionError

    def run() -> BaseException | None:
        box = anyio.run(make, backend=anyio_backend_name)
        return box.post(publish).exception(5)

    assert isinstance(await InThread(run).result(), BusClosed)


async def test_a_closed_box_refuses(anyio_backend_name: str) -> None:
    async def publish() -> Receipt:
        raise AssertionError

    box = ThreadBox("shop")
    box.close()
    box.close()
    with pytest.raises(BusClosed, match="bus 'shop' is stopped"):
        box.post(publish)


async def test_what_was_given_up_needs_no_refusal() -> None:
    async def publish() -> Receipt:
        raise AssertionError

    box = ThreadBox("shop")
    given_up, waiting = box.post(publish), box.post(publish)
    given_up.cancel()
    box.close()
    assert given_up.cancelled()
    assert isinstance(waiting.exception(0), BusClosed)


async def test_a_deadly_predicate_leaves_no_thread_waiting(make_bus: MakeBus) -> None:
    class Deadly(BaseException):
        pass

    def deadly(event: int) -> bool:
        raise Deadly

    bus, threads = make_bus(), list[InThread]()
    bus.subscribe(ignore, int, when=deadly)

    async def run() -> None:
        async with bus.running():
            threads.append(InThread(lambda: bus.publish_from_thread(1)))
            await anyio.sleep(5)

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # its shape is not promised
        await run()
    assert "Deadly" in repr(caught.value)
    with pytest.raises(BusClosed):
        await threads[0].result()
