"""A queue with one lane for each priority."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tocsin._envelope import Priority
from tocsin._lanes import MAX_PASSED_OVER, MAX_TURNS, Lanes

CRITICAL, HIGH, NORMAL, LOW = Priority


class Item:
    """An item that can be neither hashed nor compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("items are told apart by identity")


def lanes_with(*items: tuple[str, Priority]) -> Lanes[str]:
    lanes: Lanes[str] = Lanes()
    for item, priority in items:
        lanes.append(item, priority)
    return lanes


def everything(lanes: Lanes[str]) -> list[str]:
    return [lanes.popleft() for _ in range(len(lanes))]


def flooded(priorities: Iterable[Priority], takes: int, flood: Priority = CRITICAL) -> list[str]:
    """What is taken while *flood* never runs dry and one item waits in each of *priorities*."""
    lanes = lanes_with(*((priority.name, priority) for priority in priorities))
    taken: list[str] = []
    for _ in range(takes):
        lanes.append("flood", flood)
        taken.append(lanes.popleft())
    return taken


def test_each_lane_is_first_in_first_out() -> None:
    for priority in Priority:
        lanes = lanes_with(*((text, priority) for text in "abc"))
        assert everything(lanes) == ["a", "b", "c"]


def test_the_most_urgent_lane_is_served_first() -> None:
    lanes = lanes_with(("low", LOW), ("normal", NORMAL), ("critical", CRITICAL), ("high", HIGH))
    assert everything(lanes) == ["critical", "high", "normal", "low"]


def test_an_item_that_is_given_back_is_the_first_of_its_lane() -> None:
    lanes = lanes_with(("a", NORMAL), ("b", NORMAL))
    lanes.appendleft(lanes.popleft(), NORMAL)
    lanes.appendleft("urgent", HIGH)
    assert everything(lanes) == ["urgent", "a", "b"]


def test_taking_from_empty_lanes_is_an_index_error() -> None:
    lanes = lanes_with(("a", LOW))
    lanes.popleft()
    for take in (lanes.popleft, lanes.drop_oldest, Lanes[str]().popleft, Lanes[str]().drop_oldest):
        with pytest.raises(IndexError, match="nothing is waiting"):
            take()
    assert len(lanes) == 0


def test_what_waits_beside_the_normal_lane_is_counted() -> None:
    lanes = lanes_with(("a", LOW), ("b", NORMAL), ("c", CRITICAL))
    assert lanes.others == 2
    lanes.popleft()
    assert (lanes.others, len(lanes)) == (1, 2)


# ── starvation ──


@pytest.mark.parametrize("priority", [HIGH, NORMAL, LOW])
def test_a_lane_passed_over_as_often_as_allowed_is_next(priority: Priority) -> None:
    taken = flooded([priority], MAX_PASSED_OVER + 1)
    assert taken == ["flood"] * MAX_PASSED_OVER + [priority.name]


def test_of_lanes_that_wait_equally_long_the_most_urgent_is_next() -> None:
    taken = flooded([LOW, NORMAL, HIGH], MAX_TURNS)
    assert taken == ["flood"] * MAX_PASSED_OVER + ["HIGH", "NORMAL", "LOW"]


def test_a_lane_that_is_due_goes_before_a_more_urgent_one_that_waits_less_long() -> None:
    lanes = lanes_with(("low", LOW))
    for _ in range(MAX_PASSED_OVER - 1):
        lanes.append("flood", CRITICAL)
        lanes.popleft()
    lanes.append("normal", NORMAL)
    lanes.append("flood", CRITICAL)
    lanes.append("flood", CRITICAL)
    assert [lanes.popleft() for _ in range(3)] == ["flood", "low", "flood"]


def test_a_lane_just_served_is_passed_over_again_from_the_beginning() -> None:
    lanes = lanes_with(("first", LOW), ("second", LOW))
    taken: list[str] = []
    for _ in range(2 * (MAX_PASSED_OVER + 1)):
        lanes.append("flood", CRITICAL)
        taken.append(lanes.popleft())
    assert [taken.index("first"), taken.index("second")] == [MAX_PASSED_OVER, 2 * MAX_PASSED_OVER + 1]


