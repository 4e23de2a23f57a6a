"""A store whose bus does not run, opened from outside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.durable.stored import letter
from tests.durable.test_opening import edit, filled
from tocsin.durable import Bury, ForgetLetters, SQLiteStore, StoreCorrupt, StoreUnavailable, _visiting
from tocsin.durable._starts import notes_of
from tocsin.durable._visiting import visiting

pytestmark = pytest.mark.real_time
KILLED = """
import os, sys
from pathlib import Path
from tests.durable.stored import letter
from tocsin.durable import Bury
from tocsin.durable._applying import apply
from tocsin.durable._opening import connect
connection = connect(Path(sys.argv[1]), synchronous="full", busy_timeout=1.0, max_bytes=None)
connection.execute("BEGIN IMMEDIATE")
apply(connection, [Bury(letter(1)), Bury(letter(2))])
connection.execute("COMMIT")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return filled(tmp_path / "bus.db")


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Give a file whose process was killed: letters 1 and 2 are in its log alone."""
    path = tmp_path / "killed.db"
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return path


def numbers(path: Path, *, changes: bool = False) -> list[int]:
    with visiting(path, changes=changes) as visit:
        return [each.number for each in visit.letters()[0]]


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


# ── the log that a kill has left ──


def test_what_a_kill_has_left_in_the_log_is_seen(killed: Path) -> None:
    assert numbers(killed) == [1, 2]


def test_reading_changes_neither_the_file_nor_the_log(killed: Path) -> None:
    before = killed.read_bytes(), log_of(killed).read_bytes()
    numbers(killed)
    assert (killed.read_bytes(), log_of(killed).read_bytes()) == before
    assert before[1]


def test_a_change_takes_the_log_into_the_file(killed: Path) -> None:
    with visiting(killed, changes=True) as visit:
        visit.apply([ForgetLetters((1,))])
    assert not log_of(killed).exists()
    assert numbers(killed) == [2]


# ── one visit, one commit ──


def test_changes_are_kept_together_at_the_end(path: Path) -> None:
    with visiting(path, changes=True) as visit:
        visit.apply([Bury(letter(1)), Bury(letter(2))])
        visit.apply([ForgetLetters((1,))])
    assert numbers(path) == [2]


def test_a_visit_that_is_left_by_an_error_has_changed_nothing(path: Path) -> None:
    with pytest.raises(TypeError), visiting(path, changes=True) as visit:
        visit.apply([Bury(letter(1)), ForgetLetters(None)])  # type: ignore[arg-type]
    assert numbers(path) == []


def test_the_highest_numbers_are_known(path: Path) -> None:
    with visiting(path, changes=False) as visit:
        assert (visit.last_event(), visit.last_delivery()) == (1, 1)


def test_notes_that_cannot_be_read_are_told(path: Path) -> None:
    notes_of(path).unlink(missing_ok=True)
    notes_of(path).mkdir()
    with visiting(path, changes=False) as visit, pytest.raises(StoreUnavailable, match=r"-starts.*cannot be read"):
        visit.last_delivery()


# ── who has the file ──


async def test_a_file_that_a_bus_has_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_visiting, "PATIENCE", 0.05)
    opened = await SQLiteStore(path).open()
    for changes in (False, True):
        with pytest.raises(StoreUnavailable, match="it is in use"), visiting(path, changes=changes):
            pass
    await opened.close()
    assert numbers(path) == []


@pytest.mark.parametrize("changes", [False, True])
async def test_a_bus_that_starts_during_a_visit_is_refused_the_file(path: Path, changes: bool) -> None:
    with visiting(path, changes=changes) as visit:
        visit.letters()
        with pytest.raises(StoreUnavailable, match="it is in use"):
            await SQLiteStore(path, busy_timeout=0.1).open()
    opened = await SQLiteStore(path).open()
    await opened.close()


async def test_or_waits_for_the_end_of_the_visit(path: Path) -> None:
    async def start() -> None:
        opened = await SQLiteStore(path, busy_timeout=30.0).open()
        assert [each.number for each in opened.contents.letters] == [1]
        await opened.close()

    async with anyio.create_task_group() as group:
        with visiting(path, changes=True) as visit:
            visit.apply([Bury(letter(1))])
            group.start_soon(start)
            await anyio.sleep(0.1)


def test_two_may_read_at_a_time(path: Path) -> None:
    with visiting(path, changes=False):
        assert numbers(path) == []


# ── what is refused ──


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for changes in (False, True):
        with pytest.raises(StoreUnavailable, match="No such file"), visiting(tmp_path / "bus.db", changes=changes):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_may_write_to_is_refused(path: Path) -> None:
    path.chmod(0o666)
    with pytest.raises(StoreUnavailable, match="others may write to it"):
        numbers(path)


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreUnavailable, match="no regular file"):
        numbers(tmp_path / "link.db")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    edit(path, "CREATE TABLE letters (number INTEGER)")
    path.chmod(0o600)
    with pytest.raises(StoreCorrupt, match="something else"):
        numbers(path)


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"letters" * 1000)
    with pytest.raises(StoreCorrupt, match="not a database"):
        numbers(path)


def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        numbers(path, changes=True)
    assert path.read_bytes() == bytes(content)


def test_an_older_version_is_not_brought_up_to_date(path: Path) -> None:
    edit(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreUnavailable, match=r"its version is 0, and this tocsin works with .*: start its bus once"):
        numbers(path, changes=True)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_a_newer_version_is_refused(path: Path) -> None:
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="its version is 99"):
        numbers(path)
