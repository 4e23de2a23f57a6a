"""`with_bus`: any ASGI application, with or without a lifespan of its own, and a bus around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from tests.web.lives import AsgiHost, MakeBus, mortal_bus, until_dead
from tocsin import ChildStartError, EventBus, RestartIntensityExceeded, handles
from tocsin.web import AsgiApp, lifespan, with_bus

pytestmark = pytest.mark.usefixtures("terminations")


def phase(bus: EventBus) -> str:
    return bus.statistics().phase


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Do as Django does."""
    if scope["type"] == "lifespan":
        raise ValueError("can only handle ASGI/HTTP connections, not lifespan")
    await send({"type": "answer", "scope": scope})


async def without_a_word(scope: Any, receive: Any, send: Any) -> None:
    """Return at the lifespan scope."""


def with_lifespan(bus: EventBus, log: list[str]) -> AsgiApp:
    """Make an application that notes in which phase of *bus* it is asked what."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            question = (await receive())["type"]
            log.append(f"{question} while {phase(bus)}")
            await send({"type": f"{question}.complete"})

    return app


async def asked(app: AsgiApp, **scope: Any) -> list[dict[str, Any]]:
    """Send one request to *app*, and give its messages."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    await app({"type": "http", "method": "GET", "path": "/", "headers": [], **scope}, receive, send)
    return sent


# ── the lifespan ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("app", [without_lifespan, without_a_word])
async def test_for_an_application_without_a_lifespan_the_bus_answers_the_server(
    make_bus: MakeBus, app: AsgiApp
) -> None:
    bus = make_bus()
    async with AsgiHost(with_bus(app, bus)).serving() as host:
        assert (host.said, phase(bus)) == (["startup.complete"], "running")
    assert (host.said, phase(bus), host.error) == (["startup.complete", "shutdown.complete"], "stopped", None)


async def test_an_application_with_a_lifespan_has_it_inside_of_that_of_the_bus(make_bus: MakeBus) -> None:
    bus, log = make_bus(), list[str]()
    async with AsgiHost(with_bus(with_lifespan(bus, log), bus)).serving() as host:
        assert (host.said, phase(bus)) == (["startup.complete"], "running")
    assert host.said == ["startup.complete", "shutdown.complete"]
    assert log == ["lifespan.startup while running", "lifespan.shutdown while running"]


