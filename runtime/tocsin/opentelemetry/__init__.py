"""Traces and metrics of a bus by OpenTelemetry: `EventBus("shop", plugins=[OpenTelemetryPlugin()])`.

Needs `opentelemetry-api` (`pip install "tocsin[otel]"`); which SDK collects and where it sends to is the affair of the
program. See docs/tracing.md.
"""

from __future__ import annotations

from ._plugin import OpenTelemetryPlugin as OpenTelemetryPlugin