def test_passing_over_is_not_counted_while_a_lane_is_empty() -> None:
    lanes = lanes_with(("early", LOW))
    for _ in range(MAX_PASSED_OVER):
        lanes.append("flood", CRITICAL)
        lanes.popleft()
    assert lanes.remove("early")
    lanes.append("late", LOW)
    lanes.append("flood", CRITICAL)
    assert lanes.popleft() == "flood"


def test_a_flood_that_comes_one_by_one_counts_as_well() -> None:
    # The flood's lane is empty after each take, so that NORMAL is alone in between without being served.
    assert flooded([NORMAL], MAX_PASSED_OVER + 1)[-1] == "NORMAL"


def test_normal_served_while_it_was_alone_has_not_been_passed_over() -> None:
    lanes = lanes_with(("first", NORMAL), ("second", NORMAL))
    for _ in range(MAX_PASSED_OVER):
        lanes.append("flood", CRITICAL)
        lanes.popleft()
    assert lanes.popleft() == "first"
    lanes.append("flood", CRITICAL)
    assert lanes.popleft() == "flood"


# ── looking, dropping, removing ──


def test_what_is_dropped_is_the_oldest_of_the_least_urgent() -> None:
    lanes = lanes_with(("critical", CRITICAL), ("n1", NORMAL), ("l1", LOW), ("l2", LOW))
    dropped: list[str] = []
    while lanes:
        announced = lanes.oldest()
        dropped.append(lanes.drop_oldest())
        assert announced == dropped[-1]
    assert dropped == ["l1", "l2", "n1", "critical"]
    assert lanes.oldest() is None


def test_the_heads_are_the_first_of_each_waiting_lane() -> None:
    lanes = lanes_with(("l1", LOW), ("l2", LOW), ("c1", CRITICAL), ("c2", CRITICAL))
    assert lanes.heads() == ["c1", "l1"]
    assert Lanes[str]().heads() == []


def test_iterating_shows_the_serving_order_and_bears_changes() -> None:
    lanes = lanes_with(("low", LOW), ("n1", NORMAL), ("n2", NORMAL), ("critical", CRITICAL))
    seen: list[str] = []
    for item in lanes:
        seen.append(item)
        lanes.remove(item)
    assert seen == ["critical", "n1", "n2", "low"]
    assert len(lanes) == 0


@pytest.mark.parametrize("priority", Priority)
def test_an_item_is_removed_wherever_it_is(priority: Priority) -> None:
    for gone in "abc":
        lanes = lanes_with(*((text, priority) for text in "abc"))
        assert lanes.remove(gone)
        assert not lanes.remove(gone)
        assert everything(lanes) == [text for text in "abc" if text != gone]


def test_a_replacement_takes_the_very_place() -> None:
    lanes = lanes_with(("a", NORMAL), ("b", NORMAL), ("c", NORMAL), ("low", LOW))
    assert lanes.replace("b", "B")
    assert lanes.replace("low", "LOW")
    assert not lanes.replace("b", "B")
    assert everything(lanes) == ["a", "B", "c", "LOW"]


def test_items_are_told_apart_by_identity() -> None:
    lanes: Lanes[Item] = Lanes()
    first, second, third = Item(), Item(), Item()
    for item in (first, second):
        lanes.append(item, NORMAL)
    assert not lanes.remove(third)
    assert lanes.replace(second, third)
    assert lanes.remove(first)
    assert lanes.popleft() is third


def test_clearing_gives_everything_in_serving_order() -> None:
    lanes = lanes_with(("low", LOW), ("normal", NORMAL), ("critical", CRITICAL))
    assert lanes.clear() == ["critical", "normal", "low"]
    assert (len(lanes), lanes.clear()) == (0, [])
    lanes.append("again", LOW)
    assert everything(lanes) == ["again"]


def test_lanes_tell_their_state_in_words() -> None:
    assert repr(lanes_with(("a", NORMAL), ("b", NORMAL), ("c", CRITICAL))) == "<Lanes, 1 CRITICAL, 2 NORMAL waiting>"
    assert repr(Lanes[str]()) == "<Lanes, nothing waiting>"
