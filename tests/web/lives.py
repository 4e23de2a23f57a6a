"""What the tests of embedded buses share: a bus that can be made to give up, and a server for the lifespan protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

from tocsin import BusClosed, EventBus, RestartIntensity
from tocsin.web import AsgiApp, lifespan

MakeBus = Callable[..., EventBus]


async def fail(event: object) -> None:
    raise ConnectionError("there is no more hope")


def mortal_bus(make_bus: MakeBus, **options: Any) -> EventBus:
    """Make a bus that gives up at the first int, and counts texts in `handled`."""
    bus = make_bus(**options)
    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 60.0))
    return bus


async def until_dead(bus: EventBus) -> None:
    """Have *bus* give up, and wait until everybody has seen it."""
    await bus.publish(1)
    await bus.wait_stopped()
    await anyio.sleep(0.01)


async def takes_nothing(bus: EventBus) -> bool:
    try:
        await bus.publish("text")
    except BusClosed:
        return True
    return False


@asynccontextmanager
async def ending_by(
    bus: EventBus, kind: type[BaseException], words: str = "", **options: Any
) -> AsyncGenerator[list[BaseException]]:
    """Have *bus* live for the time of the block, after which *kind* with *words* is to be raised; give what was."""
    raised: list[BaseException] = []
    try:
        async with lifespan(bus, **options)(None):
            yield raised
    except kind as error:
        raised.append(error)
    assert [words in str(error) for error in raised] == [True]


@define
class AsgiHost:
    """A server that runs the lifespan of *app* as ASGI says, and notes what it was answered."""

    app: AsgiApp
    answers: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    state: dict[str, Any] | None = field(factory=dict[str, Any])
    on_answer: Callable[[dict[str, Any]], object] | None = None
    error: BaseException | None = None
    is_over: bool = False
    _next: anyio.Event = field(factory=anyio.Event, init=False)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[AsgiHost]:
        """Ask for the startup, and at the end of the block for the shutdown; `error` is what the application raises."""
        ask, asked = anyio.create_memory_object_stream[dict[str, Any]](2)
        async with ask, asked, anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, asked.receive)
            await self._ask(ask.send, "lifespan.startup")
            yield self
            await self._ask(ask.send, "lifespan.shutdown")

    async def _run(self, receive: Any) -> None:
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
        if self.state is not None:
            scope["state"] = self.state
        try:
            await self.app(scope, receive, self._answered)
        except Exception as error:
            self.error = error
        finally:
            self.is_over = True
            self._next.set()

    async def _ask(self, send: Any, question: str) -> None:
        if not self.is_over:
            self._next = anyio.Event()
            await send({"type": question})
            await self._next.wait()

    async def _answered(self, message: Any) -> None:
        self.answers.append(dict(message))
        if self.on_answer is not None:
            self.on_answer(dict(message))
        self._next.set()

    @property
    def said(self) -> list[str]:
        """The types of the answers."""
        return [answer["type"].removeprefix("lifespan.") for answer in self.answers]
