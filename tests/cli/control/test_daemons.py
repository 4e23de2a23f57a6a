"""Whole daemons and whole commands, each in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_processes import PATIENCE, Child, environment

WriteModule = Callable[[str, str], Path]
Start = Callable[..., Child]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
pytestmark = [pytest.mark.real_time, pytest.mark.slow]

SHOP = """
    import anyio
    from tocsin import EventBus, handles

    bus = EventBus("shop")

    @bus.actor(name="work", timeout=None)
    class Work:
        async def started(self):
            await anyio.sleep(0.5)

        @handles(float)
        async def work(self, seconds):
            await anyio.sleep(seconds)
"""


@pytest.fixture
def folder(write_module: WriteModule) -> Path:
    return write_module("written_shop", SHOP)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


@pytest.fixture
def start(folder: Path, path: Path) -> Iterator[Start]:
    """Start `tocsin run` for the shop."""
    started: list[Child] = []

    def start(backend: str, *options: str) -> Child:
        command = [sys.executable, "-P", "-m", "tocsin", "run", "written_shop:bus", "--app-dir", str(folder)]
        options = ("--backend", backend, "--control", str(path), *options)
        child = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, bufsize=1, env=environment())
        started.append(Child(child))
        return started[-1]

    yield start
    for child in started:
        with child.process:
            child.process.kill()


def tocsin(*tokens: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tocsin", *tokens]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)


def ask(path: Path, command: str, **params: Any) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        client.sendall(json.dumps({"command": command, "params": params}).encode() + b"\n")
        return json.loads(client.makefile().readline())["result"]


@BACKENDS
def test_it_answers_while_it_starts_runs_and_drains(start: Start, path: Path, backend: str) -> None:
    child = start(backend)
    child.reads_until("control socket")
    assert ask(path, "status")["phase"] in ("new", "starting")
    child.reads_until("runs")
    assert ask(path, "status")["phase"] == "running"
    ask(path, "publish", type="float", data=2.0)
    child.process.send_signal(signal.SIGTERM)
    child.reads_until("draining")
    assert ask(path, "status")["phase"] == "draining"
    assert child.ends() == 0
    assert not path.exists()


@BACKENDS
def test_clients_that_hang_do_not_hold_up_the_end(start: Start, path: Path, backend: str) -> None:
    child = start(backend)
    child.reads_until("runs")
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(40)]  # more than may be
    for client in clients:
        client.connect(str(path))
    clients[0].sendall(b'{"command":"status"}\n' * 10_000)  # and reads nothing
    clients[1].sendall(b'{"command"')
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0
    for client in clients:
        client.close()


@BACKENDS
def test_what_a_killed_daemon_leaves_is_replaced_and_a_living_one_is_not(
    start: Start, path: Path, backend: str
) -> None:
    first = start(backend)
    first.reads_until("runs")
    second = start(backend)
    assert second.ends() == 73
    assert f"another daemon listens at {path}" in second.log[-1]
    first.process.kill()
    first.ends()
    assert path.exists()
    third = start(backend)
    third.reads_until("runs")
    assert ask(path, "status")["process"] == third.process.pid


@BACKENDS
def test_commands_do_what_they_say(start: Start, path: Path, backend: str) -> None:
    child = start(backend)
    child.reads_until("runs")
    where = ("--socket", str(path))
    assert tocsin("actors", "pause", "work", *where).stdout == "work: paused\n"
    done = tocsin("publish", "float", "0.01", *where)
    assert (done.returncode, done.stdout.endswith("taken by work\n")) == (0, True)
    assert "work  running, paused         0   1/1000" in tocsin("status", *where).stdout
    assert tocsin("actors", "resume", "w*", *where).stdout == "work: resumed\n"
    top = json.loads(tocsin("top", "--once", "--json", *where).stdout)
    assert top["status"]["subscriptions"]["work"]["handled"] == 1
    assert tocsin("actors", "stop", "work", *where).stdout == "work: stopped\n"
    assert tocsin("actors", "restart", "work", *where).stdout == "work: restarted\n"
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0
    assert tocsin("status", *where).returncode == 69


@BACKENDS
def test_a_daemon_whose_loop_is_blocked_is_told_of(start: Start, path: Path, backend: str) -> None:
    child = start(backend)
    child.reads_until("runs")
    child.process.send_signal(signal.SIGSTOP)
    done = tocsin("status", "--timeout", "0.5", "--socket", str(path))
    child.process.send_signal(signal.SIGCONT)
    assert done.returncode == 76
    assert "its event loop may be blocked" in done.stderr
