"""Whole daemons as a user or a service manager starts them: real processes, signals, terminals and sockets."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field

ROOT = Path(__file__).resolve().parents[2]
WriteModule = Callable[[str, str], Path]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
pytestmark = [pytest.mark.real_time, pytest.mark.slow]
PATIENCE = 60.0  # seconds, for machines on which everything is slow
A_MOMENT = 0.3  # seconds; two signals that come together are one

SHOP = """
    import logging, os, time, anyio
    from tocsin import EventBus, RestartIntensity, handles

    bus = EventBus("shop")

    @bus.actor(name="work", timeout=None, intensity=RestartIntensity(0))
    class Work:
        async def started(self):
            await bus.publish_many(range(int(os.environ.get("COUNT", "0"))))

        @handles(int)
        async def work(self, number):
            await anyio.sleep(float(os.environ.get("SECONDS", "0.01")))

    @bus.subscriber(str)
    async def misbehave(what):
        if what == "block":
            await anyio.sleep(0.5)
            logging.getLogger("shop").warning("blocking")
            time.sleep(60)  # it blocks its loop: that is the trouble
        if what == "exit":
            raise SystemExit(42)

    @bus.actor(name="at start")
    class AtStart:
        async def started(self):
            if "EVENT" in os.environ:
                await bus.publish(os.environ["EVENT"])

        @handles(bytes)
        async def never(self, event): ...
