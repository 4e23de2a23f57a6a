"""What the tests of spans share: an exporter that keeps them, and a look at them by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from attrs import frozen
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanContext, Tracer

from tocsin.opentelemetry import OpenTelemetryPlugin


@final
@frozen
class Placed:
    """An event."""

    number: int


@final
@frozen
class Paid:
    """Another one."""

    number: int


@final
class Spans:
    """A tracer provider of its own, and the spans that have ended."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = self.provider.get_tracer("test")

    def plugin(self, **options: Any) -> OpenTelemetryPlugin:
        """Give a plug-in that traces into this, without metrics unless they are asked for."""
        options.setdefault("metrics", False)
        return OpenTelemetryPlugin(self.provider, **options)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        """The names of all that have ended, in the order of their beginning."""
        return [span.name for span in sorted(self.all, key=lambda span: (span.start_time or 0, self.all.index(span)))]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


def identity(span: ReadableSpan) -> SpanContext:
    """Give the context of *span*, which every span has."""
    context = span.get_span_context()
    assert context is not None
    return context


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Give the attributes of *span*."""
    return dict(span.attributes or {})


def links(span: ReadableSpan) -> list[int]:
    """Give the ids of the spans that *span* is linked to."""
    return [link.context.span_id for link in span.links]


def is_child_of(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Tell whether *parent* is the parent of *span*, in the same trace."""
    return span.parent is not None and span.parent.span_id == identity(parent).span_id and in_one_trace(span, parent)


def in_one_trace(*spans: ReadableSpan) -> bool:
    """Tell whether all *spans* belong to one trace."""
    return len({identity(span).trace_id for span in spans}) == 1
