"""`dlq.…` at the daemon: pages of letters, whatever happens between two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.cli.dlq.shops import letter, shop
from tests.durable.stored import Order
from tocsin import EventBus, WaitForRoom
from tocsin.cli._control._commands import COMMANDS
from tocsin.cli._control._errors import CommandRefused
from tocsin.cli._control._protocol import Json
from tocsin.cli._dlq import _commands
from tocsin.testing import MemoryStore
from tocsin_supervisors import DeadLetterReason

MakeBus = Callable[..., EventBus]


async def ask(bus: EventBus, command: str, **params: Json) -> Any:
    """Ask *bus* for a command of the registry."""
    return await COMMANDS[f"dlq.{command}"](bus, params)


@pytest.fixture
def bus() -> EventBus:
    """Give a bus with letters 1 to 5, which it was never running for."""
    bus = shop()
    for number in range(1, 6):
        bus.dead_letters.add(letter(number, subscription="ship" if number % 2 else "bill"))
    return bus


def ids(answer: Any) -> list[int]:
    return [each["id"] for each in answer["letters"]]


# ── pages ──


async def test_a_page_says_where_the_next_one_begins(bus: EventBus) -> None:
    first = await ask(bus, "list", limit=2)
    assert (ids(first), first["next"], first["up_to"], first["count"]) == ([1, 2], 2, 5, 2)
    second = await ask(bus, "list", limit=3, after=first["next"], up_to=first["up_to"])
    assert (ids(second), second["next"]) == ([3, 4, 5], None)


async def test_filters_choose_before_pages_are_cut(bus: EventBus) -> None:
    first = await ask(bus, "list", limit=2, subscription="ship")
    assert (ids(first), first["next"]) == ([1, 3], 3)
    assert ids(await ask(bus, "list", after=3, subscription="ship")) == [5]


async def test_a_page_ends_before_its_answer_becomes_large(bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_commands, "PAGE_BYTES", 1000)
    bus.dead_letters.add(letter(6, event="x" * 2000))
    first = await ask(bus, "list", full=True, after=4)
    assert (ids(first), first["next"]) == ([5, 6], None)
    bus.dead_letters.add(letter(7))
    assert (await ask(bus, "list", full=True, after=5))["next"] == 6


async def test_what_comes_between_two_pages_is_on_none(bus: EventBus) -> None:
    first = await ask(bus, "list", limit=2)
    bus.dead_letters.add(letter(6))
    assert ids(await ask(bus, "list", after=first["next"], up_to=first["up_to"])) == [3, 4, 5]


async def test_what_comes_back_between_two_pages_is_not_shown_twice(bus: EventBus) -> None:
    first = await ask(bus, "list", limit=2)
    bus.dead_letters.put_back(bus.dead_letters.take(1))
    assert ids(await ask(bus, "list", after=first["next"], up_to=first["up_to"])) == [3, 4, 5]


async def test_an_empty_page_is_the_last_one(bus: EventBus) -> None:
    answer = await ask(bus, "list", subscription="nobody")
    assert (ids(answer), answer["next"], answer["count"]) == ([], None, 0)


async def test_the_event_is_on_the_page_if_it_is_asked_for(bus: EventBus) -> None:
    assert "event" not in (await ask(bus, "list"))["letters"][0]
    assert (await ask(bus, "list", full=True))["letters"][0]["event"] == {"number": 1}


@pytest.mark.parametrize("command", ["list", "purge", "replay", "show"])
async def test_a_parameter_that_does_not_exist_is_refused(bus: EventBus, command: str) -> None:
    with pytest.raises(CommandRefused, match="there is no parameter"):
        await ask(bus, command, id=1, actr="ship") if command == "show" else await ask(bus, command, actr="ship")


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 501}, {"after": -1}, {"up_to": "x"}])
async def test_a_page_that_makes_no_sense_is_refused(bus: EventBus, params: dict[str, Json]) -> None:
    with pytest.raises(CommandRefused, match="must be a whole number"):
        await ask(bus, "list", **params)


# ── show ──


async def test_one_letter_is_shown_with_everything(bus: EventBus) -> None:
    answer = await ask(bus, "show", id=3)
    assert (answer["id"], answer["event"], answer["failure"]["message"]) == (3, {"number": 3}, "no stock")


async def test_a_letter_that_is_not_there_is_refused_with_the_reason(bus: EventBus) -> None:
    with pytest.raises(CommandRefused, match="numbers run from 1 to 5 so far") as refused:
        await ask(bus, "show", id=6)
    assert refused.value.kind == "not_found"


# ── purge ──


async def test_a_page_of_letters_is_purged(bus: EventBus) -> None:
    answer = await ask(bus, "purge", subscription="ship", limit=2)
    assert (answer["purged"], answer["next"]) == ([1, 3], 3)
    assert [each.id for each in bus.dead_letters] == [2, 4, 5]
    assert bus.dead_letters.purged == 2


async def test_a_dry_run_purges_nothing(bus: EventBus) -> None:
    assert (await ask(bus, "purge", dry_run=True))["purged"] == [1, 2, 3, 4, 5]
    assert len(bus.dead_letters) == 5


async def test_a_purge_of_nothing_purges_nothing(bus: EventBus) -> None:
    assert (await ask(bus, "purge", subscription="nobody"))["purged"] == []
    assert len(bus.dead_letters) == 5


async def test_what_comes_between_two_pages_is_not_purged(bus: EventBus) -> None:
    first = await ask(bus, "purge", limit=2)
    bus.dead_letters.add(letter(6))
    assert (await ask(bus, "purge", after=first["next"], up_to=first["up_to"]))["purged"] == [3, 4, 5]
    assert [each.id for each in bus.dead_letters] == [6]


async def test_what_is_purged_leaves_the_store(make_bus: MakeBus) -> None:
    store = MemoryStore()
    first, second = shop(store), shop(store)
    async with first.running():
        await first.publish(Order(1))
        await first.drain()
        await ask(first, "purge")
    async with second.running():
        assert len(second.dead_letters) == 0


# ── replay ──


async def failed(handled: list[int] | None, *numbers: int) -> EventBus:
    """Give a bus with letters of orders that had failed before, and that are handled from now on."""
    bus = shop(handled=handled)
    for number in numbers:
        bus.dead_letters.add(letter(event=Order(number)))
    return bus


async def test_letters_are_handled_once_more() -> None:
    handled: list[int] = []
    bus = await failed(handled, 10, 20, 30)
    async with bus.running():
        answer = await ask(bus, "replay", limit=2)
    assert (answer["moved"], answer["refused"], answer["next"], answer["waits"]) == ([1, 2], [], 2, None)
    assert handled == [10, 20]


async def test_what_fails_again_is_on_no_page_of_the_same_replay() -> None:
    bus = await failed(None, 10, 20)
    async with bus.running():
        first = await ask(bus, "replay", limit=1)
        await anyio.sleep(1)
        second = await ask(bus, "replay", after=first["next"], up_to=first["up_to"])
        await anyio.sleep(1)
    assert (first["moved"], second["moved"], second["next"]) == ([1], [2], None)
    assert [each.id for each in bus.dead_letters] == [3, 4]


async def test_a_dry_run_says_what_would_become_of_each() -> None:
    handled: list[int] = []
    bus = await failed(handled, 10)
    bus.dead_letters.add(letter(subscription="nobody"))
    async with bus.running():
        answer = await ask(bus, "replay", dry_run=True, rate=0.01)
    assert (answer["moved"], [each["id"] for each in answer["refused"]], handled) == ([1], [2], [])
    assert "no subscription 'nobody'" in answer["refused"][0]["why"]


async def test_no_more_of_them_begin_than_the_rate_allows() -> None:
    handled: list[int] = []
    bus = await failed(handled, 10, 20, 30)
    async with bus.running():
        begun = anyio.current_time()
        await ask(bus, "replay", rate=2.0, wait=60)
        assert anyio.current_time() - begun == pytest.approx(1.0)
    assert handled == [10, 20, 30]


async def test_when_its_time_is_over_the_page_says_how_far_it_has_come() -> None:
    handled: list[int] = []
    bus = await failed(handled, 10, 20, 30)
    async with bus.running():
        answer = await ask(bus, "replay", rate=1.0, wait=1.5)
    assert (answer["moved"], answer["next"], answer["count"], answer["waits"]) == ([1, 2], 2, 2, None)
    assert handled == [10, 20]


def full() -> EventBus:
    """Give a bus whose actor takes an hour for each order, and has room for one."""
    bus = EventBus("full")

    @bus.subscriber(Order, name="ship", mailbox=1, overflow=WaitForRoom(), timeout=None)
    async def ship(order: Order) -> None:
        await anyio.sleep(3600)

    return bus


async def test_a_letter_that_finds_no_room_is_named_and_stays() -> None:
    bus = full()
    for number in (10, 20, 30):
        bus.dead_letters.add(letter(event=Order(number)))
    async with bus.running(drain_timeout=0.0):
        answer = await ask(bus, "replay", wait=5)
        assert (answer["moved"], answer["waits"], answer["next"]) == ([1, 2], 3, 2)
        assert [each.id for each in bus.dead_letters] == [3]


async def test_one_that_somebody_has_taken_when_the_time_is_over_has_moved() -> None:
    bus, taken = full(), list[int]()

    @bus.subscriber(Order, name="bill")
    async def bill(order: Order) -> None:
        taken.append(order.number)

    bus.dead_letters.add(letter(event=Order(7), reason=DeadLetterReason.UNDELIVERABLE, subscription="-"))
    async with bus.running(drain_timeout=0.0):
        await bus.publish_many([Order(1), Order(2)])
        answer = await ask(bus, "replay", wait=5)
        assert (answer["moved"], answer["waits"], answer["next"]) == ([1], None, None)
        assert taken == [1, 2, 7]


async def test_one_that_was_purged_meanwhile_is_told() -> None:
    handled: list[int] = []
    bus = await failed(handled, 10, 20)
    async with bus.running(), anyio.create_task_group() as group:

        async def purge() -> None:
            await anyio.sleep(0.5)
            bus.dead_letters.purge(ids=[2])

        group.start_soon(purge)
        answer = await ask(bus, "replay", rate=1.0)
        assert answer["refused"] == [{"id": 2, "why": "it was purged, evicted, or taken by another replay"}]


async def test_a_bus_that_does_not_run_replays_nothing(bus: EventBus) -> None:
    with pytest.raises(CommandRefused) as refused:
        await ask(bus, "replay")
    assert refused.value.kind == "refused"


@pytest.mark.parametrize("rate", [0, -1])
async def test_a_rate_that_makes_no_sense_is_refused(bus: EventBus, rate: int) -> None:
    with pytest.raises(CommandRefused, match=r"rate=.* must be letters per second"):
        await ask(bus, "replay", rate=rate)


async def test_an_event_that_nobody_matched_is_published_again() -> None:
    handled: list[int] = []
    bus = await failed(handled)
    bus.dead_letters.add(letter(event=Order(7), reason=DeadLetterReason.UNDELIVERABLE, subscription="-"))
    async with bus.running():
        assert (await ask(bus, "replay"))["moved"] == [1]
    assert handled == [7]
