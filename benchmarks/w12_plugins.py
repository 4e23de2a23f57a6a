"""W12: one publisher and one subscriber, with plug-ins that look on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.baselines import EVERYWHERE, bare, delivering
from benchmarks.cases import Case, Workload
from benchmarks.contestants import tocsin
from benchmarks.loads import Load, Shape
from tocsin import EventBus

SHAPE = Shape(kinds=1, subscribers=1)
SDK = ("opentelemetry.sdk",)


def bus_with(options: Callable[[], dict[str, Any]]) -> Callable[[Load], Any]:
    """Give a contender that awaits each publish on a bus with *options*."""

    async def publishing(load: Load) -> None:
        bus = EventBus("benchmark", **options())
        for each in load.subscribers:
            bus.subscribe(each.handle, each.kind, name=each.name)
        async with bus.running():
            load.begin()
            for event in load.events:
                await bus.publish(event)
            await load.handled()

    return publishing


def no_sdk() -> dict[str, Any]:
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.trace import NoOpTracerProvider

    from tocsin.opentelemetry import OpenTelemetryPlugin

    return {"plugins": [OpenTelemetryPlugin(NoOpTracerProvider(), NoOpMeterProvider())]}


def metrics() -> dict[str, Any]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from tocsin.opentelemetry import OpenTelemetryPlugin

    return {"plugins": [OpenTelemetryPlugin(None, MeterProvider([InMemoryMetricReader()]), traces=False)]}


def traces(*, sampled: bool) -> Callable[[], dict[str, Any]]:
    """All spans are made, or none; nobody exports them."""

    def options() -> dict[str, Any]:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

        from tocsin.opentelemetry import OpenTelemetryPlugin

        provider = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF)
        return {"plugins": [OpenTelemetryPlugin(provider, metrics=False)]}

    return options


def case(name: str, options: Callable[[], dict[str, Any]], needs: tuple[str, ...] = ()) -> Case:
    run = delivering(bus_with(options), SHAPE)
    return Case(name=name, run=run, backends=EVERYWHERE, kind="tocsin", needs=needs)


WORKLOAD = Workload(
    key="W12",
    title="plug-ins that look on",
    what="What nobody asks for costs nothing; what is asked for costs what OpenTelemetry does, and little besides. "
    "One operation: an event published by awaiting, and handled.",
    size=40_000,
    quick=5_000,
    cases=(
        Case(name="bare", run=delivering(bare, SHAPE), backends=EVERYWHERE, kind="floor"),
        tocsin(SHAPE),
        case("measure_times", lambda: {"measure_times": True}),
        case("metrics", metrics, SDK),
        case("traces, no SDK", no_sdk, ("opentelemetry",)),
        case("traces, sampled out", traces(sampled=False), SDK),
        case("traces, all sampled", traces(sampled=True), SDK),
    ),
    targets=(),
)
