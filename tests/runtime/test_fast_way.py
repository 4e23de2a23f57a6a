"""Events without options, for handlers that want nothing but the event: the way that most take, which does the least.

Everything here holds for all events; these tests make sure that the short way keeps it too.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.runtime.failing import EVERY_SECOND, ONCE, MakeBus, publish_all, stop_now, until
from tests.runtime.helpers import CRITICAL, Note, quiet
from tocsin import (
    BusClosed,
    DeadLettered,
    DeadLetterReason,
    Delivery,
    DeliveryDropped,
    DropOldest,
    DropReason,
    Envelope,
    EventBus,
    Handled,
    Ledger,
    MailboxFull,
    Receipt,
    RetryPolicy,
    Returned,
    WrongThread,
    handles,
)
from tocsin._actor import Actor
from tocsin._backends import NextTurn
from tocsin._driving import drive
from tocsin._routes import Routes


class Plain:
    """A handler of the event alone, which never waits unless it is closed."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.began: list[Any] = []
        self._gate = anyio.Event()
        self._gate.set()

    async def __call__(self, event: Any) -> None:
        self.began.append(event)
        if not self._gate.is_set():
            await self._gate.wait()
        self.done.append(event)

    def close(self) -> None:
        self._gate = anyio.Event()

    def open(self) -> None:
        self._gate.set()


async def warmed(bus: EventBus, *events: object) -> None:
    """Publish *events* once, so that their routes are known and the mailboxes have been used."""
    for event in events:
        await (await bus.publish(event)).settled()


# ── what a receipt tells ──


async def test_the_receipt_tells_who_is_through_while_others_are_not(make_bus: MakeBus) -> None:
    bus, quick, slow = make_bus(), Plain(), Plain()
    bus.subscribe(quick, int, name="quick")
    bus.subscribe(slow, int, name="slow")
    async with bus.running():
        await warmed(bus, 0)
        slow.close()
        first, second = await publish_all(bus, 1, 2)
        assert (first.matched, first.accepted, first.outcomes) == (("quick", "slow"), ("quick", "slow"), {})
        await quiet()
        assert first.outcomes == second.outcomes == {"quick": Handled()}
        assert not first.is_settled
        slow.open()
        assert await second.settled() == {"quick": Handled(), "slow": Handled()}
        assert first.is_settled
        assert first.withdrawn == ()


