"""Whole daemons that fail, are killed and run again, and what `tocsin dlq` does between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define

from tests.cli.test_processes import PATIENCE, environment
from tocsin.durable._visiting import visiting

WriteModule = Callable[[str, str], Path]
Start = Callable[..., "Daemon"]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
pytestmark = [pytest.mark.real_time, pytest.mark.slow]

SHOP = """
    import os
    from attrs import frozen
    from tocsin import EventBus, RetryPolicy

    bus = EventBus("shop", dead_letter_undeliverable=True)

    @frozen
    class Order:
        number: int

    @bus.subscriber(Order, name="ship", durable=True, retry=RetryPolicy(max_attempts=1))
    async def ship(order):
        if "FAIL" in os.environ:
            raise ValueError("no stock\\x1b[31m")
        os.write(2, f"shipped {order.number}\\n".encode())
"""


@pytest.fixture
def folder(write_module: WriteModule) -> Path:
    return write_module("written_shop", SHOP)


@define
class Daemon:
    """A process that runs the shop on its file, and what it writes."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def is_up(self) -> None:
        """Wait until its actors run."""
        deadline = time.monotonic() + PATIENCE
        while '"running"' not in tocsin("status", "--json", "--socket", str(self.folder / "c")).stdout:
            assert time.monotonic() < deadline, self.log.read_text()

    def ends(self, number: signal.Signals | None = None) -> int:
        """Send it a signal, wait for its end, and give its return code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `tocsin run` for the shop, on its file, with its control socket."""
    started: list[Daemon] = []

    def start(backend: str, **more: str) -> Daemon:
        command = [sys.executable, "-P", "-m", "tocsin", "run", "written_shop:bus", "--app-dir", str(folder)]
        options = ["--backend", backend, "--control", str(folder / "c"), "--store", str(folder / "bus.db")]
        log = folder / f"log-{len(started)}"
        with log.open("wb") as file:
            process = subprocess.Popen([*command, *options], stderr=file, env=environment(**more))
        started.append(Daemon(process, folder, log))
        return started[-1]

    yield start
    for daemon in started:
        with daemon.process:
            daemon.process.kill()


def tocsin(*tokens: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tocsin", *tokens]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)


def publish(folder: Path, *numbers: int) -> None:
    for number in numbers:
        done = tocsin("publish", "Order", json.dumps({"number": number}), "--socket", str(folder / "c"))
        assert done.returncode == 0, done.stderr


def fails(folder: Path, *numbers: int) -> None:
    """Publish orders of *numbers*, and wait until each is a dead letter."""
    publish(folder, *numbers)
    deadline = time.monotonic() + PATIENCE
    while len(ids(tocsin("dlq", "list", "--json", "--socket", str(folder / "c")))) < len(numbers):
        assert time.monotonic() < deadline


def ids(done: subprocess.CompletedProcess[str]) -> list[int]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


@BACKENDS
def test_what_failed_before_a_kill_is_replayed_in_the_file_and_handled_by_the_next_run(
    start: Start, folder: Path, backend: str
) -> None:
    daemon = start(backend, FAIL="1")
    daemon.is_up()
    fails(folder, 1, 2)
    assert daemon.ends(signal.SIGKILL) == -signal.SIGKILL
    store = ["--store", str(folder / "bus.db")]
    files = [folder / "bus.db", folder / "bus.db-wal"]
    before = [each.read_bytes() for each in files]
    assert ids(tocsin("dlq", "list", "--json", *store)) == [1, 2]
    shown = tocsin("dlq", "show", "1", *store)
    assert "no stock\\x1b[31m" in shown.stdout
    assert tocsin("dlq", "list", "--socket", str(folder / "c")).returncode == 69
    assert [each.read_bytes() for each in files] == before
    assert tocsin("dlq", "replay", *store).stdout == "2 dead letters replayed: 1, 2\n"
    daemon = start(backend)
    daemon.is_up()
    assert daemon.ends(signal.SIGTERM) == 0
    lines = daemon.log.read_text().splitlines()
    assert [line for line in lines if line.startswith("shipped")] == ["shipped 1", "shipped 2"]
    assert ids(tocsin("dlq", "list", "--json", *store)) == []


@BACKENDS
def test_a_daemon_that_runs_is_asked_and_its_file_is_not_touched(start: Start, folder: Path, backend: str) -> None:
    daemon = start(backend, FAIL="1")
    daemon.is_up()
    fails(folder, 1, 2, 3)
    socket, store = ["--socket", str(folder / "c")], ["--store", str(folder / "bus.db")]
    for verb in (["list"], ["purge", "1"], ["replay"]):
        done = tocsin("dlq", *verb, *store)
        assert done.returncode == 69
        assert "leave --store out" in done.stderr
    assert ids(tocsin("dlq", "list", "--json", *socket)) == [1, 2, 3]
    assert tocsin("dlq", "purge", "1", *socket).stdout == "1 dead letter purged: 1\n"
    assert tocsin("dlq", "replay", "2", *socket).stdout == "1 dead letter replayed: 2\n"
    assert daemon.ends(signal.SIGTERM) == 0
    assert ids(tocsin("dlq", "list", "--json", *store)) == [3, 4]


@BACKENDS
def test_while_a_purge_has_the_file_the_daemon_does_not_start_and_then_it_does(
    start: Start, folder: Path, backend: str
) -> None:
    daemon = start(backend)
    daemon.is_up()
    assert daemon.ends(signal.SIGTERM) == 0
    with visiting(folder / "bus.db", changes=True):
        assert start(backend).ends() == 69
    start(backend).is_up()


@BACKENDS
def test_a_purge_that_is_killed_before_its_commit_has_purged_nothing(start: Start, folder: Path, backend: str) -> None:
    daemon = start(backend, FAIL="1")
    daemon.is_up()
    fails(folder, 1)
    assert daemon.ends(signal.SIGKILL) == -signal.SIGKILL
    store = folder / "bus.db"
    code = f"""
import os
from pathlib import Path
from tocsin.durable import ForgetLetters
from tocsin.durable._visiting import visiting
with visiting(Path({str(store)!r}), changes=True) as visit:
    visit.apply([ForgetLetters((1,))])
    os.kill(os.getpid(), {signal.SIGKILL})
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment()}, check=False)
    assert ids(tocsin("dlq", "list", "--json", "--store", str(store))) == [1]
