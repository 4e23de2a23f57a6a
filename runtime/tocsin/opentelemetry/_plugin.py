"""The plug-in: which spans and metrics, by which providers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final

from opentelemetry import metrics, propagate, trace

from tocsin._plugins import Hooks

from ._carrying import Carrier
from ._metrics import Metrics
from ._tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from tocsin import EventBus, Subscription
    from tocsin._plugins import Invoke

NAME = "tocsin"  # of the instrumentation scope


@final
class OpenTelemetryPlugin:
    """Traces what a bus does, and counts it; for `EventBus(plugins=[…])`. One may serve several buses.

    *tracer_provider*, *meter_provider* and *propagator*: by default those of the process, as they are when a run
    begins. Nothing is set globally, and nothing happens before a run.

    `send {type}` spans a publish until the event is taken, `process {subscription}` an attempt: in a trace of its own
    with a link to `send`, as the conventions for messaging want it, or with *same_trace* as a child of it. A delivery
    that ends otherwise than by being handled gets a span `settle {subscription}`. The context travels in the headers of
    the envelope, so it is there after retries, restarts of the process, and replays; headers that have one already
    (`traceparent`) are left alone. What a handler does, publishes included, is inside of its `process` span.

    With *traces* no event goes the fast way. *metrics* alone leave that as it is. Both cost microseconds for each
    event: docs/tracing.md says how many.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        propagator: TextMapPropagator | None = None,
        same_trace: bool = False,
        traces: bool = True,
        metrics: bool = True,
    ) -> None:
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._propagator = propagator
        self._same_trace = same_trace
        self._traces = traces
        self._wants_metrics = metrics
        self._metrics: Metrics | None = None  # once a bus has run: there is one of each metric, for all buses

    def hooks(self, bus: EventBus) -> Hooks:
        """See `tocsin.Plugin`."""
        measured = self._measured(bus) if self._wants_metrics else None
        tracing = self._tracing(bus) if self._traces else None
        if tracing is None:
            around = None if measured is None else measured.around
            return Hooks(around_attempts=around, around_plain=around)
        return Hooks(
            publishing=tracing.publishing,
            around_attempts=tracing.around_attempts if measured is None else partial(_both, tracing, measured),
            settled=tracing.settled,
            log_fields=tracing.log_fields,
        )

    def _tracing(self, bus: EventBus) -> Tracing:
        tracer = trace.get_tracer(NAME, tracer_provider=self._tracer_provider)
        propagator = propagate.get_global_textmap() if self._propagator is None else self._propagator
        return Tracing(bus.name, tracer, Carrier(propagator), same_trace=self._same_trace)

    def _measured(self, bus: EventBus) -> Metrics:
        if self._metrics is None:
            self._metrics = Metrics(metrics.get_meter(NAME, meter_provider=self._meter_provider))
        self._metrics.watch(bus)
        return self._metrics


def _both(tracing: Tracing, measured: Metrics, subscription: Subscription, invoke: Invoke) -> Invoke:
    """The metrics are inside: what tracing takes is not the time of the handler."""
    return tracing.around_attempts(subscription, measured.around(subscription, invoke))
