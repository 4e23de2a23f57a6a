"""Deliveries that wait for the time of their next attempt."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin._retry_queue import RetryQueue


class Item:
    """An item that can be neither hashed nor compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("items are told apart by identity")

    def __lt__(self, other: object) -> bool:
        raise AssertionError("items are told apart by identity")


def queue_with(*items: tuple[str, float]) -> RetryQueue[str]:
    queue: RetryQueue[str] = RetryQueue()
    for item, due in items:
        queue.push(item, due)
    return queue


def test_an_item_is_due_at_its_time_and_not_before() -> None:
    queue = queue_with(("a", 10.0))
    assert queue.pop_due(9.999) is None
    assert queue.pop_due(10.0) == "a"
    assert queue.pop_due(11.0) is None


def test_items_come_by_the_time_they_are_due() -> None:
    queue = queue_with(("late", 3.0), ("early", 1.0), ("middle", 2.0))
    assert [queue.pop_due(5.0) for _ in range(3)] == ["early", "middle", "late"]


def test_items_due_at_the_same_time_come_in_order_of_arrival() -> None:
    queue = queue_with(*((str(number), 1.0) for number in range(20)))
    assert queue.drain() == [str(number) for number in range(20)]


def test_the_next_due_time_is_the_smallest() -> None:
    queue = queue_with(("late", 3.0), ("early", 1.0))
    assert queue.next_due() == 1.0
    queue.pop_due(1.0)
    assert queue.next_due() == 3.0
    queue.pop_due(3.0)
    assert queue.next_due() is None


def test_draining_and_iterating_follow_the_time_they_are_due() -> None:
    queue = queue_with(("late", 3.0), ("early", 1.0), ("never", math.inf))
    assert list(queue) == ["early", "late", "never"]
    assert len(queue) == 3
    assert queue.drain() == ["early", "late", "never"]
    assert (len(queue), queue.next_due(), queue.drain()) == (0, None, [])


def test_items_may_be_removed_while_they_are_iterated_over() -> None:
    queue = queue_with(("a", 1.0), ("b", 2.0), ("c", 3.0))
    for item in queue:
        assert queue.remove(item)
    assert len(queue) == 0


def test_items_are_told_apart_by_identity_and_never_compared() -> None:
    queue: RetryQueue[Item] = RetryQueue()
    first, second, stranger = Item(), Item(), Item()
    queue.push(first, 1.0)
    queue.push(second, 1.0)
    assert not queue.remove(stranger)
    assert queue.remove(first)
    assert not queue.remove(first)
    assert queue.pop_due(1.0) is second


def test_a_time_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(AssertionError, match="not a number"):
        queue_with(("a", math.nan))


def test_a_queue_tells_its_state_in_words() -> None:
    assert repr(queue_with(("a", 1.0))) == "<RetryQueue, 1 waiting>"


@given(
    st.lists(st.integers(0, 5).map(float), max_size=30),
    st.sets(st.integers(0, 29)),
)
def test_whatever_is_removed_the_others_keep_their_order(dues: list[float], removed: set[int]) -> None:
    queue: RetryQueue[int] = RetryQueue()
    items = [10_000 + number for number in range(len(dues))]  # not interned: told apart by identity
    for item, due in zip(items, dues, strict=True):
        queue.push(item, due)
    for number in removed & set(range(len(dues))):
        assert queue.remove(items[number])
    kept = [number for number in range(len(dues)) if number not in removed]
    expected = [items[number] for number in sorted(kept, key=lambda number: dues[number])]
    assert [queue.pop_due(5.0) for _ in kept] == expected
