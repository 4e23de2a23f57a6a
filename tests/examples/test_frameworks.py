"""The examples of frameworks, each in a process of its own behind a real server: what is accepted is found again."""

from __future__ import annotations

import json
import lzma
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from attrs import define, field

from examples.webhooks.feed import ARCHIVE

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds, for machines on which everything is slow
pytestmark = [pytest.mark.real_time, pytest.mark.slow]

UVICORN, ON_ASYNCIO, ON_TRIO = "uvicorn", "anycorn on asyncio", "anycorn on trio"
# The example, what it needs besides the servers, and on which of these it runs.
EXAMPLES = {
    "with_fastapi:app": ("fastapi", (UVICORN, ON_TRIO)),
    "with_starlette:app": ("starlette", (UVICORN, ON_ASYNCIO, ON_TRIO)),
    "with_litestar:app": ("litestar", (UVICORN, ON_TRIO)),
    "with_quart_trio:application": ("quart_trio", (ON_TRIO,)),
    "with_django:application": ("django", (UVICORN,)),
}


def is_missing(package: str) -> bool:
    return find_spec(package) is None


EACH = pytest.mark.parametrize(
    ("example", "host"),
    [
        pytest.param(
            example,
            host,
            id=f"{example.partition(':')[0]}, {host}",
            marks=[
                pytest.mark.skipif(is_missing(each), reason=f"{each} is not installed")
                for each in (package, "uvicorn", "anycorn")
            ],
        )
        for example, (package, hosts) in EXAMPLES.items()
        for host in hosts
    ],
)


@define
class Server:
    """An example that is being served."""

    process: subprocess.Popen[str]
    client: httpx2.Client
    example: str
    log: list[str] = field(factory=list[str])
    lines: queue.Queue[str] = field(factory=queue.Queue[str])

    def post(self, name: str) -> int:
        """Send an event, and give the status of the answer."""
        if self.example.startswith("with_fastapi"):
            return self.post_webhook(
                {"delivery": name, "event": "ping", "payload": {"zen": "Keep it logically awesome."}}
            )
        return self.client.post("/orders", json={"order_id": name}).status_code

    def post_webhook(self, webhook: dict[str, Any]) -> int:
        """Send a webhook as GitHub does."""
        headers = {"X-GitHub-Event": webhook["event"], "X-GitHub-Delivery": webhook["delivery"]}
        return self.client.post("/webhooks", json=webhook["payload"], headers=headers).status_code

    def ended(self) -> dict[str, Any]:
        """Wait for the end, and give the account that it prints."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.wait(PATIENCE)
        self.reads_until("^$")
        assert out, "".join(self.log)
        account: dict[str, Any] = json.loads(out.splitlines()[-1])
        return account

    def reads_until(self, pattern: str) -> re.Match[str]:
        """Read the log until a line with *pattern*; an empty one stands for its end."""
        while True:
            line = self.lines.get(timeout=PATIENCE)
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
            assert line, f"it has not said {pattern!r}:\n{''.join(self.log)}"

    def read_log(self) -> None:
        """Take over what it writes, so that it never waits for us."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(line)
        self.lines.put("")


@pytest.fixture
def serve() -> Iterator[Callable[[str, str], Server]]:
    """Serve modules by `serve(target, host)`; what still runs at the end of the test is killed."""
    started: list[Server] = []

    def start(target: str, host: str) -> Server:
        paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors"), str(ROOT)])
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-P", "-m", "tests.examples.hosting", host, target],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        client = httpx2.Client(trust_env=False, timeout=30)
        server = Server(process, client, target.rpartition(".")[2])
        started.append(server)
        threading.Thread(target=server.read_log, daemon=True).start()
        client.base_url = server.reads_until(r"unning on (http://[\d.:]+)").group(1)
        return server

    yield start
    for server in started:
        server.client.close()
        server.process.kill()
        server.process.wait()
        for pipe in (server.process.stdout, server.process.stderr):
            assert pipe is not None
            pipe.close()


def example_of(name: str) -> str:
    return f"examples.frameworks.{name}"


@EACH
def test_what_was_accepted_when_sigterm_came_is_handled_before_the_end(
    example: str, host: str, serve: Callable[[str, str], Server]
) -> None:
    server = serve(example_of(example), host)
    accepted, is_half = Counter[int](), threading.Event()

    def keep_posting() -> None:
        with suppress(httpx2.TransportError):  # which means that the server has closed its door
            for number in range(2000):
                accepted[server.post(f"o-{number}")] += 1
                if number == 60:
                    is_half.set()

    poster = threading.Thread(target=keep_posting)
    poster.start()
    assert is_half.wait(PATIENCE)
    assert server.client.get("/health/livez").status_code == 200
    assert server.client.get("/health/readyz").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    account = server.ended()
    poster.join(PATIENCE)

    assert accepted[202] > 60
    assert set(accepted) <= {202, 503}
    # The answer to the last one may not have arrived.
    assert accepted[202] <= account["published"] <= accepted[202] + 1
    assert account["matched"] == account["handled"] == 2 * account["published"]
    assert account["balanced"]
    assert (account["returned"], account["live"], server.process.returncode) == (0, 0, 0), server.log


@EACH
def test_a_bus_that_gives_up_ends_the_process_and_accepts_nothing_meanwhile(
    example: str, host: str, serve: Callable[[str, str], Server]
) -> None:
    server = serve(example_of(example), host)
    assert server.post("o-1") == 202
    assert server.post("doom") == 202
    server.reads_until("CRITICAL.*the bus has ended by itself.*; SIGTERM to this process")
    statuses = list[int]()
    with suppress(httpx2.TransportError):  # it may be quick
        statuses += [server.post("too late"), server.client.get("/health/livez").status_code]
    account = server.ended()

    assert set(statuses) <= {503}
    assert account["published"] == 2
    assert account["balanced"]
    assert account["live"] == 0
    assert "RestartIntensityExceeded" in "".join(server.log)


@pytest.mark.parametrize("host", EXAMPLES["with_fastapi:app"][1])
@pytest.mark.skipif(is_missing("fastapi") or is_missing("uvicorn"), reason="fastapi or uvicorn is not installed")
def test_all_recorded_webhooks_are_received_over_http_and_handled(
    host: str, serve: Callable[[str, str], Server]
) -> None:
    server = serve(example_of("with_fastapi:app"), host)
    with lzma.open(ARCHIVE) as lines:
        recorded = [json.loads(line) for line in lines]
    of_repositories = Counter(
        each["payload"]["repository"]["full_name"] for each in recorded if "repository" in each["payload"]
    )

    assert {server.post_webhook(each) for each in recorded} == {202}
    deadline = time.monotonic() + PATIENCE
    best: list[dict[str, Any]] = []
    while sum(each["webhooks"] for each in best) < of_repositories.total() and time.monotonic() < deadline:
        best = server.client.get("/repositories", params={"limit": 1000}).json()
    assert {each["repository"]: each["webhooks"] for each in best} == of_repositories
    server.process.send_signal(signal.SIGTERM)
    account = server.ended()

    assert account["published"] == len(recorded) == 329
    assert account["matched"] == account["handled"]
    assert account["balanced"]
