"""`serve_health` over real sockets: what a probe, a scraper and a stranger get, and how it ends."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from tocsin import ChildParked, ChildSpec, EventBus, Report, RestartIntensity, RestartIntensityExceeded, Supervisor
from tocsin.web import serve_health
from tocsin.web._anycorn import Anycorn
from tocsin.web._asgi import health_app
from tocsin.web._connections import Connections, Listener

MakeBus = Callable[..., EventBus]
pytestmark = pytest.mark.real_time

SOON = 2.5  # seconds that the end may take here: it promises one, and the machine may be busy with others
GET_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def ignore(event: object) -> None: ...


async def fail(event: object) -> None:
    raise ConnectionError


def big_bus(make_bus: MakeBus) -> EventBus:
    """Make a bus whose metrics are far more than the buffers between two sockets hold."""
    bus = make_bus()
    for number in range(500):
        bus.subscribe(ignore, int, name=f"{number}" + "x" * 1000)
    return bus


@asynccontextmanager
async def serving(bus: EventBus, bind: str = "127.0.0.1:0", **options: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    """Serve *bus* for the time of the block, and give a client of it; the end must come soon."""
    before = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        url: str = await tasks.start(partial(serve_health, bus, bind, **options))
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            yield client
            tasks.cancel_scope.cancel()
            before = anyio.current_time()
    assert anyio.current_time() - before < SOON


async def connect(client: httpx2.AsyncClient) -> SocketStream:
    """Open a connection to where *client* goes."""
    assert client.base_url.port is not None
    return await anyio.connect_tcp("127.0.0.1", client.base_url.port)


async def statuses(client: httpx2.AsyncClient) -> tuple[int, int]:
    """Ask for both, liveness first."""
    return (await client.get("/livez")).status_code, (await client.get("/readyz")).status_code


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_before_during_and_after_a_run_it_says_so(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with serving(bus) as client:
        assert await statuses(client) == (503, 503)
        async with bus.running():
            assert await statuses(client) == (200, 200)
            metrics = await client.get("/metrics")
            assert metrics.status_code == 200
            assert 'tocsin_actor_up{bus="test",subscription="ignore",group=""} 1\n' in metrics.text
            assert "server" not in metrics.headers
            head = await client.head("/metrics")
            assert (head.status_code, head.content) == (200, b"")
            assert (await client.post("/livez", content=b"x" * 100_000)).status_code == 405
        assert await statuses(client) == (503, 503)


async def test_a_bus_that_drains_is_alive_and_turns_others_away(make_bus: MakeBus) -> None:
    bus, gate = make_bus(), anyio.Event()

    async def wait(event: int) -> None:
        await gate.wait()

    bus.subscribe(wait, int)
    async with serving(bus) as client, bus.running():
        await bus.publish(1)
        bus.request_stop()
        assert await statuses(client) == (200, 503)
        gate.set()
        await bus.wait_stopped()
        assert await statuses(client) == (503, 503)


async def test_a_parked_actor_makes_it_not_ready(make_bus: MakeBus) -> None:
    parked = anyio.Event()

    async def observe(report: Report) -> None:
        if isinstance(report, ChildParked):
            parked.set()

    bus = make_bus(observer=observe)
    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 60.0), on_exhausted="park")
    async with serving(bus) as client, bus.running(drain_timeout=0):
        await bus.publish(1)
        with anyio.fail_after(30):
            await parked.wait()
        response = await client.get("/readyz", headers={"Accept": "application/json"})
        assert response.status_code == 503
        assert [each["reason"] for each in response.json()["failing"]] == ["actor fail is parked"]


async def test_a_bus_that_has_given_up_is_never_answered_for_with_200(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(fail, int, sick_after=1, intensity=RestartIntensity(0, 60.0))

    async def run() -> None:
        async with bus.running():
            await bus.publish(1)
            await anyio.sleep_forever()

    async with serving(bus) as client:
        with pytest.raises(RestartIntensityExceeded):
            await run()
        assert await statuses(client) == (503, 503)
        assert "tocsin_bus_up{" in (await client.get("/metrics")).text


async def test_on_loopback_a_page_with_a_name_of_its_own_is_told_nothing(make_bus: MakeBus) -> None:
    async with serving(make_bus()) as client:
        for host in ("evil.example", "192.0.2.1", f"evil.example:{client.base_url.port}"):
            assert (await client.get("/metrics", headers={"Host": host})).status_code == 421
        for host in ("localhost", "[::1]:1", "127.0.0.1"):
            assert (await client.get("/metrics", headers={"Host": host})).status_code == 200


async def test_exposed_it_is_asked_for_by_any_address_and_still_by_no_name(make_bus: MakeBus) -> None:
    async with serving(make_bus(), "0.0.0.0:0", exposed=True) as client:
        url = f"http://127.0.0.1:{client.base_url.port}/metrics"
        assert (await client.get(url)).status_code == 200
        assert (await client.get(url, headers={"Host": "10.1.2.3:9464"})).status_code == 200
        assert (await client.get(url, headers={"Host": "evil.example"})).status_code == 421


async def test_the_hosts_that_were_named_are_those_that_are_answered(make_bus: MakeBus) -> None:
    async with serving(make_bus(), allowed_hosts=["metrics.example"]) as client:
        assert (await client.get("/metrics", headers={"Host": "metrics.example"})).status_code == 200
        assert (await client.get("/metrics")).status_code == 421


async def test_its_options_are_those_of_the_application(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.subscribe(ignore, int)
    async with serving(bus, max_subscriptions=0, high_water=0.5) as client, bus.running():
        assert 'subscription="other"' in (await client.get("/metrics")).text


# ── clients that mean no good ────────────────────────────────────────────────────────────────────────────────────────


async def test_an_idle_connection_does_not_hold_up_the_end(make_bus: MakeBus) -> None:
    async with serving(make_bus()) as client:
        assert (await client.get("/livez")).status_code == 503  # and it keeps the connection
        idle = await connect(client)
    await idle.aclose()


async def test_half_a_request_does_not_hold_up_the_end(make_bus: MakeBus) -> None:
    async with serving(make_bus()) as client:
        slow = await connect(client)
        await slow.send(GET_METRICS[:20])
        await anyio.sleep(0.05)
    await slow.aclose()


@pytest.mark.slow
async def test_a_client_that_does_not_read_its_answer_does_not_hold_up_the_end(make_bus: MakeBus) -> None:
    bus = big_bus(make_bus)
    async with serving(bus) as client, bus.running():
        deaf = await connect(client)
        await deaf.send(GET_METRICS)
        assert (await client.get("/readyz")).status_code == 200
        await bus.stop()
    await deaf.aclose()


@pytest.mark.slow
async def test_what_a_client_does_not_read_in_time_ends_its_connection(make_bus: MakeBus) -> None:
    bus = big_bus(make_bus)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    connections = Connections(Anycorn(health_app(bus)), send_limit=0.2)
    async with bus.running(), listener, anyio.create_task_group() as tasks:
        tasks.start_soon(connections.serve, cast("list[Listener]", listener.listeners))
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with await anyio.connect_tcp("127.0.0.1", port) as deaf:
            await deaf.send(GET_METRICS)
            answer = await deaf.receive()
            length = int(re.findall(rb"content-length: (\d+)", answer)[0])
            await anyio.sleep(0.5)
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    answer += await deaf.receive()
        assert len(answer) < length
        tasks.cancel_scope.cancel()


async def test_many_slow_clients_do_not_hold_up_a_probe(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with serving(bus) as client, bus.running():
        slow = [await connect(client) for _ in range(150)]
        for each in slow[-100:]:
            await each.send(GET_METRICS[:20])
        with anyio.fail_after(4):  # below the 5 seconds after which they are closed
            assert (await client.get("/readyz")).status_code == 200
    for each in slow:
        await each.aclose()


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ],
)
async def test_what_is_no_request_of_ours_gets_no_200_and_ends_nothing(make_bus: MakeBus, junk: bytes) -> None:
    bus = make_bus()
    async with serving(bus) as client, bus.running():
        stranger, answer = await connect(client), b""
        await stranger.send(junk)
        with anyio.move_on_after(0.3), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                answer += await stranger.receive()
        assert b" 200" not in answer
        assert b"Traceback" not in answer
        assert await statuses(client) == (200, 200)
    await stranger.aclose()


# ── how it begins and ends ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "192.0.2.1:9464", "example.org:9464"])
async def test_to_be_reached_from_elsewhere_has_to_be_asked_for(make_bus: MakeBus, bind: str) -> None:
    with pytest.raises(ValueError, match=r"there is no password: listen at 127\.0\.0\.1, or say exposed=True"):
        await serve_health(make_bus(), bind)


async def test_a_port_in_use_is_told_with_its_number(make_bus: MakeBus) -> None:
    async with serving(make_bus()) as client:
        port = client.base_url.port
        with pytest.raises(OSError, match=rf"cannot listen at 127\.0\.0\.1:{port} \(.*in use.*another port"):
            await serve_health(make_bus(), f"127.0.0.1:{port}")


async def test_a_host_that_nobody_knows_is_told(make_bus: MakeBus) -> None:
    with pytest.raises(OSError, match=r"cannot listen at nowhere\.invalid:1 "):
        await serve_health(make_bus(), "nowhere.invalid:1", exposed=True)


async def test_at_localhost_it_listens_at_what_that_stands_for(make_bus: MakeBus) -> None:
    async with serving(make_bus(), "localhost:0") as client:
        assert client.base_url.host == "localhost"
        assert (await client.get("/livez")).status_code == 503


async def test_without_anycorn_it_names_the_extra(make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anycorn", None)
    with pytest.raises(ModuleNotFoundError, match=r'needs anycorn .*pip install "tocsin\[web\]"'):
        await serve_health(make_bus())


async def test_cancelled_before_it_listens_it_ends(make_bus: MakeBus) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await serve_health(make_bus(), "127.0.0.1:0")
    assert scope.cancelled_caught


async def test_signals_are_left_to_the_program(make_bus: MakeBus) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    async with serving(make_bus()) as client:
        await client.get("/livez")
        assert [signal.getsignal(number) for number in numbers] == before


async def test_it_runs_under_a_supervisor_as_well(make_bus: MakeBus) -> None:
    bus, urls, is_up = make_bus(), list[str](), anyio.Event()

    async def health() -> None:
        async with anyio.create_task_group() as tasks:
            urls.append(await tasks.start(partial(serve_health, bus, "127.0.0.1:0")))
            is_up.set()

    plain = ChildSpec("plain", partial(serve_health, bus, "127.0.0.1:0"))
    async with Supervisor("daemon", [ChildSpec("health", health), plain]).running() as supervisor:
        with anyio.fail_after(30):
            await is_up.wait()
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{urls[0]}/livez")).status_code == 503
        assert [child.state for child in supervisor.which_children()] == ["running", "running"]
