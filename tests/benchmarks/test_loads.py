"""What a run delivers, and the proof that it was delivered."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.loads import Load, Shape


@pytest.mark.parametrize(
    ("deliveries", "shape", "events", "subscribers", "made"),
    [
        (100, Shape(), 100, 1, 100),
        (100, Shape(subscribers=10), 10, 10, 100),
        (100, Shape(kinds=10), 100, 10, 100),
        (5, Shape(kinds=10), 10, 10, 10),
        (5, Shape(subscribers=10), 1, 10, 10),
    ],
)
def test_there_are_as_many_deliveries_as_asked_for_and_an_event_of_each_type_at_least(
    deliveries: int, shape: Shape, events: int, subscribers: int, made: int
) -> None:
    load = Load.of(deliveries, shape)
    assert (len(load.events), len(load.subscribers), load.deliveries) == (events, subscribers, made)
    assert set(Counter(map(type, load.events)).values()) == {events // shape.kinds}


async def test_the_clock_stops_when_the_last_subscriber_had_its_last_event() -> None:
    load = Load.of(4, Shape(subscribers=2))
    first, second = load.subscribers
    load.begin()
    for event in load.events:
        await first.handle(event)
    assert load.seconds == 0.0
    for event in load.events:
        await second.handle(event)
    await load.handled()
    assert load.seconds > 0.0
    load.check()


@pytest.mark.parametrize("times", [1, 3])
async def test_an_event_that_is_lost_or_comes_twice_is_found(times: int) -> None:
    load = Load.of(2, Shape())
    for _ in range(times):
        await load.subscribers[0].handle(load.events[0])
    with pytest.raises(RuntimeError, match=r"too few events, or too many: \{'Event0-0'"):
        load.check()
