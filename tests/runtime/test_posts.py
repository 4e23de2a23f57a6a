"""Events that other threads hand over without waiting for them to be published."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.runtime.helpers import Gated, Note
from tests.runtime.test_from_threads import InThread, until
from tocsin import BusClosed, BusNotRunning, Delivery, EventBus, Reject, WrongThread
from tocsin._posts import CAPACITY, Post, PostBox

MakeBus = Callable[..., EventBus]
pytestmark = pytest.mark.real_time


def post_all(bus: EventBus, events: Iterable[object]) -> None:
    for event in events:
        bus.post_from_thread(event)


async def test_what_a_thread_posts_is_handled_in_order(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[int]()

    @bus.subscriber(int)
    async def handle(number: int) -> None:
        seen.append(number)

    async with bus.running():
        await anyio.to_thread.run_sync(post_all, bus, range(500))
    assert seen == list(range(500))
    assert bus.statistics().published == 500


async def test_once_a_route_is_known_posts_go_by_it_and_others_find_their_own(make_bus: MakeBus) -> None:
    bus, numbers, texts = make_bus(), list[int](), list[str]()

    @bus.subscriber(int)
    async def count(number: int) -> None:
        numbers.append(number)

    @bus.subscriber(str)
    async def note(text: str) -> None:
        texts.append(text)

    bus.subscribe(note, str, name="another")
    async with bus.running():
        for event in (0, "first"):
            await (await bus.publish(event)).settled()
        await anyio.to_thread.run_sync(post_all, bus, [*range(1, 200), "text", b"for nobody"])
        await until(lambda: len(texts) == 4)  # while it drains, no route is known
    assert numbers == list(range(200))
    assert texts == ["first", "first", "text", "text"]


async def test_options_go_along_with_it(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, Note, name="quick")
    async with bus.running():
        await anyio.to_thread.run_sync(lambda: bus.post_from_thread(Note("0"), topic="x", correlation_id="c"))
        await until(lambda: bool(handler.done))
    (delivery,) = handler.deliveries
    assert (delivery.envelope.topic, delivery.envelope.correlation_id) == ("x", "c")


async def test_what_the_thread_of_a_handler_posts_says_what_caused_it(make_bus: MakeBus) -> None:
    bus, causes = make_bus(), list[tuple[str, str | None]]()

    @bus.subscriber(str)
    def in_thread(text: str, delivery: Delivery[str]) -> None:
        causes.append((delivery.envelope.id, None))
        bus.post_from_thread(7)

    @bus.subscriber(int)
    async def result(number: int, delivery: Delivery[int]) -> None:
        causes.append((delivery.envelope.id, delivery.envelope.causation_id))

    async with bus.running():
        await bus.publish("text")
        await until(lambda: len(causes) == 2)
    assert causes[1][1] == causes[0][0]


async def test_one_that_waits_for_room_holds_up_those_behind_it_and_no_thread(make_bus: MakeBus) -> None:
    bus, slow, quick = make_bus(), Gated(), Gated(is_open=True)
    bus.subscribe(slow, int, name="slow", mailbox=1)
    bus.subscribe(quick, str, name="quick")

    async with bus.running():
        await InThread(lambda: post_all(bus, (1, 2, 3, "last"))).result()
        await until(lambda: bus.ledger().blocked == 1)
        assert quick.done == []
        slow.open()
        await until(lambda: bool(quick.done))
    assert slow.done == [1, 2, 3]


async def test_what_was_posted_before_a_drain_is_published_in_it(make_bus: MakeBus) -> None:
    bus, handler = make_bus(), Gated(is_open=True)
    bus.subscribe(handler, int, name="quick")
    async with bus.running():
        threads = [threading.Thread(target=bus.post_from_thread, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # the loop has not had a turn since
        assert await bus.drain()
    assert sorted(handler.done) == list(range(20))
    assert bus.stop_report is not None
    assert bus.stop_report.unpublished == ()


async def test_while_the_bus_drains_a_thread_is_refused_or_the_drain_might_never_end(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    bus.subscribe(slow, int, name="slow")
    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish(1)
        group.start_soon(bus.drain)
        await until(lambda: bus.phase == "draining")
        with pytest.raises(BusClosed, match="draining"):
            await InThread(lambda: bus.post_from_thread(2)).result()
        slow.open()
    assert slow.done == [1]


async def test_while_the_bus_drains_what_the_thread_of_a_handler_posts_is_taken(make_bus: MakeBus) -> None:
    bus, quick, goes_on = make_bus(), Gated(is_open=True), threading.Event()
    bus.subscribe(quick, int, name="quick")

    @bus.subscriber(str)
    def in_thread(text: str) -> None:
        goes_on.wait()
        bus.post_from_thread(7)

    async with bus.running(), anyio.create_task_group() as group:
        await bus.publish("text")
        group.start_soon(bus.drain)
        await until(lambda: bus.phase == "draining")
        goes_on.set()
    assert quick.done == [7]


async def test_what_was_not_published_is_in_the_report_of_the_stop(make_bus: MakeBus) -> None:
    bus, slow = make_bus(), Gated()
    bus.subscribe(slow, int, name="slow", mailbox=1, grace_period=0.0)
    async with bus.running(drain_timeout=0.0):
        await InThread(lambda: post_all(bus, range(5))).result()
        await until(lambda: bool(slow.started) and bus.ledger().blocked == 1)
    assert bus.stop_report is not None
    assert bus.stop_report.unpublished == (2, 3, 4)
    assert [each.event for each in bus.stop_report.returned] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_of_threads_that_post_until_the_stop_no_event_is_lost(make_bus: MakeBus, seed: int) -> None:
    bus, quick, taken = make_bus(), Gated(is_open=True), [list[int]() for _ in range(4)]
    bus.subscribe(quick, int, name="quick")

    def post_until_refused(mine: list[int], number: int) -> None:
        with suppress(BusClosed, BusNotRunning):
            while True:
                bus.post_from_thread(number)
                mine.append(number)
                number += 1

    async with bus.running(drain_timeout=0.0):
        threads = [
            threading.Thread(target=post_until_refused, args=(mine, place * 1_000_000_000))
            for place, mine in enumerate(taken)
        ]
        for thread in threads:
            thread.start()
        await until(lambda: len(quick.done) > seed * 700)
    for thread in threads:
        thread.join()
    assert bus.stop_report is not None
    returned = [each.event for each in bus.stop_report.returned]
    assert sorted([*quick.done, *returned, *bus.stop_report.unpublished]) == sorted(chain(*taken))


async def test_what_cannot_be_published_is_told_of_in_the_log(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus, slow = make_bus(), Gated()
    bus.subscribe(slow, Note, name="slow", mailbox=1, overflow=Reject())
    async with bus.running():
        with caplog.at_level(logging.ERROR):
            await InThread(lambda: post_all(bus, [Note(str(number)) for number in range(50)])).result()
            await until(lambda: bus.ledger().matched == 50)
        slow.open()
    lines = [record.getMessage() for record in caplog.records]
    assert "Note was not published" in lines[0]
    assert "MailboxFull" in lines[0]
    assert len(lines) == 10  # throttled


async def test_the_loops_own_thread_is_told_to_publish(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(WrongThread, match=r"post_from_thread .* use publish"):
            bus.post_from_thread(1)


async def test_after_the_stop_a_post_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        pass
    with pytest.raises(BusClosed):
        await InThread(lambda: bus.post_from_thread(1)).result()


@pytest.mark.parametrize("limit", [-1, float("nan"), "1"])
async def test_a_time_that_is_none_is_refused(make_bus: MakeBus, limit: Any) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(ValueError, match="timeout="):
            await InThread(lambda: bus.post_from_thread(1, timeout=limit)).result()


# ── the box by itself ──


def box(publish: Callable[[Post], Any]) -> PostBox:
    return PostBox("shop", lambda posts, count: 0, publish, nothing, 32, lambda post, error: None, lambda: None)


async def nothing() -> None: ...


async def test_a_full_box_makes_threads_wait_until_there_is_room() -> None:
    gate = anyio.Event()

    async def publish(post: Post) -> None:
        await gate.wait()

    full = box(publish)
    for number in range(CAPACITY):
        full.post(Post(number, {}, None), None)
    late = InThread(lambda: full.post(Post("late", {}, None), 0.0))
    with pytest.raises(TimeoutError, match=r"no room for another post within 0\.0 s"):
        await late.result()
    patient = InThread(lambda: full.post(Post("patient", {}, None), None))
    async with anyio.create_task_group() as group:
        group.start_soon(full.run)
        gate.set()
        await patient.result()
        await until(lambda: full.is_empty)
        group.cancel_scope.cancel()


async def test_a_thread_that_waits_for_room_is_told_when_the_box_closes() -> None:
    async def publish(post: Post) -> None:
        raise AssertionError

    full = box(publish)
    for number in range(CAPACITY):
        full.post(Post(number, {}, None), None)
    waiting = InThread(lambda: full.post(Post("late", {}, None), None))
    await anyio.sleep(0.05)
    assert full.close() == list(range(CAPACITY))
    with pytest.raises(BusClosed):
        await waiting.result()


async def test_a_loop_that_ended_without_a_word_refuses(anyio_backend_name: str) -> None:
    async def make() -> PostBox:
        async def publish(post: Post) -> None:
            raise AssertionError

        return box(publish)

    made: Future[PostBox] = Future()
    thread = threading.Thread(target=lambda: made.set_result(anyio.run(make, backend=anyio_backend_name)))
    thread.start()
    thread.join()
    orphan = made.result()
    for _ in range(2):
        with pytest.raises(BusClosed):
            orphan.post(Post("refused", {}, None), None)
