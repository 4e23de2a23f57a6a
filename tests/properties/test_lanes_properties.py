"""Lanes against a list in obvious code, and the bounds that their documentation gives."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]  # Hypothesis leaves it untyped
)

from tocsin._envelope import Priority
from tocsin._lanes import MAX_PASSED_OVER, MAX_TURNS, Lanes

priorities = st.sampled_from(Priority)


class Item:
    """Nothing but an identity and a name for failing examples."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"item {self.number}"


class Model:
    """The two rules, written down: one list for each lane, and for each the takes in a row that passed over it."""

    def __init__(self) -> None:
        self.lanes: dict[Priority, list[Item]] = {priority: [] for priority in Priority}
        self.passed_over = dict.fromkeys(Priority, 0)

    def put(self, item: Item, priority: Priority, *, first: bool) -> None:
        lane = self.lanes[priority]
        if not lane:
            self.passed_over[priority] = 0
        lane.insert(0 if first else len(lane), item)

    def take(self) -> Item:
        waiting = [priority for priority in Priority if self.lanes[priority]]
        due = [priority for priority in waiting if self.passed_over[priority] >= MAX_PASSED_OVER]
        chosen = max(due, key=lambda priority: (self.passed_over[priority], -priority)) if due else waiting[0]
        for priority in waiting:
            self.passed_over[priority] += 1
        self.passed_over[chosen] = 0
        return self.lanes[chosen].pop(0)

    def serving_order(self) -> list[Item]:
        return [item for priority in Priority for item in self.lanes[priority]]

    def lane_of(self, item: Item) -> list[Item] | None:
        return next((lane for lane in self.lanes.values() if any(item is each for each in lane)), None)


class LanesMachine(RuleBasedStateMachine):
    """Every operation on the lanes and on the model."""

    items = Bundle[Item]("items")

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[Item] = Lanes()
        self.model = Model()
        self.made = 0

    @rule(target=items, priority=priorities, first=st.booleans())
    def put(self, priority: Priority, first: bool) -> Item:
        item = self.new_item()
        (self.lanes.appendleft if first else self.lanes.append)(item, priority)
        self.model.put(item, priority, first=first)
        return item

    @precondition(lambda self: self.model.serving_order())
    @rule(times=st.integers(1, 5))
    def take(self, times: int) -> None:
        for _ in range(min(times, len(self.lanes))):
            assert self.lanes.popleft() is self.model.take()

    @precondition(lambda self: self.model.serving_order())
    @rule(priority=priorities, times=st.integers(1, 2 * MAX_TURNS))
    def flood(self, priority: Priority, times: int) -> None:
        """An urgent sender that is as fast as the taker: what brings lanes to be due."""
        for _ in range(times):
            item = self.new_item()
            self.lanes.append(item, priority)
            self.model.put(item, priority, first=False)
            assert self.lanes.popleft() is self.model.take()

    @precondition(lambda self: self.model.serving_order())
    @rule()
    def drop_oldest(self) -> None:
        least = next(lane for lane in reversed(self.model.lanes.values()) if lane)
        assert self.lanes.oldest() is least[0]
        assert self.lanes.drop_oldest() is least.pop(0)

    @rule(item=consumes(items))
    def remove(self, item: Item) -> None:
        lane = self.model.lane_of(item)
        assert self.lanes.remove(item) is (lane is not None)
        if lane is not None:
            lane.remove(item)

    @rule(target=items, old=items)
    def replace(self, old: Item) -> Item:
        new = self.new_item()
        lane = self.model.lane_of(old)
        assert self.lanes.replace(old, new) is (lane is not None)
        if lane is not None:
            lane[lane.index(old)] = new
        return new

    @rule()
    def clear(self) -> None:
        assert self.lanes.clear() == self.model.serving_order()
        for lane in self.model.lanes.values():
            lane.clear()

    @invariant()
    def shows_what_waits(self) -> None:
        assert list(self.lanes) == self.model.serving_order()
        assert len(self.lanes) == len(self.model.serving_order())
        assert self.lanes.heads() == [lane[0] for lane in self.model.lanes.values() if lane]

    def new_item(self) -> Item:
        self.made += 1
        return Item(self.made)


def test_lanes_serve_as_the_two_rules_say() -> None:
    run_state_machine_as_test(LanesMachine, settings=settings(max_examples=60, stateful_step_count=40))


@given(
    waiting=st.lists(priorities, min_size=1, max_size=20),
    arrivals=st.lists(st.lists(priorities, max_size=3), max_size=200),
    flood=priorities,
)
@settings(max_examples=60)
def test_an_item_with_k_before_it_is_taken_within_k_plus_one_turns(
    waiting: list[Priority], arrivals: list[list[Priority]], flood: Priority
) -> None:
    lanes: Lanes[tuple[Priority, int]] = Lanes()
    ahead: dict[tuple[Priority, int], int] = {}
    for number, priority in enumerate(waiting):
        ahead[priority, number] = sum(other == priority for other in waiting[:number])
        lanes.append((priority, number), priority)
    for take in range(1, len(waiting) * MAX_TURNS + 1):
        for priority in arrivals[take - 1] if take <= len(arrivals) else [flood]:
            lanes.append((priority, -1), priority)
        before = ahead.pop(lanes.popleft(), None) if lanes else None
        assert before is None or take <= (before + 1) * MAX_TURNS
    assert not ahead


@given(st.lists(st.lists(priorities, max_size=3), max_size=300))
@settings(max_examples=60)
def test_less_urgent_items_delay_a_more_urgent_one_by_at_most_three_in_a_row(arrivals: list[list[Priority]]) -> None:
    lanes: Lanes[Priority] = Lanes()
    in_a_row = 0
    for arriving in arrivals:
        for priority in arriving:
            lanes.append(priority, priority)
        if lanes:
            most_urgent = min(lanes)
            in_a_row = 0 if lanes.popleft() == most_urgent else in_a_row + 1
        assert in_a_row <= len(Priority) - 1
