"""GitHub's webhooks, received by FastAPI: what is posted is published, and answered with 202 when it was accepted.

    uvicorn examples.frameworks.with_fastapi:app                          on asyncio
    anycorn --worker-class trio examples.frameworks.with_fastapi:app      on trio

The events and their subscribers are those of `examples/webhooks`. A receiver that strangers can reach has to check the
signature (`X-Hub-Signature-256`) besides.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Header, Request, WebSocket
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from examples.webhooks.events import Issue, PullRequest, made_of, priority_of
from examples.webhooks.insight import RepositoryCount, RepositoryStatistics, TopRepositories, Triage, nobody_looks_at
from tocsin import EventBus
from tocsin.exceptions import BusNotRunning
from tocsin.web import get_bus, health_app, lifespan

bus = EventBus("webhooks")
triage = Triage()
bus.subscribe_actor(RepositoryStatistics, name="statistics")
bus.subscribe(triage.note, Issue, PullRequest, name="triage", when=nobody_looks_at)

app = FastAPI(lifespan=lifespan(bus))
app.mount("/health", health_app(bus))


def bus_of(connection: HTTPConnection) -> EventBus:
    """Give the bus to whoever depends on it; an HTTPConnection is a request or a web socket."""
    return get_bus(connection)


Bus = Annotated[EventBus, Depends(bus_of)]


@app.post("/webhooks", status_code=202)
async def receive(
    bus: Bus,
    payload: Annotated[dict[str, Any], Body()],
    x_github_event: Annotated[str, Header()],
    x_github_delivery: Annotated[str, Header()],
) -> dict[str, str]:
    """Publish one webhook. Answered, it is in the mailboxes; when these are full, the sender waits."""
    event = made_of(x_github_delivery, x_github_event, payload)
    await bus.publish(event, priority=priority_of(event), topic=event.topic)
    return {"accepted": event.delivery}


@app.get("/repositories")
async def repositories(bus: Bus, limit: int = 5) -> list[dict[str, Any]]:
    """Ask the statistics for the repositories with most webhooks."""
    return [shown(each) for each in await bus.ask(TopRepositories(limit))]


@app.websocket("/repositories")
async def live_repositories(socket: WebSocket, bus: Bus) -> None:
    """The same for a page that stays open: an answer for each text that comes."""
    await socket.accept()
    async for _ in socket.iter_text():
        await socket.send_json([shown(each) for each in await bus.ask(TopRepositories())])


@app.exception_handler(BusNotRunning)
async def unavailable(request: Request, error: BusNotRunning) -> JSONResponse:
    """Nobody has taken the event: the bus drains, has given up, or was never started. The sender may try again."""
    return JSONResponse({"error": str(error)}, 503, {"Retry-After": "30"})


def shown(count: RepositoryCount) -> dict[str, Any]:
    """Give *count* as an object of JSON."""
    return {"repository": count.repository, "webhooks": count.webhooks, "people": count.people}
