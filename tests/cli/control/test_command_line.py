"""Commands that ask a daemon, as they are typed."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tocsin import EventBus, Reject
from tocsin.cli import main
from tocsin.cli._control import _asking
from tocsin.cli._control._asking import failure
from tocsin.cli._control._commands import COMMANDS
from tocsin.cli._control._errors import BrokenConversation, ControlError
from tocsin.cli._control._server import ControlServer
from tocsin.cli._control._socket import listen_at
from tocsin.cli._exit_codes import ANSWER_MEANINGS, AnswerCode, table

StartDaemon = Callable[[EventBus], Path]
PAGE = Path(__file__).parents[3] / "docs" / "control.md"
pytestmark = pytest.mark.real_time


# ── exit codes ──


def test_every_code_has_a_meaning() -> None:
    assert {str(int(code)) for code in AnswerCode} <= ANSWER_MEANINGS.keys()


def test_the_table_fits_into_a_terminal() -> None:
    assert max(map(len, table(ANSWER_MEANINGS).splitlines())) <= 80


@pytest.mark.parametrize("code", ANSWER_MEANINGS)
def test_the_documentation_has_every_code(code: str) -> None:
    assert f"| `{code}` |" in PAGE.read_text(encoding="utf-8")


# ── which daemon ──


def test_the_daemon_at_the_socket_that_is_named_is_asked(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    path = start_daemon(EventBus("shop"))
    assert main(["status", "--socket", str(path)]) == AnswerCode.DONE
    assert capsys.readouterr().out.startswith(f"shop: running, process {os.getpid()}\n")


def test_the_environment_names_it_too(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_SOCKET", str(start_daemon(EventBus("shop"))))
    assert main(["status"]) == AnswerCode.DONE
    assert capsys.readouterr().out.startswith("shop: running")


def test_the_only_one_at_a_default_place_is_found(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = start_daemon(EventBus("shop"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(path.parent))
    path.parent.chmod(0o700)
    assert main(["status"]) == AnswerCode.DONE
    assert capsys.readouterr().out.startswith("shop: running")


def test_without_a_daemon_it_is_told_in_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status", "--socket", str(tmp_path / "none\x1b.sock")]) == AnswerCode.NO_DAEMON
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tocsin: no daemon listens at ")
    assert "none\\x1b.sock: No such file" in err


def test_of_several_one_must_be_named(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(start_daemon(EventBus("shop")).parent))
    start_daemon(EventBus("till")).parent.chmod(0o700)
    assert main(["status"]) == AnswerCode.USAGE
    assert "2 daemons listen, name the socket of one with --socket" in capsys.readouterr().err


# ── answers ──


def test_as_json_an_answer_is_one_value_in_ascii(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = start_daemon(EventBus("sh\x1b[31mo\u00f6p"))
    assert main(["status", "--json", "--socket", str(path)]) == AnswerCode.DONE
    out, err = capsys.readouterr()
    assert out.isascii()
    assert json.loads(out)["name"] == "sh\x1b[31mo\u00f6p"
    assert err == ""


def test_as_json_the_trouble_is_a_value_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status", "--json", "--socket", str(tmp_path / "none.sock")]) == AnswerCode.NO_DAEMON
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "no_daemon"


def test_a_refusal_is_told(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = start_daemon(EventBus("shop"))
    options = _asking.Asking(socket=path, json=True)
    assert _asking.answer(options, "statsu", None, str) == AnswerCode.REFUSED
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "unknown_command"
    assert err == "tocsin: there is no command statsu: did you mean status?\n"


def test_an_answer_of_another_version_is_told(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def confused(document: object) -> str:
        raise BrokenConversation("the answer is no object")

    path = start_daemon(EventBus("shop"))
    assert _asking.answer(_asking.Asking(socket=path), "status", None, confused) == AnswerCode.BROKEN
    assert capsys.readouterr().err == "tocsin: the answer is no object\n"


def test_trouble_that_has_no_code_is_an_error_of_ours() -> None:
    with pytest.raises(ControlError, match="new"):
        failure(_asking.Asking(), ControlError("new"))


def test_a_reader_that_leaves_in_the_middle_is_no_failure(
    start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = socket.socketpair()
    reader.close()
    with writer, writer.makefile("w", buffering=1) as gone:
        monkeypatch.setattr("sys.stdout", gone)
        assert main(["status", "--json", "--socket", str(start_daemon(EventBus("shop")))]) == AnswerCode.DONE


@pytest.mark.parametrize("seconds", ["nan", "0", "-1", "1e9", "inf"])
def test_a_time_limit_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    assert main(["status", f"--timeout={seconds}"]) == AnswerCode.USAGE
    assert "must be seconds, above 0 and up to 86400" in capsys.readouterr().err


# ── actors ──


def shop(**settings: Any) -> EventBus:
    bus = EventBus("shop")

    async def handle(number: int) -> None:
        await anyio.sleep(60.0)

    for name in ("charge", "mail"):
        bus.subscribe(handle, int, name=name, grace_period=0.1, **settings)
    return bus


def test_actors_are_paused_and_the_status_says_so(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(start_daemon(shop()))
    assert main(["actors", "pause", "char", "mail", "--socket", path]) == AnswerCode.DONE
    assert capsys.readouterr().out == "charge: paused\nmail: paused\n"
    main(["actors", "resume", "mail", "--socket", path])
    main(["status", "--socket", path])
    out = capsys.readouterr().out
    assert "charge  running, paused" in out
    assert "mail    running  " in out


def test_what_was_not_done_to_an_actor_is_told(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    bus = shop()
    path = start_daemon(bus)
    late = EventBus("late")
    late.subscribe(_handle, int, name="a\x1bb")
    with listening(late, path.with_name("late.sock")) as other:
        assert main(["actors", "pause", "*", "--socket", str(other)]) == AnswerCode.REFUSED
    assert capsys.readouterr().out.startswith("a\\x1bb: not paused: bus 'late' is not running")


async def _handle(number: int) -> None: ...


@contextmanager
def listening(bus: EventBus, path: Path) -> Generator[Path]:
    """Serve the control socket of a bus that does not run."""
    with listen_at(path) as socket, start_blocking_portal() as portal:
        server = portal.start_task_soon(ControlServer(bus, COMMANDS, socket).serve)
        yield path
        server.cancel()


# ── publish ──


def test_an_event_is_published_and_it_is_told_who_takes_it(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(start_daemon(shop()))
    assert main(["publish", "int", "-5", "--header", "a=b=c", "--socket", path]) == AnswerCode.DONE
    out = capsys.readouterr().out
    assert re.fullmatch(r"published builtins\.int as \w{32}: taken by charge, mail\n", out)


def test_an_event_is_read_from_standard_input(
    start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("7\n"))
    path = str(start_daemon(shop()))
    assert main(["publish", "int", "-", "--json", "--socket", path]) == AnswerCode.DONE
    assert json.loads(capsys.readouterr().out)["accepted"] == ["charge", "mail"]


def test_an_event_that_nobody_wants_is_told(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(start_daemon(shop()))
    assert main(["publish", "Event", '{"type": "a.b"}', "--socket", path]) == AnswerCode.REFUSED
    assert capsys.readouterr().out.endswith(": nobody wants it\n")


def test_who_has_no_room_is_told(start_daemon: StartDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(start_daemon(shop(mailbox=1, overflow=Reject(), timeout=None)))
    ends = {main(["publish", "int", "7", "--timeout", "0.5", "--socket", path]) for _ in range(3)}
    assert ends == {AnswerCode.DONE, AnswerCode.REFUSED}
    assert capsys.readouterr().out.endswith(": not taken by charge, mail, as there was no room\n")


@pytest.mark.parametrize("data", ["{nope", "", "\x1b"])
def test_what_is_no_json_is_refused_before_anybody_is_asked(capsys: pytest.CaptureFixture[str], data: str) -> None:
    assert main(["publish", "int", data]) == AnswerCode.USAGE
    err = capsys.readouterr().err
    assert "is no JSON" in err
    assert "\x1b" not in err


def test_a_header_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "int", "7", "--header", "ab"]) == AnswerCode.USAGE
    assert "header=ab: must be NAME=VALUE." in capsys.readouterr().err
