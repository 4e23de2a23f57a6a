"""From a path to a store that can be relied on, or to an error that says what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.durable.stored import accept
from tocsin.durable import StoreCorrupt, StoreFailed, StoreFull, StoreUnavailable
from tocsin.durable._applying import apply
from tocsin.durable._opening import as_store_error, connect
from tocsin.durable._tables import APPLICATION, SCHEMA, STEPS, VERSION, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


def opened(path: Path, **options: Any) -> sqlite3.Connection:
    settings: dict[str, Any] = {"synchronous": "full", "busy_timeout": 0.1, "max_bytes": None, **options}
    return connect(path, **settings)


def edit(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def filled(path: Path, count: int = 1) -> Path:
    connection = opened(path)
    connection.execute("BEGIN")
    apply(connection, [accept(number) for number in range(1, count + 1)])
    connection.execute("COMMIT")
    connection.close()
    return path


def test_a_store_that_is_not_there_is_made(path: Path) -> None:
    connection = opened(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_what_was_kept_is_there_again(path: Path) -> None:
    connection = opened(filled(path, 3))
    assert [each.id for each in read(connection, {}).deliveries] == [1, 2, 3]
    connection.close()


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_a_commit_waits_for_what_it_was_asked_to_wait_for(path: Path, synchronous: str, level: int) -> None:
    connection = opened(path, synchronous=synchronous)
    assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_fault_I4_a_second_one_finds_it_in_use(path: Path) -> None:
    first = opened(path)
    with pytest.raises(StoreUnavailable, match="in use, by another process"):
        opened(path)
    first.close()
    opened(path).close()


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    path.touch(0o600)
    edit(path, "CREATE TABLE customers (id INTEGER)")
    with pytest.raises(StoreCorrupt, match="a database of something else"):
        opened(path)


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("a poem about databases, long enough to be taken for one " * 100)
    path.chmod(0o600)
    with pytest.raises(StoreCorrupt, match="file is not a database"):
        opened(path)
    assert path.read_text().startswith("a poem")


def test_fault_I13_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    edit(filled(path), f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreUnavailable, match="its version is 3, and this tocsin knows versions up to 2"):
        opened(path)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER evil AFTER DELETE ON deliveries BEGIN DELETE FROM events; END",
        "CREATE VIEW evil AS SELECT 1",
        "DROP INDEX seen_until",
        "ALTER TABLE events ADD COLUMN evil TEXT",
    ],
)
def test_a_store_whose_tables_somebody_has_changed_is_refused(path: Path, change: str) -> None:
    edit(filled(path), change)
    with pytest.raises(StoreCorrupt, match="its tables are not those of a store"):
        opened(path)


def test_fault_I6_a_store_that_is_damaged_is_refused(path: Path) -> None:
    filled(path, 2000)
    data = bytearray(path.read_bytes())
    for page in range(4, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 64] = bytes(range(64))
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"damaged|malformed"):
        opened(path)


def test_fault_I6_a_store_that_was_cut_off_is_refused(path: Path) -> None:
    filled(path, 2000)
    path.write_bytes(path.read_bytes()[: 4096 * 5])
    with pytest.raises(StoreCorrupt, match=r"damaged|malformed"):
        opened(path)


def test_fault_I13_an_upgrade_that_ends_in_the_middle_has_not_happened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 3)
    broken = ("CREATE TABLE more (id INTEGER)", "CREATE TABLE more (id INTEGER)")
    monkeypatch.setattr("tocsin.durable._opening.STEPS", (*STEPS, broken))
    monkeypatch.setattr("tocsin.durable._opening.VERSION", VERSION + 1)
    with pytest.raises(StoreUnavailable, match="table more already exists"):
        opened(path)
    monkeypatch.undo()
    connection = opened(path)
    assert len(read(connection, {}).deliveries) == 3
    connection.close()


def test_an_older_store_is_brought_up_to_date_with_what_it_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, 3)
    more = "CREATE TABLE more (id INTEGER)"
    monkeypatch.setattr("tocsin.durable._opening.STEPS", (*STEPS, (more,)))
    monkeypatch.setattr("tocsin.durable._opening.SCHEMA", (*SCHEMA, more))
    monkeypatch.setattr("tocsin.durable._opening.VERSION", VERSION + 1)
    connection = opened(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert len(read(connection, {}).deliveries) == 3
    connection.close()
    opened(path).close()


def test_a_store_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    filled(path, 3)
    edit(path, "DROP TABLE relayed", "PRAGMA user_version = 1")
    connection = opened(path)
    contents = read(connection, {})
    assert ([each.id for each in contents.deliveries], contents.relayed) == ([1, 2, 3], frozenset())
    connection.close()


def test_there_is_no_room_beyond_the_size_it_may_have(path: Path) -> None:
    connection = opened(path, max_bytes=1 << 20)
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError, match="full") as caught:
        apply(connection, [accept(number) for number in range(1, 20_000)])
    assert type(as_store_error(path, caught.value)) is StoreFull
    connection.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_BUSY", StoreUnavailable),
        ("SQLITE_BUSY_SNAPSHOT", StoreUnavailable),
        ("SQLITE_LOCKED", StoreUnavailable),
        ("SQLITE_IOERR_FSYNC", StoreFailed),
        ("SQLITE_IOERR_DIR_FSYNC", StoreFailed),
        ("SQLITE_IOERR_WRITE", StoreUnavailable),
        ("SQLITE_READONLY", StoreUnavailable),
        ("SQLITE_CORRUPT_VTAB", StoreCorrupt),
        ("SQLITE_NOTADB", StoreCorrupt),
    ],
)
def test_what_sqlite_reports_has_a_name_of_ours(path: Path, name: str, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("it says")
    error.sqlite_errorname = name
    found = as_store_error(path, error)
    assert type(found) is kind
    assert f"it says ({name})" in str(found)
