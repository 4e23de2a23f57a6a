"""Other libraries, each used as its own documentation shows, and imported only where it runs: none is needed."""

from __future__ import annotations

import asyncio
import importlib
import tempfile
import types
import warnings
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio.lowlevel

from benchmarks.baselines import delivering, publish
from benchmarks.cases import Case
from benchmarks.loads import CAPACITY, Contender, Load, Shape
from benchmarks.pykka_actors import pykka_case
from benchmarks.tutorial_buses import gather_bus, polled_heap

Emit = Callable[[str, Any], object]


async def emit_all(load: Load, emit: Emit, pause: Callable[[], Awaitable[None]]) -> None:
    """Publish where nothing pushes back: let the others run after as many events as a mailbox holds."""
    load.begin()
    for start in range(0, len(load.events), CAPACITY):
        for event in load.events[start : start + CAPACITY]:
            emit(type(event).__name__, event)
        await pause()


async def blinker(load: Load) -> None:
    """A signal for each type; the event is the sender, and the receivers are awaited one after the other."""
    library = importlib.import_module("blinker")
    signals = {each.kind: library.Signal() for each in load.subscribers}
    for each in load.subscribers:
        signals[each.kind].connect(each.handle)
    await publish(load, [(kind, signal.send_async) for kind, signal in signals.items()])
    await load.handled()


async def pyee(load: Load) -> None:
    """An emitter that makes a task for each call of a handler."""
    emitter = importlib.import_module("pyee.asyncio").AsyncIOEventEmitter()
    for each in load.subscribers:
        emitter.on(each.kind.__name__, each.handle)

    await emit_all(load, emitter.emit, emitter.wait_for_complete)
    await load.handled()


async def mode(load: Load) -> None:
    """A service for each subscriber, with a queue and a background task that takes from it."""
    library = importlib.import_module("mode")
    ways: list[tuple[Any, Any]] = []
    services: list[Any] = []

    async def work(service: Any, queue: Any, handle: Any) -> None:
        while not service.should_stop:
            await handle(await queue.get())

    for each in load.subscribers:
        # mode's own queues, for flow control, would take almost twice the time: nobody needs them for this.
        service, queue = library.Service(), asyncio.Queue[Any](CAPACITY)
        await service.start()
        service.add_future(work(service, queue, each.handle))
        services.append(service)
        ways.append((each.kind, queue.put))
    await publish(load, ways)
    await load.handled()
    await asyncio.gather(*(service.stop() for service in services))


async def lahja(load: Load) -> None:
    """An endpoint, and for each subscriber a task that reads a stream of its type."""
    library = importlib.import_module("lahja")
    kinds = {each.kind: _kind_of(library.BaseEvent, each.kind.__name__) for each in load.subscribers}
    load.events = [kinds[type(event)]() for event in load.events]

    async def listen(endpoint: Any, kind: Any, handle: Any) -> None:
        async for event in endpoint.stream(kind):
            await handle(event)

    with tempfile.TemporaryDirectory() as folder:
        config = library.ConnectionConfig.from_name("benchmark", base_path=Path(folder))
        async with library.AsyncioEndpoint.serve(config) as endpoint:
            listeners = [asyncio.create_task(listen(endpoint, kinds[s.kind], s.handle)) for s in load.subscribers]
            await anyio.lowlevel.checkpoint()
            load.begin()
            for number, event in enumerate(load.events, start=1):
                await endpoint.broadcast(event)
                if number % CAPACITY == 0:  # nothing pushes back, and a broadcast inside of a process never suspends
                    await anyio.lowlevel.checkpoint()
            await load.handled()
            for listener in listeners:
                listener.cancel()
            await asyncio.wait(listeners)


async def aiopubsub(load: Load) -> None:
    """A hub whose asynchronous listeners have a queue each, and a task for each message."""
    library = importlib.import_module("aiopubsub")
    hub = library.Hub()
    subscriber, publisher = library.Subscriber(hub, "benchmark"), library.Publisher(hub, prefix="events")

    def listener(handle: Any) -> Callable[[Any, Any], Any]:
        return lambda key, event: handle(event)

    listeners = [listener(each.handle) for each in load.subscribers]
    for each, callback in zip(load.subscribers, listeners, strict=True):
        subscriber.add_async_listener(library.Key("events", each.kind.__name__), callback)
    keys = {each.kind.__name__: library.Key(each.kind.__name__) for each in load.subscribers}

    # Nothing pushes back but a publisher that asks all queues for their sizes at each event, which is slower still.
    await emit_all(load, lambda name, event: publisher.publish(keys[name], event), anyio.lowlevel.checkpoint)
    await load.handled()
    await subscriber.remove_all_listeners()


async def bubus(load: Load) -> None:
    """A bus of events that are models of pydantic; each is awaited, for at most a hundred may be pending."""
    library = importlib.import_module("bubus")
    kinds = {each.kind: _kind_of(library.BaseEvent, each.kind.__name__) for each in load.subscribers}
    load.events = [kinds[type(event)]() for event in load.events]
    bus = library.EventBus()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all handlers have one name
        for each in load.subscribers:
            bus.on(kinds[each.kind], each.handle)
    load.begin()
    for event in load.events:
        await bus.dispatch(event)
    await load.handled()
    await bus.stop()


def _kind_of(base: Any, name: str) -> Any:
    """Make an event type of a library's own."""
    return types.new_class(name, (base,), exec_body=lambda namespace: namespace.update(__module__=__name__))


ON_ASYNCIO: dict[str, tuple[Contender, Sequence[str], int]] = {  # name → contender, modules, deliveries at most
    "mode": (mode, ["mode"], 200_000),
    "pyee": (pyee, ["pyee"], 100_000),
    "lahja": (lahja, ["lahja"], 100_000),
    "aiopubsub": (aiopubsub, ["aiopubsub"], 50_000),
    "bubus": (bubus, ["bubus"], 1_000),
    "gather bus": (gather_bus, [], 100_000),
    "polled heap queue": (polled_heap, [], 200_000),
}
PEERS = ("blinker", "pykka", *ON_ASYNCIO)


def peers(shape: Shape) -> tuple[Case, ...]:
    """Give all peers; those that know nothing but asyncio are left out on trio."""
    found = [
        Case(name="blinker", run=delivering(blinker, shape, 200_000), needs=("blinker",), kind="peer"),
        pykka_case(shape, 50_000),
    ]
    for name, (contender, needs, most) in ON_ASYNCIO.items():
        run = delivering(contender, shape, most)
        found.append(Case(name=name, run=run, backends=("asyncio",), needs=tuple(needs), kind="peer"))
    return tuple(found)