"""


def environment(**more: str) -> dict[str, str]:
    """Give the variables of a child: this checkout on the path of modules, and bytecode where it does not disturb."""
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors")])
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_RUN_")}
    return {**cleared, "PYTHONPATH": paths, **more}


@define
class Child:
    process: subprocess.Popen[str]
    log: list[str] = field(factory=list[str])
    _more: str = field(default="", init=False)  # was read behind the last line of `log`

    def reads_until(self, word: str) -> None:
        """Read its log until a line with *word*."""
        deadline = time.monotonic() + PATIENCE
        while not (self.log and word in self.log[-1]):
            line = self._line(deadline)
            assert line, f"it has not logged {word!r}, only {self.log}"
            self.log.append(line)

    def ends(self) -> int:
        """Wait for its end, and give its return code."""
        _, rest = self.process.communicate(timeout=PATIENCE)
        self.log += (self._more + rest).splitlines()
        return self.process.returncode

    def _line(self, deadline: float) -> str:
        # Past the buffers of Python, whose lines `select` does not see.
        assert self.process.stderr is not None
        while "\n" not in self._more:
            ready, _, _ = select.select([self.process.stderr], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self.process.stderr.fileno(), 65536) if ready else b""
            if not piece:
                return ""
            self._more += piece.decode()
        line, end, self._more = self._more.partition("\n")
        return line + end


@pytest.fixture
def start(write_module: WriteModule) -> Iterator[Callable[..., Child]]:
    """Start `tocsin run` for the shop."""
    folder = write_module("written_shop", SHOP)
    started: list[Child] = []

    def start(*options: str, cwd: Path | None = None, **more: str) -> Child:
        command = [sys.executable, "-P", "-m", "tocsin", "run", "written_shop:bus", "--app-dir", str(folder), *options]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment(**more), cwd=cwd or folder
        )
        started.append(Child(process))
        return started[-1]

    yield start
    for child in started:
        with child.process:
            child.process.kill()


# ── signals ──


@BACKENDS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_drains_and_the_exit_code_is_0(
    start: Callable[..., Child], backend: str, number: signal.Signals
) -> None:
    child = start("--backend", backend, COUNT="20", SECONDS="0.02")
    child.reads_until("runs")
    child.process.send_signal(number)
    assert child.ends() == 0
    assert child.log[-1].endswith("stopped")


@BACKENDS
def test_a_signal_that_is_sent_twice_at_once_drains(start: Callable[..., Child], backend: str) -> None:
    child = start("--backend", backend, COUNT="20", SECONDS="0.02")
    child.reads_until("runs")
    child.process.send_signal(signal.SIGTERM)
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0


@BACKENDS
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_cuts_the_drain_short(
    start: Callable[..., Child], backend: str, number: signal.Signals, code: int
) -> None:
    child = start("--backend", backend, COUNT="1000", SECONDS="0.1")
    child.reads_until("runs")
    child.process.send_signal(number)
    child.reads_until("draining")
    time.sleep(A_MOMENT)  # or the next signal would be one with it
    child.process.send_signal(number)
    assert child.ends() == code
    assert "deliveries handed back" in child.log[-1]


@BACKENDS
def test_a_third_signal_ends_it_as_it_would_end_any_process(start: Callable[..., Child], backend: str) -> None:
    child = start("--backend", backend, COUNT="1000", SECONDS="50")
    child.reads_until("runs")
    child.process.send_signal(signal.SIGINT)
    child.reads_until("draining")
    time.sleep(A_MOMENT)  # or the next signal would be one with it
    child.process.send_signal(signal.SIGINT)
    child.reads_until("stopping")
    time.sleep(A_MOMENT)  # or the next signal would be one with it
    child.process.send_signal(signal.SIGINT)
    assert child.ends() == -signal.SIGINT  # which a shell shows as 130


@BACKENDS
def test_ctrl_c_does_not_reach_what_a_shell_runs_in_the_background(start: Callable[..., Child], backend: str) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does, for what it runs with `&`
    try:
        child = start("--backend", backend)
    finally:
        signal.signal(signal.SIGINT, before)
    child.reads_until("runs")
    child.process.send_signal(signal.SIGINT)
    time.sleep(A_MOMENT)  # so that it comes first
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0
    assert "SIGINT" not in "".join(child.log)


@BACKENDS
def test_a_drain_beyond_its_limit_has_an_exit_code_of_its_own(start: Callable[..., Child], backend: str) -> None:
    child = start("--backend", backend, "--drain-timeout", "0.1", COUNT="100", SECONDS="0.2")
    child.reads_until("runs")
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 75


@BACKENDS
def test_the_exit_code_of_a_handler_is_that_of_the_process(start: Callable[..., Child], backend: str) -> None:
    assert start("--backend", backend, EVENT="exit").ends() == 42


@BACKENDS
def test_sighup_reads_the_file_again(start: Callable[..., Child], backend: str, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text("[run]\ndrain-timeout = 20\n")
    child = start("--backend", backend, "--config", str(file), COUNT="100", SECONDS="0.2")
    child.reads_until("runs")
    file.write_text("[run]\ndrain-timeout = 0.1\n")
    child.process.send_signal(signal.SIGHUP)
    child.reads_until("drain_timeout 20.0 → 0.1")
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 75


@BACKENDS
def test_a_terminal_that_goes_away_drains_it(write_module: WriteModule, backend: str) -> None:
    folder = write_module("written_shop", SHOP)
    command = [sys.executable, "-P", "-m", "tocsin", "run", "written_shop:bus", "--app-dir", str(folder)]
    process, master = pty.fork()
    if process == 0:  # in the child, whose terminal it is
        os.execve(command[0], [*command, "--backend", backend], environment())
    seen = b""
    while b"runs" not in seen:
        assert select.select([master], [], [], PATIENCE)[0]
        seen += os.read(master, 1000)
    os.close(master)  # hangs up
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


# ── the service manager ──


@define
class Manager:
    """The end of a service manager: a bound socket, and what came."""

    listener: socket.socket
    address: str
    words: list[str] = field(factory=list[str])

    def hears(self, word: str) -> None:
        """Wait until *word* has come."""
        while word not in self.words:
            self.words += self.listener.recv(4096).decode().split("\n")

    def hears_nothing_of(self, word: str, seconds: float) -> bool:
        """Listen for *seconds*, and say that *word* has not come in them."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.listener.settimeout(left)
            try:
                if word in self.listener.recv(4096).decode():
                    return False
            except TimeoutError:
                break
        return True


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(PATIENCE)
        yield Manager(listener, address)


