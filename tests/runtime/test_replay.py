"""Dead letters handled once more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tocsin import (
    BusClosed,
    DeadLetterOffice,
    DeadLetterReason,
    EventBus,
    Handled,
    Priority,
    Reject,
    ReplayReport,
    RestartIntensity,
    RetryPolicy,
    Returned,
)

MakeBus = Callable[..., EventBus]
ONCE = RetryPolicy(max_attempts=1)


class Mendable:
    """A handler that fails until it is mended, and can be told to park."""

    def __init__(self) -> None:
        self.is_broken = True
        self.seen: list[Any] = []
        self.deliveries: list[Any] = []
        self.at: list[float] = []
        self.gate = anyio.Event()
        self.parks = False

    async def __call__(self, event: Any, delivery: Any) -> None:
        if self.is_broken:
            raise ConnectionError("broken")
        self.seen.append(event)
        self.deliveries.append((delivery.attempt, delivery.replay_of, delivery.envelope.id))
        self.at.append(anyio.current_time())
        if self.parks:
            await self.gate.wait()


async def ignore(event: object) -> None: ...


async def with_letters(bus: EventBus, count: int, **options: Any) -> None:
    for number in range(count):
        await (await bus.publish(number, **options)).settled()
    assert len(bus.dead_letters) >= count


def subscribe(bus: EventBus, handler: Mendable, **options: Any) -> Any:
    defaults: dict[str, Any] = {"retry": ONCE, "sick_after": 1000, "name": "mendable"}
    return bus.subscribe(handler, int, **{**defaults, **options})


async def test_a_letter_goes_to_the_subscriber_that_failed_and_to_nobody_else(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    bus.subscribe(ignore, object)
    async with bus.running():
        await with_letters(bus, 3)
        handler.is_broken = False
        before = bus.statistics().subscriptions["ignore"].handled
        report = await bus.replay()
        for receipt in report.receipts:
            assert await receipt.settled() == {"mendable": Handled()}
        assert bus.statistics().subscriptions["ignore"].handled == before
    assert report == ReplayReport(selected=(1, 2, 3), replayed=(1, 2, 3), refused=(), receipts=report.receipts)
    assert handler.seen == [0, 1, 2]
    assert len(bus.dead_letters) == 0


async def test_a_replayed_delivery_has_its_attempts_counted_anew_and_keeps_the_id_of_the_event(
    make_bus: MakeBus,
) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler, retry=RetryPolicy(max_attempts=3))
    async with bus.running():
        receipt = await bus.publish(
            1, priority=Priority.HIGH, topic="a.b", headers={"h": "1"}, correlation_id="c", schema_version=7
        )
        await receipt.settled()
        (letter,) = bus.dead_letters
        handler.is_broken = False
        (again,) = (await bus.replay()).receipts
        await again.settled()
    assert letter.attempts == 3
    assert handler.deliveries == [(1, letter.id, receipt.event_id)]
    assert again.event_id == receipt.event_id


async def test_everything_known_of_the_event_is_there_again(make_bus: MakeBus) -> None:
    bus, envelopes = make_bus(), list[Any]()

    async def keep(event: int, delivery: Any) -> None:
        envelopes.append(delivery.envelope)
        if len(envelopes) == 1:
            raise ConnectionError

    bus.subscribe(keep, int, retry=ONCE)
    async with bus.running():
        options: Any = {"headers": {"h": "1"}, "correlation_id": "c", "schema_version": 7}
        await (await bus.publish(1, priority=Priority.HIGH, topic="a.b", **options)).settled()
        (receipt,) = (await bus.replay()).receipts
        await receipt.settled()
    first, second = envelopes
    for name in ("event", "id", "priority", "topic", "correlation_id", "causation_id", "schema_version"):
        assert getattr(first, name) == getattr(second, name), name
    assert dict(first.headers) == dict(second.headers)
    assert abs(first.published_at - second.published_at).total_seconds() < 0.001


async def test_a_letter_that_fails_again_comes_back_with_its_history(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    async with bus.running():
        await with_letters(bus, 1)
        for _ in range(2):
            (receipt,) = (await bus.replay()).receipts
            await receipt.settled()
    (letter,) = bus.dead_letters
    assert (letter.id, letter.replay_count, letter.replayed_from) == (3, 2, 2)
    (entry,) = letter.history
    assert entry.count == 3
    assert bus.ledger().dead_lettered == 3


async def test_letters_are_replayed_no_faster_than_asked_for(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    async with bus.running():
        await with_letters(bus, 4)
        handler.is_broken = False
        before = anyio.current_time()
        await bus.replay(rate=2)
        await anyio.wait_all_tasks_blocked()
    assert [round(at - before, 1) for at in handler.at] == [0.0, 0.5, 1.0, 1.5]


async def test_a_dry_run_says_what_would_be_replayed_and_changes_nothing(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    subscription = bus.subscribe(handler, int, name="leaving", retry=ONCE)
    async with bus.running():
        await with_letters(bus, 2)
        await subscription.unsubscribe()
        matched = bus.ledger().matched
        report = await bus.replay(dry_run=True, rate=0.001)
        assert bus.ledger().matched == matched
    assert report.selected == (1, 2, 3, 4)
    assert report.replayed == ()
    assert [number for number, _ in report.refused] == [
        letter.id for letter in bus.dead_letters.list(subscription="leaving")
    ]
    assert report.refused[0][1] == "there is no subscription 'leaving' any more"
    assert len(bus.dead_letters) == 4


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, (1, 2, 3)),
        ({"ids": [3, 1, 77]}, (1, 3)),
        ({"limit": 2}, (1, 2)),
        ({"limit": 0}, ()),
        ({"ids": [3, 2], "limit": 1}, (2,)),
        ({"ids": [2], "subscription": "nobody"}, ()),
        ({"reason": DeadLetterReason.HANDLER_ERROR, "event_type": int, "error_type": ConnectionError}, (1, 2, 3)),
        ({"ids": []}, ()),
    ],
    ids=str,
)
async def test_letters_are_chosen_by_number_and_by_conditions(
    make_bus: MakeBus, conditions: Any, expected: tuple[int, ...]
) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    async with bus.running():
        await with_letters(bus, 3)
        assert (await bus.replay(dry_run=True, **conditions)).selected == expected


@pytest.mark.parametrize("rate", [0, -1, math.inf, math.nan, "2", True])
async def test_a_rate_is_letters_per_second(make_bus: MakeBus, rate: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match=r"rate=.*: must be letters per second, above 0, or None"):
            await bus.replay(rate=rate)


@pytest.mark.parametrize("conditions", [{"limit": -1}, {"reason": "shrug"}, {"limit": -1, "ids": [1]}], ids=str)
async def test_conditions_that_are_none_are_refused(make_bus: MakeBus, conditions: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match=r"limit|shrug"):
            await bus.replay(**conditions)


async def test_a_misspelt_condition_does_not_mean_all_letters(make_bus: MakeBus) -> None:
    bus = make_bus()
    misspelt: Any = {"subscripton": "mendable"}
    async with bus.running():
        with pytest.raises(TypeError, match="subscripton"):
            await bus.replay(**misspelt)


async def test_a_parked_actor_gets_nothing(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler, sick_after=2, intensity=RestartIntensity(0, 5.0), on_exhausted="park")
    async with bus.running():
        await with_letters(bus, 1)
        await bus.publish(1)
        await anyio.sleep(1)
        report = await bus.replay()
    assert report.refused == ((1, "actor 'mendable' is parked: start it again first"),)
    assert len(bus.dead_letters) == 1


async def test_two_replays_at_once_take_each_letter_once(make_bus: MakeBus) -> None:
    bus, handler, reports = make_bus(), Mendable(), list[ReplayReport]()
    subscribe(bus, handler)

    async def replay() -> None:
        reports.append(await bus.replay(rate=1))

    async with bus.running():
        await with_letters(bus, 5)
        handler.is_broken = False
        async with anyio.create_task_group() as group:
            group.start_soon(replay)
            group.start_soon(replay)
    assert sorted(handler.seen) == [0, 1, 2, 3, 4]
    assert sorted(number for report in reports for number in report.replayed) == [1, 2, 3, 4, 5]
    assert {why for report in reports for _, why in report.refused} == {
        "it was purged, evicted, or taken by another replay"
    }


async def test_a_replay_waits_for_room(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler, mailbox=1)
    async with bus.running(), anyio.create_task_group() as group:
        await with_letters(bus, 4)
        handler.is_broken, handler.parks = False, True
        group.start_soon(bus.replay)
        await anyio.wait_all_tasks_blocked()
        assert (len(bus.dead_letters), bus.ledger().blocked) == (1, 1)  # one in hand, one queued, one that waits
        handler.gate.set()
    assert handler.seen == [0, 1, 2, 3]


async def test_cancelled_the_letters_not_taken_are_in_the_office(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler, mailbox=1)
    async with bus.running(drain_timeout=0):
        await with_letters(bus, 5)
        handler.is_broken, handler.parks = False, True
        with anyio.move_on_after(1):
            await bus.replay()
        assert [letter.id for letter in bus.dead_letters] == [3, 4, 5]
        handler.gate.set()
    assert handler.seen == [0, 1]


async def test_a_stop_leaves_the_letters_not_taken_in_the_office(make_bus: MakeBus) -> None:
    bus, handler, reports = make_bus(), Mendable(), list[ReplayReport]()
    subscribe(bus, handler)

    async def replay() -> None:
        reports.append(await bus.replay(rate=1))

    async with anyio.create_task_group() as group, bus.running():
        await with_letters(bus, 5)
        handler.is_broken = False
        group.start_soon(replay)
        await anyio.sleep(1.5)
    assert reports[0].replayed == (1, 2)
    assert reports[0].refused == ((3, "the bus is stopped"), (4, "the bus is stopped"), (5, "the bus is stopped"))
    assert [letter.id for letter in bus.dead_letters] == [3, 4, 5]
    assert bus.ledger().live == 0


async def test_a_stop_gives_back_the_letter_that_waits_for_room(make_bus: MakeBus) -> None:
    bus, handler, reports = make_bus(), Mendable(), list[ReplayReport]()
    subscribe(bus, handler, mailbox=1, grace_period=0)

    async def replay() -> None:
        reports.append(await bus.replay())

    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        await with_letters(bus, 4)
        handler.is_broken, handler.parks = False, True
        group.start_soon(replay)
        await anyio.wait_all_tasks_blocked()
    (report,) = reports
    assert report.replayed == (1, 2)
    assert [number for number, _ in report.refused] == [3, 4]
    assert "while it waited for room" in report.refused[0][1]
    assert [letter.id for letter in bus.dead_letters] == [3, 4]


async def test_a_letter_whose_subscription_ends_while_it_waits_for_its_turn_stays(make_bus: MakeBus) -> None:
    bus, handler, reports = make_bus(), Mendable(), list[ReplayReport]()
    subscription = subscribe(bus, handler)

    async def replay() -> None:
        reports.append(await bus.replay(rate=1))

    async with bus.running(), anyio.create_task_group() as group:
        await with_letters(bus, 3)
        handler.is_broken = False
        group.start_soon(replay)
        await anyio.sleep(0.5)
        await subscription.unsubscribe()
    assert reports[0].replayed == (1,)
    assert {why for _, why in reports[0].refused} == {"there is no subscription 'mendable' any more"}
    assert [letter.id for letter in bus.dead_letters] == [2, 3]


async def test_a_letter_that_waits_for_room_of_who_is_then_parked_is_there_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    options: Any = {"mailbox": 1, "sick_after": 3, "intensity": RestartIntensity(0, 5.0), "on_exhausted": "park"}
    gate = anyio.Event()

    async def fail(event: int) -> None:
        await gate.wait()
        raise ConnectionError

    gate.set()
    bus.subscribe(fail, int, retry=ONCE, **options)
    async with bus.running(drain_timeout=0), anyio.create_task_group() as group:
        await with_letters(bus, 2)
        gate = anyio.Event()
        await bus.publish(10)
        await anyio.wait_all_tasks_blocked()
        await bus.publish(11)
        group.start_soon(bus.replay)
        await anyio.wait_all_tasks_blocked()
        assert bus.ledger().blocked == 1
        gate.set()
        await anyio.sleep(1)
        assert bus.statistics().subscriptions["fail"].state == "parked"
        assert sorted(letter.event for letter in bus.dead_letters) == [0, 1]
        assert [letter.replayed_from for letter in bus.dead_letters if letter.event == 0] == [1]


async def test_a_handler_cannot_wait_for_room_in_its_own_mailbox(make_bus: MakeBus) -> None:
    bus, reports = make_bus(), list[ReplayReport]()

    async def own(event: int) -> None:
        if event < 2:
            raise ConnectionError
        if event == 9:
            await bus.publish(7)
            reports.append(await bus.replay())

    bus.subscribe(own, int, retry=ONCE, mailbox=1, name="own")
    async with bus.running():
        await with_letters(bus, 2)
        await (await bus.publish(9)).settled()
    assert [number for number, _ in reports[0].refused] == [1, 2]
    assert "own → own" in reports[0].refused[0][1]


async def test_a_handler_may_replay_while_the_bus_drains(make_bus: MakeBus) -> None:
    bus, handler, reports = make_bus(), Mendable(), list[ReplayReport]()
    subscribe(bus, handler)

    async def mend(event: str) -> None:
        await anyio.sleep(1)
        handler.is_broken = False
        reports.append(await bus.replay())

    bus.subscribe(mend, str)
    async with bus.running():
        await with_letters(bus, 2)
        await bus.publish("mend")
    assert reports[0].replayed == (1, 2)
    assert handler.seen == [0, 1]


async def test_a_draining_bus_replays_for_nobody_else(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    async with bus.running():
        await with_letters(bus, 1)
        await bus.drain()
        with pytest.raises(BusClosed, match="is draining"):
            await bus.replay()
    assert len(bus.dead_letters) == 1


async def test_letters_of_an_earlier_run_are_replayed_in_a_later_one(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler)
    async with bus.running():
        await with_letters(bus, 2)
    handler.is_broken = False
    async with bus.running():
        await bus.replay()
    assert handler.seen == [0, 1]


async def test_a_key_function_that_raises_leaves_the_letter_where_it_is(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    hostile = False

    def key(event: int) -> int:
        if hostile:
            raise LookupError
        return event

    subscribe(bus, handler, key=key)
    async with bus.running():
        await with_letters(bus, 1)
        hostile = True
        report = await bus.replay()
    assert "the key function of subscription 'mendable' raised" in report.refused[0][1]
    assert len(bus.dead_letters) == 1


# ── events that nobody matched ──


async def test_what_nobody_matched_is_published_again(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish(1)
        assert (await bus.replay()).refused == ((1, "still no subscription matches it"),)
        await bus.subscribe_now(ignore, int)
        await bus.subscribe_now(ignore, int, name="second")
        (receipt,) = (await bus.replay()).receipts
        assert await receipt.settled() == {"ignore": Handled(), "second": Handled()}
    assert len(bus.dead_letters) == 0


async def test_what_is_filtered_out_is_still_undeliverable(make_bus: MakeBus) -> None:
    office: DeadLetterOffice[Any] = DeadLetterOffice()
    bus = make_bus(dead_letter_undeliverable=True, dead_letters=office)
    bus.subscribe(ignore, int, when=lambda number: number > 1)
    async with bus.running():
        await bus.publish(1)
    other = make_bus(dead_letters=office)
    other.subscribe(ignore, int, when=lambda number: number > 1)
    async with other.running():
        assert (await other.replay()).refused == ((1, "still no subscription matches it"),)
    assert len(office) == 1


async def test_a_subscription_called_undeliverable_gets_its_own_letters_only(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Mendable()
    subscribe(bus, handler, name="undeliverable")
    bus.subscribe(ignore, int)
    async with bus.running():
        await with_letters(bus, 1)
        handler.is_broken = False
        (receipt,) = (await bus.replay()).receipts
        assert await receipt.settled() == {"undeliverable": Handled()}


async def test_an_undeliverable_letter_that_is_refused_stays(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    gate = anyio.Event()

    async def park(event: object) -> None:
        await gate.wait()

    async with bus.running():
        await bus.publish(1)
        await bus.subscribe_now(park, object, mailbox=1, overflow=Reject())
        await bus.publish("a")
        await anyio.wait_all_tasks_blocked()
        await bus.publish("b")
        report = await bus.replay()
        gate.set()
    assert report.replayed == ()
    assert "the mailbox of park is full" in report.refused[0][1]
    assert len(bus.dead_letters) == 1


async def test_an_undeliverable_letter_that_somebody_took_has_left_the_office(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    gate = anyio.Event()

    async def park(event: object) -> None:
        await gate.wait()

    async with bus.running():
        await bus.publish(1)
        await bus.subscribe_now(park, object, mailbox=1, overflow=Reject())
        await bus.publish("a")
        await anyio.wait_all_tasks_blocked()
        await bus.publish("b")
        await bus.subscribe_now(ignore, int)
        report = await bus.replay()
        gate.set()
    assert report.replayed == (1,)
    assert report.receipts[0].accepted == ("ignore",)
    assert len(bus.dead_letters) == 0


async def test_a_cancelled_undeliverable_letter_is_in_the_office(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)

    async def park(event: object) -> None:
        await anyio.sleep_forever()

    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await bus.subscribe_now(park, object, mailbox=1, grace_period=0)
        await bus.publish("a")
        await anyio.wait_all_tasks_blocked()
        last = await bus.publish("b")
        with anyio.move_on_after(1) as scope:
            await bus.replay(ids=[1])
        assert scope.cancelled_caught
        assert len(bus.dead_letters) == 1
    assert last.outcomes == {"park": Returned()}
