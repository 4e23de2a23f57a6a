"""Spans: which there are, what ties them together, and what they say."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Generator
from contextvars import copy_context
from typing import Any, cast

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.opentelemetry.spans import Paid, Placed, Spans, attributes, identity, in_one_trace, is_child_of, links
from tests.runtime.failing import ONCE
from tests.runtime.helpers import CRITICAL, delivery_of
from tocsin import (
    Backoff,
    Delivery,
    DropOldest,
    Event,
    EventBus,
    FinishActor,
    Hooks,
    MailboxFull,
    Receipt,
    Reject,
    RetryPolicy,
    Subscription,
    log_fields,
)
from tocsin._plugins import Invoke
from tocsin.opentelemetry import OpenTelemetryPlugin

MakeBus = Callable[..., EventBus]
PLACED = "tests.opentelemetry.spans.Placed"
TWICE = RetryPolicy(max_attempts=2, backoff=Backoff(initial=1.0, jitter=0.0))
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def ignore(event: object) -> None: ...


async def test_an_attempt_is_a_trace_of_its_own_with_a_link_to_the_publish(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus("shop", plugins=[spans.plugin()])
    bus.subscribe(ignore, Placed, name="ship")
    bus.subscribe(ignore, Placed, name="bill")
    async with bus.running():
        receipt = await bus.publish(Placed(1), correlation_id="order-1")
        await receipt.settled()
    send, ship, bill = spans.one(f"send {PLACED}"), spans.one("process ship"), spans.one("process bill")
    assert [span.kind for span in (send, ship, bill)] == [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.CONSUMER]
    assert links(ship) == links(bill) == [identity(send).span_id]
    assert ship.parent is None
    assert not in_one_trace(send, ship)
    assert not in_one_trace(bill, ship)
    assert attributes(send) == {
        "messaging.system": "tocsin",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": PLACED,
        "messaging.message.id": receipt.event_id,
        "tocsin.bus": "shop",
    }
    assert attributes(ship) == {
        "messaging.system": "tocsin",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": PLACED,
        "messaging.destination.subscription.name": "ship",
        "messaging.message.id": receipt.event_id,
        "messaging.message.conversation_id": "order-1",
        "tocsin.bus": "shop",
        "tocsin.attempt": 1,
        "tocsin.outcome": "handled",
    }
    assert [(event.name, dict(event.attributes or {})) for event in ship.events] == [
        ("settle", {"tocsin.outcome": "handled"})
    ]


async def test_in_one_trace_if_that_is_asked_for(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin(same_trace=True)])

    @bus.subscriber(Placed, name="ship", retry=ONCE)
    async def ship(event: Placed) -> None:
        raise LookupError

    @bus.subscriber(Placed, name="full", mailbox=1, overflow=Reject())
    async def full(event: Placed) -> None: ...

    async with bus.running():
        with spans.tracer.start_as_current_span("request"):
            first = bus.publish_nowait(Placed(1))
            with pytest.raises(MailboxFull):
                bus.publish_nowait(Placed(2))
        await first.settled()
    send, process = spans.named(f"send {PLACED}")[0], spans.named("process ship")[0]
    assert is_child_of(send, spans.one("request"))
    assert is_child_of(process, send)
    assert is_child_of(spans.named("settle ship")[0], process)
    assert is_child_of(spans.one("settle full"), spans.named(f"send {PLACED}")[1])
    assert not any(span.links for span in spans.all)


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"context": "delivery"}], ids=str)
async def test_what_a_handler_publishes_is_a_child_of_its_attempt(make_bus: MakeBus, options: Any) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Paid, name="book")

    @bus.subscriber(Placed, name="pay", **options)
    async def pay(event: Placed) -> None:
        with spans.tracer.start_as_current_span("card"):
            await bus.publish(Paid(event.number))
        bus.publish_nowait(Paid(event.number))

    async with bus.running():
        with spans.tracer.start_as_current_span("request"):
            await bus.publish(Placed(1))
        await bus.drain()
    pay_span, card = spans.one("process pay"), spans.one("card")
    first, second = spans.named("send tests.opentelemetry.spans.Paid")
    assert is_child_of(card, pay_span)
    assert is_child_of(first, card)
    assert is_child_of(second, pay_span)
    assert not in_one_trace(pay_span, spans.one("request"))
    assert [links(span) for span in spans.named("process book")] == [
        [identity(first).span_id],
        [identity(second).span_id],
    ]


@pytest.mark.real_time
async def test_what_the_thread_of_a_handler_publishes_is_a_child_of_its_attempt_too(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Paid, name="book")

    @bus.subscriber(Placed, name="pay")
    def pay(event: Placed) -> None:
        bus.publish_from_thread(Paid(1))
        bus.post_from_thread(Paid(2))

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
        await bus.drain()
    sent = spans.named("send tests.opentelemetry.spans.Paid")
    assert len(sent) == 2
    assert all(is_child_of(span, spans.one("process pay")) for span in sent)
    assert [links(span) for span in spans.named("process book")] == [[identity(span).span_id] for span in sent]


class Outer:
    """A plug-in that notes which span is current when an attempt is over."""

    def __init__(self) -> None:
        self.left: list[bool] = []

    def hooks(self, bus: EventBus) -> Hooks:
        return Hooks(around_attempts=self.around)

    def around(self, subscription: Subscription, invoke: Invoke) -> Invoke:
        async def noted(delivery: Delivery[Any]) -> Any:
            try:
                return await invoke(delivery)
            finally:
                self.left.append(trace.get_current_span().get_span_context().is_valid)

        return noted


async def test_after_an_attempt_its_span_is_current_no_more(make_bus: MakeBus) -> None:
    outer = Outer()
    bus = make_bus(plugins=[outer, Spans().plugin()])

    @bus.subscriber(int, retry=ONCE)
    async def handle(event: int) -> None:
        assert trace.get_current_span().get_span_context().is_valid
        if event < 0:
            raise LookupError

    async with bus.running():
        for event in (1, -1):
            await (await bus.publish(event)).settled()
    assert outer.left == [False, False]


async def test_nothing_of_a_trace_is_left_behind_in_the_actor_or_the_publisher(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    current: list[Any] = []

    @bus.subscriber(Placed, retry=ONCE)
    async def fail(event: Placed) -> None:
        current.append(trace.get_current_span().get_span_context().span_id)
        raise LookupError

    async with bus.running():
        for number in (1, 2):
            await (await bus.publish(Placed(number))).settled()
            assert not trace.get_current_span().get_span_context().is_valid
    processed = spans.named("process fail")
    assert current == [identity(span).span_id for span in processed]
    assert [span.parent for span in processed] == [None, None]


# ── failures ──


async def test_each_attempt_has_a_span_and_the_last_one_a_child_that_says_what_became_of_the_delivery(
    make_bus: MakeBus,
) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, retry=TWICE)
    async def ship(event: Placed) -> None:
        raise LookupError("no such order")

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    send = spans.one(f"send {PLACED}")
    first, second = spans.named("process ship")
    settle = spans.one("settle ship")
    assert links(first) == links(second) == links(settle) == [identity(send).span_id]
    for attempt, span in enumerate((first, second), 1):
        assert attributes(span)["tocsin.attempt"] == attempt
        assert attributes(span)["error.type"] == "builtins.LookupError"
        assert "tocsin.outcome" not in attributes(span)
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no such order")
        (event,) = span.events
        said = dict(event.attributes or {})
        assert (event.name, said["exception.type"]) == ("exception", "builtins.LookupError")
        assert said["exception.message"] == "no such order"
        assert "test_tracing.py" in str(said["exception.stacktrace"])
    assert is_child_of(settle, second)
    assert settle.kind is SpanKind.CLIENT
    assert settle.status.status_code is StatusCode.ERROR
    assert settle.status.description == "dead letter 1"
    assert attributes(settle)["tocsin.outcome"] == "dead_lettered"
    assert attributes(settle)["tocsin.reason"] == "handler_error"


async def test_an_exception_that_cannot_be_told_harms_nobody(make_bus: MakeBus) -> None:
    class Evil(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, retry=ONCE)
    async def ship(event: Placed) -> None:
        raise Evil

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    assert attributes(spans.one("process ship"))["error.type"].endswith("Evil")


async def test_an_attempt_whose_time_is_over_has_timed_out(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, timeout=5, retry=ONCE)
    async def ship(event: Placed) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    process = spans.one("process ship")
    assert attributes(process)["error.type"] == "timeout"
    assert process.status.status_code is StatusCode.ERROR
    assert attributes(spans.one("settle ship"))["tocsin.reason"] == "timeout"


async def test_an_attempt_that_a_stop_interrupts_is_no_error_and_its_delivery_is_returned(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, grace_period=1)
    async def ship(event: Placed) -> None:
        await anyio.sleep_forever()

    async with bus.running():
        await bus.publish(Placed(1))
        await anyio.sleep(1)
        await bus.stop(drain_timeout=0)
    process, settle = spans.one("process ship"), spans.one("settle ship")
    assert process.status.status_code is StatusCode.UNSET
    assert attributes(process)["tocsin.outcome"] == "interrupted"
    assert is_child_of(settle, process)
    assert attributes(settle)["tocsin.outcome"] == "returned"


async def test_a_handler_that_returns_what_nobody_would_run_has_a_span_without_an_outcome(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed)
    async def ship(event: Placed) -> object:
        return ignore(event)

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    process = spans.one("process ship")
    assert "tocsin.outcome" not in attributes(process)
    assert is_child_of(spans.one("settle ship"), process)
    assert attributes(spans.one("settle ship"))["tocsin.reason"] == "bad_handler"


async def test_a_handler_that_finishes_its_actor_has_handled(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed)
    async def ship(event: Placed) -> None:
        raise FinishActor

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    process = spans.one("process ship")
    assert spans.named("settle ship") == []
    assert attributes(process)["tocsin.outcome"] == "handled"
    assert process.status.status_code is StatusCode.UNSET


async def test_a_handler_that_swallows_a_stop_has_a_span_without_an_outcome(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, name="ship", grace_period=1)
    async def ship(event: Placed) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return  # as careless handlers do

    async with bus.running():
        receipt = await bus.publish(Placed(1))
        await anyio.sleep(1)
        await bus.stop(drain_timeout=0)
        assert receipt.is_settled
    process, settle = spans.one("process ship"), spans.one("settle ship")
    assert "tocsin.outcome" not in attributes(process)
    assert attributes(settle)["tocsin.outcome"] == "returned"


# ── deliveries that are never attempted ──


async def test_a_delivery_that_is_dropped_has_a_span_with_a_link_to_its_publish(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Placed, name="ship", mailbox=1, overflow=DropOldest())
    async with bus.running():
        for number in (1, 2):
            bus.publish_nowait(Placed(number))
        await bus.drain()
    settle = spans.one("settle ship")
    assert links(settle) == [identity(spans.named(f"send {PLACED}")[0]).span_id]
    assert settle.parent is None
    assert attributes(settle)["tocsin.outcome"] == "dropped"
    assert attributes(settle)["tocsin.reason"] == "oldest"
    assert attributes(settle)["tocsin.attempt"] == 0


async def test_a_publish_that_is_refused_says_why(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Placed, name="ship", mailbox=1, overflow=Reject())
    async with bus.running():
        bus.publish_nowait(Placed(1))
        with pytest.raises(MailboxFull):
            bus.publish_nowait(Placed(2))
    refused = spans.named(f"send {PLACED}")[1]
    assert refused.status.status_code is StatusCode.ERROR
    assert attributes(refused)["error.type"] == "tocsin.exceptions.MailboxFull"
    assert attributes(spans.one("settle ship"))["tocsin.outcome"] == "rejected"


async def test_a_publish_that_waits_for_room_and_is_cancelled_lasts_as_long_as_it_waited(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed, mailbox=1, timeout=None)
    async def ship(event: Placed) -> None:
        await anyio.sleep(60)

    async with bus.running():
        for number in (1, 2):
            await bus.publish(Placed(number))
            await anyio.sleep(1)
        receipt = Receipt()
        with anyio.move_on_after(1):
            await bus.publish(Placed(3), receipt=receipt)
        await bus.drain(1000)
    cancelled = spans.named(f"send {PLACED}")[2]
    assert cancelled.status.status_code is StatusCode.ERROR
    assert "Cancelled" in attributes(cancelled)["error.type"]
    assert attributes(cancelled)["messaging.message.id"] == receipt.event_id


# ── the context on its way ──


async def test_the_context_is_in_the_headers_beside_those_of_the_publisher(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    headers: list[Any] = []

    @bus.subscriber(Placed)
    async def ship(event: Placed, delivery: Delivery[Placed]) -> None:
        headers.append(dict(delivery.envelope.headers))

    async with bus.running():
        await (await bus.publish(Placed(1), headers={"tenant": 7})).settled()
    sent = identity(spans.one(f"send {PLACED}"))
    flags = f"{sent.trace_flags:02x}"
    traceparent = f"00-{trace.format_trace_id(sent.trace_id)}-{trace.format_span_id(sent.span_id)}-{flags}"
    assert headers == [{"tenant": 7, "traceparent": traceparent}]


async def test_a_context_that_the_publisher_gives_is_left_alone(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    headers: list[Any] = []

    @bus.subscriber(Placed)
    async def ship(event: Placed, delivery: Delivery[Placed]) -> None:
        headers.append(dict(delivery.envelope.headers))

    async with bus.running():
        await (await bus.publish(Placed(1), headers={"traceparent": GIVEN, "tracestate": "a=b"})).settled()
    assert headers == [{"traceparent": GIVEN, "tracestate": "a=b"}]
    assert links(spans.one(f"send {PLACED}")) == links(spans.one("process ship")) == [0xB7AD6B7169203331]
    assert spans.one("process ship").links[0].context.trace_state.get("a") == "b"


@pytest.mark.parametrize("given", ["", "nonsense", "00-0-0-00", 7, None, ["a"]])
async def test_a_context_that_cannot_be_read_is_none(make_bus: MakeBus, given: object) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Placed, name="ship")
    async with bus.running():
        await (await bus.publish(Placed(1), headers={"traceparent": given})).settled()
    assert links(spans.one("process ship")) == []


async def test_baggage_comes_along(make_bus: MakeBus) -> None:
    spans = Spans()
    both = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    bus = make_bus(plugins=[spans.plugin(propagator=both)])
    seen: list[Any] = []

    @bus.subscriber(Placed)
    async def ship(event: Placed) -> None:
        seen.append(baggage.get_baggage("tenant"))

    async with bus.running():
        token = context.attach(baggage.set_baggage("tenant", "seven"))
        try:
            await bus.publish(Placed(1))
        finally:
            context.detach(token)
        await bus.drain()
    assert seen == ["seven"]
    assert len(links(spans.one("process ship"))) == 1


async def test_a_replay_is_linked_to_the_publish_of_long_ago(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    is_broken = True

    @bus.subscriber(Placed, retry=ONCE)
    async def ship(event: Placed) -> None:
        if is_broken:
            raise LookupError

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
        is_broken = False
        report = await bus.replay()
        await report.receipts[0].settled()
    send = spans.one(f"send {PLACED}")
    assert [links(span) for span in spans.named("process ship")] == [[identity(send).span_id]] * 2


async def test_a_question_is_a_publish_that_lasts_until_it_is_answered(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])

    @bus.subscriber(Placed)
    async def ship(event: Placed) -> int:
        return event.number

    async with bus.running():
        assert await bus.ask(Placed(7)) == 7
    send, process = spans.one(f"send {PLACED}"), spans.one("process ship")
    assert (send.end_time or 0) >= (process.end_time or 0)
    assert links(process) == [identity(send).span_id]


async def test_a_propagator_that_looks_at_all_headers_gets_their_names(make_bus: MakeBus) -> None:
    class Looking(TextMapPropagator):
        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:
            found.append(getter.keys(carrier))
            return Context()

        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            setter.set(carrier, "mark", "here")

        @property
        def fields(self) -> set[str]:
            return {"mark"}

    found: list[Any] = []
    bus = make_bus(plugins=[Spans().plugin(propagator=Looking())])
    bus.subscribe(ignore, Placed)
    async with bus.running():
        await (await bus.publish(Placed(1), headers={"tenant": 7})).settled()
    assert found == [["tenant", "mark"]]


def test_an_attempt_that_is_let_go_of_in_another_context_ends_its_span_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spans = Spans()
    bus = EventBus("shop")

    async def wait(delivery: Delivery[Any]) -> None:
        await Suspended()

    class Suspended:
        def __await__(self) -> Generator[None]:
            yield

    around = spans.plugin().hooks(bus).around_attempts
    assert around is not None
    attempt = cast("Any", around)(bus.subscribe(ignore, Placed, name="ship"), wait)(delivery_of(Placed(1)))
    copy_context().run(attempt.send, None)
    attempt.close()
    assert spans.one("process ship").end_time is not None
    assert caplog.records == []


async def test_an_attempt_whose_delivery_went_back_unsettled_has_ended_when_the_next_one_begins() -> None:
    spans = Spans()
    bus, delivery = EventBus("shop"), delivery_of(Placed(1))

    async def handle(delivery: Delivery[Any]) -> None: ...

    around = spans.plugin().hooks(bus).around_attempts
    assert around is not None
    attempt = cast("Any", around)(bus.subscribe(ignore, Placed, name="ship"), handle)
    await attempt(delivery)
    assert spans.named("process ship") == []  # until it is known what became of the delivery
    await attempt(delivery)
    assert "tocsin.outcome" not in attributes(spans.one("process ship"))


# ── names ──


async def test_topics_that_are_chosen_for_each_event_are_in_the_attributes_and_not_in_the_names(
    make_bus: MakeBus,
) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, "orders.*.placed", name="ship")
    async with bus.running():
        await bus.publish(Placed(1), topic="orders.17.placed")
        await bus.publish(Event("orders.18.placed"))
        await bus.drain()
    by_class, by_topic = spans.one(f"send {PLACED}"), spans.one("send orders.18.placed")
    assert attributes(by_class)["messaging.destination.name"] == "orders.17.placed"
    assert attributes(by_topic)["messaging.destination.name"] == "orders.18.placed"
    destinations = [attributes(span)["messaging.destination.name"] for span in spans.named("process ship")]
    assert destinations == ["orders.17.placed", "orders.18.placed"]


def one_of_a_kind(number: int, kinds: weakref.WeakSet[type]) -> object:
    """Give an event of a class of its own."""
    kind = type(f"Kind{number}", (), {})
    kinds.add(kind)
    return kind()


async def test_classes_that_are_made_on_the_fly_do_not_fill_the_memory(make_bus: MakeBus) -> None:
    bus = make_bus(plugins=[Spans(ALWAYS_OFF).plugin()])
    kinds: weakref.WeakSet[type] = weakref.WeakSet()
    async with bus.running():
        for number in range(6000):
            await bus.publish(one_of_a_kind(number, kinds))
        gc.collect()
        assert len(kinds) < 5000  # the router remembers the routes of up to 4,096


# ── sampling, and no SDK at all ──


async def test_what_is_not_sampled_leaves_no_span_and_its_context_travels_all_the_same(make_bus: MakeBus) -> None:
    spans = Spans(ALWAYS_OFF)
    bus = make_bus(plugins=[spans.plugin()])
    headers: list[Any] = []

    @bus.subscriber(Placed, retry=ONCE)
    async def ship(event: Placed, delivery: Delivery[Placed]) -> None:
        headers.append(delivery.envelope.headers["traceparent"])
        raise LookupError

    bus.subscribe(ignore, Placed, name="full", mailbox=1, overflow=DropOldest())
    async with bus.running():
        for number in (1, 2):
            bus.publish_nowait(Placed(number))
        await bus.drain()
    assert spans.all == ()
    assert headers
    assert not any(int(text[-2:], 16) & TraceFlags.SAMPLED for text in headers)


async def test_without_an_sdk_nothing_is_added_to_an_event(make_bus: MakeBus) -> None:
    bus = make_bus(plugins=[OpenTelemetryPlugin(trace.NoOpTracerProvider(), metrics=False)])
    headers: list[Any] = []

    @bus.subscriber(Placed, retry=TWICE)
    async def ship(event: Placed, delivery: Delivery[Placed]) -> None:
        headers.append(dict(delivery.envelope.headers))
        if delivery.attempt == 1:
            raise LookupError

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    assert headers == [{}, {}]


async def test_one_plugin_serves_several_buses_and_runs(make_bus: MakeBus) -> None:
    spans = Spans()
    plugin = spans.plugin()
    for name in ("one", "other"):
        bus = make_bus(name, plugins=[plugin])
        bus.subscribe(ignore, Placed, name="ship")
        for _ in range(2):
            async with bus.running():
                await (await bus.publish(Placed(1))).settled()
    assert [attributes(span)["tocsin.bus"] for span in spans.named("process ship")] == ["one", "one", "other", "other"]


async def test_after_many_deliveries_of_all_kinds_the_plugin_holds_none_of_them(make_bus: MakeBus) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    deliveries: weakref.WeakSet[Any] = weakref.WeakSet()

    class Held:
        """An event that may be referred to weakly."""

    @bus.subscriber(Held, retry=TWICE, sick_after=1_000_000)
    async def ship(event: Held, delivery: Delivery[Held]) -> None:
        deliveries.add(event)
        if delivery.attempt == 1:
            raise LookupError

    async with bus.running():
        for _ in range(20):
            await bus.publish(Held(), priority=CRITICAL)
        assert await bus.drain()
        gc.collect()
        assert len(deliveries) <= 1  # the one that was served last


# ── the log ──


async def test_lines_of_the_log_have_the_trace(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    fields: list[Any] = []

    @bus.subscriber(Placed, retry=ONCE)
    async def ship(event: Placed) -> None:
        fields.append(log_fields())
        raise LookupError

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    of_process = identity(spans.one("process ship"))
    ids = {
        "trace_id": trace.format_trace_id(of_process.trace_id),
        "span_id": trace.format_span_id(of_process.span_id),
    }
    assert ids.items() <= fields[0].items()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ids.items() <= vars(record).items()


async def test_a_line_about_a_delivery_that_was_never_attempted_has_the_trace_of_its_publish(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    spans = Spans()
    bus = make_bus(plugins=[spans.plugin()])
    bus.subscribe(ignore, Placed, name="ship")
    async with bus.running():
        bus.publish_nowait(Placed(1), expires_in=0)
        await bus.drain()
    sent = identity(spans.one(f"send {PLACED}"))
    (record,) = caplog.records
    assert vars(record)["span_id"] == trace.format_span_id(sent.span_id)


async def test_without_a_trace_there_are_no_ids_of_one(make_bus: MakeBus) -> None:
    bus = make_bus(plugins=[OpenTelemetryPlugin(trace.NoOpTracerProvider(), metrics=False)])
    fields: list[Any] = []

    @bus.subscriber(Placed)
    async def ship(event: Placed) -> None:
        fields.append(log_fields())

    async with bus.running():
        await (await bus.publish(Placed(1))).settled()
    assert "trace_id" not in fields[0]
    assert fields[0]["actor"] == "ship"
