"""The other side of the notifier: an HTTP endpoint on loopback that fails as endpoints do, but by a seed."""

from __future__ import annotations

import enum
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import anycorn
import anyio
import anyio.abc
from attrs import define, field, frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin import Priority

OUTAGE_AFTER: Final = 60  # requests: late enough to see the notifier well first


class Answer(enum.Enum):
    """What the endpoint does with one request."""

    ACCEPT = 204
    FAIL = 500
    STALL = 504
    OUTAGE = 503


@define
class Weather:
    """Decides how each request fares: which one is the seed's choice, how long the outage lasts the clock's."""

    random: Random
    outage_lasts: float  # seconds
    failing: float = 0.05
    stalling: float = 0.02
    requests: int = 0
    outage_until: float = math.nan  # not begun yet

    def answer(self, now: float) -> Answer:
        """Say what becomes of a request that arrives *now* (monotonic seconds)."""
        self.requests += 1
        chance = self.random.random()
        if self.requests == OUTAGE_AFTER:
            self.outage_until = now + self.outage_lasts
        if now < self.outage_until:
            return Answer.OUTAGE
        if chance < self.failing:
            return Answer.FAIL
        return Answer.STALL if chance < self.failing + self.stalling else Answer.ACCEPT


@frozen
class Notification:
    """What the endpoint has taken."""

    delivery: str
    priority: Priority
    attempt: int


@define
class Endpoint:
    """The state of the endpoint; `serve` gives one that listens."""

    weather: Weather
    stall: float  # seconds
    url: str = ""
    taken: list[Notification] = field(factory=list[Notification])
    answers: dict[Answer, int] = field(factory=lambda: dict.fromkeys(Answer, 0))
    taken_before_outage: int = 0

    async def receive(self, request: Request) -> Response:
        """Take one notification, or fail to."""
        body = await request.json()
        answer = self.weather.answer(anyio.current_time())
        self.answers[answer] += 1
        match answer:
            case Answer.ACCEPT:
                self.taken.append(Notification(body["delivery"], Priority(body["priority"]), body["attempt"]))
            case Answer.STALL:
                await anyio.sleep(self.stall)
            case Answer.OUTAGE:
                self.taken_before_outage = len(self.taken)
            case Answer.FAIL:
                pass
        return Response(status_code=answer.value)

    @property
    def first_after_outage(self) -> list[Notification]:
        """What came first once the outage was over; empty when there was none."""
        return self.taken[self.taken_before_outage :] if self.answers[Answer.OUTAGE] else []


@asynccontextmanager
async def serve(endpoint: Endpoint) -> AsyncGenerator[Endpoint]:
    """Serve *endpoint* on a free port of loopback for the time of the block."""
    app = Starlette(routes=[Route("/notifications", endpoint.receive, methods=["POST"])])
    config = anycorn.Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    config.graceful_timeout = 0.1  # seconds: nobody waits for an answer any more when the block ends
    stop = anyio.Event()

    async def listen(*, task_status: anyio.abc.TaskStatus[list[str]]) -> None:
        with anyio.CancelScope(shield=True):  # it ends by `stop` alone: cancelled in between, it fails noisily
            await anycorn.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]  # any ASGI app will do

    async with anyio.create_task_group() as tasks:
        bound: list[str] = await tasks.start(listen)
        endpoint.url = f"{bound[0]}/notifications"
        try:
            yield endpoint
        finally:
            stop.set()
