"""The spans of one run of a bus: `send` around a publish, `process` around an attempt, `settle` where a delivery ends
otherwise than by being handled.

A `process` span whose handler has returned stays open until its delivery is settled, which is in the same step; so that
says the outcome in the span itself, and a delivery that is handled costs no third one. `_last` has such a span, or the
context of the last attempt that failed, for each delivery that was attempted and has not ended: as many as there are
such deliveries. All of it happens in the loop, but for the spans of publishes, which stand alone.

Cancelled between the end of a handler and its settlement, or swallowing a cancellation, a delivery goes back into the
mailbox with its span open; the next attempt, or the end of the delivery, ends that.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tocsin._events import Event
from tocsin._outcomes import DeadLettered, Handled
from tocsin_supervisors import Failure, qualified_name

from . import _attributes as names
from ._carrying import links_to, origin_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer

    from tocsin import Delivery, Outcome, Publication, Receipt, Subscription

    from ._carrying import Carrier

    Invoke = Callable[[Delivery[Any]], Awaitable[Any]]

MAX_KINDS = 1024  # of events whose names are remembered: classes may be made on the fly


@final
class Tracing:
    """See the module. *same_trace*: `process` is a child of `send`, not only linked to it."""

    def __init__(self, bus: str, tracer: Tracer, carrier: Carrier, *, same_trace: bool) -> None:
        self._bus = bus
        self._tracer = tracer
        self._carrier = carrier
        self._same_trace = same_trace
        # class of an event → its name, and the name and attributes of its `send`
        self._kinds: dict[type, tuple[str, str, names.Attributes]] = {}
        self._last: dict[Delivery[Any], _Attempted] = {}

    # ── send ──

    def publishing(self, publication: Publication) -> Callable[[Receipt | None, BaseException | None], None] | None:
        """See `Hooks`: begin `send`, and let its context travel with the event, unless another one does already."""
        name, attributes = self._send_of(publication.event)
        topic = publication.topic
        if topic is not None:
            attributes = {**attributes, names.DESTINATION: str(topic)}
        is_given = self._carrier.is_in(publication.headers)
        links = links_to(origin_in(self._carrier.take(publication.headers))) if is_given else ()
        span = self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes, links=links)
        if not is_given:
            self._carrier.put(trace.set_span_in_context(span), publication.headers)
        return partial(_sent, span) if span.is_recording() else None

    def _send_of(self, event: object) -> tuple[str, names.Attributes]:
        """Give the name and attributes of `send`. Topics that are chosen for each event are no names of spans."""
        if type(event) is Event:
            return f"send {event.type}", self._of("send")
        _, name, attributes = self._about(type(event))
        return name, attributes

    def _about(self, kind: type) -> tuple[str, str, names.Attributes]:
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            name = qualified_name(kind)
            found = self._kinds[kind] = name, f"send {name}", self._of("send", **{names.DESTINATION: name})
        return found

    def _of(self, operation: str, **more: str) -> names.Attributes:
        return names.of_operation(self._bus, operation, **{names.OPERATION_TYPE: operation, **more})

    # ── process ──

    def around_attempts(self, subscription: Subscription, invoke: Invoke) -> Invoke:
        """See `Hooks`: `process` around each attempt; the handler, and what it publishes, is inside."""
        name = f"process {subscription.name}"
        fixed = self._of("process", **{names.SUBSCRIPTION: subscription.name})

        async def traced(delivery: Delivery[Any]) -> Any:
            span, inside = self._begin(name, fixed, delivery)
            token = contexts.attach(inside)
            try:
                answer = await invoke(delivery)
            except GeneratorExit:  # from wherever the actor was let go of: the context there may be another one
                span.end()
                raise
            except BaseException as error:
                contexts.detach(token)
                self._raised(span, delivery, error, is_late=_is_late(subscription, delivery))
                raise
            contexts.detach(token)
            self._returned(span, delivery)
            return answer

        return traced

    def _begin(self, name: str, fixed: names.Attributes, delivery: Delivery[Any]) -> tuple[Span, Context]:
        if delivery in self._last:
            self._last.pop(delivery).end()
        brought = self._carrier.take(delivery.envelope.headers)
        origin = origin_in(brought)
        span = self._tracer.start_span(
            name,
            brought if self._same_trace else trace.set_span_in_context(trace.INVALID_SPAN, brought),
            kind=SpanKind.CONSUMER,
            attributes=fixed,
            links=() if self._same_trace else links_to(origin),
        )
        if span.is_recording():
            span.set_attributes(self._of_delivery(delivery))  # no sampler decides by these
        # With all else that came along, which may be baggage.
        return span, trace.set_span_in_context(span, brought)

    def _returned(self, span: Span, delivery: Delivery[Any]) -> None:
        if span.is_recording():
            self._last[delivery] = _Attempted(span.get_span_context(), span, time.time_ns())

    def _raised(self, span: Span, delivery: Delivery[Any], error: BaseException, *, is_late: bool) -> None:
        if not span.is_recording():
            return
        kind = names.error_type_of(error, is_late=is_late)
        if kind is None:
            self._returned(span, delivery)
            return
        if isinstance(error, Exception):
            failure = Failure.of(error)
            _note_failure(span, failure)
            _fail(span, kind, failure.message)
        elif is_late:
            _fail(span, kind, "no result within the time limit of the subscription")
        else:  # a stop, or what ends programs: the attempt does not count
            span.set_attribute(names.OUTCOME, kind)
        span.end()
        self._last[delivery] = _Attempted(span.get_span_context())

    # ── settle ──

    def settled(self, delivery: Delivery[Any], outcome: Outcome) -> None:
        """See `Hooks`."""
        last = self._last.pop(delivery, None)
        if type(outcome) is Handled:
            if last is not None:
                last.end(names.of_outcome(outcome))
            return
        if last is not None:
            last.end()
        origin = origin_in(self._carrier.take(delivery.envelope.headers))
        context = None if last is None else last.context
        if context is not None or (origin is not None and origin.trace_flags.sampled):
            self._settle(delivery, outcome, context, origin)

    def _settle(
        self, delivery: Delivery[Any], outcome: Outcome, last: SpanContext | None, origin: SpanContext | None
    ) -> None:
        name = delivery.subscription
        fixed = self._of("settle", **{names.SUBSCRIPTION: name})
        attributes = {**fixed, **self._of_delivery(delivery), **names.of_outcome(outcome)}
        parent = last if last is not None else origin if self._same_trace else None
        span = self._tracer.start_span(
            f"settle {name}",
            trace.set_span_in_context(trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(parent)),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            links=() if self._same_trace else links_to(origin),
        )
        if isinstance(outcome, DeadLettered):
            span.set_status(StatusCode.ERROR, f"dead letter {outcome.letter}")
        span.end()

    def _of_delivery(self, delivery: Delivery[Any]) -> names.Attributes:
        envelope = delivery.envelope
        event: object = envelope.event
        return {
            names.DESTINATION: envelope.topic or self._about(type(event))[0],
            names.MESSAGE_ID: envelope.id,
            names.CONVERSATION_ID: envelope.correlation_id,
            names.ATTEMPT: delivery.attempt,
        }

    # ── the log ──

    def log_fields(self, delivery: Delivery[Any] | None) -> Mapping[str, object]:
        """See `Hooks`: the span that runs here, or of the last attempt of *delivery*, or of its publish."""
        context = origin_in(contexts.get_current()) if delivery is None else self._last_context(delivery)
        if context is None:
            return {}
        return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}

    def _last_context(self, delivery: Delivery[Any]) -> SpanContext | None:
        last = self._last.get(delivery)
        return origin_in(self._carrier.take(delivery.envelope.headers)) if last is None else last.context


@final
class _Attempted:
    """The last attempt of a delivery that has not ended; its span, if that is still open, and when its handler was
    through."""

    __slots__ = ("_at", "_span", "context")

    def __init__(self, context: SpanContext, span: Span | None = None, at: int = 0) -> None:
        self.context = context
        self._span = span
        self._at = at

    def end(self, outcome: names.Attributes | None = None) -> None:
        """End the span, if it is open, with what the delivery has come to."""
        if self._span is None:
            return
        if outcome is not None:
            self._span.set_attributes(outcome)
            self._span.add_event("settle", outcome, self._at)
        self._span.end(self._at)


def _sent(span: Span, receipt: Receipt | None, error: BaseException | None) -> None:
    if receipt is not None and receipt.event_id is not None:
        span.set_attribute(names.MESSAGE_ID, receipt.event_id)
    if isinstance(error, Exception):
        failure = Failure.of(error)
        _fail(span, failure.type, failure.message)
    elif error is not None:
        _fail(span, qualified_name(type(error)), "")  # cancelled, most likely: it says nothing more
    span.end()


def _fail(span: Span, kind: str, text: str) -> None:
    span.set_attribute(names.ERROR_TYPE, kind)
    span.set_status(StatusCode.ERROR, text)


def _note_failure(span: Span, failure: Failure) -> None:
    """Do as `record_exception` does, but with texts that are bounded, and whatever the exception does when asked."""
    attributes = {
        "exception.type": failure.type,
        "exception.message": failure.message,
        "exception.stacktrace": failure.traceback,
    }
    span.add_event("exception", attributes)


def _is_late(subscription: Subscription, delivery: Delivery[Any]) -> bool:
    assert subscription.actor is not None
    return subscription.actor.run.now() >= delivery.deadline
