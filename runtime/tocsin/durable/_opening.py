"""From a path to a connection that can be relied on."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._files import prepare
from ._tables import APPLICATION, SCHEMA, STEPS, VERSION
from .exceptions import StoreCorrupt, StoreError, StoreFailed, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PAGE = 4096  # bytes; SQLite's default
CHECKPOINT = 1000  # pages of the log after which it is copied into the file; SQLite's default: 4 MB


def connect(path: Path, *, synchronous: str, busy_timeout: float, max_bytes: int | None) -> sqlite3.Connection:
    """Open the store at *path*, make it if there is none, and bring an older one up to date; raise StoreError.

    The file belongs to this connection until it is closed, or its process ends in whatever way: a second one would
    find it locked, and half of what it needs to know is in memory here.
    """
    prepare(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout, check_same_thread=True)
    with closed_on_error(path, connection):
        _configure(connection, synchronous)
        check(connection, path)
        _migrate(connection)
        if max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // PAGE)}")
    return connection


@contextmanager
def closed_on_error(path: Path, connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Close *connection* if the block raises, and say in our words what SQLite has to say."""
    try:
        yield
    except sqlite3.Error as error:
        connection.close()
        raise as_store_error(path, error) from error
    except BaseException:  # raised again
        connection.close()
        raise


def _configure(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes that a log may keep that was longer once


def check(connection: sqlite3.Connection, path: Path) -> int | None:
    """Give the version of the store, None of an empty file; raise StoreError unless it is whole, ours and known."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    things = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")]
    if not things and not found:
        return None
    if found != APPLICATION:
        raise StoreCorrupt(path, "it is a database of something else: give the store a file of its own")
    if version > VERSION:
        raise StoreUnavailable(
            path, f"its version is {version}, and this tocsin knows versions up to {VERSION}: use the newer tocsin"
        )
    if version == VERSION and sorted(things) != sorted(SCHEMA):
        raise StoreCorrupt(path, "its tables are not those of a store: somebody has changed them")
    faults = [fault for (fault,) in connection.execute("PRAGMA quick_check(5)") if fault != "ok"]
    if faults:
        raise StoreCorrupt(path, f"it is damaged: {'; '.join(faults)}. Restore a copy, or move it away to begin anew")
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to today's version, in one transaction: killed in the middle of it, nothing has happened."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in STEPS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def as_store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Say in our words what SQLite reports."""
    name: str = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    said = f"{error} ({name})"
    if name == "SQLITE_FULL":
        return StoreFull(path, f"{said}: settle or purge something, or give it more room (max_bytes, the disk)")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreUnavailable(path, f"{said}: it is in use, by another process or a second run of the same bus")
    if name.startswith("SQLITE_IOERR_") and name.endswith("FSYNC"):
        return StoreFailed(path, f"{said}: whether the last changes are kept is not known; begin another run")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorrupt(path, f"{said}: restore a copy, or move the file away to begin anew")
    return StoreUnavailable(path, f"{said}: see to the disk and the rights of the file")
