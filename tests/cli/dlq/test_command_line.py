"""`tocsin dlq` as it is typed: with a daemon, and with the file of one."""

from __future__ import annotations

import io
import json
import os
import pty
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.dlq.conftest import daemons
from tests.cli.dlq.shops import fail, letter, run_again, shop
from tests.durable.stored import Order
from tocsin import EventBus
from tocsin.cli import main
from tocsin.cli._app_dlq import Filters, choice_of
from tocsin.cli._dlq._choice import Choice
from tocsin.cli._exit_codes import LETTER_MEANINGS, LetterCode, table
from tocsin.durable import SQLiteStore, _visiting
from tocsin_supervisors import DeadLetterReason

pytestmark = pytest.mark.real_time
StartDaemon = Callable[[EventBus], Path]
Capture = pytest.CaptureFixture[str]
PAGE = Path(__file__).parents[3] / "docs" / "dead-letters.md"


def half_known() -> EventBus:
    """Give a bus with letters 1 to 3, the last of which is of a subscription that it does not have."""
    bus = shop(handled=[])
    for number in (1, 2):
        bus.dead_letters.add(letter(event=Order(number)))
    bus.dead_letters.add(letter(event=Order(3), subscription="nobody"))
    return bus


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> list[str]:
    """Give what names a daemon that runs, with letters 1 to 3."""
    return ["--socket", str(start_daemon(half_known()))]


@pytest.fixture
def file(store: Path) -> list[str]:
    """Give what names a file, with letters 1 to 3."""
    return ["--store", str(store)]


