"""Durable subscriptions over the end of a run, and over the end of a process, on virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.durable.stored import AT_ONCE, LATER, Order, Refund
from tocsin import (
    Backoff,
    CommitNeeded,
    DeadLetterOffice,
    DeadLetterReason,
    Deduplicate,
    Delivery,
    DropNewest,
    Dropped,
    DropReason,
    EventBus,
    FinishActor,
    Group,
    Handled,
    MailboxFull,
    Priority,
    Receipt,
    Reject,
    Rejected,
    RejectReason,
    RestartIntensity,
    RestartPolicy,
    Strategy,
    Subscription,
    handles,
)
from tocsin.durable import StoredDelivery, StoreFull, Unreadable, Update
from tocsin.testing import MemoryStore, cancel_as_a_stranger


def shop(store: MemoryStore, handled: list[int], **options: Any) -> EventBus:
    """Make a bus with one durable subscription, which fails on orders below 0 and waits for ever on number 666."""
    bus = EventBus("shop", store=store)
    options.setdefault("retry", AT_ONCE)

    @bus.subscriber(Order, name="ship", durable=True, **options)
    async def ship(order: Order) -> None:
        if order.number == 666:
            await anyio.sleep_forever()
        if order.number < 0:
            raise ConnectionError(order.number)
        handled.append(order.number)

    return bus


async def run_once(store: MemoryStore, **options: Any) -> list[int]:
    """Run a new process on *store* until everything is done, and give what it has handled."""
    handled: list[int] = []
    async with shop(store, handled, **options).running():
        pass
    return handled


# ── what is declared ──


WITHOUT_A_STORE = r"'ship' is durable, and bus 'shop' has no store.*EventBus\(…, store="


async def test_a_durable_subscription_needs_a_bus_with_a_store_when_it_runs() -> None:
    bus = EventBus("shop")
    bus.subscribe(print, Order, name="ship", durable=True)
    with pytest.raises(ValueError, match=WITHOUT_A_STORE):
        async with bus.running():
            pass


async def test_a_running_bus_without_a_store_takes_no_durable_subscription() -> None:
    async with EventBus("shop").running() as bus:
        with pytest.raises(ValueError, match=WITHOUT_A_STORE):
            await bus.subscribe_now(print, Order, name="ship", durable=True)


async def test_what_is_kept_for_a_subscription_that_is_durable_no_more_waits_for_one_that_is() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(666))
        await bus.stop(drain_timeout=0.0)
    handled: list[Order] = []
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship")
    async def ship(order: Order) -> None:
        handled.append(order)

    async with bus.running():
        pass
    assert (handled, len(store.copy().deliveries)) == ([], 1)


async def test_a_store_may_be_given_after_the_declaration() -> None:
    declared, given = MemoryStore(), MemoryStore()
    bus = shop(declared, [])
    bus.store = given
    async with bus.running():
        await bus.publish(Order(666))
        await bus.stop(drain_timeout=0.0)
    assert (len(given.copy().events), len(declared.copy().events)) == (1, 0)


def test_what_a_durable_subscription_accepts_cannot_be_dropped_by_policy() -> None:
    with pytest.raises(ValueError, match=r"durable=True with overflow=DropNewest.*would keep what is dropped"):
        EventBus("shop", store=MemoryStore()).subscribe(print, Order, name="ship", durable=True, overflow=DropNewest())


async def test_a_store_is_for_one_run_at_a_time() -> None:
    store = MemoryStore()
    async with shop(store, []).running():
        with pytest.raises(Exception, match="in use by another run"):
            async with shop(store, []).running():
                pass


# ── published means committed ──


async def test_when_publish_has_returned_the_event_is_in_the_store() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        receipt = await bus.publish(Order(666))
        assert receipt.accepted == ("ship",)
        assert [each.event_id for each in store.copy().events.values()] == [receipt.event_id]
        await bus.stop(drain_timeout=0.0)


async def test_while_it_is_being_committed_a_delivery_is_blocked() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus, anyio.create_task_group() as group:
        store.hold()
        group.start_soon(bus.publish, Order(1))
        await anyio.sleep(1.0)
        ledger = bus.ledger()
        assert (ledger.blocked, ledger.matched, ledger.balanced) == (1, 1, True)
        store.release()


async def test_a_publisher_that_is_cancelled_knows_what_is_committed() -> None:
    store, handled, receipt = MemoryStore(), list[int](), Receipt()
    async with shop(store, handled).running() as bus:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bus.publish(Order(1), receipt=receipt)
        assert receipt.accepted == ("ship",)
    assert handled == [1]


async def test_publish_nowait_cannot_wait_for_a_commit_and_says_so() -> None:
    async with shop(MemoryStore(), []).running() as bus:
        with pytest.raises(CommitNeeded, match="ship has to be waited for"):
            bus.publish_nowait(Order(1))
        assert bus.ledger().matched == 0


async def test_what_the_store_refuses_is_not_accepted_and_the_publisher_is_told() -> None:
    store, handled = MemoryStore(), list[int]()
    store.refuse_with = StoreFull("bus.db", "no room")
    async with shop(store, handled).running() as bus:
        with pytest.raises(StoreFull, match="no room") as caught:
            await bus.publish(Order(1))
        assert caught.value.receipt is not None
        assert caught.value.receipt.outcomes == {"ship": Rejected(RejectReason.STORE)}
        store.refuse_with = None
        assert await (await bus.publish(Order(2))).settled() == {"ship": Handled()}
    assert handled == [2]


async def test_every_publisher_has_an_error_of_its_own() -> None:
    store = MemoryStore()
    store.refuse_with = StoreFull("bus.db", "no room")
    errors: list[StoreFull] = []

    async def publish(bus: EventBus) -> None:
        try:
            await bus.publish(Order(1))
        except StoreFull as error:
            errors.append(error)

    async with shop(store, []).running() as bus, anyio.create_task_group() as group:
        group.start_soon(publish, bus)
        group.start_soon(publish, bus)
    assert errors[0] is not errors[1]


async def test_an_event_that_cannot_be_encoded_is_refused_before_anything_happened() -> None:
    bus = EventBus("shop", store=MemoryStore())
    bus.subscribe(print, object, name="ship", durable=True)
    async with bus.running():
        with pytest.raises(Exception, match="object"):
            await bus.publish(object())
        assert bus.ledger().matched == 0


async def test_subscriptions_that_are_not_durable_have_taken_it_whatever_the_store_says() -> None:
    store, seen = MemoryStore(), list[Order]()
    store.refuse_with = StoreFull("bus.db", "no room")
    bus = shop(store, [])
    bus.subscribe(seen.append, Order, name="look")
    async with bus.running():
        with pytest.raises(StoreFull) as caught:
            await bus.publish(Order(1))
        assert caught.value.receipt is not None
        assert caught.value.receipt.accepted == ("look",)


# ── room ──


async def test_room_is_kept_while_a_commit_is_under_way() -> None:
    store = MemoryStore()
    async with shop(store, [], mailbox=1, overflow=Reject()).running() as bus, anyio.create_task_group() as group:
        store.hold()
        group.start_soon(bus.publish, Order(1))
        await anyio.sleep(1.0)
        with pytest.raises(MailboxFull):
            await bus.publish(Order(2))
        store.release()


async def test_publishers_that_wait_for_room_are_committed_when_they_have_it() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled, mailbox=1).running() as bus:
        await bus.publish_many([Order(number) for number in range(5)])
    assert handled == [0, 1, 2, 3, 4]
    assert store.copy().deliveries == {}


async def test_a_publisher_that_is_cancelled_while_it_waits_for_room_has_committed_nothing() -> None:
    store = MemoryStore()
    async with shop(store, [], mailbox=1).running() as bus:
        await bus.publish(Order(666))
        await bus.publish(Order(1))
        with anyio.move_on_after(1.0):
            await bus.publish(Order(2))
        assert [each.id for each in store.copy().deliveries.values()] == [1, 2]
        await bus.stop(drain_timeout=0.0)


# ── over the end of a run ──


async def test_what_a_stop_returns_is_handled_by_the_next_run() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled, grace_period=0.0).running() as bus:
        await bus.publish_many([Order(666), Order(1), Order(2)])
        report = await bus.stop(drain_timeout=0.0)
    assert report is not None
    assert [(each.event, each.is_durable) for each in report.returned] == [
        (Order(666), True),
        (Order(1), True),
        (Order(2), True),
    ]
    assert handled == []
    async with shop(store, handled, grace_period=0.0).running() as bus:
        await bus.stop(drain_timeout=0.0)
    store.deliveries.pop(1)  # the one that waits for ever
    assert await run_once(store) == [1, 2]


async def test_the_next_run_has_the_event_with_its_id_and_all_that_was_said_of_it() -> None:
    store, found = MemoryStore(), list[Delivery[Order]]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        receipt = await bus.publish(
            Order(666), headers={"a": 1}, correlation_id="c", topic="orders.new", priority=Priority.HIGH
        )
        await bus.stop(drain_timeout=0.0)
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order, delivery: Delivery[Order]) -> None:
        found.append(delivery)

    async with bus.running():
        pass
    (delivery,) = found
    envelope = delivery.envelope
    assert (envelope.event, envelope.id, envelope.correlation_id) == (Order(666), receipt.event_id, "c")
    assert (envelope.topic, envelope.priority, dict(envelope.headers)) == ("orders.new", 1, {"a": 1})


async def test_an_event_of_a_subclass_is_one_of_the_subclass_again() -> None:
    store, found = MemoryStore(), list[Order]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish(Refund(666, "broken"))
        await bus.stop(drain_timeout=0.0)
    bus = EventBus("shop", store=store)
    bus.subscribe(found.append, Order, name="ship", durable=True)
    async with bus.running():
        pass
    assert found == [Refund(666, "broken")]


async def test_a_retry_waits_out_its_backoff_in_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled, retry=LATER).running() as bus:
        await bus.publish(Order(-1))
        await anyio.sleep(1.0)
        await bus.stop(drain_timeout=0.0)
    (delivery,) = store.deliveries.values()
    assert delivery.attempts == 1
    async with shop(store, handled, retry=LATER).running() as bus:
        await anyio.sleep(50.0)
        assert bus.statistics().subscriptions["ship"].waiting_retry == 1
        await bus.stop(drain_timeout=0.0)


async def test_what_is_kept_for_a_name_that_nobody_has_stays_until_somebody_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish_many([Order(666), Order(1)])
        await bus.stop(drain_timeout=0.0)
    store.deliveries.pop(1)
    bus = EventBus("shop", store=store)
    async with bus.running():
        assert "1 deliveries in the store are for ship" in caplog.text

        async def ship(order: Order) -> None:
            handled.append(order.number)

        await bus.subscribe_now(ship, Order, name="ship", durable=True)
    assert handled == [1]


# ── over the end of a process ──


async def test_what_was_started_when_the_process_ended_counts_as_an_attempt() -> None:
    store, attempts = MemoryStore(), list[int]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish(Order(666))
        await anyio.sleep(1.0)
        killed = store.copy()
        await bus.stop(drain_timeout=0.0)
    bus = EventBus("shop", store=killed)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order, delivery: Delivery[Order]) -> None:
        attempts.append(delivery.attempt)

    async with bus.running():
        pass
    assert attempts == [2]


async def test_a_message_that_ends_its_process_each_time_is_buried_and_not_started_again() -> None:
    store = MemoryStore()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish(Order(666))
        await anyio.sleep(1.0)
        killed = store.copy()
        await bus.stop(drain_timeout=0.0)
    for _ in range(2):
        async with shop(killed, [], grace_period=0.0).running() as bus:
            await anyio.sleep(1.0)
            next_one = killed.copy()
            await bus.stop(drain_timeout=0.0)
        killed = next_one
    async with shop(killed, []).running() as bus:
        (letter,) = bus.dead_letters
        assert (letter.event, letter.reason, letter.attempts) == (Order(666), DeadLetterReason.KILLED_PROCESS, 3)


async def test_a_suspect_runs_alone_and_everybody_else_waits() -> None:
    store, running, most = MemoryStore(), set[int](), dict[int, int]()
    bus = EventBus("shop", store=store)

    async def ship(order: Order) -> None:
        running.add(order.number)
        most[order.number] = max(most.get(order.number, 0), len(running))
        await anyio.sleep(1.0)
        running.remove(order.number)

    bus.subscribe(ship, Order, name="ship", durable=True, concurrency=3)
    async with bus.running():
        await bus.publish_many([Order(number) for number in range(6)])
        await anyio.sleep(0.5)
        killed = store.copy()
    most.clear()
    again = EventBus("shop", store=killed)
    again.subscribe(ship, Order, name="ship", durable=True, concurrency=3)
    async with again.running():
        pass
    assert [most[number] for number in range(6)] == [1, 1, 1, 1, 2, 3]


async def test_fault_I17_what_was_handled_just_before_the_process_ended_is_not_handled_again() -> None:
    store, handled = MemoryStore(), list[int]()
    killed: list[MemoryStore] = []
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        handled.append(order.number)
        if order.number == 2:
            killed.append(store.copy())

    async with shop(store, [], grace_period=0.0, retry=LATER).running() as first:
        await first.publish_many([Order(666), Order(1), Order(2)])
        await first.stop(drain_timeout=0.0)
    store.deliveries.pop(1)
    async with bus.running():
        pass
    assert len(killed[0].deliveries) == 2
    assert await run_once(killed[0]) == [2]


async def killed_with_suspects(event: Order, **subscriptions: type) -> MemoryStore:
    """Give the store of a process that ended while each of *subscriptions* was at its first attempt of *event*."""
    store = MemoryStore()
    bus = EventBus("shop", store=store)

    async def wait(_order: Order) -> None:
        await anyio.sleep_forever()

    for name, kind in subscriptions.items():
        bus.subscribe(wait, kind, name=name, durable=True, grace_period=0.0)
    async with bus.running():
        await bus.publish(event)
        await anyio.sleep(1.0)
        killed = store.copy()
        await bus.stop(drain_timeout=0.0)
    return killed


async def test_a_suspect_whose_actor_does_not_come_up_does_not_hold_up_the_others() -> None:
    store, handled = await killed_with_suspects(Refund(1), refund=Refund, ship=Order), list[int]()
    async with shop(store, handled).running():  # nobody is named refund here
        pass
    assert handled == [1]


# ── dead letters ──


async def test_dead_letters_are_there_in_the_next_run_with_their_numbers() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish_many([Order(-1), Order(-2)])
    async with shop(store, []).running() as bus:
        found = [(letter.id, letter.event, letter.attempts) for letter in bus.dead_letters]
        assert found == [(1, Order(-1), 3), (2, Order(-2), 3)]
        failure = bus.dead_letters.get(1).failure
        assert failure is not None
        assert failure.type == "builtins.ConnectionError"


async def test_a_letter_that_is_purged_is_gone_for_good() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
        await bus.drain()
        bus.dead_letters.purge()
    async with shop(store, []).running() as bus:
        assert len(bus.dead_letters) == 0


async def test_a_letter_that_was_taken_and_put_back_is_kept() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
        await bus.drain()
        bus.dead_letters.put_back(bus.dead_letters.take(1))
    assert list(store.letters) == [1]


async def test_a_number_of_a_letter_is_never_given_again() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
        await bus.drain()
        bus.dead_letters.purge()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-2))
        await bus.drain()
        assert [letter.id for letter in bus.dead_letters] == [2]


async def test_a_replay_moves_the_letter_into_the_mailbox_in_one_commit() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled).running() as bus:
        await bus.publish(Order(-1))
        await bus.drain()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order, delivery: Delivery[Order]) -> None:
        assert delivery.replay_of == 1
        assert (len(store.letters), len(store.deliveries)) == (0, 1)
        handled.append(order.number)

    async with bus.running():
        report = await bus.replay()
        assert report.replayed == (1,)
    assert handled == [-1]


async def test_a_replay_that_fails_again_after_the_end_of_the_process_carries_its_history_on() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
        await bus.drain()
    async with shop(store, [], retry=LATER).running() as bus:
        await bus.replay()
        await anyio.sleep(1.0)
        await bus.stop(drain_timeout=0.0)
    async with shop(store, []).running() as bus:
        await bus.drain(timeout=600.0)
        (letter,) = bus.dead_letters
        assert (letter.replayed_from, letter.replay_count, letter.history[0].count) == (1, 1, 2)


async def test_fault_I18_a_letter_can_be_replayed_once_only() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        handled.append(order.number)

    async with bus.running(), anyio.create_task_group() as group:
        group.start_soon(bus.replay)
        group.start_soon(bus.replay)
    assert handled == [-1]


async def test_a_replay_that_the_store_refuses_leaves_the_letter_where_it_was() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
        await anyio.sleep(1.0)
        store.refuse_with = StoreFull("bus.db", "no room")
        report = await bus.replay()
        assert [reason for _, reason in report.refused] == ["store 'bus.db': no room"]
        assert [letter.id for letter in bus.dead_letters] == [1]
    assert list(store.letters) == [1]


async def test_an_event_whose_type_is_not_known_any_more_becomes_a_letter_and_can_be_read_later() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish(Order(666))
        await bus.stop(drain_timeout=0.0)
    stranger = EventBus("shop", store=_with_other_codecs(store))
    stranger.subscribe(print, Unreadable, name="ship", durable=True)
    async with stranger.running():
        (letter,) = stranger.dead_letters
        assert type(letter.event) is Unreadable
        assert letter.reason is DeadLetterReason.UNREADABLE
        report = await stranger.replay()
        assert "cannot be read" in report.refused[0][1]
        again = _with_other_codecs(stranger.store)
    bus = EventBus("shop", store=again)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        handled.append(order.number)

    async with bus.running():
        assert [letter.event for letter in bus.dead_letters] == [Order(666)]
        await bus.replay()
    assert handled == [666]


async def test_an_unreadable_letter_that_is_put_back_can_still_be_read_later() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
    stranger = EventBus("shop", store=_with_other_codecs(store))
    async with stranger.running():
        stranger.dead_letters.put_back(stranger.dead_letters.take(1))
        await anyio.sleep(1.0)
        again = _with_other_codecs(stranger.store)
    async with shop(again, []).running() as bus:
        assert [letter.event for letter in bus.dead_letters] == [Order(-1)]


def _with_other_codecs(store: Any) -> MemoryStore:
    """Give what another program would find, which has not seen the types of the first one."""
    other = MemoryStore()
    copy = store.copy()
    for name in ("events", "deliveries", "letters", "last"):
        setattr(other, name, getattr(copy, name))
    return other


# ── duplicates ──


async def test_a_duplicate_is_known_after_the_end_of_the_process() -> None:
    store, handled = MemoryStore(), list[int]()
    window = Deduplicate(window=300.0, by=lambda order: order.number)
    async with shop(store, handled, deduplicate=window).running() as bus:
        await bus.publish(Order(1))
    async with shop(store, handled, deduplicate=window).running() as bus:
        receipt = await bus.publish(Order(1))
        assert receipt.outcomes == {"ship": Dropped(DropReason.DUPLICATE)}
        await bus.publish(Order(2))
    assert handled == [1, 2]


async def test_a_key_that_cannot_be_kept_is_refused_before_anything_happened() -> None:
    window = Deduplicate(window=300.0, by=lambda order: frozenset({order.number}))
    async with shop(MemoryStore(), [], deduplicate=window).running() as bus:
        with pytest.raises(TypeError, match=r"de-duplication key.*cannot be kept"):
            await bus.publish(Order(1))
        assert bus.ledger().matched == 0


@pytest.mark.parametrize("key", ["text", 7, 1.5, b"bytes", None, True, ("a", (1, None))])
async def test_a_key_of_any_plain_kind_is_known_again(key: Any) -> None:
    store, handled = MemoryStore(), list[int]()
    window = Deduplicate(window=300.0, by=lambda _order: key)
    for number in (1, 2):
        async with shop(store, handled, deduplicate=window).running() as bus:
            await bus.publish(Order(number))
    assert handled == [1]


async def test_keys_whose_time_is_over_do_not_stay_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.durable._keeper.FORGET_SEEN_AFTER", 3)
    store = MemoryStore()
    store.seen = {("ship", "'old'"): 1.0}
    async with shop(store, [], deduplicate=Deduplicate(by=lambda order: order.number)).running() as bus:
        await bus.publish_many([Order(1), Order(2), Order(3)])
    assert sorted(key for _, key in store.seen) == ["1", "2", "3"]


# ── what goes wrong ──


async def test_what_is_committed_for_an_actor_that_has_ended_meanwhile_becomes_a_dead_letter() -> None:
    store, gate = MemoryStore(), anyio.Event()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, restart=RestartPolicy.TRANSIENT)
    async def ship(order: Order) -> None:
        await gate.wait()
        raise FinishActor

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(Order(1))
        store.hold()
        group.start_soon(bus.publish, Order(2))
        await anyio.sleep(1.0)
        gate.set()
        await anyio.sleep(1.0)
        store.release()
        await anyio.sleep(1.0)
        assert [(letter.event, letter.reason) for letter in bus.dead_letters] == [
            (Order(2), DeadLetterReason.ACTOR_STOPPED)
        ]
    assert store.deliveries == {}


async def test_a_publisher_waits_for_the_commit_of_the_letter_if_the_actor_is_parked() -> None:
    store = MemoryStore()
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, intensity=RestartIntensity(0, 1.0), on_exhausted="park")
    async def ship(order: Order) -> None:
        await cancel_as_a_stranger()

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(Order(1))
        await anyio.sleep(1.0)
        assert bus.statistics().subscriptions["ship"].state == "parked"
        store.hold()
        group.start_soon(bus.publish, Order(2), name="publisher")
        await anyio.sleep(1.0)
        assert [task.name for task in anyio.get_running_tasks() if task.name == "publisher"]
        store.release()
        await anyio.sleep(1.0)
        assert not [task.name for task in anyio.get_running_tasks() if task.name == "publisher"]
        assert [letter.event for letter in bus.dead_letters] == [Order(2)]
        assert list(store.letters) == [1]


async def test_what_is_unsubscribed_stays_in_the_store() -> None:
    store = MemoryStore()
    async with shop(store, [], grace_period=0.0).running() as bus, anyio.create_task_group() as group:
        await bus.publish(Order(666))
        store.hold()
        group.start_soon(bus.publish, Order(1))
        await anyio.sleep(1.0)
        await bus.subscriptions["ship"].unsubscribe()
        store.release()
        await anyio.sleep(1.0)
        ledger = bus.ledger()
        assert (ledger.returned, ledger.balanced) == (2, True)
    assert list(store.deliveries) == [1, 2]


async def test_durable_actors_pause_while_the_store_is_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.durable._keeper.FAR_BEHIND", 2)
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled).running() as bus:
        store.hold()
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(bus.publish, Order(number))
            await anyio.sleep(1.0)
            store.release()
            await anyio.sleep(1.0)
    assert sorted(handled) == [0, 1, 2, 3, 4, 5]


async def test_a_paused_actor_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.durable._keeper.FAR_BEHIND", 0)
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled).running() as bus:
        await bus.publish(Order(1))
        store.hold()
        report = await bus.stop(drain_timeout=1.0)
        assert report is not None
        assert report.unstopped == ()


async def test_deliveries_go_on_when_it_cannot_be_noted_that_they_begin(caplog: pytest.LogCaptureFixture) -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled).running() as bus:
        store.notes_fail_with = OSError(28, "No space left on device")
        await bus.publish_many([Order(1), Order(2)])
    assert handled == [1, 2]
    assert "No space left on device" in caplog.text


async def test_keys_order_what_is_recovered() -> None:
    store, order_of = MemoryStore(), list[int]()
    async with shop(store, [], grace_period=0.0).running() as bus:
        await bus.publish_many([Order(666), Order(1), Order(2), Order(3)])
        await bus.stop(drain_timeout=0.0)
    store.deliveries.pop(1)
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True, concurrency=3, key=lambda order: order.number % 2)
    async def ship(order: Order) -> None:
        await anyio.sleep(1.0)
        order_of.append(order.number)

    async with bus.running():
        pass
    assert order_of.index(1) < order_of.index(3)


async def test_letters_of_others_are_kept_too_if_their_events_can_be_encoded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    bus = EventBus("shop", store=store, dead_letter_undeliverable=True)

    @bus.subscriber(Order, object, name="fail", retry=AT_ONCE)
    async def fail(event: object) -> None:
        raise ValueError(event)

    async with bus.running():
        await bus.publish(Order(1))
        await bus.publish(object())
        await bus.drain()
        await bus.subscriptions["fail"].unsubscribe()
    assert list(store.letters) == [1]
    assert "is in memory alone" in caplog.text


async def test_a_letter_that_nobody_matched_is_kept_and_replayed_to_whoever_matches_it_later() -> None:
    store, handled = MemoryStore(), list[int]()
    bus = EventBus("shop", store=store, dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish(Order(1))
    async with shop(store, handled).running() as bus:
        assert (await bus.replay()).replayed == (1,)
    assert (handled, store.letters) == ([1], {})


async def test_a_replay_to_a_subscription_that_is_not_durable_takes_the_letter_out_of_the_store() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, []).running() as bus:
        await bus.publish(Order(-1))
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship")
    async def ship(order: Order) -> None:
        handled.append(order.number)

    async with bus.running():
        await bus.replay()
    assert (handled, store.letters) == ([-1], {})


async def test_fault_I14_letters_beyond_what_the_office_holds_leave_the_store_too() -> None:
    store = MemoryStore()
    bus = EventBus("shop", store=store, dead_letters=DeadLetterOffice(capacity=2))

    @bus.subscriber(Order, name="ship", durable=True, retry=AT_ONCE)
    async def ship(order: Order) -> None:
        raise ValueError

    async with bus.running():
        await bus.publish_many([Order(1), Order(2), Order(3)])
    assert list(store.letters) == [2, 3]
    assert bus.statistics().dead_letters_evicted == 1


async def test_a_sick_actor_loses_nothing_over_the_end_of_the_process() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, [], sick_after=1, grace_period=0.0).running() as bus:
        await bus.publish_many([Order(-1), Order(-2)])
        await anyio.sleep(0.5)
        await bus.stop(drain_timeout=0.0)
    assert [each.attempts for each in store.deliveries.values()] == [0, 0]
    bus = EventBus("shop", store=store)

    @bus.subscriber(Order, name="ship", durable=True)
    async def ship(order: Order) -> None:
        handled.append(order.number)

    async with bus.running():
        pass
    assert sorted(handled) == [-2, -1]


async def test_what_a_store_cannot_keep_is_told_of_without_a_flood(caplog: pytest.LogCaptureFixture) -> None:
    store, handled = MemoryStore(), list[int]()
    bus = shop(store, handled, mailbox=100)

    @bus.subscriber(object, name="fail", retry=AT_ONCE, mailbox=100, sick_after=1000)
    async def fail(event: object) -> None:
        raise ValueError(event)

    async with bus.running():
        store.notes_fail_with = OSError(28, "No space left on device")
        await bus.publish_many([Order(number) for number in range(40)])
        await bus.publish_many([object() for _ in range(40)])
        await bus.drain()
    assert len(handled) == 40
    assert 1 <= caplog.text.count("No space left on device") <= 20
    assert caplog.text.count("is in memory alone") <= 20


async def test_a_replay_waits_for_room_and_then_for_its_commit() -> None:
    store = MemoryStore()
    async with shop(store, []).running() as bus:
        await bus.publish_many([Order(-1), Order(-2), Order(-3)])
    bus, handled = EventBus("shop", store=store), list[int]()

    @bus.subscriber(Order, name="ship", durable=True, mailbox=1)
    async def ship(order: Order) -> None:
        await anyio.sleep(1.0)
        handled.append(order.number)

    async with bus.running():
        report = await bus.replay()
        assert report.replayed == (1, 2, 3)
    assert (handled, store.letters) == ([-1, -2, -3], {})


async def test_each_subscription_knows_its_own_duplicates_again() -> None:
    store, handled = MemoryStore(), list[str]()

    def pair() -> EventBus:
        bus = EventBus("shop", store=store)
        for name, window in (("one", Deduplicate(by=lambda order: order.number)), ("two", None)):

            async def take(_order: Order, delivery: Delivery[Order]) -> None:
                handled.append(delivery.subscription)

            bus.subscribe(take, Order, Refund, name=name, durable=True, deduplicate=window)
        return bus

    store.seen = {("other", "1"): 1e12}
    for _ in range(2):
        async with pair().running() as bus:
            await bus.publish(Refund(1))
    assert sorted(handled) == ["one", "two", "two"]


async def test_a_suspect_with_a_key_is_tried_alone_too() -> None:
    store, handled = MemoryStore(), list[int]()

    def keyed(wait: float) -> EventBus:
        bus = EventBus("shop", store=store)

        @bus.subscriber(
            Order, name="ship", durable=True, concurrency=2, key=lambda order: order.number % 2, grace_period=0.0
        )
        async def ship(order: Order) -> None:
            await anyio.sleep(wait)
            handled.append(order.number)

        return bus

    async with keyed(100.0).running() as bus:
        await bus.publish_many([Order(1), Order(3), Order(2)])
        await anyio.sleep(1.0)
        killed = store.copy()
        await bus.stop(drain_timeout=0.0)
    store = killed
    async with keyed(1.0).running():
        pass
    assert sorted(handled) == [1, 2, 3]
    assert handled.index(1) < handled.index(3)


# ── suspects that cannot be tried ──


async def test_a_suspect_that_is_gone_when_its_turn_comes_is_passed_over() -> None:
    async def wait(_order: Order) -> None:
        await anyio.sleep(10.0)

    store = await killed_with_suspects(Order(666), first=Order, second=Order)
    bus = EventBus("shop", store=store)
    bus.subscribe(wait, Order, name="first", durable=True)
    second = bus.subscribe(wait, Order, name="second", durable=True)
    async with bus.running():
        await anyio.sleep(1.0)
        await second.unsubscribe()
        receipt = await bus.publish(Order(1))
        await receipt.settled()
        assert receipt.outcomes == {"first": Handled()}


async def test_a_suspect_whose_actor_is_down_for_long_holds_nobody_up_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def wait(_order: Order) -> None:
        await anyio.sleep(10.0)

    store = await killed_with_suspects(Order(666), first=Order, second=Order)
    bus = EventBus("shop", store=store)
    bus.subscribe(wait, Order, name="first", durable=True)
    group = bus.group("pair", strategy=Strategy.ONE_FOR_ALL)
    group.subscribe(wait, Order, name="second", durable=True)

    @group.actor(name="neighbour", backoff=Backoff(initial=100.0, maximum=100.0, jitter=0.0), on_failure="restart")
    class Neighbour:  # pyright: ignore[reportUnusedClass]  # the decorator has it
        @handles(str)
        async def crash(self, _text: str) -> None:
            await cancel_as_a_stranger()

    async with bus.running():
        await anyio.sleep(1.0)
        await bus.publish("crash")
        receipt = await bus.publish(Order(1))
        assert receipt.outcomes == {}
        await anyio.sleep(60.0)
        assert receipt.outcomes == {"first": Handled()}
        assert "second did not come up in time to handle it alone" in caplog.text


# ── pausing ──


async def test_what_waits_in_a_paused_subscription_is_there_in_the_next_run() -> None:
    store, handled = MemoryStore(), list[int]()
    async with shop(store, handled).running() as bus:
        bus.subscriptions["ship"].pause()
        await bus.publish_many([Order(1), Order(2)])
        before = anyio.current_time()
    assert anyio.current_time() == before
    assert bus.stop_report is not None
    assert [each.is_durable for each in bus.stop_report.returned] == [True, True]
    assert handled == []
    assert await run_once(store) == [1, 2]


class Lonely:
    """A bus whose handlers note how many of them run at most while theirs does, each for a second."""

    def __init__(self, store: MemoryStore) -> None:
        self.bus = EventBus("shop", store=store)
        self.running: list[str] = []
        self.handled: list[tuple[str, int]] = []

    def subscribe(self, name: str, on: Group | None = None) -> Subscription:
        async def handle(_order: Order) -> None:
            self.running.append(name)
            most = len(self.running)
            await anyio.sleep(1.0)
            most = max(most, len(self.running))
            self.running.remove(name)
            self.handled.append((name, most))

        return (on or self.bus).subscribe(handle, Order, name=name, durable=True)


async def test_a_suspect_whose_actor_is_paused_is_put_off_and_tried_alone_when_it_is_resumed() -> None:
    lonely = Lonely(await killed_with_suspects(Order(666), first=Order, second=Order))
    lonely.subscribe("first")
    second = lonely.subscribe("second")
    async with lonely.bus.running() as bus:
        second.pause()
        await anyio.sleep(0.5)
        await bus.publish(Order(1))
        await anyio.sleep(2.0)
        assert lonely.handled == [("first", 1), ("first", 1)]
        second.resume()
        await bus.publish(Order(2))
        await anyio.sleep(5.0)
        assert lonely.handled[2] == ("second", 1)
        assert sorted(name for name, _ in lonely.handled[3:]) == ["first", "second", "second"]


@pytest.mark.parametrize("is_resumed_at_once", [False, True])
async def test_a_suspect_whose_actor_is_down_and_paused_holds_nobody_up(is_resumed_at_once: bool) -> None:
    lonely = Lonely(await killed_with_suspects(Order(666), first=Order, second=Order))
    lonely.subscribe("first", lonely.bus.group("alone"))
    group = lonely.bus.group("pair", strategy=Strategy.ONE_FOR_ALL)
    second = lonely.subscribe("second", group)

    @group.actor(name="neighbour", backoff=Backoff(initial=100.0, maximum=100.0, jitter=0.0), on_failure="restart")
    class Neighbour:  # pyright: ignore[reportUnusedClass]  # the decorator has it
        @handles(str)
        async def crash(self, _text: str) -> None:
            await cancel_as_a_stranger()

    async with lonely.bus.running() as bus:
        await anyio.sleep(0.5)
        await bus.publish("crash")
        await anyio.sleep(1.0)
        second.pause()
        if is_resumed_at_once:
            second.resume()
        await bus.publish(Order(1))
        await anyio.sleep(1.5 if not is_resumed_at_once else 40.0)
        assert lonely.handled == [("first", 1), ("first", 1)]
        second.resume()
        await anyio.sleep(300.0)
        assert lonely.handled[2:] == [("second", 1), ("second", 1)]


async def test_a_suspect_that_its_actor_has_begun_is_tried_to_its_end_when_it_is_paused() -> None:
    lonely = Lonely(await killed_with_suspects(Order(666), first=Order))
    first = lonely.subscribe("first")
    lonely.subscribe("second")
    async with lonely.bus.running() as bus:
        await anyio.sleep(0.5)
        first.pause()
        await bus.publish(Order(1))
        await anyio.sleep(2.0)
        assert lonely.handled == [("first", 1), ("second", 1)]


# ── the store for tests ──


def test_a_store_that_nobody_has_open_can_be_held_and_released() -> None:
    store = MemoryStore()
    store.hold()
    assert store.is_held
    store.release()
    assert not store.is_held


def test_an_update_of_what_has_ended_changes_nothing() -> None:
    store = MemoryStore()
    store.apply(Update(StoredDelivery(id=7, event=7, subscription="ship", attempts=1)))
    assert store.deliveries == {}
