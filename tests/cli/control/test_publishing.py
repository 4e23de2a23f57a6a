"""`publish` at the daemon: which event it is, and who takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import frozen

from tocsin import Delivery, DropNewest, Event, EventBus, Priority, Reject
from tocsin.cli._control._errors import CommandRefused
from tocsin.cli._control._publishing import publish
from tocsin.cli._control._types import known_types, type_named
from tocsin.codecs import CodecRegistry
from tocsin.durable import SQLiteStore

MakeBus = Callable[..., EventBus]
HERE = __name__


@frozen
class Order:
    id: str
    total: float = 1.0


class Outer:
    @frozen
    class Order:
        id: str


def recording(bus: EventBus, *kinds: type | str) -> list[Any]:
    """Subscribe to *kinds*, and give the list of the envelopes that come."""
    taken: list[Any] = []

    async def record(event: object, delivery: Delivery[Any]) -> None:
        taken.append(delivery.envelope)

    bus.subscribe(record, *kinds, name="record")
    return taken


async def refusal(bus: EventBus, **params: Any) -> CommandRefused:
    with pytest.raises(CommandRefused) as raised:
        await publish(bus, params)
    return raised.value


async def test_an_event_of_a_class_that_somebody_wants_is_published(make_bus: MakeBus) -> None:
    bus = make_bus()
    taken = recording(bus, Order)
    async with bus.running():
        answer: Any = await publish(bus, {"type": f"{HERE}.Order", "data": {"id": "o-1"}})
    assert [each.event for each in taken] == [Order("o-1")]
    assert answer == {
        "type": f"{HERE}.Order",
        "event_id": taken[0].id,
        "matched": ["record"],
        "accepted": ["record"],
        "withdrawn": [],
    }


async def test_the_end_of_the_name_is_enough_if_only_one_has_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    taken = recording(bus, Order)
    async with bus.running():
        await publish(bus, {"type": "Order", "data": {"id": "o-1"}})
    assert len(taken) == 1


async def test_an_end_that_several_names_have_is_refused_with_them(make_bus: MakeBus) -> None:
    bus = make_bus()
    recording(bus, Order, Outer.Order)
    async with bus.running():
        found = await refusal(bus, type="Order", data={"id": "o-1"})
    assert (found.kind, str(found)) == ("ambiguous_type", f"which Order: {HERE}.Order or {HERE}.Outer.Order?")


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "tests", "", ".", f"{HERE}.Outer", "int"])
async def test_a_class_that_the_bus_does_not_know_is_refused_whatever_it_is(make_bus: MakeBus, name: str) -> None:
    bus = make_bus()
    recording(bus, Order)
    async with bus.running():
        assert (await refusal(bus, type=name, data="id")).kind == "unknown_type"
    assert bus.statistics().published == 0


async def test_a_name_that_comes_close_is_told(make_bus: MakeBus) -> None:
    bus = make_bus()
    recording(bus, Order)
    async with bus.running():
        found = await refusal(bus, type=f"{HERE}.Oder", data={})
    assert str(found).endswith(f"did you mean {HERE}.Order?")


async def test_data_that_is_no_such_event_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    recording(bus, Order)
    async with bus.running():
        found = await refusal(bus, type="Order", data={"id": 7})
    assert found.kind == "bad_event"
    assert "Expected `str`, got `int`" in str(found)


async def test_a_class_that_has_no_codec_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    recording(bus, object)
    async with bus.running():
        assert (await refusal(bus, type="object", data=1)).kind == "bad_event"


async def test_two_classes_of_one_name_are_no_trouble_for_the_others(make_bus: MakeBus) -> None:
    bus = make_bus()
    twin = type("Order", (), {"__module__": HERE})
    taken = recording(bus, Order, twin)
    async with bus.running():
        await publish(bus, {"type": "Order", "data": {"id": "o-1"}})
    assert [each.event for each in taken] == [Order("o-1")]


async def test_the_names_of_the_store_are_known_too(make_bus: MakeBus, tmp_path: Path) -> None:
    codecs = CodecRegistry()
    codecs.register(Order, name="shop.order-placed", version=2, upgrade={1: lambda value: value})
    bus = make_bus(store=SQLiteStore(str(tmp_path / "bus.db"), codecs=codecs))
    taken = recording(bus, object)
    event: Any = None
    for name in ("shop.order-placed", "order-placed"):
        event = type_named(name, known_types(bus)).event({"id": "o-1"})
        assert event == Order("o-1")
    assert taken == []


async def test_an_event_with_a_topic_of_its_own_needs_no_class(make_bus: MakeBus) -> None:
    bus = make_bus()
    taken = recording(bus, "order.*")
    async with bus.running():
        await publish(bus, {"type": "Event", "data": {"type": "order.placed", "payload": {"id": 7}}})
    assert taken[0].event == Event("order.placed", {"id": 7})


async def test_the_options_of_a_publish_reach_the_envelope(make_bus: MakeBus) -> None:
    bus = make_bus()
    taken = recording(bus, Order)
    options: Any = {"topic": "a.b", "priority": "high", "headers": {"n": "1"}, "correlation_id": "c", "expires_in": 60}
    async with bus.running():
        await publish(bus, {"type": "Order", "data": {"id": "o-1"}, **options})
    envelope = taken[0]
    assert (envelope.topic, envelope.priority, dict(envelope.headers)) == ("a.b", Priority.HIGH, {"n": "1"})
    assert envelope.correlation_id == "c"
    assert envelope.expires_at is not None


async def test_options_that_are_null_count_as_not_said(make_bus: MakeBus) -> None:
    bus = make_bus()
    taken = recording(bus, Order)
    nothing = dict.fromkeys(["topic", "priority", "headers", "correlation_id", "expires_in", "wait"])
    async with bus.running():
        await publish(bus, {"type": "Order", "data": {"id": "o-1"}, **nothing})
    assert (taken[0].priority, taken[0].expires_at) == (Priority.NORMAL, None)


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("topic", "a..b", "not_published"),
        ("topic", 7, "bad_params"),
        ("priority", "urgent", "bad_params"),
        ("headers", ["a"], "bad_params"),
        ("expires_in", -1, "not_published"),
        ("expires_in", "soon", "bad_params"),
        ("wait", "long", "bad_params"),
        ("topik", "a", "bad_params"),
    ],
)
async def test_options_that_are_none_are_refused_and_nothing_is_published(
    make_bus: MakeBus, option: str, value: object, kind: str
) -> None:
    bus = make_bus()
    recording(bus, Order)
    async with bus.running():
        assert (await refusal(bus, type="Order", data={"id": "o-1"}, **{option: value})).kind == kind
    assert bus.statistics().published == 0


async def test_an_event_that_nobody_wants_is_published_all_the_same(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        answer: Any = await publish(bus, {"type": "Event", "data": {"type": "a.b"}})
    assert (answer["matched"], bus.statistics().undeliverable) == ([], 1)


async def test_a_mailbox_without_room_is_waited_for_and_then_done_without(make_bus: MakeBus) -> None:
    bus = make_bus()
    entered = anyio.Event()

    async def hang(order: Order) -> None:
        entered.set()
        await anyio.sleep(100.0)

    bus.subscribe(hang, Order, name="full", mailbox=1, timeout=None)
    recording(bus, Order)
    async with bus.running():
        await bus.publish(Order("1"))
        await entered.wait()
        await bus.publish(Order("2"))
        before = anyio.current_time()
        answer: Any = await publish(bus, {"type": "Order", "data": {"id": "3"}, "wait": 3})
        assert anyio.current_time() - before == pytest.approx(3.0)
    assert (answer["accepted"], answer["withdrawn"]) == (["record"], ["full"])


@pytest.mark.parametrize("overflow", [Reject(), DropNewest()])
async def test_a_mailbox_that_lets_nobody_wait_decides_at_once(make_bus: MakeBus, overflow: Any) -> None:
    bus = make_bus()
    entered = anyio.Event()

    async def hang(order: Order) -> None:
        entered.set()
        await anyio.sleep(100.0)

    bus.subscribe(hang, Order, name="full", mailbox=1, timeout=None, overflow=overflow)
    async with bus.running():
        await bus.publish(Order("1"))
        await entered.wait()
        await bus.publish(Order("2"))
        answer: Any = await publish(bus, {"type": "Order", "data": {"id": "3"}})
    assert answer["accepted"] == []


async def test_a_bus_that_takes_no_events_refuses(make_bus: MakeBus) -> None:
    bus = make_bus()
    recording(bus, Order)
    found = await refusal(bus, type="Order", data={"id": "o-1"})
    assert found.kind == "not_running"
    async with bus.running():
        await bus.drain()
        assert (await refusal(bus, type="Order", data={"id": "o-1"})).kind == "not_running"
