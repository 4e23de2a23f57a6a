"""How the context of a trace travels: in the headers of the envelope, as text, by the propagator."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Link, SpanContext


@final
class _Headers(Getter["Mapping[str, object]"]):
    """Headers may be anything: what is no text is not there."""

    def get(self, carrier: Mapping[str, object], key: str) -> list[str] | None:
        """See `Getter`."""
        value = carrier.get(key)
        return [value] if type(value) is str else None

    def keys(self, carrier: Mapping[str, object]) -> list[str]:
        """See `Getter`."""
        return list(carrier)


@final
class _IntoHeaders(Setter["dict[str, object]"]):
    """The one that comes with the library wants all values to be text."""

    def set(self, carrier: dict[str, object], key: str, value: str) -> None:
        """See `Setter`."""
        carrier[key] = value


_HEADERS = _Headers()
_SETTER = _IntoHeaders()


@final
class Carrier:
    """Puts a context into headers, and takes it out again."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self._propagator = propagator
        self._fields = frozenset(propagator.fields) - {"baggage"}  # which says nothing about a trace

    def is_in(self, headers: Mapping[str, object]) -> bool:
        """Tell whether somebody has put the context of a trace there."""
        return not self._fields.isdisjoint(headers)

    def put(self, context: Context, headers: dict[str, object]) -> None:
        """Put *context* into *headers*."""
        self._propagator.inject(headers, context, _SETTER)

    def take(self, headers: Mapping[str, object]) -> Context:
        """Give the context in *headers*, an empty one if there is none, or none that can be read."""
        return self._propagator.extract(headers, Context(), _HEADERS) if headers else Context()


def origin_in(context: Context) -> SpanContext | None:
    """Give what a span may be linked to, if that is in *context*."""
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def links_to(origin: SpanContext | None) -> tuple[Link, ...]:
    """Give the link to *origin*, if there is one."""
    return () if origin is None else (trace.Link(origin),)