@BACKENDS
def test_a_service_manager_hears_everything_in_its_order(
    start: Callable[..., Child], manager: Manager, backend: str
) -> None:
    child = start(
        "--backend", backend, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000", COUNT="50", SECONDS="0.05"
    )
    manager.hears("WATCHDOG=1")
    child.process.send_signal(signal.SIGHUP)
    manager.hears("RELOADING=1")
    child.process.send_signal(signal.SIGTERM)
    manager.hears("STATUS=stopped")
    assert child.ends() == 0
    order = [word for word in manager.words if re.match("READY|RELOADING|STOPPING", word)]
    assert order == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert manager.words[0] == "READY=1"
    assert any(word.startswith("MONOTONIC_USEC=") for word in manager.words)
    assert any(word.startswith("EXTEND_TIMEOUT_USEC=") for word in manager.words[manager.words.index("STOPPING=1") :])


@BACKENDS
def test_a_loop_that_is_blocked_does_not_pet_the_watchdog(
    start: Callable[..., Child], manager: Manager, backend: str
) -> None:
    child = start("--backend", backend, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000", EVENT="block")
    manager.hears("WATCHDOG=1")
    child.reads_until("blocking")
    manager.hears_nothing_of("(what was told before)", 0.5)
    assert manager.hears_nothing_of("WATCHDOG=1", 1.0)


# ── what is imported ──


@BACKENDS
def test_a_hostile_module_in_the_current_directory_is_not_imported(
    start: Callable[..., Child], tmp_path: Path, backend: str
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("json", "anyio", "cyclopts", "sitecustomize"):
        (hostile / f"{name}.py").write_text("import os\nos.write(2, b'IMPORTED\\n')\nos._exit(99)\n")
    child = start("--backend", backend, cwd=hostile)
    child.reads_until("runs")
    child.process.send_signal(signal.SIGTERM)
    assert child.ends() == 0
    assert "IMPORTED" not in "".join(child.log)


def test_the_installed_script_does_the_same(tmp_path: Path) -> None:
    """What an installer makes of `tocsin = "tocsin.cli:main"`: its own directory is in front of the path."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "tocsin"
    script.write_text("import sys\nfrom tocsin.cli import main\nsys.exit(main())\n")
    (tmp_path / "json.py").write_text("raise SystemExit(99)\n")
    (tmp_path / "written_shop.py").write_text("raise SystemExit(98)\n")
    command = [sys.executable, str(script), "run", "written_shop:bus", "--check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 78
    assert "add --app-dir ." in done.stderr


def test_a_broken_import_is_told_in_a_few_lines_with_the_one_that_failed(tmp_path: Path) -> None:
    (tmp_path / "written_broken.py").write_text("import json\n\njson.loads('{')\n")
    command = [sys.executable, "-P", "-m", "tocsin", "run", "written_broken:bus", "--app-dir", str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) <= 12
    assert "written_broken.py:3, in <module>\n      json.loads('{')" in done.stderr
    assert "Traceback" not in done.stderr


# ── --reload ──


@BACKENDS
def test_a_touched_file_starts_it_again(start: Callable[..., Child], tmp_path: Path, backend: str) -> None:
    child = start("--backend", backend, "--reload", "--reload-dir", str(tmp_path))
    child.reads_until("runs")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:  # nobody says when the watching has begun
        (tmp_path / "touched.py").write_text(f"# {time.monotonic()}")
        assert child.process.stderr is not None
        if select.select([child.process.stderr], [], [], 1.0)[0]:
            break
    child.reads_until("changed: touched.py")
    child.reads_until("draining")
    child.reads_until("runs")
    child.process.send_signal(signal.SIGINT)
    assert child.ends() == 0


def test_check_runs_nothing_and_says_by_its_exit_code_whether_there_are_findings(write_module: WriteModule) -> None:
    folder = write_module("written_shop", SHOP)
    command = [sys.executable, "-P", "-m", "tocsin", "run", "written_shop:bus", "--app-dir", str(folder), "--check"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0
    assert done.stdout == "shop: 3 subscriptions, 0 groups; 0 warnings, 0 notes\n"
    slow = [*command, "--shutdown-deadline", "0.1"]
    done = subprocess.run(slow, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stdout.startswith("warning: shop: ")
