"""`tocsin top` on a pseudo-terminal, as lines of JSON, and without either."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from attrs import define, field

from tests.cli.control.documents import document
from tocsin import EventBus
from tocsin.cli import main
from tocsin.cli._control._errors import NoDaemon
from tocsin.cli._control._rates import Rates
from tocsin.cli._control._socket import listen_at
from tocsin.cli._control._view import view_of
from tocsin.cli._control._watching import Watching
from tocsin.cli._exit_codes import AnswerCode

StartDaemon = Callable[[EventBus], Path]
pytestmark = pytest.mark.real_time
PATIENCE = 10.0  # seconds


def shop() -> EventBus:
    bus = EventBus("shop")

    async def handle(number: int) -> None: ...

    bus.subscribe(handle, int, name="charge")
    return bus


@define
class Terminal:
    """A terminal of 80 columns, and somebody in front of it."""

    master: int
    slave: int
    monkeypatch: pytest.MonkeyPatch
    seen: str = ""
    watcher: threading.Thread = field(factory=threading.Thread)

    def shows(self, path: Path, stdin: IO[Any] | None = None) -> int:
        """Run `tocsin top` on it, with other keys if *stdin* has them, and give the exit code."""
        with (
            self.monkeypatch.context() as patch,
            open(self.slave, "r+b", buffering=0, closefd=False) as keys,
            open(self.slave, "w", closefd=False) as out,
        ):
            patch.setattr("sys.stdin", stdin or keys)
            patch.setattr("sys.stdout", out)
            return main(["top", "--interval", "0.1", "--socket", str(path)])

    def then(self, *steps: Any) -> None:
        """Read what is shown until a word comes, then act, and so on: *steps* are words and functions by turns."""

        def watch() -> None:
            deadline = time.monotonic() + PATIENCE
            for word, act in zip(steps[::2], steps[1::2], strict=True):
                while word not in self.seen and time.monotonic() < deadline:
                    if select.select([self.master], [], [], 0.1)[0]:
                        self.seen += os.read(self.master, 10_000).decode(errors="replace")
                act()

        self.watcher = threading.Thread(target=watch)
        self.watcher.start()

    def types(self, *keys: str) -> Callable[[], object]:
        """Give the function that types *keys*, with a pause between them."""

        def act() -> None:
            for each in keys:
                os.write(self.master, each.encode())
                time.sleep(0.2)  # one key at a time, as a person presses them

        return act

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    found = Terminal(master, slave, monkeypatch)
    yield found
    found.watcher.join()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("keys", ["q", "xQ", "x q"])
def test_a_key_ends_it_and_the_terminal_is_as_it_was(start_daemon: StartDaemon, terminal: Terminal, keys: str) -> None:
    path, before = start_daemon(shop()), terminal.modes()
    terminal.then("q: quit", terminal.types(*keys.split()))
    assert terminal.shows(path) == AnswerCode.DONE
    assert "shop" in terminal.seen
    assert terminal.modes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(
    start_daemon: StartDaemon, terminal: Terminal, number: signal.Signals
) -> None:
    path, before = start_daemon(shop()), terminal.modes()
    terminal.then("q: quit", lambda: os.kill(os.getpid(), number))
    assert terminal.shows(path) == AnswerCode.DONE
    assert terminal.modes() == before


def test_it_goes_on_while_the_daemon_is_away(terminal: Terminal, tmp_path: Path, start_daemon: StartDaemon) -> None:
    path = start_daemon(shop())
    terminal.then("q: quit", path.unlink, "Trying again", terminal.types("q"))
    assert terminal.shows(path) == AnswerCode.DONE
    assert "no daemon listens at" in terminal.seen


def test_without_keys_it_ends_by_a_signal(start_daemon: StartDaemon, terminal: Terminal) -> None:
    path = start_daemon(shop())
    with open(os.devnull) as nothing:
        terminal.then("q: quit", lambda: os.kill(os.getpid(), signal.SIGINT))
        assert terminal.shows(path, nothing) == AnswerCode.DONE


def test_once_it_shows_one_screen_with_rates(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = start_daemon(shop())
    assert main(["top", "--once", "--interval", "0.1", "--socket", str(path)]) == AnswerCode.DONE
    out = capsys.readouterr().out
    assert out.startswith("shop: running, 0 published/s, 0 handled/s\n")
    assert "\x1b" not in out
    assert "quit" not in out


def test_as_json_once_it_is_one_line(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = start_daemon(shop())
    assert main(["top", "--once", "--json", "--interval", "0.1", "--socket", str(path)]) == AnswerCode.DONE
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["status"]["name"] == "shop"
    assert found["rates"]["actors"]["charge"] == {"handled": 0.0, "retried": 0.0, "dead_lettered": 0.0}


def test_as_json_it_goes_on_as_long_as_somebody_reads(
    start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = start_daemon(shop())
    reading, writing = os.pipe()
    lines: list[Any] = []

    def read() -> None:
        with open(reading) as reader:
            lines.append(json.loads(reader.readline()))
            path.unlink()
            while "error" not in lines[-1]:
                lines.append(json.loads(reader.readline()))

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main(["top", "--json", "--interval", "0.1", "--socket", str(path)]) == AnswerCode.DONE
    reader.join()
    assert lines[0]["rates"]["published"] is None
    assert lines[-1]["error"]["kind"] == "no_daemon"


def test_without_a_terminal_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == AnswerCode.USAGE
    assert capsys.readouterr().err.startswith("tocsin: standard output is no terminal: add --once")


def test_without_a_daemon_at_its_beginning_it_ends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["top", "--once", "--socket", str(tmp_path / "none")]) == AnswerCode.NO_DAEMON
    assert main(["top", "--once"]) == AnswerCode.NO_DAEMON
    assert "no daemon listens" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "nan", "-1", "4000"])
def test_an_interval_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    assert main(["top", f"--interval={seconds}"]) == AnswerCode.USAGE
    assert "must be seconds, from 0.1 to 3600" in capsys.readouterr().err


async def test_what_was_seen_stays_while_nobody_is_there(tmp_path: Path) -> None:
    with listen_at(tmp_path / "s.sock"):
        pass
    given = document()
    watching = Watching(tmp_path / "s.sock", 1.0, given, view_of(given))
    await watching.look()
    assert isinstance(watching.trouble, NoDaemon)
    assert (watching.view.name, watching.rates) == ("shop", Rates())
