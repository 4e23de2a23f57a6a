"""The bus as a whole: how it is made, who may use it when, what runs one after the other."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.virtual_time import backend_options
from tocsin import (
    BusAlreadyRunning,
    BusClosed,
    BusNotRunning,
    ChildStartError,
    Event,
    EventBus,
    Handled,
    InvalidHandler,
    InvalidPriority,
    InvalidTopic,
    RestartIntensity,
    RestartIntensityExceeded,
    WrongThread,
    handles,
)

MakeBus = Callable[..., EventBus]


async def ignore(event: object) -> None: ...


# ── making one ──


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_bus_has_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match=r"name=.*: the name of a bus is a text that is not empty"):
        EventBus(name)


def needs_two(report: object, delivery: object) -> None: ...


@pytest.mark.parametrize("observer", [7, int, lambda: None, needs_two], ids=["7", "class", "none", "two"])
def test_an_observer_can_be_called_with_a_report(observer: Any) -> None:
    with pytest.raises(InvalidHandler):
        EventBus("test", observer=observer)


def test_a_bus_that_never_ran_is_new(make_bus: MakeBus) -> None:
    bus = make_bus("shop")
    bus.subscribe(ignore, int)
    assert repr(bus) == "<EventBus shop new, 1 subscriptions>"
    assert bus.statistics().phase == "new"
    assert bus.statistics().tree is None
    assert bus.ledger().balanced
    assert bus.stop_report is None
    assert bus.registrar is None


async def test_a_bus_tells_how_it_is(make_bus: MakeBus) -> None:
    bus = make_bus("shop\n")
    bus.subscribe(ignore, int)
    async with bus.running():
        await bus.publish(1)
        assert repr(bus) == "<EventBus shop\\n running, 1 subscriptions, 1 queued>"
    assert repr(bus) == "<EventBus shop\\n stopped, 1 subscriptions, 0 queued>"


# ── running ──


async def test_entered_every_actor_has_started_in_the_order_of_declaration(make_bus: MakeBus) -> None:
    bus, started = make_bus(), list[str]()

    def actor(name: str) -> type:
        class Actor:
            @handles(int)
            async def on(self, event: int) -> None: ...

            async def started(self) -> None:
                await anyio.sleep(1)
                started.append(name)

        return Actor

    bus.subscribe_actor(actor("1"), name="1")
    group = bus.group("group")
    group.subscribe_actor(actor("2"), name="2")
    bus.subscribe_actor(actor("3"), name="3")
    group.subscribe_actor(actor("4"), name="4")
    async with bus.running():
        assert started == ["1", "2", "4", "3"]


async def test_who_does_not_start_stops_those_before_it_in_reverse(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()

    def actor(name: str) -> type:
        class Actor:
            @handles(int)
            async def on(self, event: int) -> None: ...

            async def started(self) -> None:
                if name == "3":
                    raise ConnectionError("no database")

            async def stopping(self) -> None:
                stopped.append(name)

        return Actor

    for name in "1234":
        bus.subscribe_actor(actor(name), name=name)
    with pytest.raises(ChildStartError, match="no database"):
        async with bus.running():
            pytest.fail("the body was entered")
    assert stopped == ["2", "1"]
    assert bus.statistics().phase == "stopped"


async def test_a_bus_runs_once_at_a_time(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        with pytest.raises(BusAlreadyRunning, match="is running already: a bus runs once at a time, make a second one"):
            async with bus.running():
                pytest.fail("the body was entered")
        assert bus.statistics().phase == "running"


async def test_a_bus_is_running_already_while_it_starts(make_bus: MakeBus) -> None:
    class Slow:
        @handles(int)
        async def on(self, event: int) -> None: ...

        async def started(self) -> None:
            await anyio.sleep(1)

    bus = make_bus()
    bus.subscribe_actor(Slow)

    async def second() -> None:
        await anyio.sleep(0.5)
        with pytest.raises(BusAlreadyRunning):
            await bus.running().__aenter__()

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        async with bus.running():
            pass


@pytest.mark.parametrize("value", [-1, math.nan, "30", None, True])
@pytest.mark.parametrize("name", ["drain_timeout", "shutdown_deadline"])
async def test_the_limits_of_the_end_are_seconds(make_bus: MakeBus, name: str, value: Any) -> None:
    bus = make_bus()
    with pytest.raises(ValueError, match=rf"{name}=.*: must be seconds, 0 or more"):
        async with bus.running(**{name: value}):
            pytest.fail("the body was entered")
    assert bus.statistics().phase == "new"


async def test_the_limits_of_the_end_may_be_without_end(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running(drain_timeout=math.inf, shutdown_deadline=math.inf):
        await bus.publish(1)
    assert bus.ledger().handled == 1


async def test_an_error_of_the_body_comes_out_as_itself(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with bus.running():
            raise error
    assert caught.value is error
    assert bus.statistics().phase == "stopped"


async def test_a_second_run_starts_with_empty_mailboxes_and_statistics(make_bus: MakeBus) -> None:
    bus = make_bus()
    gate = anyio.Event()

    async def park(event: int) -> None:
        await gate.wait()

    bus.subscribe(park, int, grace_period=0)
    async with bus.running(drain_timeout=0):
        await bus.publish_many(range(5))
    assert bus.ledger().returned == 5
    gate.set()
    async with bus.running():
        assert bus.ledger().matched == 0
        assert bus.statistics().published == 0
        assert await (await bus.publish(1)).settled() == {"park": Handled()}
    assert bus.ledger().handled == 1


def test_the_same_bus_runs_on_one_backend_then_on_the_other(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[tuple[str, int]]()

    @bus.subscriber(str)
    async def note(name: str) -> None:
        seen.append((name, bus.statistics().subscriptions["note"].handled))

    async def main(name: str) -> None:
        async with bus.running():
            await (await bus.publish(name)).settled()

    for name in ("asyncio", "trio", "asyncio"):
        anyio.run(main, name, backend=name, backend_options=backend_options(name, real_time=False))
    assert seen == [("asyncio", 0), ("trio", 0), ("asyncio", 0)]


async def test_two_buses_in_one_loop_do_not_know_of_each_other(make_bus: MakeBus) -> None:
    one, two = make_bus("one"), make_bus("two")
    correlations: list[str | None] = []

    @one.subscriber(str)
    async def forward(text: str) -> None:
        await two.publish(len(text))

    @two.subscriber(int)
    async def note(number: int, delivery: Any) -> None:
        correlations.append(delivery.envelope.causation_id)

    async with one.running(), two.running():
        await (await one.publish("abc")).settled()
    assert correlations == [None]
    assert two.ledger().handled == 1


@pytest.mark.real_time
async def test_fault_G11_a_bus_runs_in_a_thread_that_is_not_the_main_one(
    make_bus: MakeBus, anyio_backend_name: str
) -> None:
    bus, threads = make_bus(), list[int]()

    @bus.subscriber(int)
    async def note(event: int) -> None:
        threads.append(threading.get_ident())

    async def main() -> None:
        async with bus.running():
            await bus.publish(1)

    await anyio.to_thread.run_sync(functools.partial(anyio.run, main, backend=anyio_backend_name))
    assert threads != [threading.get_ident()]
    assert bus.ledger().handled == 1


# ── when the tree gives up, or something deadly happens ──


async def fail(event: object) -> None:
    raise ConnectionError("no database")


GIVEN_UP_AT_ONCE: Any = {"sick_after": 1, "intensity": RestartIntensity(0, 5.0)}


async def test_when_the_tree_gives_up_the_body_is_cancelled_and_the_reason_raised_as_itself(make_bus: MakeBus) -> None:
    bus = make_bus(intensity=RestartIntensity(0, 5.0))
    inner = bus.group("outer").group("inner")
    inner.subscribe(fail, int, **GIVEN_UP_AT_ONCE)
    cancelled = anyio.Event()

    async def run() -> None:
        async with bus.running():
            await bus.publish(1)
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.set()
                raise

    with pytest.raises(RestartIntensityExceeded, match="gave up on child"):
        await run()
    assert cancelled.is_set()
    assert bus.stop_report is not None
    assert len(bus.stop_report.returned) == 1
    assert bus.ledger().live == 0


async def test_who_waits_for_the_stop_outside_of_the_body_learns_of_the_end_of_the_tree(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **GIVEN_UP_AT_ONCE)
    reports: list[object] = []

    async def wait() -> None:
        reports.append(await bus.wait_stopped())

    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with bus.running():
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await bus.publish(1)
                await anyio.sleep_forever()

        with pytest.raises(RestartIntensityExceeded):
            await run()
    assert reports == [bus.stop_report]


async def test_a_bus_that_was_given_up_runs_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, **GIVEN_UP_AT_ONCE)
    bus.subscribe(ignore, str)
    for _ in range(2):

        async def run() -> None:
            async with bus.running():
                assert await (await bus.publish("a")).settled() == {"ignore": Handled()}
                await bus.publish(1)
                await anyio.sleep_forever()

        with pytest.raises(RestartIntensityExceeded):
            await run()


async def test_what_ends_programs_comes_out_of_a_handler_as_itself_after_an_ordered_stop(make_bus: MakeBus) -> None:
    bus, stopped = make_bus(), list[str]()

    class Other:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            await anyio.sleep(1)
            stopped.append("other")

    async def leave(event: int) -> None:
        raise SystemExit(3)

    bus.subscribe_actor(Other)
    bus.group("inner").subscribe(leave, int)

    async def run() -> None:
        async with bus.running():
            await bus.publish(1)
            await anyio.sleep_forever()

    with pytest.raises(SystemExit) as caught:
        await run()
    assert caught.value.code == 3
    assert stopped == ["other"]
    assert bus.ledger().returned == 1
    assert len(bus.dead_letters) == 0


# ── using it at the wrong time or place ──


USES: dict[str, Callable[[EventBus], Any]] = {
    "publish": lambda bus: bus.publish(1),
    "publish_many": lambda bus: bus.publish_many([1]),
    "publish_nowait": lambda bus: bus.publish_nowait(1),
    "publish_from_thread": lambda bus: bus.publish_from_thread(1),
    "ask": lambda bus: bus.ask(1),
    "replay": lambda bus: bus.replay(),
    "drain": lambda bus: bus.drain(),
}
STOPPING: dict[str, Callable[[EventBus], Any]] = {
    "request_stop": lambda bus: bus.request_stop(),
    "stop": lambda bus: bus.stop(),
    "wait_stopped": lambda bus: bus.wait_stopped(),
}


async def use(bus: EventBus, how: str) -> object:
    result: Any = {**USES, **STOPPING}[how](bus)
    return await result if hasattr(result, "__await__") else result


@pytest.mark.parametrize("how", [*USES, *STOPPING])
async def test_a_bus_that_never_ran_says_how_to_run_it(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    with pytest.raises(
        BusNotRunning, match=r"bus 'test' is not running: use it inside of `async with bus.running\(\):`"
    ):
        await use(bus, how)
    assert bus.ledger().matched == 0


@pytest.mark.parametrize("how", USES)
async def test_a_bus_that_has_stopped_takes_nothing(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        pass
    with pytest.raises(BusClosed, match="bus 'test' is stopped and accepts no new events") as caught:
        await use(bus, how)
    assert caught.value.bus == "test"
    assert bus.ledger().matched == 0


@pytest.mark.parametrize("how", STOPPING)
async def test_stopping_what_has_stopped_changes_nothing(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    async with bus.running():
        pass
    report = bus.stop_report
    assert await use(bus, how) in (None, report)
    assert bus.stop_report is report


def step_of_use(bus: EventBus, how: str) -> None:
    """Take the first step of a use, in whatever thread."""
    result: Any = {**USES, **STOPPING}[how](bus)
    if hasattr(result, "send"):
        try:
            result.send(None)
        finally:
            result.close()


@pytest.mark.real_time
@pytest.mark.parametrize("how", USES)
async def test_a_bus_that_has_stopped_says_so_in_any_thread(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        pass
    with pytest.raises(BusClosed):
        await anyio.to_thread.run_sync(step_of_use, bus, how)


@pytest.mark.real_time
@pytest.mark.parametrize("how", [*(use for use in USES if use != "publish_from_thread"), *STOPPING], ids=str)
async def test_fault_G2_another_thread_has_one_door_only(make_bus: MakeBus, how: str) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        with pytest.raises(WrongThread, match="only publish_from_thread may be called from here"):
            await anyio.to_thread.run_sync(step_of_use, bus, how)
        assert bus.statistics().phase == "running"
    assert bus.ledger().matched == 0


@pytest.mark.parametrize(
    "topic",
    ["", ".", "a..b", ".a", "a.", "a\x00b", "a\nb", "\x1b[31m", "a\u202eb", "a\ud800", "a" * 256, "a.*", "a.#", 7],
    ids=ascii,
)
async def test_what_is_no_topic_is_refused_before_anybody_has_accepted(make_bus: MakeBus, topic: Any) -> None:
    bus = make_bus()
    bus.subscribe(ignore, object)
    async with bus.running():
        with pytest.raises(InvalidTopic):
            await bus.publish(1, topic=topic)
        with pytest.raises(InvalidTopic):
            bus.publish_nowait(1, topic=topic)
        with pytest.raises(InvalidTopic):
            Event(topic)
        assert bus.ledger().matched == 0
        assert bus.statistics().published == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"priority": "high"}, InvalidPriority, "priority='high'"),
        ({"priority": True}, InvalidPriority, "priority=True"),
        ({"expires_in": -1}, ValueError, "expires_in=-1"),
        ({"expires_in": math.nan}, ValueError, "expires_in=nan"),
        ({"headers": [("a", 1)]}, TypeError, "headers="),
        ({"headers": {1: "a"}}, TypeError, "header 1"),
        ({"priorty": 1}, TypeError, "priorty.*allowed are correlation_id, expires_in, headers, priority"),
    ],
    ids=str,
)
async def test_options_that_are_none_are_refused_before_anything_happens(
    make_bus: MakeBus, options: Any, error: type[Exception], says: str
) -> None:
    bus = make_bus()
    bus.subscribe(ignore, object)
    async with bus.running():
        with pytest.raises(error, match=says):
            await bus.publish(1, **options)
        with pytest.raises(error, match=says):
            await bus.ask(1, **options)
        assert bus.ledger().matched == 0


async def test_fault_H1_all_subscribers_get_the_published_object_itself(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[object]()
    event: dict[str, int] = {}

    async def change(event: dict[str, int]) -> None:
        event["n"] = event.get("n", 0) + 1
        seen.append(event)

    bus.subscribe(change, dict, name="1")
    bus.subscribe(change, dict, name="2")
    async with bus.running():
        await (await bus.publish(event)).settled()
    assert seen[0] is seen[1] is event
    assert event == {"n": 2}


async def test_an_event_that_nobody_wants_is_counted(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with bus.running():
        receipt = await bus.publish(1)
        assert receipt.matched == ()
        assert await receipt.settled() == {}
        assert bus.statistics().published == bus.statistics().undeliverable == 1
    assert len(bus.dead_letters) == 0


async def test_an_event_that_nobody_wants_is_kept_if_the_bus_was_asked_to(make_bus: MakeBus) -> None:
    bus = make_bus(dead_letter_undeliverable=True)
    async with bus.running():
        await bus.publish(1, topic="numbers.one")
    (letter,) = bus.dead_letters
    assert (letter.event, letter.reason.value, letter.attempts) == (1, "undeliverable", 0)


def test_publish_many_after_an_error_has_published_those_before(make_bus: MakeBus) -> None:
    async def main() -> None:
        bus = make_bus()
        bus.subscribe(ignore, int)
        async with bus.running():
            with pytest.raises(InvalidTopic):
                await bus.publish_many([1, 2], topic="a..b")
            receipts = await bus.publish_many([1, 2])
            assert [receipt.accepted for receipt in receipts] == [("ignore",), ("ignore",)]

    asyncio.run(main())
