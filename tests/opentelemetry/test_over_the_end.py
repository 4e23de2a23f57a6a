"""A trace goes on where the process does not: the context is in the store."""

from __future__ import annotations

import anyio
import pytest

from tests.opentelemetry.spans import Placed, Spans, attributes, identity, is_child_of, links
from tocsin import Backoff, EventBus, RetryPolicy
from tocsin.durable import SQLiteStore
from tocsin.testing import MemoryStore

LATER = RetryPolicy(max_attempts=3, backoff=Backoff(initial=60.0, maximum=60.0, jitter=0.0))
SEND = f"send {Placed.__module__}.Placed"


def shop(store: MemoryStore | SQLiteStore, spans: Spans, *, is_broken: bool = False) -> EventBus:
    """Make the bus of a new process."""
    bus = EventBus("shop", store=store, plugins=[spans.plugin()])

    @bus.subscriber(Placed, name="ship", durable=True, retry=LATER)
    async def ship(event: Placed) -> None:
        if is_broken:
            raise ConnectionError

    return bus


async def test_an_attempt_of_the_next_process_is_linked_to_the_publish_of_the_first() -> None:
    store, before, after = MemoryStore(), Spans(), Spans()
    bus = shop(store, before, is_broken=True)
    async with bus.running():
        with before.tracer.start_as_current_span("request"):
            await bus.publish(Placed(1))
        await anyio.sleep(1)
        await bus.stop(drain_timeout=0)
    assert attributes(before.one("process ship"))["error.type"] == "builtins.ConnectionError"
    async with shop(store, after).running():
        await anyio.sleep(100)
    send, process = before.one(SEND), after.one("process ship")
    assert is_child_of(send, before.one("request"))
    assert links(process) == [identity(send).span_id]
    assert process.links[0].context.trace_id == identity(send).trace_id
    assert attributes(process)["tocsin.attempt"] == 2
    assert attributes(process)["messaging.message.id"] == attributes(send)["messaging.message.id"]


async def test_a_dead_letter_that_is_replayed_in_the_next_process_is_linked_to_the_publish_of_the_first() -> None:
    store, before, after = MemoryStore(), Spans(), Spans()
    bus = shop(store, before, is_broken=True)
    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    assert attributes(before.one("settle ship"))["tocsin.outcome"] == "dead_lettered"
    bus = shop(store, after)
    async with bus.running():
        report = await bus.replay()
        await report.receipts[0].settled()
    assert links(after.one("process ship")) == [identity(before.one(SEND)).span_id]


@pytest.mark.real_time
async def test_the_same_in_a_file(tmp_path: object) -> None:
    store, before, after = SQLiteStore(f"{tmp_path}/bus.db"), Spans(), Spans()
    bus = shop(store, before, is_broken=True)
    async with bus.running():
        await bus.publish(Placed(1))
        await bus.stop(drain_timeout=0)
    bus = shop(store, after, is_broken=True)
    async with bus.running():
        await bus.stop(drain_timeout=0)
    sent = identity(before.one(SEND)).span_id
    assert {link for spans in (before, after) for span in spans.all for link in links(span)} == {sent}
