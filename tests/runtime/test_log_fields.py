"""The fields of log lines: names that collide with nothing, in our lines and in those of users; judged by structlog."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
import structlog

from tests.runtime.failing import ONCE
from tests.runtime.helpers import Note
from tocsin import Delivery, EventBus, Hooks, LogFields, handles, log_fields
from tocsin._log_fields import FIELDS

MakeBus = Callable[..., EventBus]
logger = logging.getLogger("users")


class Traced:
    """A plug-in with fields for the log."""

    def hooks(self, bus: EventBus) -> Hooks:
        return Hooks(log_fields=lambda delivery: {"trace_id": "here" if delivery is None else delivery.envelope.id})


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """Give the lines that structlog makes of records, ours and those of users, as JSON and read back."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Keep()
    handler.addFilter(LogFields())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    loggers = [logging.getLogger("tocsin"), logger]
    for each in loggers:
        each.addHandler(handler)
    yield found
    for each in loggers:
        each.removeHandler(handler)


def test_no_field_is_one_that_a_record_has_already() -> None:
    taken = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
    more = {"report", "trace_id", "span_id", "child", "stack"}
    assert not taken & {*FIELDS, *more}


async def test_a_line_of_the_bus_says_which_delivery_it_is_about(
    make_bus: MakeBus, lines: list[dict[str, Any]]
) -> None:
    bus = make_bus(plugins=[Traced()])

    @bus.subscriber(Note, retry=ONCE)
    async def fail(event: Note) -> None:
        raise LookupError(event.text)

    async with bus.running():
        receipt = await bus.publish(Note("x"), correlation_id="order-7")
        await receipt.settled()
    (line,) = lines
    assert line == {
        "event": "dead letter 1 of fail after 1 attempts, handler_error: builtins.LookupError: x",
        "level": "warning",
        "bus": "test",
        "actor": "fail",
        "event_type": "tests.runtime.helpers.Note",
        "event_id": receipt.event_id,
        "correlation_id": "order-7",
        "attempt": 1,
        "trace_id": receipt.event_id,
    }


@pytest.mark.parametrize("plugins", [[], [Traced()]], ids=["alone", "with a plug-in"])
async def test_lines_of_a_handler_have_the_fields_of_its_delivery(
    make_bus: MakeBus, lines: list[dict[str, Any]], plugins: list[Any]
) -> None:
    bus = make_bus(plugins=plugins)

    @bus.subscriber(Note)
    async def handle(event: Note) -> None:
        logger.warning("handling %s", event.text)

    async with bus.running():
        await (await bus.publish(Note("x"))).settled()
        receipt = await bus.publish(Note("x"))  # it is plain, unlike the first one
        await receipt.settled()
    assert lines[-1] == {
        "event": "handling x",
        "level": "warning",
        "bus": "test",
        "actor": "handle",
        "event_type": "tests.runtime.helpers.Note",
        "event_id": receipt.event_id,
        "correlation_id": receipt.event_id,
        "attempt": 1,
    } | ({"trace_id": "here"} if plugins else {})


async def test_the_fields_suit_the_context_of_structlog(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[Any] = []

    @bus.subscriber(Note)
    async def handle(event: Note, delivery: Delivery[Note]) -> None:
        with structlog.contextvars.bound_contextvars(**log_fields()):
            seen.append(structlog.contextvars.merge_contextvars(None, "info", {"event": "hello"}))

    async with bus.running():
        receipt = await bus.publish(Note("x"), correlation_id="order-7")
        await receipt.settled()
    assert seen == [
        {
            "event": "hello",
            "bus": "test",
            "actor": "handle",
            "event_type": "tests.runtime.helpers.Note",
            "event_id": receipt.event_id,
            "correlation_id": "order-7",
            "attempt": 1,
        }
    ]


async def test_outside_of_a_handler_there_are_no_fields(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[Any] = []

    @bus.actor()
    class Actor:
        async def started(self) -> None:
            seen.append(log_fields())

        @handles(Note)
        async def note(self, event: Note) -> None: ...

    async with bus.running():
        seen.append(log_fields())
    assert seen == [{}, {}]


@pytest.mark.real_time
async def test_a_thread_that_a_handler_has_started_has_its_fields(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[Any] = []

    @bus.subscriber(Note)
    async def handle(event: Note) -> None:
        seen.append(await anyio.to_thread.run_sync(log_fields))

    @bus.subscriber(int)
    def block(event: int) -> None:
        seen.append(log_fields())

    async with bus.running():
        for event in (Note("x"), Note("plain"), 7):
            await (await bus.publish(event)).settled()
    assert [fields["actor"] for fields in seen] == ["handle", "handle", "block"]


async def test_a_task_that_outlives_its_delivery_has_no_fields_of_it(make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[Any] = []
    through = anyio.Event()

    async with bus.running(), anyio.create_task_group() as group:

        async def later() -> None:
            await through.wait()
            seen.append(log_fields())

        async def handle(event: Note) -> None:
            group.start_soon(later)

        await bus.subscribe_now(handle, Note)
        await (await bus.publish(Note("x"))).settled()
        through.set()
    assert seen == [{}]


async def test_what_a_record_has_already_stays_as_it_is(make_bus: MakeBus, lines: list[dict[str, Any]]) -> None:
    bus = make_bus()

    @bus.subscriber(Note)
    async def handle(event: Note) -> None:
        logger.warning("mine", extra={"actor": "somebody else"})

    async with bus.running():
        await (await bus.publish(Note("x"))).settled()
    assert lines[-1]["actor"] == "somebody else"
    assert lines[-1]["bus"] == "test"
