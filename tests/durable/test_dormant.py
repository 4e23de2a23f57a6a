"""Subscriptions that wait for their first event, on a bus with a store: dead letters are theirs, deliveries are not."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.durable.stored import Order
from tocsin import EventBus, RetryPolicy
from tocsin.cli._dlq._choice import Choice
from tocsin.cli._dlq._offline import OffLine
from tocsin.durable import SQLiteStore

pytestmark = pytest.mark.real_time


def shop(path: Path, handled: list[int], *, fails: bool = False) -> EventBus:
    """Make a bus with one subscription, which is dormant."""
    bus = EventBus("shop", store=SQLiteStore(path))

    @bus.subscriber(Order, name="ship", retry=RetryPolicy(max_attempts=1), activation="first_event")
    async def ship(order: Order) -> None:
        if fails:
            raise ValueError("no stock")
        handled.append(order.number)

    return bus


async def leave_letters(path: Path, *numbers: int) -> None:
    async with shop(path, [], fails=True).running() as bus:
        await bus.publish_many(map(Order, numbers))


def replay_in_the_file(path: Path) -> None:
    list(OffLine(path).replay(Choice(), rate=None, dry_run=False))


async def test_its_letters_can_be_read_before_it_has_an_actor(tmp_path: Path) -> None:
    path, handled = tmp_path / "bus.db", list[int]()
    await leave_letters(path, 1)
    async with shop(path, handled).running() as bus:
        assert [letter.event for letter in bus.dead_letters] == [Order(1)]
        assert bus.statistics().subscriptions["ship"].state == "dormant"
        await bus.replay()
    assert handled == [1]


async def test_a_letter_that_was_replayed_while_no_bus_ran_makes_the_actor(tmp_path: Path) -> None:
    path, handled = tmp_path / "bus.db", list[int]()
    await leave_letters(path, 1, 2)
    replay_in_the_file(path)
    async with shop(path, handled).running() as bus:
        assert bus.statistics().subscriptions["ship"].state == "running"
    assert handled == [1, 2]


async def test_a_replayed_letter_makes_the_actor_of_one_that_is_subscribed_later(tmp_path: Path) -> None:
    path, handled = tmp_path / "bus.db", list[int]()
    await leave_letters(path, 1)
    replay_in_the_file(path)

    is_handled = anyio.Event()

    async def ship(order: Order) -> None:
        handled.append(order.number)
        is_handled.set()

    bus = EventBus("shop", store=SQLiteStore(path))
    async with bus.running():
        await bus.subscribe_now(ship, Order, activation="first_event", name="another")
        assert bus.statistics().subscriptions["another"].state == "dormant"
        await bus.subscribe_now(ship, Order, activation="first_event", name="ship")
        with anyio.fail_after(10):
            await is_handled.wait()
        assert bus.statistics().subscriptions["another"].state == "dormant"
    assert handled == [1]