@pytest.mark.parametrize("has_lifespan", [False, True])
async def test_the_server_is_told_of_the_shutdown_when_the_bus_has_drained(
    make_bus: MakeBus, has_lifespan: bool
) -> None:
    bus, handled = make_bus(), list[int]()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)
        handled.append(number)

    def when_told(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            assert (len(handled), phase(bus)) == (10, "stopped")

    app = with_lifespan(bus, []) if has_lifespan else without_lifespan
    async with AsgiHost(with_bus(app, bus), on_answer=when_told).serving() as host:
        await bus.publish_many(range(10))
    assert host.said == ["startup.complete", "shutdown.complete"]
    assert host.error is None


async def test_an_actor_that_does_not_start_is_a_startup_that_failed(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor(name="work")
    class Work:
        async def started(self) -> None:
            raise ConnectionError("no database")

        @handles(int)
        async def work(self, number: int) -> None: ...

    async with AsgiHost(with_bus(without_lifespan, bus)).serving() as host:
        assert host.said == ["startup.failed"]
    assert "no database" in host.answers[0]["message"]
    assert isinstance(host.error, ChildStartError)


async def test_an_application_whose_startup_fails_says_so_itself_and_the_bus_ends(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise ConnectionError("no database")

    async with AsgiHost(with_bus(app, bus)).serving() as host:
        assert host.answers == [{"type": "lifespan.startup.failed", "message": "no database"}]
    assert isinstance(host.error, ConnectionError)
    assert (len(host.answers), phase(bus)) == (1, "stopped")


async def test_an_application_that_returns_after_it_has_failed_to_start_says_the_last_word(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with AsgiHost(with_bus(app, bus)).serving() as host:
        pass
    assert (host.said, phase(bus)) == (["startup.failed"], "stopped")


async def test_an_application_that_leaves_after_its_startup_keeps_its_bus(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    async with AsgiHost(with_bus(app, bus)).serving() as host:
        await anyio.sleep(1)
        assert phase(bus) == "running"
    assert host.said == ["startup.complete", "shutdown.complete"]


async def test_an_application_whose_shutdown_fails_says_so_after_the_drain(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "mine"})

    async with AsgiHost(with_bus(app, bus)).serving() as host:
        pass
    assert host.answers[-1] == {"type": "lifespan.shutdown.failed", "message": "mine"}
    assert phase(bus) == "stopped"


async def test_an_application_that_fails_while_it_serves_answers_nothing_it_was_not_asked(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ConnectionError("no database")

    async with AsgiHost(with_bus(app, bus)).serving() as host:
        await anyio.sleep(1)
        assert phase(bus) == "stopped"
    assert host.said == ["startup.complete"]
    assert isinstance(host.error, ConnectionError)


async def test_a_bus_that_has_given_up_is_a_shutdown_that_failed(make_bus: MakeBus) -> None:
    bus = mortal_bus(make_bus)
    async with AsgiHost(with_bus(without_lifespan, bus, on_fatal="continue")).serving() as host:
        await until_dead(bus)
        await anyio.sleep(60)
        assert host.said == ["startup.complete"]
    assert host.said == ["startup.complete", "shutdown.failed"]
    assert "RestartIntensityExceeded: supervisor 'test' gave up" in host.answers[-1]["message"]
    assert isinstance(host.error, RestartIntensityExceeded)


async def test_a_server_that_is_cancelled_stops_the_bus_in_order(make_bus: MakeBus) -> None:
    bus = make_bus()
    with anyio.CancelScope() as scope:
        async with AsgiHost(with_bus(without_lifespan, bus)).serving():
            scope.cancel()
            await anyio.sleep_forever()
    assert phase(bus) == "stopped"


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_each_request_and_web_socket_has_the_bus_in_its_state(make_bus: MakeBus, kind: str) -> None:
    bus = make_bus()
    (answer,) = await asked(with_bus(without_lifespan, bus), type=kind)
    assert answer["scope"]["state"] == {"bus": bus}


async def test_what_the_server_has_put_into_the_state_stays_there_and_its_own_is_not_changed(
    make_bus: MakeBus,
) -> None:
    bus, state = make_bus(), {"db": 1}
    (answer,) = await asked(with_bus(without_lifespan, bus), state=state)
    assert answer["scope"]["state"] == {"db": 1, "bus": bus}
    assert state == {"db": 1}


async def test_an_application_with_a_lifespan_finds_the_bus_in_its_state_if_the_server_has_one(
    make_bus: MakeBus,
) -> None:
    bus, seen = make_bus(), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope.get("state"))

    host = AsgiHost(with_bus(app, bus))
    async with host.serving():
        pass
    assert seen == [{"bus": bus}]
    async with AsgiHost(with_bus(app, bus), state=None).serving():
        pass
    assert seen[1] is None


@pytest.mark.parametrize("root_path", ["", "/shop"])
async def test_health_is_served_where_it_was_asked_for(make_bus: MakeBus, root_path: str) -> None:
    bus = make_bus()
    app = with_bus(without_lifespan, bus, health_at="/health")
    at = {"path": f"{root_path}/health/livez", "root_path": root_path}
    assert (await asked(app, **at))[0]["status"] == 503
    async with AsgiHost(app).serving():
        assert (await asked(app, **at))[0]["status"] == 200
    assert (await asked(app, path=f"{root_path}/health/other", root_path=root_path))[0]["status"] == 404


@pytest.mark.parametrize("scope", [{"path": "/healthy/livez"}, {"path": "/livez"}, {"path": "/health"}], ids=str)
async def test_every_other_path_is_that_of_the_application(make_bus: MakeBus, scope: dict[str, str]) -> None:
    (answer,) = await asked(with_bus(without_lifespan, make_bus(), health_at="/health"), **scope)
    assert answer["scope"]["path"] == scope["path"]


async def test_a_web_socket_below_the_path_of_health_is_that_of_the_application(make_bus: MakeBus) -> None:
    app = with_bus(without_lifespan, make_bus(), health_at="/health")
    (answer,) = await asked(app, type="websocket", path="/health/livez")
    assert answer["type"] == "answer"


@pytest.mark.parametrize("path", ["", "/", "health", "//"])
def test_a_path_of_health_that_would_hide_the_application_is_refused(make_bus: MakeBus, path: str) -> None:
    with pytest.raises(ValueError, match=r"health_at=.*: must be a path that begins with a slash"):
        with_bus(without_lifespan, make_bus(), health_at=path)


# ── a framework that is in a hurry ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow  # the import alone takes seconds on a busy machine
@pytest.mark.parametrize(("is_inside", "is_drained"), [(True, False), (False, True)])
async def test_around_quart_the_drain_has_its_time_which_while_serving_cuts_short(
    make_bus: MakeBus, anyio_backend_name: str, is_inside: bool, is_drained: bool
) -> None:
    if anyio_backend_name == "asyncio":
        return  # Quart-Trio's nurseries are trio's
    app: Any = pytest.importorskip("quart_trio").QuartTrio(__name__)
    bus, handled = make_bus(), list[int]()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)
        handled.append(number)

    async def bus_lives() -> AsyncGenerator[None]:
        async with lifespan(bus)(app):
            yield

    if is_inside:
        app.while_serving(bus_lives)
    async with AsgiHost(app if is_inside else with_bus(app, bus)).serving():
        await bus.publish_many(range(20))
    assert (handled == list(range(20))) == is_drained