async def test_the_receipt_tells_of_a_dead_letter_beside_what_was_handled(make_bus: MakeBus) -> None:
    bus, quick = make_bus(), Plain()

    @bus.subscriber(int, name="bad", retry=ONCE)
    async def bad(number: int) -> None:
        if number:
            raise ValueError(number)

    bus.subscribe(quick, int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        outcomes = await (await bus.publish(1)).settled()
        assert outcomes == {"bad": DeadLettered(DeadLetterReason.HANDLER_ERROR, 1), "quick": Handled()}


async def test_ids_are_told_apart_and_in_the_order_of_publishing(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(Plain(), int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        receipts = await publish_all(bus, *range(100))
        receipts.insert(50, await bus.publish(1, topic="x"))  # the long way
        receipts += await publish_all(bus, *range(3))
    ids = [receipt.event_id or "" for receipt in receipts]
    assert len(set(ids)) == len(ids)
    assert ids[51:] == sorted(ids[51:])
    assert ids[:50] == sorted(ids[:50])


async def test_a_receipt_keeps_nothing_of_a_bus_that_has_stopped(make_bus: MakeBus) -> None:
    bus = EventBus("short")
    bus.subscribe(Plain(), int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        receipt = await bus.publish(1)
    there = weakref.ref(bus)
    del bus
    gc.collect()
    assert there() is None
    assert receipt.outcomes == {"quick": Handled()}
    assert repr(receipt) == f"<Receipt {receipt.event_id} to 1 subscriptions, settled>"


async def test_a_handler_that_wants_the_delivery_gets_one_with_its_deadline(make_bus: MakeBus) -> None:
    bus, deliveries = make_bus(), list[Delivery[int]]()

    @bus.subscriber(int, name="subject", timeout=7.0)
    async def subject(number: int, delivery: Delivery[int]) -> None:
        deliveries.append(delivery)
        assert delivery.deadline == anyio.current_time() + 7.0

    async with bus.running():
        await warmed(bus, 0)
        receipt = await bus.publish(1)
        assert await receipt.settled() == {"subject": Handled()}
    last = deliveries[-1]
    assert (last.event, last.attempt, last.subscription, last.missed) == (1, 1, "subject", 0)
    assert last.envelope.id == receipt.event_id


async def test_all_who_want_the_delivery_share_the_envelope(make_bus: MakeBus) -> None:
    bus, envelopes = make_bus(), list[Envelope[int]]()

    async def subject(number: int, delivery: Delivery[int]) -> None:
        envelopes.append(delivery.envelope)

    bus.subscribe(subject, int, name="first")
    bus.subscribe(subject, int, name="second")
    async with bus.running():
        await warmed(bus, 0)
        await publish_all(bus, 1)
    assert envelopes[2] is envelopes[3]


# ── the account ──


async def test_the_ledger_balances_in_every_handler_of_a_burst(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[Ledger]()

    async def look(number: int) -> None:
        seen.append(bus.ledger())

    bus.subscribe(look, int, name="look")
    async with bus.running():
        await warmed(bus, 0)
        await publish_all(bus, *range(10))
        await until(lambda: len(seen) == 11)
        assert bus.statistics().subscriptions["look"].handled == 11
    assert all(ledger.balanced for ledger in seen)
    assert [ledger.handled for ledger in seen] == list(range(11))
    assert {ledger.in_flight for ledger in seen} == {1}


async def test_what_was_handled_before_a_stop_in_the_same_burst_is_counted(make_bus: MakeBus) -> None:
    bus, done = make_bus(), list[int]()

    @bus.subscriber(int, name="subject", grace_period=0.0)
    async def subject(number: int) -> None:
        if number == 5:
            await anyio.sleep_forever()
        done.append(number)

    async with bus.running():
        await warmed(bus, 0)
        await publish_all(bus, *range(10))
        await quiet()
        await stop_now(bus)
    assert done == [0, 0, 1, 2, 3, 4]
    assert (bus.ledger().handled, bus.ledger().returned) == (6, 5)
    assert bus.stop_report is not None
    assert [(each.event, each.was_in_flight) for each in bus.stop_report.returned] == [
        (5, True),
        *((number, False) for number in range(6, 10)),
    ]


async def test_routes_that_are_forgotten_take_no_count_with_them(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(Plain(), int, name="first")
    async with bus.running():
        await warmed(bus, 0)
        await publish_all(bus, 1, 2)
        await bus.subscribe_now(Plain(), int, name="second")
        await publish_all(bus, 3)
    assert bus.statistics().published == 4
    assert bus.ledger().matched == bus.ledger().handled == 5


def test_there_is_a_limit_to_the_routes_that_are_remembered() -> None:
    routes = Routes(0)
    nobody: list[Actor] = []
    for number in range(101):
        routes.remember(type(f"Event{number}", (), {}), nobody, 100)
    assert len(routes.known) == 1


# ── room ──


async def test_publishers_that_wait_are_let_in_first_come_first_served(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="slow", mailbox=2)

    async def publish(first: int) -> None:
        for number in range(first, first + 4):
            await bus.publish(number)
            await anyio.lowlevel.checkpoint()

    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        async with anyio.create_task_group() as group:
            for first in (10, 20, 30):
                group.start_soon(publish, first)
                await quiet()
            handler.open()
        await until(lambda: len(handler.done) == 13)
    for first in (10, 20, 30):
        own = [number for number in handler.done if first <= number < first + 4]
        assert own == sorted(own)
    # The mailbox held two of the first publisher, then all three of them waited, each in its turn.
    assert handler.done[1:6] == [10, 11, 12, 13, 20] or handler.done[1:6] == [10, 11, 12, 20, 30]


async def test_whoever_comes_later_does_not_get_past_those_who_wait(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="slow", mailbox=1)
    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        await bus.publish(1)
        await quiet()
        await bus.publish(2)
        async with anyio.create_task_group() as group:
            group.start_soon(bus.publish, 3)
            await quiet()
            with pytest.raises(MailboxFull):
                bus.publish_nowait(4)
            handler.open()
    assert handler.done == [0, 1, 2, 3]


async def test_a_retry_that_waits_takes_room(make_bus: MakeBus) -> None:
    bus, failed = make_bus(), list[int]()

    @bus.subscriber(int, name="subject", mailbox=2, retry=RetryPolicy(backoff=EVERY_SECOND), strict_order=True)
    async def subject(number: int) -> None:
        if number == 1 and not failed:
            failed.append(number)
            raise ConnectionError

    async with bus.running():
        await warmed(bus, 0)
        await bus.publish(1)
        await until(lambda: bus.ledger().waiting_retry == 1)
        bus.publish_nowait(2)
        with pytest.raises(MailboxFull):
            bus.publish_nowait(3)


async def test_the_next_mailboxes_of_a_route_get_it_although_one_is_full(make_bus: MakeBus) -> None:
    bus, first, full, last = make_bus(), Plain(), Plain(), Plain()
    bus.subscribe(first, int, name="first")
    bus.subscribe(full, int, name="full", mailbox=1)
    bus.subscribe(last, int, name="last")
    async with bus.running():
        await warmed(bus, 0)
        full.close()
        await bus.publish(1)
        await quiet()
        await bus.publish(2)
        with pytest.raises(MailboxFull) as refused:
            bus.publish_nowait(3)
        receipt = refused.value.receipt
        assert receipt is not None
        assert (receipt.accepted, receipt.withdrawn) == (("first", "last"), ("full",))
        async with anyio.create_task_group() as group:
            group.start_soon(bus.publish, 4)
            await quiet()
            assert last.done == [0, 1, 2, 3, 4]
            full.open()
    assert full.done == [0, 1, 2, 4]
    assert bus.ledger().rejected == 1


async def test_the_oldest_is_dropped_when_the_policy_says_so(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="feed", mailbox=2, overflow=DropOldest())
    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        receipts = await publish_all(bus, 1)
        await quiet()
        receipts += await publish_all(bus, 2, 3, 4, 5)
        handler.open()
    assert handler.done == [0, 1, 4, 5]
    assert [type(receipt.outcomes["feed"]).__name__ for receipt in receipts] == [
        "Handled",
        "Dropped",
        "Dropped",
        "Handled",
        "Handled",
    ]


async def test_what_is_dropped_for_a_newer_one_is_reported(make_bus: MakeBus) -> None:
    reports: list[object] = []

    async def observe(report: object) -> None:
        reports.append(report)

    bus, handler = make_bus(observer=observe), Plain()
    bus.subscribe(handler, int, name="feed", mailbox=1, overflow=DropOldest())
    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        await bus.publish(1)
        await quiet()
        dropped, _ = await publish_all(bus, 2, 3)
        handler.open()
    (report,) = [each for each in reports if isinstance(each, DeliveryDropped)]
    assert (report.subscription, report.event_id, report.reason) == ("feed", dropped.event_id, DropReason.OLDEST)


async def test_a_delivery_of_another_kind_is_dropped_for_a_newer_one_as_well(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="feed", mailbox=1, overflow=DropOldest())
    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        await bus.publish(1)
        await quiet()
        await bus.publish(2, correlation_id="c")
        await bus.publish(3)
        handler.open()
    assert handler.done == [0, 1, 3]
    assert bus.ledger().dropped == 1


# ── order ──


async def test_an_event_with_an_option_keeps_its_place_among_those_without(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        for number in range(1, 8):
            if number % 3:
                bus.publish_nowait(number)
            else:
                bus.publish_nowait(number, correlation_id="c")
    assert handler.done == list(range(8))


async def test_what_is_urgent_gets_ahead_of_a_burst_that_is_being_handled(make_bus: MakeBus) -> None:
    bus, done = make_bus(), list[int]()

    async def subject(number: int) -> None:
        done.append(number)
        if number == 2:
            bus.publish_nowait(-1, priority=CRITICAL)

    bus.subscribe(subject, int, name="subject")
    async with bus.running():
        await warmed(bus, 0)
        await publish_all(bus, *range(1, 6))
    assert done == [0, 1, 2, -1, 3, 4, 5]


async def test_an_interrupted_delivery_is_handled_again_before_those_behind_it(make_bus: MakeBus) -> None:
    bus, begun = make_bus(), list[int]()

    @bus.subscriber(int, name="subject", grace_period=0.0)
    async def subject(number: int) -> None:
        begun.append(number)
        if begun.count(1) == 1 and number == 1:
            await anyio.sleep_forever()

    async with bus.running():
        await warmed(bus, 0)
        receipts = await publish_all(bus, 1, 2)
        await quiet()
        assert receipts[0].outcomes == {}
        subscription = bus.subscriptions["subject"]
        registrar = bus.registrar
        assert registrar is not None
        bus.request_stop(drain_timeout=0.0)
        await bus.wait_stopped()
        assert subscription.statistics().returned == 2
    assert [receipt.outcomes for receipt in receipts] == [{"subject": Returned()}] * 2
    assert begun == [0, 1]


# ── who is down, or not ours ──


async def test_what_is_published_to_a_parked_actor_becomes_a_dead_letter(make_bus: MakeBus) -> None:
    bus = make_bus()

    class Fragile:
        ends = False

        async def started(self) -> None:
            if Fragile.ends:
                raise OSError

        @handles(int)
        async def handle(self, number: int) -> None:
            if number == 1:
                Fragile.ends = True
                raise ValueError(number)

    bus.subscribe_actor(Fragile, name="subject", retry=ONCE, on_exhausted="park")
    async with bus.running():
        await warmed(bus, 0)
        await bus.publish(1)
        await until(lambda: bus.statistics().subscriptions["subject"].state == "parked")
        receipt = await bus.publish(2)
        assert isinstance(outcome := receipt.outcomes["subject"], DeadLettered)
        assert outcome.reason is DeadLetterReason.ACTOR_STOPPED


async def test_while_the_bus_drains_nothing_is_taken(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="slow")
    async with bus.running():
        await warmed(bus, 0)
        handler.close()
        await bus.publish(1)
        await quiet()
        bus.request_stop()
        for publish in (bus.publish_nowait, bus.publish):
            with pytest.raises(BusClosed):
                await _awaited(publish, 2)
        handler.open()
    with pytest.raises(BusClosed):
        await bus.publish(3)
    assert handler.done == [0, 1]


async def _awaited(publish: Callable[[Any], Any], event: object) -> Receipt:
    made = publish(event)
    receipt: Receipt = made if isinstance(made, Receipt) else await made
    return receipt


@pytest.mark.real_time
async def test_another_thread_is_refused_although_the_route_is_known(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        with pytest.raises(WrongThread):
            await anyio.to_thread.run_sync(bus.publish_nowait, 1)

        def publish() -> None:
            with pytest.raises(WrongThread):
                bus.publish(1).send(None)

        await anyio.to_thread.run_sync(publish)
    assert handler.done == [0]


async def test_what_a_handler_publishes_says_what_caused_it_although_the_route_is_known(make_bus: MakeBus) -> None:
    bus, causes = make_bus(), list[tuple[str | None, str]]()

    @bus.subscriber(int)
    async def first(number: int) -> None:
        await bus.publish(Note(str(number)))

    @bus.subscriber(Note)
    async def second(note: Note, delivery: Any) -> None:
        causes.append((delivery.envelope.causation_id, delivery.envelope.correlation_id))

    async with bus.running():
        await warmed(bus, 0, Note("x"))
        receipt = await bus.publish(1)
        await until(lambda: len(causes) == 3)
    assert causes[-1] == (receipt.event_id, receipt.event_id)


async def test_a_nowait_publish_wakes_a_sleeping_server(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Plain()
    bus.subscribe(handler, int, name="quick")
    async with bus.running():
        await warmed(bus, 0)
        await quiet()
        receipt = bus.publish_nowait(1)
        await quiet()
        assert receipt.is_settled


async def test_any_number_of_classes_may_be_handled_by_one_actor(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen = 0

    @bus.actor(name="subject")
    class Subject:
        @handles(object)
        async def handle(self, event: object) -> None:
            nonlocal seen
            seen += 1

    async with bus.running():
        for number in range(1100):
            kind = type(f"Event{number}", (), {})
            await bus.publish(kind())
            await bus.publish(kind())
    assert seen == 2200


# ── the parts by themselves ──


class Watched:
    def __init__(self) -> None:
        self.times = 0

    def waits(self) -> None:
        self.times += 1

    def goes_on(self) -> None: ...


def test_a_coroutine_that_is_driven_is_closed_with_its_driver() -> None:
    closed: list[bool] = []

    class Forever:
        def __await__(self) -> Any:
            yield

    async def forever() -> None:
        try:
            await Forever()
        finally:
            closed.append(True)

    watched = Watched()
    driving: Any = drive(watched, forever())
    driving.send(None)
    driving.close()
    assert closed == [True]
    assert watched.times == 1


async def test_what_is_due_in_the_next_turn_is_called_then(anyio_backend_name: str) -> None:
    called: list[bool] = []
    turn = NextTurn(lambda: called.append(True))
    if anyio_backend_name == "trio":
        assert not turn.ask()  # nobody serves it yet
    async with anyio.create_task_group() as group:
        group.start_soon(turn.run)
        await quiet()
        assert turn.ask()
        assert turn.ask() or not called
        await quiet()
        assert called
        group.cancel_scope.cancel()
