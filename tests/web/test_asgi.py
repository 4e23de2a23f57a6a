"""The ASGI application: routes, methods, headers, mounting, and what it says of a real bus."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.web.helpers import ask
from tocsin import Backoff, EventBus, RestartIntensity, RestartIntensityExceeded, RestartPolicy, handles
from tocsin.web import health_app

MakeBus = Callable[..., EventBus]
ROUTES = ["/livez", "/readyz", "/metrics"]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


async def ignore(event: object) -> None: ...


async def fail(event: object) -> None:
    raise ConnectionError("the database password is swordfish")


@pytest.mark.parametrize("path", ROUTES)
async def test_a_bus_that_runs_is_answered_for_with_200(make_bus: MakeBus, path: str) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with bus.running():
        response = await ask(health_app(bus), path)
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain; ")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-length"] == str(len(response.body.encode()))


@pytest.mark.parametrize("path", ROUTES)
async def test_head_has_the_headers_of_get_and_no_body(make_bus: MakeBus, path: str) -> None:
    app = health_app(make_bus())
    got, head = await ask(app, path), await ask(app, path, method="HEAD")
    assert (head.status, head.headers, head.body) == (got.status, got.headers, "")
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"])
async def test_other_methods_are_refused_with_those_that_are_not(make_bus: MakeBus, method: str) -> None:
    response = await ask(health_app(make_bus()), "/livez", method=method)
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "", "/livez/x", "/LIVEZ", "/livez%2f", "/x\x1b[2J"])
async def test_other_paths_are_not_found_and_not_repeated(make_bus: MakeBus, path: str) -> None:
    response = await ask(health_app(make_bus()), path)
    assert (response.status, response.body) == (404, "nothing is here: there are /livez, /readyz, /metrics\n")


@pytest.mark.parametrize(
    ("root_path", "path", "status"),
    [
        ("", "/readyz", 503),
        ("/health", "/health/readyz", 503),  # as ASGI has it now
        ("/health", "/readyz", 503),  # as servers had it of old
        ("/proxy", "/readyz/", 503),  # as Litestar has it below a mount
        ("", "readyz/", 503),  # and mounted at "/"
        ("/health/", "/health/readyz", 503),
        ("/health", "/healthreadyz", 404),
        ("/health", "/health", 404),
        ("/readyz", "/readyz/readyz", 503),
        ("/readyz", "/readyz", 503),
    ],
)
async def test_it_answers_below_the_place_where_it_is_mounted(
    make_bus: MakeBus, root_path: str, path: str, status: int
) -> None:
    assert (await ask(health_app(make_bus()), path, root_path=root_path)).status == status


@pytest.mark.parametrize(
    ("accept", "query", "is_json"),
    [
        ("", "", False),
        ("*/*", "", False),
        ("application/json", "", True),
        ("application/json;q=0.5, text/plain;q=0.6", "", False),
        ("", "format=json", True),
        ("text/plain", "a=b&format=json", True),
        ("application/json", "format=text", False),
        ("application/json", "format=xml", True),
        ("", "format", False),
        ("", "format=%ff%00&=&&;" + "x" * 100_000, False),
    ],
)
async def test_health_is_told_as_text_or_as_json_if_that_is_asked_for(
    make_bus: MakeBus, accept: str, query: str, is_json: bool
) -> None:
    response = await ask(health_app(make_bus()), "/livez", query=query, headers=(("Accept", accept),))
    if is_json:
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.body)["failing"] == [{"check": "phase", "reason": "the bus was never started"}]
    else:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.body == "failing\nthe bus was never started\n"


async def test_metrics_are_told_as_open_metrics_if_that_is_asked_for(make_bus: MakeBus) -> None:
    response = await ask(health_app(make_bus()), "/metrics", headers=(("Accept", OPEN_METRICS),))
    assert response.headers["content-type"] == f"{OPEN_METRICS}; charset=utf-8"
    assert response.body.endswith("# EOF\n")


async def test_headers_of_one_name_are_one_list(make_bus: MakeBus) -> None:
    headers = (("Accept", "text/html"), ("Accept", "application/json"))
    response = await ask(health_app(make_bus()), "/livez", headers=headers)
    assert response.headers["content-type"] == "application/json"


async def test_the_number_of_subscriptions_shown_is_the_one_asked_for(make_bus: MakeBus) -> None:
    bus = make_bus()
    for name in "abc":
        bus.subscribe(ignore, int, name=name)
    async with bus.running():
        response = await ask(health_app(bus, max_subscriptions=1), "/metrics")
    assert 'subscription="a"' in response.body
    assert 'subscription="b"' not in response.body
    assert 'subscription="other"' in response.body


# ── whom it answers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [*ROUTES, "/other"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((("Host", "evil.example"),), 421),
        ((("Host", "localhost"), ("Host", "evil.example")), 421),
        ((), 421),
        ((("Host", "localhost:1"),), None),
    ],
)
async def test_a_host_that_is_not_allowed_is_told_nothing(
    make_bus: MakeBus, path: str, headers: tuple[tuple[str, str], ...], status: int | None
) -> None:
    app = health_app(make_bus("secret"), allowed_hosts=["localhost"])
    response = await ask(app, path, headers=headers)
    assert (response.status == 421) == (status == 421)
    if status == 421:
        assert "secret" not in response.body
        assert response.headers["cache-control"] == "no-store"


async def test_without_a_list_any_host_is_answered(make_bus: MakeBus) -> None:
    assert (await ask(health_app(make_bus()), "/metrics", headers=(("Host", "evil.example"),))).status == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_water": 0}, "above 0 and at most 1"),
        ({"high_water": 1.1}, "above 0 and at most 1"),
        ({"high_water": float("nan")}, "above 0 and at most 1"),
        ({"high_water": True}, "above 0 and at most 1"),
        ({"max_subscriptions": -1}, "a whole number, 0 or more"),
        ({"max_subscriptions": 1.5}, "a whole number, 0 or more"),
        ({"allowed_hosts": ["a:1"]}, "is no host"),
    ],
)
def test_options_that_can_be_none_are_refused(make_bus: MakeBus, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        health_app(make_bus(), **options)


def test_its_repr_tells_the_bus(make_bus: MakeBus) -> None:
    assert repr(health_app(make_bus("shop"))) == "<health_app of <EventBus shop new, 0 subscriptions>>"


# ── the phases of a bus ──────────────────────────────────────────────────────────────────────────────────────────────


async def statuses(bus: EventBus) -> tuple[int, int]:
    """Ask for both, liveness first."""
    app = health_app(bus)
    return (await ask(app, "/livez")).status, (await ask(app, "/readyz")).status


async def test_a_bus_is_alive_from_its_start_to_its_end_and_ready_in_between(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), dict[str, tuple[int, int]]()

    class Slow:
        async def started(self) -> None:
            seen[bus.statistics().phase] = await statuses(bus)

        @handles(int)
        async def on(self, event: int) -> None:
            seen[bus.statistics().phase] = await statuses(bus)

        async def stopping(self) -> None:
            seen[bus.statistics().phase] = await statuses(bus)

    bus.subscribe_actor(Slow)
    seen["new"] = await statuses(bus)
    async with bus.running():
        await (await bus.publish(1)).settled()
        await bus.publish(2)
        bus.request_stop()
        await bus.wait_stopped()
    seen["stopped"] = await statuses(bus)
    assert seen == {
        "new": (503, 503),
        "starting": (200, 503),
        "running": (200, 200),
        "draining": (200, 503),
        "stopping": (503, 503),
        "stopped": (503, 503),
    }


async def test_a_bus_that_has_given_up_is_neither_from_the_step_on_in_which_it_does(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[tuple[str, tuple[int, int]]]()

    class Last:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            seen.append((bus.statistics().phase, await statuses(bus)))

    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 60.0))
    bus.subscribe_actor(Last)

    async def run() -> None:
        async with bus.running():
            assert await statuses(bus) == (200, 200)
            await bus.publish(1)
            await anyio.sleep_forever()

    with pytest.raises(RestartIntensityExceeded):
        await run()
    assert seen == [("stopping", (503, 503))]
    assert await statuses(bus) == (503, 503)
    said = await ask(health_app(bus), "/readyz")
    assert said.body == "failing\nthe bus has stopped\n"


async def test_a_bus_that_is_cancelled_is_neither_while_its_tree_stops(make_bus: MakeBus) -> None:
    bus, seen = make_bus(), list[str]()

    class Last:
        @handles(str)
        async def on(self, event: str) -> None: ...

        async def stopping(self) -> None:
            seen.append((await ask(health_app(bus), "/livez")).body)

    bus.subscribe_actor(Last)
    with anyio.move_on_after(1):
        async with bus.running():
            await anyio.sleep_forever()
    assert seen == ["failing\nthe bus is stopping\n"]


async def test_an_actor_that_is_parked_makes_the_bus_not_ready_and_is_named(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int, name="well")
    parked = bus.subscribe(
        fail, int, name="pa\x1brked\n", sick_after=1, intensity=RestartIntensity(0, 60.0), on_exhausted="park"
    )
    async with bus.running(drain_timeout=0):
        app = health_app(bus)
        await bus.publish(1)
        await anyio.sleep(1)
        response = await ask(app, "/readyz")
        assert (response.status, response.body) == (503, "failing\nactor pa\\x1brked\\n is parked\n")
        assert "swordfish" not in (await ask(app, "/metrics")).body
        assert (await ask(app, "/livez")).status == 200
        await parked.unsubscribe()
        assert (await ask(app, "/readyz")).status == 200


async def test_an_actor_that_waits_for_its_restart_makes_the_bus_not_ready_meanwhile(make_bus: MakeBus) -> None:
    bus = make_bus()
    suspension = Backoff(initial=10.0, maximum=10.0, jitter=0)
    bus.subscribe(fail, int, name="sick", sick_after=1, suspension=suspension)
    async with bus.running(drain_timeout=0):
        await bus.publish(1)
        await anyio.sleep(1)
        assert (await ask(health_app(bus), "/readyz")).body == "failing\nactor sick is suspended\n"


async def test_an_actor_that_may_end_by_itself_and_did_leaves_the_bus_ready(make_bus: MakeBus) -> None:
    from tocsin import FinishActor

    bus = make_bus()

    async def once(event: int) -> None:
        raise FinishActor

    bus.subscribe(once, int, restart=RestartPolicy.TRANSIENT)
    async with bus.running():
        await (await bus.publish(1)).settled()
        await anyio.sleep(1)
        assert bus.statistics().subscriptions["once"].state == "finished"
        assert (await ask(health_app(bus), "/readyz")).status == 200


async def test_a_mailbox_that_is_nearly_full_makes_the_bus_not_ready_until_there_is_room(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def wait(event: int) -> None:
        await gate.wait()

    bus.subscribe(wait, int, name="slow", mailbox=10)
    async with bus.running():
        await bus.publish_many(range(10))  # one is with the handler
        await anyio.wait_all_tasks_blocked()
        app = health_app(bus)
        assert (await ask(app, "/readyz")).body == "failing\nthe mailbox of slow holds 9 of 10\n"
        assert (await ask(health_app(bus, high_water=1), "/readyz")).status == 200
        gate.set()
        await bus.drain()
        assert (await ask(app, "/readyz")).body == "failing\nthe bus is draining\n"


# ── as part of an application ────────────────────────────────────────────────────────────────────────────────────────


async def test_mounted_under_starlette_it_answers_below_its_mount(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def front(request: Any) -> PlainTextResponse:
        return PlainTextResponse("front")

    app = Starlette(routes=[Route("/", front), Mount("/in/side", health_app(bus))])
    for outer in ("", "/proxy"):
        transport = httpx2.ASGITransport(app=app, root_path=outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://any.example") as client:
            async with bus.running():
                assert (await client.get(f"{outer}/")).text == "front"
                assert (await client.get(f"{outer}/in/side/readyz")).text == "ok\n"
                assert "tocsin_bus_up" in (await client.get(f"{outer}/in/side/metrics")).text
                assert (await client.post(f"{outer}/in/side/livez")).status_code == 405
                assert (await client.get(f"{outer}/in/side/x")).status_code == 404
            assert (await client.get(f"{outer}/in/side/livez")).status_code == 503


async def test_it_takes_part_in_the_lifespan_of_a_host(make_bus: MakeBus) -> None:
    messages, sent = ["lifespan.startup", "lifespan.shutdown"], list[Any]()

    async def receive() -> Any:
        return {"type": messages.pop(0)}

    async def send(message: Any) -> None:
        sent.append(message)

    await health_app(make_bus())({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_a_web_socket_is_refused(make_bus: MakeBus) -> None:
    sent = list[Any]()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await health_app(make_bus())({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_what_is_no_protocol_of_asgi_is_refused_by_name(make_bus: MakeBus) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="'smtp'"):
        await health_app(make_bus())({"type": "smtp"}, never, never)
