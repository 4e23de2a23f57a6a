"""`--http`: what is served around a bus that runs as a daemon, over real sockets."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute

from tocsin import ChildStartError, EventBus
from tocsin.cli import main
from tocsin.cli._exit_codes import ExitCode
from tocsin.cli._ground import ground
from tocsin.cli._options import RunOptions

WriteModule = Callable[[str, str], Path]
pytestmark = pytest.mark.real_time
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def answer_of(port: int, route: str) -> str:
    """Give the status of the answer of whoever listens at *port*."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"GET {route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return (await stream.receive()).split()[1].decode()


def port_told(caplog: pytest.LogCaptureFixture) -> int:
    """Give the port in the line of the log that says where the health is."""
    told = next(message for message in caplog.messages if message.startswith("health at "))
    return int(told.partition("/livez")[0].rpartition(":")[2])


async def test_without_the_option_nothing_is_served(caplog: pytest.LogCaptureFixture) -> None:
    async with ground(EventBus("shop"), RunOptions()):
        assert caplog.messages == []


async def test_the_health_of_the_bus_is_served_before_and_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bus = EventBus("shop")
    async with ground(bus, RunOptions(http="127.0.0.1:0")):
        port = port_told(caplog)
        before = await answer_of(port, "/livez")
        async with bus.running():
            while_up = await answer_of(port, "/livez")
    assert (before, while_up) == ("503", "200")


async def test_afterwards_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with ground(EventBus("shop"), RunOptions(http="127.0.0.1:0")):
        port = port_told(caplog)
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp("127.0.0.1", port)


async def test_a_port_that_is_in_use_is_told_as_a_start_that_failed() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as taken:
        port = taken.extra(SocketAttribute.local_port)
        with pytest.raises(ChildStartError) as caught:
            async with ground(EventBus("shop"), RunOptions(http=f"127.0.0.1:{port}")):
                pass
    assert caught.value.failure is not None
    assert f"cannot listen at 127.0.0.1:{port}" in caught.value.failure.leaves[0]


@BACKENDS
def test_a_bus_whose_port_is_in_use_does_not_start(
    write_module: WriteModule, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_module(f"written_served_{backend}", 'from tocsin import EventBus\nbus = EventBus("shop")\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        tokens = ["run", f"written_served_{backend}:bus", "--app-dir", str(folder), "--backend", backend]
        assert main([*tokens, "--http", bind]) == ExitCode.NOT_STARTED
    assert "cannot listen at" in caplog.messages[-1]


def test_without_anycorn_the_option_is_refused_with_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def finds_nothing(name: str) -> None: ...

    monkeypatch.setattr(importlib.util, "find_spec", finds_nothing)
    assert main(["run", "shop:bus", "--http", "127.0.0.1:0"]) == ExitCode.USAGE
    assert "pip install 'tocsin[web]'" in capsys.readouterr().err
