"""What the bus writes to `logging`."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from tocsin import DeadLetter, EventBus, RestartIntensity, RetryPolicy, handles

MakeBus = Callable[..., EventBus]
ONCE: Any = {"retry": RetryPolicy(max_attempts=1), "sick_after": 1_000_000}


async def ignore(event: object) -> None: ...


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tocsin"]


async def fail(event: object) -> None:
    raise LookupError(event)


async def bury(bus: EventBus, count: int) -> None:
    for number in range(count):
        await (await bus.publish(number)).settled()


async def test_a_dead_letter_is_told_with_its_cause_and_its_fields(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **ONCE)
    async with bus.running():
        receipt = await bus.publish(7, correlation_id="order-7")
        await receipt.settled()
    (record,) = caplog.records
    assert record.getMessage() == "dead letter 1 of fail after 1 attempts, handler_error: builtins.LookupError: 7"
    assert record.levelno == logging.WARNING
    fields = vars(record)
    assert fields["bus"] == "test"
    assert fields["actor"] == "fail"
    assert fields["event_id"] == receipt.event_id
    assert fields["correlation_id"] == "order-7"


async def test_lines_that_no_logger_takes_are_left_out(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "tocsin")
    bus = make_bus()
    bus.subscribe(fail, int, **ONCE)
    async with bus.running():
        await bury(bus, 3)
    assert lines(caplog) == []
    assert bus.statistics().dead_letters == 3


async def test_a_letter_says_late_what_it_would_have_said_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **ONCE)
    async with bus.running():
        receipt = await bus.publish(7, topic="orders", headers={"trace": "1"}, correlation_id="order-7")
        await receipt.settled()
    (letter,) = bus.dead_letters
    assert (letter.event_id, letter.correlation_id) == (receipt.event_id, "order-7")
    assert (letter.topic, letter.headers, letter.event_type) == ("orders", {"trace": "1"}, "builtins.int")
    assert letter.published_at <= letter.last_failed_at


async def test_an_event_cannot_forge_lines(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    bus.subscribe(fail, str, **ONCE)
    evil = "a\nERROR tocsin: forged\r\x1b[31m\x9b1m\u202e\u2028 %s %(bus)s {0}"
    async with bus.running():
        await (await bus.publish(evil)).settled()
        await bus.publish(1, correlation_id=evil)
    assert len(lines(caplog)) == 2
    for line in lines(caplog):
        assert line.isprintable()
    assert "%s %(bus)s {0}" in lines(caplog)[0]


async def test_a_flood_of_dead_letters_is_told_of_in_ten_lines_and_a_number(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **ONCE)
    async with bus.running():
        await bury(bus, 50)
        assert len(lines(caplog)) == 11
        assert lines(caplog)[-1] == "dead letters of fail: more are coming, silent for a while"
        await anyio.sleep(300)
        await bury(bus, 1)
    assert lines(caplog)[-1].endswith("(40 before it were not logged)")
    assert len(bus.dead_letters) == 51


async def test_each_subscription_has_a_throttle_of_its_own(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, name="1", **ONCE)
    bus.subscribe(fail, int, name="2", **ONCE)
    async with bus.running():
        await bury(bus, 12)
    assert len(lines(caplog)) == 22


async def test_a_subscription_that_ended_leaves_no_throttle_behind(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    async with bus.running():
        for _ in range(2):
            subscription = await bus.subscribe_now(fail, int, **ONCE)
            await bury(bus, 11)
            await subscription.unsubscribe()
    assert len(lines(caplog)) == 22


async def test_a_dead_letter_of_a_dead_letter_is_told(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    bus.subscribe(fail, int, **ONCE)
    async with bus.running():
        await bury(bus, 1)
        letter = bus.dead_letters.get(1)
        await bus.subscribe_now(fail, DeadLetter, name="letters", **ONCE)
        await (await bus.publish(letter)).settled()
    assert "a dead letter of a dead letter is refused" in lines(caplog)[-1]
    assert len(bus.dead_letters) == 1


async def test_crashes_suspensions_and_parked_actors_are_told_as_loudly_as_they_matter(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(1, 600.0), on_exhausted="park")
    async with bus.running():
        await bus.publish(7)
        await anyio.sleep(60)
        assert bus.statistics().subscriptions["fail"].state == "parked"
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["ERROR", "ERROR", "CRITICAL"]
    assert told[0][1].startswith("fail is suspended: fail is sick")
    assert told[2][1] == "fail is parked: its restart intensity was exceeded"
    assert [vars(record)["report"] for record in caplog.records] == ["ChildSuspended", "ChildSuspended", "ChildParked"]


async def test_an_actor_that_does_not_start_is_told(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @handles(int)
        async def on(self, event: int) -> None: ...

        async def started(self) -> None:
            raise ConnectionError("no database\n")

    bus = make_bus()
    bus.subscribe_actor(Broken)
    with pytest.raises(Exception, match="did not start"):
        async with bus.running():
            pytest.fail("the body was entered")
    assert lines(caplog)[0] == "Broken did not start: builtins.ConnectionError: no database\\n"


async def test_a_group_that_gives_up_is_told(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus()
    bus.group("inner").subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 5.0))
    async with bus.running(drain_timeout=0):
        await bus.publish(7)
        await anyio.sleep(0.05)
    assert "supervisor test/inner gives up because of fail" in lines(caplog)
    assert any(line.startswith("inner crashed: ") for line in lines(caplog))


async def test_what_goes_wrong_while_stopping_is_told(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    release = anyio.Event()

    class Fails:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            raise LookupError("gone")

    async def stubborn(event: int) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    async def let_go() -> None:
        await bus.wait_stopped()
        release.set()

    bus = make_bus()
    bus.subscribe_actor(Fails)
    bus.subscribe(stubborn, int, grace_period=1, timeout=None)
    async with anyio.create_task_group() as group, bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(let_go)
    assert "Fails raised while stopping: builtins.LookupError: gone" in lines(caplog)
    assert any(line.startswith("stubborn does not stop; it is stuck at ") for line in lines(caplog))


class Hostile(logging.Handler):
    """A handler of the log that raises, as one does whose pipe is closed."""

    def emit(self, record: logging.LogRecord) -> None:
        raise BrokenPipeError


@pytest.fixture
def hostile_log() -> Iterator[None]:
    handler = Hostile()
    logging.getLogger("tocsin").addHandler(handler)
    yield
    logging.getLogger("tocsin").removeHandler(handler)


@pytest.mark.usefixtures("hostile_log")
async def test_fault_G14_a_log_that_raises_decides_nothing(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **ONCE)
    bus.subscribe(ignore, int)
    async with bus.running():
        await bury(bus, 20)
    assert len(bus.dead_letters) == 20
    assert bus.ledger().handled == 20
    gc.collect()


async def test_nothing_is_told_of_what_goes_well(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        await bury(bus, 3)
    assert lines(caplog) == []
