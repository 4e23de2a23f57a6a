"""Plug-ins: what they see, in which order, and that they harm nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from tests.runtime.helpers import Note
from tocsin import (
    Deduplicate,
    Delivery,
    EventBus,
    Handled,
    Hooks,
    MailboxFull,
    Outcome,
    PhaseChanged,
    Plugin,
    Publication,
    Receipt,
    Reject,
    RetryPolicy,
    Subscription,
    handles,
)
from tocsin.testing import Backend, Crash, Simulation, simulate

MakeBus = Callable[..., EventBus]
Call = Callable[[Any], Awaitable[Any]]


class Given:
    """A plug-in that gives the hooks it was made with."""

    def __init__(self, **hooks: Any) -> None:
        self._hooks = Hooks(**hooks)
        self.asked = 0

    def hooks(self, bus: EventBus) -> Hooks:
        self.asked += 1
        return self._hooks


def noting(notes: list[Any], name: str) -> Callable[[Subscription, Call], Call]:
    """Give an `around` that notes when an attempt begins and ends."""

    def around(subscription: Subscription, call: Call) -> Call:
        async def noted(argument: Any) -> Any:
            notes.append(f"{name} begins")
            try:
                return await call(argument)
            finally:
                notes.append(f"{name} ends")

        return noted

    return around


async def ignore(event: object) -> None: ...


async def test_a_plugin_is_asked_once_for_each_run(make_bus: MakeBus) -> None:
    plugin = Given()
    bus = make_bus(plugins=[plugin])
    assert plugin.asked == 0
    for runs in (1, 2):
        async with bus.running():
            pass
        assert plugin.asked == runs


async def test_what_a_plugin_raises_when_it_is_asked_comes_out_of_running(make_bus: MakeBus) -> None:
    class Broken:
        def hooks(self, bus: EventBus) -> Hooks:
            raise LookupError("no collector")

    bus = make_bus(plugins=[Broken()])
    with pytest.raises(LookupError, match="no collector"):
        async with bus.running():
            pass
    bus.plugins = ()
    async with bus.running():
        pass


@pytest.mark.parametrize("wrong", [Given, object(), None])
def test_what_is_no_plugin_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"no plug-in, an object with a method hooks\(bus\)"):
        EventBus(plugins=[wrong])


def test_hooks_around_plain_deliveries_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="give both, or around_attempts alone"):
        Hooks(around_plain=lambda _subscription, handle: handle)


# ── around attempts ──


@pytest.mark.parametrize("in_full", [True, False], ids=["in full", "plain"])
async def test_the_first_plugin_is_the_outermost(make_bus: MakeBus, in_full: bool) -> None:
    notes: list[Any] = []
    plugins = [Given(around_attempts=noting(notes, name), around_plain=noting(notes, name)) for name in "ab"]
    bus = make_bus(plugins=plugins)

    @bus.subscriber(Note)
    async def handle(event: Note) -> None:
        notes.append("handled")

    async with bus.running():
        for _ in range(2):
            receipt = await bus.publish(Note("x"), headers={}) if in_full else await bus.publish(Note("x"))
            await receipt.settled()
    assert notes == ["a begins", "b begins", "handled", "b ends", "a ends"] * 2


async def test_of_a_plain_delivery_only_the_event_is_given(make_bus: MakeBus) -> None:
    seen: list[Any] = []

    def around_plain(subscription: Subscription, handle: Call) -> Call:
        async def noted(event: Any) -> Any:
            seen.append(event)
            return await handle(event)

        return noted

    bus = make_bus(plugins=[Given(around_attempts=noting([], "a"), around_plain=around_plain)])
    bus.subscribe(ignore, Note)
    async with bus.running():
        await (await bus.publish(Note("the long way, once"))).settled()
        await (await bus.publish(Note("plain"))).settled()
    assert seen == [Note("plain")]


async def test_without_a_hook_for_plain_ones_each_delivery_is_given_in_full(make_bus: MakeBus) -> None:
    seen: list[Any] = []

    def around(subscription: Subscription, invoke: Call) -> Call:
        async def noted(delivery: Delivery[Any]) -> Any:
            seen.append((subscription.name, delivery.event, delivery.attempt, delivery.envelope.id))
            return await invoke(delivery)

        return noted

    bus = make_bus(plugins=[Given(around_attempts=around), Given(around_attempts=around)])
    bus.subscribe(ignore, Note, name="short")

    @bus.actor(name="actor")
    class Actor:
        @handles(Note)
        async def note(self, event: Note, delivery: Delivery[Note]) -> None: ...

    receipts: list[Receipt] = []
    async with bus.running():
        for text in "ab":
            receipts.append(await bus.publish(Note(text)))
            await receipts[-1].settled()
    expected = [
        (name, Note(text), 1, receipt.event_id)
        for text, receipt in zip("ab", receipts, strict=True)
        for name in ("short", "actor")
        for _ in range(2)
    ]
    assert sorted(seen, key=repr) == sorted(expected, key=repr)
    assert bus.ledger().handled == 4


async def test_a_plugin_may_leave_a_subscription_alone(make_bus: MakeBus) -> None:
    def nothing(subscription: Subscription, call: Call) -> None: ...

    bus = make_bus(plugins=[Given(around_attempts=nothing), Given(around_attempts=nothing, around_plain=nothing)])
    bus.subscribe(ignore, Note)
    async with bus.running():
        for _ in range(2):
            await (await bus.publish(Note("x"))).settled()
    assert bus.ledger().handled == 2


async def test_what_a_plugin_around_a_handler_raises_counts_as_raised_by_it(make_bus: MakeBus) -> None:
    def around(subscription: Subscription, invoke: Call) -> Call:
        async def broken(delivery: Any) -> Any:
            raise LookupError("the plug-in")

        return broken

    bus = make_bus(plugins=[Given(around_attempts=around)])
    bus.subscribe(ignore, Note, retry=RetryPolicy(max_attempts=1))
    async with bus.running():
        await (await bus.publish(Note("x"))).settled()
    (letter,) = bus.dead_letters.list()
    assert letter.failure is not None
    assert letter.failure.message == "the plug-in"


async def test_what_a_plugin_sets_around_a_handler_is_there_in_the_context_of_the_publisher_too(
    make_bus: MakeBus,
) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")
    seen: list[str] = []

    def around(subscription: Subscription, invoke: Call) -> Call:
        async def noted(delivery: Any) -> Any:
            variable.set(variable.get() + " and the plug-in")
            return await invoke(delivery)

        return noted

    bus = make_bus(plugins=[Given(around_attempts=around)])

    @bus.subscriber(Note, context="delivery")
    async def handle(event: Note) -> None:
        seen.append(variable.get())

    variable.set("the publisher")
    async with bus.running():
        await (await bus.publish(Note("x"))).settled()
    assert seen == ["the publisher and the plug-in"]


# ── publishes ──


def seeing(seen: list[Any], ended: list[Any]) -> Given:
    """Give a plug-in that adds a header to what is published."""

    def publishing(publication: Publication) -> Callable[[Receipt | None, BaseException | None], None]:
        seen.append((publication.event, publication.topic))
        publication.headers["seen"] = len(seen)

        def after(receipt: Receipt | None, error: BaseException | None) -> None:
            ended.append((None if receipt is None else receipt.event_id, error))

        return after

    return Given(publishing=publishing)


@pytest.mark.real_time
async def test_a_plugin_sees_every_way_to_publish_and_what_it_adds_is_in_the_envelope(make_bus: MakeBus) -> None:
    seen: list[Any] = []
    ended: list[Any] = []
    headers: dict[str, Any] = {}
    bus = make_bus(plugins=[seeing(seen, ended)])

    @bus.subscriber(str, name="all")
    async def handle(event: str, delivery: Delivery[str]) -> str:
        headers[event] = dict(delivery.envelope.headers)
        return "answer"

    async with bus.running():
        receipts = [await bus.publish("publish"), await bus.publish("again"), bus.publish_nowait("nowait")]
        receipts += await bus.publish_many(["many"], headers={"own": 1})
        receipts.append(await anyio.to_thread.run_sync(bus.publish_from_thread, "from thread"))
        await anyio.to_thread.run_sync(bus.post_from_thread, "posted")
        assert await bus.ask("ask") == "answer"
        await bus.drain()
    names = ["publish", "again", "nowait", "many", "from thread", "posted", "ask"]
    assert seen == [(name, None) for name in names]
    assert headers == {name: {"seen": number} for number, name in enumerate(names, 1)} | {"many": {"own": 1, "seen": 4}}
    assert ended == [*((receipt.event_id, None) for receipt in receipts), (None, None), (None, None)]


async def test_a_plugin_learns_why_a_publish_failed(make_bus: MakeBus) -> None:
    ended: list[Any] = []
    bus = make_bus(plugins=[seeing([], ended)])
    bus.subscribe(ignore, Note, mailbox=1, overflow=Reject())
    async with bus.running():
        bus.publish_nowait(Note("1"))
        with pytest.raises(MailboxFull) as refused:
            bus.publish_nowait(Note("2"))
        with pytest.raises(TypeError, match="must be a mapping"):
            await bus.publish(Note("3"), headers=cast("Any", 7))
    (_, first), (_, second), (event_id, third) = ended
    assert first is None
    assert second is refused.value
    assert isinstance(third, TypeError)
    assert event_id is None


async def test_a_publication_knows_its_topic_and_leaves_the_headers_of_the_publisher_as_they_are(
    make_bus: MakeBus,
) -> None:
    seen: list[Any] = []
    bus = make_bus(plugins=[seeing(seen, [])])
    given = {"own": 1}
    async with bus.running():
        await bus.publish(Note("x"), topic="notes.new", headers=given)
    assert seen == [(Note("x"), "notes.new")]
    assert given == {"own": 1}


async def test_a_plugin_that_adds_no_header_changes_nothing(make_bus: MakeBus) -> None:
    def look(publication: Publication) -> None: ...

    bus = make_bus(plugins=[Given(publishing=look)])
    headers: list[Any] = []

    @bus.subscriber(Note)
    async def handle(event: Note, delivery: Delivery[Note]) -> None:
        headers.append(delivery.envelope.headers)

    async with bus.running():
        await (await bus.publish(Note("x"))).settled()
    assert headers == [{}]


@pytest.mark.real_time
async def test_an_event_that_is_posted_is_one_publish_also_if_no_header_is_added(make_bus: MakeBus) -> None:
    seen: list[object] = []

    def look(publication: Publication) -> None:
        seen.append(publication.event)

    bus = make_bus(plugins=[Given(publishing=look)])
    bus.subscribe(ignore, Note)
    async with bus.running():
        await anyio.to_thread.run_sync(bus.post_from_thread, Note("x"))
        await bus.drain()
    assert seen == [Note("x")]


# ── ends, reports, the log ──


async def test_a_plugin_sees_the_end_of_each_delivery_once(make_bus: MakeBus) -> None:
    seen: list[tuple[object, str]] = []

    def settled(delivery: Delivery[Any], outcome: Outcome) -> None:
        seen.append((delivery.event, type(outcome).__name__))

    bus = make_bus(plugins=[Given(settled=settled), Given(settled=settled)])

    @bus.subscriber(int, retry=RetryPolicy(max_attempts=1), deduplicate=Deduplicate(60.0, by=lambda number: number))
    async def handle(event: int) -> None:
        if event < 0:
            raise ValueError(event)

    async with bus.running():
        for number in (1, 1, -1):
            await (await bus.publish(number)).settled()
    assert seen == [(1, "Handled")] * 2 + [(1, "Dropped")] * 2 + [(-1, "DeadLettered")] * 2


async def test_reports_come_to_the_observer_and_to_every_plugin(make_bus: MakeBus) -> None:
    seen: list[str] = []

    def note(report: object) -> None:
        if isinstance(report, PhaseChanged):
            seen.append(report.phase)

    bus = make_bus(plugins=[Given(reported=note), Given(reported=note)])
    async with bus.running():
        pass
    assert seen == [phase for phase in ("running", "draining", "stopping", "stopped") for _ in range(2)]


async def test_a_plugin_that_raises_is_told_of_in_the_log_and_harms_nobody(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object) -> Any:
        raise LookupError("evil\x1b[31m")

    def breaks_later(publication: Publication) -> Any:
        return broken

    plugins = [
        Given(around_attempts=broken, around_plain=broken, settled=broken, reported=broken, log_fields=broken),
        Given(publishing=broken, around_attempts=broken),
        Given(publishing=breaks_later),
    ]
    bus = make_bus(plugins=plugins)
    bus.subscribe(ignore, Note)

    @bus.subscriber(int, retry=RetryPolicy(max_attempts=1))
    async def fails(event: int) -> None:
        raise ValueError(event)

    async with bus.running():
        for _ in range(50):
            assert await (await bus.publish(Note("x"))).settled() == {"ignore": Handled()}
        await (await bus.publish(7)).settled()
    texts = [record.getMessage() for record in caplog.records]
    told = "a plug-in of the bus raised in test_a_plugin_that_raises_is_told_of_in_the_log_and_harms_nobody.<locals>"
    assert f"{told}.broken: builtins.LookupError: evil\\x1b[31m" in texts
    assert any(text.startswith("dead letter 1 of fails") for text in texts)
    assert len(texts) < 20  # a plug-in that always raises does not fill the log


async def test_without_plugins_that_want_each_event_events_go_the_fast_way(make_bus: MakeBus) -> None:
    quick = make_bus(plugins=[Given(around_attempts=noting([], "a"), around_plain=noting([], "a"))])
    slow = make_bus(plugins=[Given(settled=print)])
    for bus in (quick, slow):
        bus.subscribe(ignore, Note)
        async with bus.running():
            await bus.publish(Note("x"))
            # The route of a class is remembered for the fast way, so its receipts share one.
            knows = bool(bus.offer(deque([Note("y")]), 1))
            assert knows is (bus is quick)


# ── with the test kit ──


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_test_kit_watches_beside_other_plugins_and_its_faults_are_seen_by_them(backend: Backend) -> None:
    notes: list[Any] = []
    errors: list[str] = []

    def around(subscription: Subscription, invoke: Call) -> Call:
        async def noted(delivery: Any) -> Any:
            try:
                return await invoke(delivery)
            except Exception as error:
                errors.append(type(error).__name__)
                raise

        return noted

    async def main(simulation: Simulation) -> None:
        bus = EventBus("watched", plugins=[Given(around_attempts=around)], measure_times=True)

        @bus.subscriber(Note, retry=RetryPolicy(max_attempts=1))
        async def handle(event: Note) -> None:
            notes.append(event.text)

        simulation.watch(bus, faults=lambda attempt: Crash() if attempt.event == Note("2") else None)
        async with bus.running():
            for text in "123":
                await bus.publish(Note(text))
            await simulation.settle(bus)

    simulate(main, backend=backend, seed=1)
    assert notes == ["1", "3"]
    assert len(errors) == 1


def test_the_face_of_a_plugin_is_one_method() -> None:
    plugin: Plugin = Given()
    assert EventBus(plugins=[plugin]).plugins == (plugin,)