@pytest.fixture(params=["daemon on asyncio", "daemon on trio", "file of asyncio", "file of trio"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Give what names either of the two."""
    what, _, backend = request.param.split()
    if what == "daemon":
        with daemons(backend, tmp_path) as start:
            yield ["--socket", str(start(half_known()))]
    else:
        fail(tmp_path / "bus.db", 1, 2, 3, backend=backend)
        yield ["--store", str(tmp_path / "bus.db")]


def dlq(*tokens: str) -> int:
    return main(["dlq", *tokens])


def ids(text: str) -> list[int]:
    return [json.loads(line)["id"] for line in text.splitlines()]


# ── exit codes ──


def test_every_code_has_a_meaning() -> None:
    assert {str(int(code)) for code in LetterCode} <= LETTER_MEANINGS.keys()


def test_the_table_fits_into_a_terminal() -> None:
    assert max(map(len, table(LETTER_MEANINGS).splitlines())) <= 80


@pytest.mark.parametrize("code", LETTER_MEANINGS)
def test_the_documentation_has_every_code(code: str) -> None:
    assert f"| `{code}` |" in PAGE.read_text(encoding="utf-8")


# ── filters ──


def test_filters_are_what_they_are_called() -> None:
    now = datetime(2026, 11, 27, 18, tzinfo=UTC)
    filters = Filters(
        actor="a", type="T", reason=DeadLetterReason.TIMEOUT, error="E", since="2h", until="2026-11-27", limit=3
    )
    assert choice_of((1,), filters, now) == Choice(
        ids=(1,),
        subscription="a",
        event_type="T",
        reason=DeadLetterReason.TIMEOUT,
        error_type="E",
        since=datetime(2026, 11, 27, 16, tzinfo=UTC),
        until=datetime(2026, 11, 27, tzinfo=UTC),
        limit=3,
    )


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["list", "0"], "the numbers of letters begin with 1"),
        (["show", "x"], "x"),
        (["show"], "ID"),
        (["list", "--since", "soon"], "must be a time such as"),
        (["list", "--limit", "0"], "must be a number of letters, 1 or more"),
        (["list", "--reason", "bad-luck"], "killed-process"),
        (["list", "--store", ""], "must be a file"),
        (["replay", "--rate", "0"], "must be letters per second, above 0"),
        (["replay", "--rate", "1", "--store", "x.db"], "--rate is for a daemon that runs"),
        (["purge", "--all", "--actor", "a"], "--all means all letters"),
        (["purge"], "which letters? Say --all"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tokens: list[str], message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert dlq(*tokens) == LetterCode.USAGE
    assert message in capsys.readouterr().err


# ── list and show ──


def test_letters_are_listed_in_columns(where: list[str], capsys: Capture) -> None:
    assert dlq("list", *where) == LetterCode.DONE
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "LAST", "FAILED", "ACTOR", "TYPE", "REASON", "TRIES", "ERROR"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]


def test_as_json_each_letter_is_a_line(where: list[str], capsys: Capture) -> None:
    assert dlq("list", "--json", "--limit", "2", *where) == LetterCode.DONE
    assert ids(capsys.readouterr().out) == [1, 2]


@pytest.mark.parametrize(("more", "text"), [((), "no dead letters"), (("--actor", "x"), "no dead letters are meant")])
def test_nothing_found_is_no_error_for_a_list(
    start_daemon: StartDaemon, more: tuple[str, ...], text: str, capsys: Capture
) -> None:
    assert dlq("list", *more, "--socket", str(start_daemon(EventBus("shop")))) == LetterCode.DONE
    assert capsys.readouterr().out == f"{text}\n"


def test_one_letter_is_shown(where: list[str], capsys: Capture) -> None:
    assert dlq("show", "2", *where) == LetterCode.DONE
    out = capsys.readouterr().out
    assert out.startswith("dead letter 2: ")
    assert out.endswith('  event\n    {\n      "number": 2\n    }\n')


def test_one_letter_is_shown_as_json(where: list[str], capsys: Capture) -> None:
    assert dlq("show", "2", "--json", *where) == LetterCode.DONE
    assert json.loads(capsys.readouterr().out)["event"] == {"number": 2}


def test_nothing_found_is_an_error_for_show(where: list[str], capsys: Capture) -> None:
    assert dlq("show", "9", "--json", *where) == LetterCode.REFUSED
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "not_found"
    assert err.startswith("tocsin: there is no dead letter 9 in ")


def wide(_descriptor: int) -> os.terminal_size:
    return os.terminal_size((78, 24))


def test_in_a_terminal_the_list_is_as_wide_as_it_is(file: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(os, "get_terminal_size", wide)
        assert dlq("list", *file) == LetterCode.DONE
        terminal.flush()
        seen = b""
        while seen.count(b"\n") < 4:
            seen += os.read(master, 10_000)
    os.close(master)
    assert max(map(len, seen.decode().splitlines())) == 78


# ── replay ──


def test_a_replay_says_what_became_of_each(daemon: list[str], capsys: Capture) -> None:
    assert dlq("replay", *daemon) == LetterCode.REFUSED
    out = capsys.readouterr().out
    assert out == "2 dead letters replayed: 1, 2\n3 not replayed: there is no subscription 'nobody' any more\n"


def test_a_dry_run_says_what_would(daemon: list[str], capsys: Capture) -> None:
    assert dlq("replay", "--dry-run", "1", "3", "--json", *daemon) == LetterCode.REFUSED
    why = "there is no subscription 'nobody' any more"
    document = {"dry_run": True, "replayed": [1], "refused": [{"id": 3, "why": why}]}
    assert json.loads(capsys.readouterr().out) == document
    assert dlq("replay", "--dry-run", "1", *daemon) == LetterCode.DONE
    assert capsys.readouterr().out == "1 dead letter would be replayed: 1\n"
    assert dlq("list", "--json", *daemon) == LetterCode.DONE
    assert ids(capsys.readouterr().out) == [1, 2, 3]


def test_a_replay_in_a_file_is_one_of_the_next_run(file: list[str], store: Path, capsys: Capture) -> None:
    assert dlq("replay", "--actor", "ship", "--limit", "2", *file) == LetterCode.DONE
    assert capsys.readouterr().out == "2 dead letters replayed: 1, 2\n"
    assert run_again(store) == [1, 2]


# ── purge ──


def test_a_purge_says_which_are_gone(where: list[str], capsys: Capture) -> None:
    assert dlq("purge", "2", "--dry-run", *where) == LetterCode.DONE
    assert capsys.readouterr().out == "1 dead letter would be purged: 2\n"
    assert dlq("purge", "2", "--json", *where) == LetterCode.DONE
    assert json.loads(capsys.readouterr().out) == {"dry_run": False, "purged": [2]}
    assert dlq("purge", "--actor", "none", *where) == LetterCode.DONE
    assert capsys.readouterr().out == "0 dead letters purged\n"
    assert dlq("purge", "--all", *where) == LetterCode.DONE
    assert capsys.readouterr().out == "2 dead letters purged: 1, 3\n"


def test_a_dry_run_of_all_needs_no_consent(where: list[str], capsys: Capture) -> None:
    assert dlq("purge", "--dry-run", *where) == LetterCode.DONE
    assert capsys.readouterr().out == "3 dead letters would be purged: 1, 2, 3\n"


@pytest.mark.parametrize(
    ("said", "code", "out"),
    [("y\n", LetterCode.DONE, "3 dead letters purged: 1, 2, 3\n"), ("\n", LetterCode.REFUSED, "nothing was purged\n")],
)
def test_at_a_terminal_it_asks_whether_all_are_meant(
    said: str, code: LetterCode, out: str, file: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.StringIO(said)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert dlq("purge", *file) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (out, "Delete all dead letters? [y/N] ")


# ── export ──


def test_letters_are_exported_to_standard_output(where: list[str], capsys: Capture) -> None:
    assert dlq("export", "2", "3", *where) == LetterCode.DONE
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["id"], each["event"]) for each in lines] == [(2, {"number": 2}), (3, {"number": 3})]


def test_letters_are_exported_to_a_file(where: list[str], tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "letters.jsonl"
    assert dlq("export", "--file", str(target), *where) == LetterCode.DONE
    assert capsys.readouterr().out == f"3 dead letters written to {target}\n"
    assert ids(target.read_text()) == [1, 2, 3]
    assert dlq("export", "1", "--file", str(target), *where) == LetterCode.NOT_WRITTEN
    assert "is there already: say --force" in capsys.readouterr().err
    assert dlq("export", "1", "--file", str(target), "--force", "--json", *where) == LetterCode.DONE
    assert json.loads(capsys.readouterr().out) == {"file": str(target), "count": 1}
    assert ids(target.read_text()) == [1]


# ── what goes wrong ──


def test_with_the_daemon_down_it_says_how_to_name_the_file(tmp_path: Path, capsys: Capture) -> None:
    assert dlq("list", "--socket", str(tmp_path / "none.sock")) == LetterCode.UNAVAILABLE
    assert "with its daemon down, name its file: --store bus.db" in capsys.readouterr().err


def test_a_refusal_of_the_daemon_is_told(start_daemon: StartDaemon, capsys: Capture) -> None:
    bus = EventBus("shop")
    for number in range(1, 200):
        bus.dead_letters.add(letter(number))
    path = start_daemon(bus)
    assert dlq("list", "--socket", str(path), "--timeout", "0.000001") == LetterCode.REFUSED
    assert "tocsin: dlq.list was not done in 1e-06 s" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["list", "purge", "replay"])
async def test_with_the_daemon_up_it_says_how_to_ask_it(
    verb: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_visiting, "PATIENCE", 0.05)
    opened = await SQLiteStore(tmp_path / "bus.db").open()
    all_of_them = ["--all"] if verb == "purge" else []
    tokens = [verb, *all_of_them, "--store", f"sqlite:{tmp_path / 'bus.db'}"]
    assert await anyio.to_thread.run_sync(dlq, *tokens) == LetterCode.UNAVAILABLE
    await opened.close()
    assert "if its daemon has it, leave --store out" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told_without_that(tmp_path: Path, capsys: Capture) -> None:
    assert dlq("list", "--json", "--store", str(tmp_path / "bus.db")) == LetterCode.UNAVAILABLE
    out, err = capsys.readouterr()
    assert "No such file" in err
    assert "leave --store out" not in err
    assert json.loads(out)["error"]["kind"] == "store"


def test_a_file_of_something_else_has_a_code_of_its_own(tmp_path: Path, capsys: Capture) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    (tmp_path / "other.db").chmod(0o600)
    assert dlq("list", "--store", str(tmp_path / "other.db")) == LetterCode.DAMAGED
    assert "a database of something else" in capsys.readouterr().err


def test_a_file_needs_what_stores_need(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def find_spec(_: str) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    assert dlq("list", "--store", "bus.db") == LetterCode.USAGE
    assert "--store needs msgspec, which is not installed" in capsys.readouterr().err
