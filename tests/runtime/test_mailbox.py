"""The inbox of one actor by itself: what is taken when, keys, retries, and servers that sleep."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.helpers import CRITICAL, HIGH, LOW, NORMAL, delivery_of, quiet
from tocsin import Delivery, Priority
from tocsin._mailbox import Mailbox

_numbers = itertools.count(1)


def mailbox(capacity: int = 100, *, keyed: bool = False, strict: bool = False, coalescing: bool = False) -> Mailbox:
    return Mailbox(capacity, keyed=keyed, strict=strict, coalescing=coalescing, now=lambda: 7.0)


def plain_mailbox() -> Mailbox:
    """Make one that publishers may put into by themselves."""
    return Mailbox(100, keyed=False, strict=False, coalescing=False, now=lambda: 7.0, plain=True)


def filled(box: Mailbox, *events: str, priority: Priority = NORMAL) -> dict[str, Delivery[Any]]:
    """Put *events* into *box*; the first character of each is its key."""
    made = {event: delivery_of(event, priority, key=event[0], number=next(_numbers)) for event in events}
    for delivery in made.values():
        box.put(delivery)
    return made


def taken(box: Mailbox, now: float = 0.0) -> list[str]:
    """Take and settle one after the other, until nothing comes any more."""
    events: list[str] = []
    while (delivery := box.take(now)) is not None:
        events.append(delivery.event)
        box.settled(delivery)
    return events


# ── room and contents ──


def test_publishers_put_nothing_in_by_themselves_unless_told_that_they_may() -> None:
    for box, room in ((mailbox(), 0), (plain_mailbox(), 100)):
        filled(box, "a")
        box.open()
        assert box.room == room


def test_queued_held_and_waiting_ones_take_room_and_those_in_flight_do_not() -> None:
    box = mailbox(3, keyed=True)
    filled(box, "a1", "a2")
    first = box.take(0.0)
    assert first is not None
    assert box.take(0.0) is None
    assert (box.queued, box.waiting_retry) == (1, 0)
    box.put_for_retry(filled(box, "b1")["b1"], 5.0)
    assert box.waiting_retry == 1
    assert not box.has_room


def test_iteration_gives_queued_ones_in_serving_order_then_held_ones_then_retries() -> None:
    box = mailbox(keyed=True)
    filled(box, "a1", "a2", "b1")
    filled(box, "c1", priority=LOW)
    retried = box.take(0.0)
    assert retried is not None
    in_flight = box.take(0.0)
    assert in_flight is not None
    assert in_flight.event == "b1"
    filled(box, "d1", priority=CRITICAL)
    box.put_for_retry(retried, 5.0)
    assert [each.event for each in box] == ["d1", "a2", "c1", "a1"]


def test_emptied_it_gives_everything_and_begins_anew() -> None:
    box = mailbox(keyed=True)
    filled(box, "a1", "a2", "b1")
    in_flight = box.take(0.0)
    assert in_flight is not None
    box.take(0.0)
    assert [each.event for each in box.empty()] == ["a2"]
    assert (box.queued, box.waiting_retry, list(box)) == (0, 0, [])
    box.settled(in_flight)
    filled(box, "a3")
    assert taken(box) == ["a3"]


def test_a_delivery_is_removed_wherever_it_waits() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2", "a3", "b1", "b2")
    first, second = box.take(0.0), box.take(0.0)
    assert first is made["a1"]
    assert second is made["b1"]
    assert box.take(0.0) is None
    box.put_for_retry(made["b1"], 5.0)
    assert [box.remove(made[event]) for event in ("a2", "a2", "b1", "b2", "a1")] == [True, False, True, True, False]
    assert box.remove(delivery_of("other", key="a")) is False
    assert [each.event for each in box] == ["a3"]
    assert box.remove(made["a3"]) is True
    box.settled(made["a1"])
    assert taken(box) == []
    assert box.queued == 0


def test_what_is_put_in_is_stamped_with_the_time() -> None:
    assert filled(mailbox(), "a")["a"].queued_at == 7.0


def test_what_waits_is_not_passed_over_for_ever_by_what_keeps_coming_in() -> None:
    box = mailbox()
    filled(box, "patient")
    events: list[str] = []
    for number in range(40):
        filled(box, f"urgent {number}", priority=CRITICAL)
        delivery = box.take(0.0)
        assert delivery is not None
        events.append(delivery.event)
    assert events.index("patient") == 32


# ── coalescing ──


def test_two_mailboxes_do_not_mix_up_their_latest() -> None:
    one, other = mailbox(coalescing=True), mailbox(coalescing=True)
    filled(one, "a1")
    assert other.coalesce(delivery_of("a2", key="a")) is None


def test_a_newer_delivery_takes_the_place_of_a_queued_one_with_its_key() -> None:
    box = mailbox(coalescing=True)
    made = filled(box, "a1", "b1")
    assert box.coalesce(delivery_of("c1", key="c")) is None
    assert box.coalesce(delivery_of("a2", key="a")) is made["a1"]
    assert box.coalesce(delivery_of("b2", HIGH, key="b")) is made["b1"]
    assert taken(box) == ["b2", "a2"]


def test_what_is_being_handled_is_not_replaced_until_it_is_given_back() -> None:
    box = mailbox(coalescing=True)
    made = filled(box, "a1")
    assert box.take(0.0) is made["a1"]
    assert box.coalesce(delivery_of("a2", key="a")) is None
    box.put_back(made["a1"])
    assert box.coalesce(delivery_of("a2", key="a")) is made["a1"]
    assert taken(box) == ["a2"]


@pytest.mark.parametrize(("old", "new"), [(HIGH, NORMAL), (NORMAL, HIGH)])
def test_a_newer_delivery_of_another_priority_waits_as_one_of_its_own(old: Priority, new: Priority) -> None:
    box = mailbox(coalescing=True)
    replaced = filled(box, "a1", priority=old)["a1"]
    filled(box, "b1", priority=old)
    filled(box, "c1", priority=new)
    assert box.coalesce(delivery_of("a2", new, key="a")) is replaced
    assert taken(box) == (["b1", "c1", "a2"] if old is HIGH else ["c1", "a2", "b1"])


def test_under_strict_order_a_retry_is_replaced_until_it_is_taken_again() -> None:
    box = mailbox(coalescing=True, strict=True)
    first = filled(box, "a1")["a1"]
    assert box.take(0.0) is first
    box.put_for_retry(first, 1.0)
    assert box.take(0.5) is None
    assert box.take(1.0) is first
    assert box.coalesce(delivery_of("a2", key="a")) is None


def test_only_by_a_newer_one_a_delivery_is_superseded() -> None:
    box = mailbox(coalescing=True)
    older = filled(box, "a1")["a1"]
    newer = delivery_of("a2", key="a", number=older.number + 1)
    assert not box.is_superseded(newer)
    assert not box.is_superseded(older)
    assert box.coalesce(newer) is older
    assert box.is_superseded(older)


@pytest.mark.parametrize("how", ["back", "behind"])
def test_a_delivery_given_back_is_not_what_the_next_one_replaces_if_there_is_a_newer_one(how: str) -> None:
    box = mailbox(coalescing=True)
    made = filled(box, "a1")
    assert box.take(0.0) is made["a1"]
    newer = filled(box, "a2")["a2"]
    box.put_back(made["a1"]) if how == "back" else box.put_behind(made["a1"])
    assert box.coalesce(delivery_of("a3", key="a")) is newer
    assert taken(box) == (["a1", "a3"] if how == "back" else ["a3", "a1"])


def test_a_removed_or_dropped_delivery_is_replaced_by_nothing() -> None:
    box = mailbox(coalescing=True)
    made = filled(box, "a1", "b1")
    assert box.remove(made["b1"])
    assert box.drop_for(delivery_of("c1", key="c")) is made["a1"]
    assert box.coalesce(delivery_of("a2", key="a")) is None
    assert box.coalesce(delivery_of("b2", key="b")) is None


# ── order ──


def test_a_delivery_given_back_is_first_in_its_lane() -> None:
    box = mailbox()
    made = filled(box, "a", "b")
    assert box.take(0.0) is made["a"]
    box.put_back(made["a"])
    assert taken(box) == ["a", "b"]


def test_a_delivery_put_behind_is_last_in_its_lane() -> None:
    box = mailbox()
    made = filled(box, "a", "b")
    assert box.take(0.0) is made["a"]
    box.put_behind(made["a"])
    assert taken(box) == ["b", "a"]


def test_retries_go_first_once_they_are_due_the_longest_due_one_ahead() -> None:
    box = mailbox()
    made = filled(box, "a", "b", "c")
    for event, due in (("a", 2.0), ("b", 1.0)):
        assert box.take(0.0) is made[event]
        box.put_for_retry(made[event], due)
    assert taken(box, 0.9) == ["c"]
    filled(box, "d")
    assert taken(box, 2.0) == ["b", "a", "d"]


def test_under_strict_order_the_whole_mailbox_waits_for_a_retry() -> None:
    box = mailbox(strict=True)
    made = filled(box, "a", "b")
    filled(box, "urgent", priority=CRITICAL)
    assert box.take(0.0) is not None
    assert box.take(0.0) is made["a"]
    box.put_for_retry(made["a"], 5.0)
    filled(box, "more", priority=CRITICAL)
    assert taken(box, 4.9) == []
    assert taken(box, 5.0) == ["a", "more", "b"]


def test_under_strict_order_with_keys_only_the_key_waits_for_a_retry() -> None:
    box = mailbox(strict=True, keyed=True)
    made = filled(box, "a1", "a2", "b1")
    assert box.take(0.0) is made["a1"]
    box.put_for_retry(made["a1"], 5.0)
    assert taken(box, 0.0) == ["b1"]
    assert taken(box, 5.0) == ["a1", "a2"]


def test_when_the_last_one_of_another_lane_is_taken_publishers_have_room_again() -> None:
    box = plain_mailbox()
    filled(box, "a")
    filled(box, "b", "c", priority=HIGH)
    box.open()
    rooms: list[int] = []
    while box.take(0.0) is not None:
        rooms.append(box.room)
    assert rooms == [0, 100, 100]


def test_a_retry_that_is_due_gives_its_room_back_to_publishers() -> None:
    box = plain_mailbox()
    made = filled(box, "a", "b")
    box.open()
    assert box.take(0.0) is made["a"]
    box.put_for_retry(made["a"], 1.0)
    assert (box.room, box.is_simple) == (99, False)
    assert box.take(1.0) is made["a"]
    assert (box.room, box.is_simple) == (100, True)


# ── keys ──


def test_a_key_is_in_flight_once_and_the_others_go_on() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2", "b1", "a3")
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is made["b1"]
    assert box.take(0.0) is None
    box.settled(made["a1"])
    assert box.take(0.0) is made["a2"]
    assert box.take(0.0) is None


def test_a_key_keeps_its_order_when_an_interrupted_delivery_comes_back() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2", "a3", "a4")
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is None
    box.put_back(made["a1"])
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is None
    box.settled(made["a1"])
    assert taken(box) == ["a2", "a3", "a4"]


def test_a_key_keeps_its_order_when_a_more_urgent_delivery_of_it_comes_between() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2", "a3", "a4")
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is None
    box.settled(made["a1"])
    urgent = filled(box, "a5", priority=HIGH)["a5"]
    assert box.take(0.0) is urgent
    assert box.take(0.0) is None
    box.settled(urgent)
    assert taken(box) == ["a2", "a3", "a4"]


def test_a_retry_that_is_due_while_its_key_is_busy_is_before_those_that_came_after_it() -> None:
    box = mailbox(keyed=True)
    filled(box, "a1", "a2")
    first = box.take(0.0)
    assert first is not None
    first.attempt = 1
    box.put_for_retry(first, 1.0)
    urgent = filled(box, "a3", priority=HIGH)["a3"]
    assert box.take(0.0) is urgent
    assert box.take(0.0) is None  # the second is held
    assert box.take(1.0) is None  # and so is the first
    box.settled(urgent)
    assert taken(box, 1.0) == ["a1", "a2"]


def test_a_key_keeps_its_order_when_one_of_its_retries_is_due() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2", "a3", "a4")
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is None
    box.put_for_retry(made["a1"], 1.0)
    order = taken(box, 1.0)
    assert [event for event in order if event != "a1"] == ["a2", "a3", "a4"]
    assert "a1" in order


def test_the_most_urgent_delivery_of_a_key_is_not_held_behind_less_urgent_ones() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1")
    assert box.take(0.0) is made["a1"]
    filled(box, "a2", priority=LOW)
    assert box.take(0.0) is None
    filled(box, "a3", priority=CRITICAL)
    assert box.take(0.0) is None
    filled(box, "b1", priority=HIGH)
    box.settled(made["a1"])
    assert taken(box) == ["a3", "b1", "a2"]


def test_the_key_of_a_dropped_delivery_is_free() -> None:
    box = mailbox(3, keyed=True)
    made = filled(box, "a1", "a2", "a3")
    assert box.take(0.0) is made["a1"]
    assert box.take(0.0) is None
    box.settled(made["a1"])  # a2 is next
    dropped = box.drop_for(delivery_of("new", key="b"))
    box.settled(dropped)
    assert taken(box) == [event for event in ("a2", "a3") if event != dropped.event]


def started_in_order(events: list[tuple[str, Priority, int]]) -> bool:
    """Tell whether, for each key and priority, the first starts come in the order of putting in."""
    last: dict[tuple[str, Priority], int] = {}
    for key, priority, number in events:
        if last.get((key, priority), -1) > number:
            return False
        last[key, priority] = number
    return True


steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("ab"), st.sampled_from([NORMAL, CRITICAL, LOW])),
    st.tuples(st.just("take")),
    st.tuples(st.sampled_from(["settle", "back", "behind", "retry"]), st.integers(0, 1)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("due")),
)


@pytest.mark.parametrize("strict", [False, True])
@settings(max_examples=5 * settings.get_profile(settings.get_current_profile_name()).max_examples)
@given(script=st.lists(steps, min_size=8, max_size=40))
def test_keys_are_in_flight_once_and_in_order_and_nothing_is_lost(strict: bool, script: list[tuple[Any, ...]]) -> None:
    box = mailbox(1000, keyed=True, strict=strict)
    numbers = itertools.count()
    inside: list[Delivery[Any]] = []
    in_flight: list[Delivery[Any]] = []
    ended: list[Delivery[Any]] = []
    seen: set[int] = set()
    starts: list[tuple[str, Priority, int]] = []
    now = 0.0

    def take() -> bool:
        delivery = box.take(now)
        if delivery is None:
            return False
        assert delivery.key not in {each.key for each in in_flight}, "a key in flight twice"
        inside.remove(delivery)
        in_flight.append(delivery)
        if delivery.number not in seen:
            seen.add(delivery.number)
            starts.append((str(delivery.key), delivery.priority, delivery.number))
        return True

    for step in script:
        match step:
            case ("put", key, priority):
                delivery = delivery_of(key, priority, key=key, number=next(numbers))
                box.put(delivery)
                inside.append(delivery)
            case ("take",):
                if not take():
                    busy = {each.key for each in in_flight}
                    waiting = {each.key for each in inside if each.attempt}  # retries not yet due may hold theirs
                    assert {each.key for each in inside if not each.attempt} <= busy | (waiting if strict else set())
            case ("due",):
                now += 1.0
            case ("remove", index):
                if index < len(inside):
                    delivery = inside.pop(index)
                    assert box.remove(delivery)
                    ended.append(delivery)
            case (how, index):
                if index >= len(in_flight):
                    continue
                delivery = in_flight.pop(index)
                if how == "settle":
                    box.settled(delivery)
                    ended.append(delivery)
                    continue
                inside.append(delivery)
                if how == "retry":
                    delivery.attempt = 1
                    box.put_for_retry(delivery, now + 1.0)
                elif how == "back":
                    box.put_back(delivery)
                else:
                    delivery.attempt = 1
                    box.put_behind(delivery)
            case _:
                raise AssertionError(step)
        assert {id(each) for each in box} == {id(each) for each in inside}
        assert box.queued + box.waiting_retry == len(inside)
    now += 2.0
    while in_flight or take():
        box.settled(in_flight.pop())
    assert list(box) == []
    assert started_in_order(starts)


# ── servers that sleep ──


async def test_a_sleeping_server_is_woken_by_what_comes_in() -> None:
    box = mailbox()
    async with anyio.create_task_group() as group:
        group.start_soon(box.wait, 0.0)
        await quiet()
        filled(box, "a")
    assert taken(box) == ["a"]


async def test_a_sleeping_server_is_woken_when_a_retry_is_due() -> None:
    box = Mailbox(10, keyed=False, strict=False, coalescing=False, now=anyio.current_time)
    began = anyio.current_time()
    box.put_for_retry(delivery_of("a"), began + 60.0)
    await box.wait(began)
    assert 60.0 <= anyio.current_time() - began < 61.0


async def test_a_retry_pushed_meanwhile_is_not_overslept() -> None:
    box = Mailbox(10, keyed=False, strict=False, coalescing=False, now=anyio.current_time)
    woken: list[float] = []
    began = anyio.current_time()

    async def serve() -> None:
        while box.take(anyio.current_time()) is None:
            await box.wait(anyio.current_time())
        woken.append(anyio.current_time() - began)

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        group.start_soon(serve)
        await quiet()
        for due in (60.0, 30.0):
            box.put_for_retry(delivery_of(due), began + due)
    assert [round(at) for at in woken] == [30, 60]


async def test_a_wake_up_that_meets_a_cancellation_goes_to_the_next_sleeper() -> None:
    box = mailbox()
    served: list[str] = []

    async def serve() -> None:
        await box.wait(0.0)
        served.extend(taken(box))

    async with anyio.create_task_group() as group:
        scopes = [anyio.CancelScope(), anyio.CancelScope()]

        async def serve_within(scope: anyio.CancelScope) -> None:
            with scope:
                await serve()

        group.start_soon(serve_within, scopes[0])
        await quiet()
        group.start_soon(serve_within, scopes[1])
        await quiet()
        filled(box, "a")  # wakes the first
        scopes[0].cancel()
    assert served == ["a"]


async def test_a_cancelled_sleeper_takes_no_wake_up() -> None:
    box = mailbox()
    with anyio.move_on_after(1.0):
        await box.wait(0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(box.wait, 0.0)
        await quiet()
        filled(box, "a")


async def test_idle_servers_sleep_while_deliveries_are_held_for_a_busy_key() -> None:
    box = mailbox(keyed=True)
    made = filled(box, "a1", "a2")
    assert box.take(0.0) is made["a1"]
    looks = 0

    async def serve() -> None:
        nonlocal looks
        while box.take(0.0) is None:
            looks += 1
            assert looks < 20, "the idle servers wake each other for ever"
            await box.wait(0.0)

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        group.start_soon(serve)
        await quiet()
        filled(box, "a3")  # wakes one of them, for nothing
        await quiet()
        assert looks <= 4
        box.settled(made["a1"])
        await quiet()
        box.settled(made["a2"])


async def test_all_sleepers_wake_when_they_are_to_look_at_their_actor() -> None:
    box = mailbox()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(box.wait, 0.0)
        await quiet()
        box.wake_all()
