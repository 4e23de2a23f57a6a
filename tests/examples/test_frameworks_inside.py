"""The examples of frameworks under the test clients of these, in the test's own process: what needs no server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tocsin import EventBus, RestartIntensityExceeded
from tocsin.web import lifespan

pytestmark = pytest.mark.real_time
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
PING = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "d-1"}


@pytest.fixture
def webhooks() -> Iterator[Any]:
    """The example of FastAPI."""
    pytest.importorskip("fastapi")
    from examples.frameworks import with_fastapi

    yield with_fastapi
    assert with_fastapi.bus.ledger().balanced


@BACKENDS
def test_a_web_socket_gets_the_bus_as_a_request_does(webhooks: Any, backend: Any) -> None:
    with TestClient(webhooks.app, backend=backend) as client:
        body = {"action": "opened", "repository": {"full_name": "octo/cat"}, "sender": {"login": "mona"}}
        assert client.post("/webhooks", json=body, headers=PING).json() == {"accepted": "d-1"}
        with client.websocket_connect("/repositories") as socket:
            while not (answer := _asked(socket)):
                pass
        assert answer == [{"repository": "octo/cat", "webhooks": 1, "people": 1}]


def _asked(socket: Any) -> Any:
    socket.send_text("now")
    return socket.receive_json()


def test_a_webhook_without_the_headers_of_one_is_refused(webhooks: Any) -> None:
    with TestClient(webhooks.app) as client:
        assert client.post("/webhooks", json={}).status_code == 422
        assert client.post("/webhooks", json=[], headers=PING).status_code == 422


@BACKENDS
def test_where_the_lifespan_was_not_run_every_answer_is_503(webhooks: Any, backend: Any) -> None:
    client = TestClient(webhooks.app, backend=backend)
    answer = client.post("/webhooks", json={}, headers=PING)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "the lifespan of the application has not run" in answer.json()["error"]
    assert client.get("/health/livez").status_code == 503


tenant: ContextVar[str] = ContextVar("tenant", default="unset")


@BACKENDS
def test_what_a_lifespan_sets_in_context_variables_reaches_actors_and_no_request(backend: Any) -> None:
    bus, seen = EventBus("contexts"), list[str]()

    @bus.subscriber(str)
    async def look(event: str) -> None:
        seen.append(tenant.get())

    @asynccontextmanager
    async def lifetime(app: Starlette) -> AsyncGenerator[dict[str, Any]]:
        tenant.set("of the lifespan")
        async with lifespan(bus)(app) as state:
            yield state

    async def ask(request: Request) -> PlainTextResponse:
        await request.state.bus.publish("who?")
        return PlainTextResponse(tenant.get())

    with TestClient(Starlette(routes=[Route("/", ask)], lifespan=lifetime), backend=backend) as client:
        assert client.get("/").text == "unset"
    assert seen == ["of the lifespan"]


@BACKENDS
def test_under_a_test_client_a_bus_that_gives_up_ends_the_test_by_its_error_and_not_the_process(backend: Any) -> None:
    from tests.web.lives import mortal_bus

    bus = mortal_bus(EventBus, name="mortal")

    async def publish(request: Request) -> PlainTextResponse:
        await bus.publish(1)
        return PlainTextResponse("accepted")

    app = Starlette(routes=[Route("/", publish)], lifespan=lifespan(bus))
    with pytest.raises(RestartIntensityExceeded), TestClient(app, backend=backend) as client:
        client.get("/")


@pytest.mark.slow  # the import alone takes seconds on a busy machine
async def test_while_serving_of_quart_trio_runs_the_bus(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":
        return  # its nurseries are trio's
    quart_trio = pytest.importorskip("quart_trio")
    app, bus, handled = quart_trio.QuartTrio(__name__), EventBus("quart"), list[int]()

    @bus.subscriber(int)
    async def note(number: int) -> None:
        handled.append(number)

    async def bus_lives() -> AsyncGenerator[None]:
        async with lifespan(bus)(app):
            yield

    app.while_serving(bus_lives)
    async with app.test_app():
        await bus.publish(1)
    assert (handled, bus.statistics().phase) == ([1], "stopped")
