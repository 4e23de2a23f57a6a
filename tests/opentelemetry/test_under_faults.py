"""Whatever handlers do, and wherever a cancellation lands: each span that begins ends once, and the bus keeps its
promises with the plug-in as without it.
"""

from __future__ import annotations

from collections import Counter

import anyio
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from tests.opentelemetry.spans import Paid, Placed
from tocsin import Backoff, EventBus, RetryPolicy
from tocsin.opentelemetry import OpenTelemetryPlugin
from tocsin.testing import (
    Crash,
    CrashInGroup,
    ForeignCancel,
    Hang,
    Simulation,
    Slow,
    Stubborn,
    SwallowCancel,
    simulated,
    sometimes,
)

FAULTS = (Crash(), Crash(late=True), CrashInGroup(), ForeignCancel(), Hang(), Slow(), Stubborn(), SwallowCancel())


class Ledger(SpanProcessor):
    """Counts how often each span has begun, less how often it has ended."""

    def __init__(self) -> None:
        self.open: Counter[int] = Counter()
        self.ended = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.open[span.get_span_context().span_id] += 1

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        assert context is not None
        self.open[context.span_id] -= 1
        self.ended += 1


@simulated(seeds=25)
async def test_each_span_that_begins_ends_once_whatever_goes_wrong(simulation: Simulation) -> None:
    ledger, provider = Ledger(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ledger)
    bus = EventBus("shop", plugins=[OpenTelemetryPlugin(provider, metrics=False)], measure_times=True)
    retry = RetryPolicy(max_attempts=2, backoff=Backoff(initial=0.1))

    @bus.subscriber(Placed, timeout=5, retry=retry, grace_period=1, mailbox=3)
    async def pay(event: Placed) -> None:
        await anyio.sleep(0.01)
        await bus.publish(Paid(event.number))

    @bus.subscriber(Paid, timeout=5, retry=retry, grace_period=1, concurrency=2)
    async def ship(event: Paid) -> None: ...

    simulation.watch(bus, faults=sometimes(simulation.random, 0.3, *FAULTS))
    async with bus.running(drain_timeout=3, shutdown_deadline=5):
        for number in range(10):
            with anyio.move_on_after(simulation.random.choice((0.05, 60))):
                await bus.publish(Placed(number))
    assert ledger.ended >= 10
    assert set(ledger.open.values()) == {0}
