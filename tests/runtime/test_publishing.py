"""From an event to deliveries: who matches, what is decided before anything happens, and what an envelope carries."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.runtime.helpers import CRITICAL, HIGH, LOW, NORMAL, Gated, Note, Other, quiet
from tocsin import (
    BusClosed,
    BusNotRunning,
    Coalesce,
    DeadLettered,
    DeadLetterReason,
    Deduplicate,
    Delivery,
    Dropped,
    DropReason,
    Envelope,
    Event,
    EventBus,
    Handled,
    InvalidPriority,
    InvalidTopic,
    Ledger,
    Receipt,
    RouteError,
)

MakeBus = Callable[..., EventBus]


def is_long(note: Note) -> bool:
    return len(note.text) > 3


# ── who matches ──


async def test_each_subscription_that_matches_gets_the_event_once_in_the_order_of_subscribing(
    make_bus: MakeBus,
) -> None:
    bus = make_bus()
    for name, interests in (("b", (Note, object)), ("none", (Other,)), ("a", (Note,)), ("topic", ("x.#",))):
        bus.subscribe(Gated(is_open=True), *interests, name=name)
    async with bus.running():
        receipt = await bus.publish(Note("0"), topic="x.y")
        assert receipt.matched == ("b", "a", "topic")
        assert receipt.accepted == ("b", "a", "topic")
    assert bus.ledger().handled == 3


async def test_a_predicate_and_the_priorities_of_a_subscription_decide_whether_it_matches(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(Gated(is_open=True), Note, name="long", when=is_long)
    bus.subscribe(Gated(is_open=True), Note, name="urgent", priorities=[CRITICAL, HIGH])
    async with bus.running():
        matched = [
            (await bus.publish(Note(text), priority=priority)).matched
            for text, priority in (("text", HIGH), ("text", NORMAL), ("no", CRITICAL), ("no", LOW))
        ]
    assert matched == [("long", "urgent"), ("long",), ("urgent",), ()]
    assert bus.statistics().undeliverable == 1


async def test_fault_E14_an_event_that_nobody_matches_is_counted_and_its_receipt_is_settled(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        receipt = await bus.publish(Note("0"))
        assert receipt.matched == ()
        assert await receipt.settled() == {}
    assert (bus.statistics().published, bus.statistics().undeliverable) == (1, 1)
    assert bus.ledger() == Ledger()
    assert len(bus.dead_letters) == 0


async def test_an_event_that_nobody_matches_is_kept_if_the_bus_was_asked_to(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish(Note("0"), topic="x")
    (letter,) = bus.dead_letters.list()
    assert (letter.event, letter.topic, letter.reason) == (Note("0"), "x", DeadLetterReason.UNDELIVERABLE)


async def test_fault_E2_who_subscribes_while_an_event_is_being_published_gets_only_later_ones(
    make_bus: MakeBus,
) -> None:
    bus, slow, late = make_bus(), Gated(), Gated(is_open=True)
    bus.subscribe(slow, Note, name="slow", mailbox=1)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        await bus.publish(Note("1"))
        receipt = Receipt()

        async def publish() -> None:
            await bus.publish(Note("2"), receipt=receipt)

        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await quiet()
            await bus.subscribe_now(late, Note, name="late")
            slow.open()
        assert receipt.matched == ("slow",)
        await bus.publish(Note("3"))
    assert slow.done == ["0", "1", "2", "3"]
    assert late.done == ["3"]


async def test_fault_E13_the_same_handler_twice_is_two_subscriptions(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="one")
    bus.subscribe(handler, Note, name="two")
    async with bus.running():
        assert (await bus.publish(Note("0"))).matched == ("one", "two")
    assert handler.done == ["0", "0"]


async def test_fault_E15_any_number_of_subscriptions_get_the_event_in_one_step(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[Note]()

    async def handle(note: Note) -> None:
        seen.append(note)

    for number in range(300):
        bus.subscribe(handle, Note, name=str(number))
    async with bus.running():
        receipt = bus.publish_nowait(Note("0"))
        assert len(receipt.accepted) == 300
        await receipt.settled()
    assert len(seen) == 300


class Hostile:
    """An event that lies about its class, and can be neither compared, hashed, printed nor asked for attributes."""

    __hash__ = None  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise AssertionError("its class was asked for")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("it was compared")

    def __lt__(self, other: object) -> bool:
        raise AssertionError("it was compared")

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    def __bool__(self) -> bool:
        raise AssertionError("its truth was asked for")


async def test_fault_F2_F3_an_event_is_never_compared_hashed_printed_or_asked_what_it_is(make_bus: MakeBus) -> None:
    bus, seen = make_bus(dead_letter_undeliverable=True), list[int]()

    async def handle(event: Any) -> None:
        seen.append(1)
        raise ConnectionError

    bus.subscribe(handle, Hostile, mailbox=2)
    async with bus.running():
        for priority in (LOW, LOW, CRITICAL):
            receipt = await bus.publish(Hostile(), priority=priority)
        await receipt.settled()
        assert receipt.matched == ("handle",)
        repr(receipt)
    assert bus.ledger().dead_lettered == 3


@pytest.mark.parametrize("answer", ["error", "nothing", "itself"])
async def test_an_event_that_answers_every_question_changes_nothing(make_bus: MakeBus, answer: str) -> None:
    class Obliging:
        def __getattr__(self, name: str) -> Any:
            if answer == "error":
                raise RuntimeError(name)
            return None if answer == "nothing" else self

    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Obliging, name="quick")
    async with bus.running():
        receipt = await bus.publish(Obliging())
        assert await receipt.settled() == {"quick": Handled()}
    assert handler.deliveries[0].envelope.schema_version == 1


# ── decided before anything happens ──


@pytest.mark.parametrize("priority", [float("nan"), float("inf"), "HIGH", None, True, 10**400, -1, 4, 1.0, object()])
async def test_fault_F1_what_is_no_priority_is_refused_before_anything_happened(
    make_bus: MakeBus, priority: Any
) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        for _ in range(2):
            with pytest.raises(InvalidPriority, match=r"priority=.*CRITICAL=0, HIGH=1, NORMAL=2, LOW=3"):
                await bus.publish(Note("0"), priority=priority)
        with pytest.raises(InvalidPriority):
            bus.publish_nowait(Note("0"), priority=priority)
    assert bus.ledger() == Ledger()
    assert bus.statistics().published == 0


@pytest.mark.parametrize("topic", ["", "a..b", "a.*", "a\nb", "x" * 300, "\ud800", 7])
async def test_what_is_no_topic_is_refused_before_anything_happened(make_bus: MakeBus, topic: Any) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        receipt = Receipt()
        with pytest.raises(InvalidTopic):
            await bus.publish(Note("0"), topic=topic, receipt=receipt)
        assert repr(receipt) == "<Receipt unused>"
    assert bus.ledger() == Ledger()
    assert bus.statistics().published == 0


@pytest.mark.parametrize("expires_in", [-1, float("nan"), "1", True, None.__class__])
async def test_what_is_no_time_to_expire_is_refused(make_bus: MakeBus, expires_in: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match=r"expires_in=.*must be seconds, 0 or more"):
            await bus.publish(Note("0"), expires_in=expires_in)
    assert bus.statistics().published == 0


def broken(event: Any) -> Any:
    raise LookupError(event)


def unhashable(event: Any) -> Any:
    return []


def hostile(event: Any) -> Any:
    return Hostile()


@pytest.mark.parametrize(
    ("options", "role"),
    [
        ({"when": broken}, r"predicate \(when=\)"),
        ({"when": hostile}, r"predicate \(when=\)"),
        ({"key": broken}, "key function"),
        ({"overflow": Coalesce(broken)}, "key function"),
        ({"deduplicate": Deduplicate(by=broken)}, r"de-duplication key \(by=\)"),
        ({"key": unhashable}, "key function"),
        ({"overflow": Coalesce(unhashable)}, "key function"),
        ({"deduplicate": Deduplicate(by=unhashable)}, r"de-duplication key \(by=\)"),
    ],
)
async def test_fault_A24_a_function_of_the_users_that_fails_is_told_to_the_publisher_and_nobody_has_the_event(
    make_bus: MakeBus, options: Any, role: str
) -> None:
    bus, first, last = make_bus(), Gated(is_open=True), Gated(is_open=True)
    bus.subscribe(first, Note, name="first")
    bus.subscribe(Gated(is_open=True), Note, name="bad", **options)
    bus.subscribe(last, Note, name="last")
    async with bus.running():
        with pytest.raises(RouteError, match=f"the {role} of subscription 'bad'.*nothing was accepted") as caught:
            await bus.publish(Note("0"))
        assert isinstance(caught.value.__cause__, LookupError | TypeError | AssertionError)
        assert caught.value.subscription == "bad"
        with pytest.raises(RouteError):
            bus.publish_nowait(Note("0"))
    assert bus.ledger() == Ledger()
    assert bus.statistics().published == 0
    assert (first.done, last.done) == ([], [])


async def test_fault_E16_a_predicate_that_publishes_itself_is_served_first(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)

    def publish_too(note: Note) -> bool:
        bus.publish_nowait(Other("from the predicate"))
        return True

    bus.subscribe(handler, Note, Other, name="quick")
    bus.subscribe(Gated(is_open=True), Note, name="curious", when=publish_too)
    async with bus.running():
        await bus.publish(Note("0"))
    assert handler.done == ["from the predicate", "0"]


# ── when nobody may publish ──


async def test_fault_E7_before_the_first_run_and_after_it_publishing_is_refused_without_a_trace(
    make_bus: MakeBus,
) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    with pytest.raises(BusNotRunning, match=r"use it inside of `async with bus.running\(\):`"):
        await bus.publish(Note("0"))
    async with bus.running():
        pass
    with pytest.raises(BusClosed, match="is stopped and accepts no new events"):
        await bus.publish(Note("0"))
    with pytest.raises(BusClosed):
        bus.publish_nowait(Note("0"))
    assert bus.ledger() == Ledger()
    assert bus.statistics().published == 0
    assert handler.done == []


async def test_while_the_bus_drains_handlers_may_publish_and_others_not(make_bus: MakeBus) -> None:
    bus, gate, handler = make_bus(), Gated(), Gated(is_open=True)

    @bus.subscriber(Other)
    async def forward(other: Other) -> None:
        await gate(other, delivery_stub)
        await bus.publish(Note("awaited"))
        bus.publish_nowait(Note("not awaited"))

    delivery_stub: Any = Delivery[Any](None, "", None, 0)  # type: ignore[arg-type]
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        await bus.publish(Other())
        await quiet()
        bus.request_stop()
        receipt = Receipt()
        with pytest.raises(BusClosed, match="is draining") as caught:
            await bus.publish(Note("too late"), receipt=receipt)
        assert caught.value.receipt is receipt
        with pytest.raises(BusClosed) as refused:
            bus.publish_nowait(Note("too late"))
        assert refused.value.receipt is not None
        assert refused.value.receipt.accepted == ()
        gate.open()
    assert handler.done == ["awaited", "not awaited"]


# ── what an envelope carries ──


async def test_an_envelope_carries_what_was_said_when_it_was_published(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        await bus.publish(Note("0"), priority=HIGH, topic="a.b", headers={"h": 1}, correlation_id="c", schema_version=3)
        await bus.publish(Note("1"), priority=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    first, second = (delivery.envelope for delivery in handler.deliveries)
    assert (first.event, first.priority, first.topic) == (Note("0"), HIGH, "a.b")
    assert (dict(first.headers), first.correlation_id, first.schema_version) == ({"h": 1}, "c", 3)
    assert (first.causation_id, first.expires_at) == (None, None)
    assert (second.priority, second.correlation_id, second.schema_version) == (LOW, second.id, 1)


async def test_an_event_with_a_topic_of_its_own_brings_its_version(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, "order.*", name="quick")
    async with bus.running():
        await bus.publish(Event("order.placed", schema_version=2))
    (delivery,) = handler.deliveries
    assert (delivery.envelope.topic, delivery.envelope.schema_version) == ("order.placed", 2)


async def test_what_a_handler_publishes_is_caused_by_what_it_handles(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: dict[str, Envelope[Any]] = {}

    @bus.subscriber(Note)
    async def chain(note: Note, delivery: Delivery[Note]) -> None:
        seen[note.text] = delivery.envelope
        following = {"0": "1", "1": "2"}.get(note.text)
        if following:
            async with anyio.create_task_group() as group:
                group.start_soon(bus.publish, Note(following))

    async with bus.running():
        await bus.publish(Note("0"), correlation_id="process")
        await quiet()
        await bus.publish(Note("outside"))
    assert {envelope.correlation_id for text, envelope in seen.items() if text != "outside"} == {"process"}
    assert [seen[text].causation_id for text in "012"] == [None, seen["0"].id, seen["1"].id]
    assert seen["outside"].causation_id is None


# ── events whose time is over ──


async def test_fault_E18_an_event_that_expires_in_the_queue_is_dead_lettered_and_never_handled(
    make_bus: MakeBus,
) -> None:
    bus, handler = make_bus(), Gated()
    bus.subscribe(handler, Note, name="slow", timeout=None)
    async with bus.running():
        await bus.publish(Note("0"))
        await quiet()
        late = await bus.publish(Note("late"), expires_in=10.0)
        in_time = await bus.publish(Note("in time"), expires_in=100.0)
        at_once = await bus.publish(Note("at once"), expires_in=0)
        never = await bus.publish(Note("never"), expires_in=float("inf"))
        await anyio.sleep(10.0)
        assert not late.is_settled  # told when its turn comes
        handler.open()
        outcomes = [(await receipt.settled())["slow"] for receipt in (late, in_time, at_once, never)]
    letters = bus.dead_letters.list()
    assert [(letter.event, letter.reason, letter.attempts) for letter in letters] == [
        (Note("late"), DeadLetterReason.EXPIRED, 0),
        (Note("at once"), DeadLetterReason.EXPIRED, 0),
    ]
    expired = [DeadLettered(DeadLetterReason.EXPIRED, letter.id) for letter in letters]
    assert outcomes == [expired[0], Handled(), expired[1], Handled()]
    assert handler.done == ["0", "in time", "never"]


# ── duplicates ──


async def test_fault_E19_events_are_delivered_as_often_as_they_are_published_unless_asked_otherwise(
    make_bus: MakeBus,
) -> None:
    bus, all_of_them, once = make_bus(), Gated(is_open=True), Gated(is_open=True)
    deduplicate = Deduplicate(window=60.0, by=lambda note: note.text)
    bus.subscribe(all_of_them, Note, name="all")
    bus.subscribe(once, Note, name="once", deduplicate=deduplicate)
    async with bus.running():
        note = Note("0")
        await bus.publish(note)
        second = await bus.publish(note)
        assert second.outcomes["once"] == Dropped(DropReason.DUPLICATE)
        assert second.accepted == ("all",)
        await anyio.sleep(61.0)
        await bus.publish(note)
    assert len(all_of_them.done) == 3
    assert len(once.done) == 2
    assert bus.ledger().dropped == 1


async def test_fault_E19_by_default_duplicates_are_told_by_the_id_of_the_envelope(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="once", deduplicate=Deduplicate())
    async with bus.running():
        await bus.publish_many([Note("0"), Note("0")])
    assert len(handler.done) == 2


# ── the ledger, at every instant ──


@pytest.mark.parametrize("seed", range(8))
async def test_the_ledger_balances_and_the_receipts_agree_with_it(make_bus: MakeBus, seed: int) -> None:
    chance = random.Random(seed)
    bus = make_bus(random=random.Random(seed))

    async def handle(note: Note) -> None:
        assert bus.ledger().balanced
        await anyio.sleep(chance.choice([0.0, 0.0, 0.3]))
        if chance.random() < 0.3:
            raise ConnectionError

    for number in range(3):
        bus.subscribe(handle, Note, name=str(number), mailbox=5, concurrency=number + 1, sick_after=1000)
    receipts: list[Receipt] = []
    async with bus.running(drain_timeout=1e6):
        for number in range(100):
            expires_in = chance.choice([None, 0.2])
            receipts.append(await bus.publish(Note(str(number)), expires_in=expires_in))
            assert bus.ledger().balanced
    ledger = bus.ledger()
    outcomes = [outcome for receipt in receipts for outcome in receipt.outcomes.values()]
    assert len(outcomes) == ledger.matched == ledger.ended == 300
    assert sum(isinstance(outcome, Handled) for outcome in outcomes) == ledger.handled
    assert sum(isinstance(outcome, DeadLettered) for outcome in outcomes) == ledger.dead_lettered
