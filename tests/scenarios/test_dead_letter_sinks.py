"""What a sink at fault costs: nothing but a line in the log, and the letter is in the office: N13."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
import pytest

from tests.runtime.failing import publish_all
from tocsin import (
    DeadLetter,
    DeadLettered,
    DeadLetterOffice,
    DeadLetterReason,
    EventBus,
    Handled,
    RetryPolicy,
)

MakeBus: TypeAlias = Callable[..., EventBus]
ONCE: Any = {"retry": RetryPolicy(max_attempts=1), "sick_after": 1_000_000}


class Failing:
    """A sink that cannot write for a while."""

    def __init__(self, errors: int) -> None:
        self.errors = errors
        self.taken: list[int] = []

    def take(self, letter: DeadLetter[Any]) -> None:
        if self.errors:
            self.errors -= 1
            raise OSError("disk full")
        self.taken.append(letter.id)


class Slow:
    """A sink that hands letters on to a slow writer, and has room for a few of them."""

    def __init__(self, room: int) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[DeadLetter[Any]](room)
        self.written: list[int] = []

    def take(self, letter: DeadLetter[Any]) -> None:
        self._send.send_nowait(letter)

    async def write(self) -> None:
        async with self._receive:
            async for letter in self._receive:
                await anyio.sleep(10.0)
                self.written.append(letter.id)

    def close(self) -> None:
        self._send.close()


async def fail(number: int) -> None:
    raise LookupError(number)


# ── N13: the sink ──


async def test_N13_what_a_failing_sink_did_not_take_is_in_the_office_counted_and_in_the_log(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Failing(errors=2)
    bus = make_bus(dead_letters=DeadLetterOffice(sink=sink))
    bus.subscribe(fail, int, **ONCE)
    handled: list[int] = []
    bus.subscribe(_noting(handled), int, name="beside")
    async with bus.running():
        for receipt in await publish_all(bus, *range(5)):
            outcomes = await receipt.settled()
            assert outcomes["beside"] == Handled()
            assert isinstance(outcomes["fail"], DeadLettered)
    office = bus.dead_letters
    assert handled == list(range(5))
    assert [letter.id for letter in office] == [1, 2, 3, 4, 5]
    assert sink.taken == [3, 4, 5]
    assert (office.added, office.sink_errors) == (5, 2)
    assert office.sink_failure is not None
    assert office.sink_failure.message == "disk full"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == [
        f"the sink of dead letters failed, dead letter {id} is kept in memory alone: builtins.OSError: disk full"
        for id in (1, 2)
    ]


def _noting(handled: list[int]) -> Callable[[int], Any]:
    async def note(number: int) -> None:
        handled.append(number)

    return note


async def test_N13_a_sink_that_fails_all_the_time_does_not_flood_the_log(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus(dead_letters=DeadLetterOffice(sink=Failing(errors=10**6)), dead_letter_undeliverable=True)
    async with bus.running():
        await publish_all(bus, *range(1000))
        await anyio.sleep(301.0)
        await bus.publish("one more")
    assert bus.dead_letters.sink_errors == 1001
    told = [record.getMessage() for record in caplog.records if "the sink of" in record.getMessage()]
    assert len(told) == 11
    assert told[-1].endswith("(990 before it were not logged)")


async def test_N13_a_slow_sink_holds_up_nobody_and_what_it_has_no_room_for_is_counted(make_bus: MakeBus) -> None:
    sink = Slow(room=3)
    bus = make_bus(dead_letters=DeadLetterOffice(sink=sink))
    bus.subscribe(fail, int, **ONCE)
    async with anyio.create_task_group() as group:
        group.start_soon(sink.write)
        async with bus.running():
            began = anyio.current_time()
            for receipt in await publish_all(bus, *range(10)):
                await receipt.settled()
            assert anyio.current_time() == began
        sink.close()
    office = bus.dead_letters
    assert len(office) == office.added == 10
    assert len(sink.written) + office.sink_errors == 10
    assert 3 <= len(sink.written) <= 5


async def test_N14_a_dead_letter_that_matches_nobody_is_refused_too(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish("nobody's")
        (letter,) = bus.dead_letters
        assert letter.reason is DeadLetterReason.UNDELIVERABLE
        await bus.publish(letter)
    assert (bus.dead_letters.added, bus.dead_letters.refused) == (1, 1)
    assert bus.statistics().undeliverable == 2
