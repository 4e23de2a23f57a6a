"""A store whose bus does not run, looked at and changed from outside.

Whoever has the file keeps everybody else out by SQLite's own lock: the store does so for as long as its bus runs, and
so does a visit. So no visit begins while a bus runs, and a bus that starts during a visit waits for its end, for
`SQLiteStore.busy_timeout` seconds. A process that is killed lets go of it.

A visit never makes a store, never brings an older one up to date and never repairs one. It asks what the store asks
before it trusts a file: see `_files` and `_opening.check`.

A visit to *read* has the file open read-only. What a kill has left in the log (`bus.db-wal`) is seen, as SQLite reads
both together; the log stays as it is, for the next run. SQLite needs an index of the log for that, and leaves it behind
(`bus.db-shm`, and an empty `bus.db-wal` if there was none): nothing in them counts, and the store does not use that
index. Where the folder is read-only, and there is no such index, the visit is refused.

A visit to *change* takes the whole file, as the store does. What it does is one commit, all of it or nothing; the log
is then copied into the file and deleted, as at the end of each run. Cancelled or killed before the commit, nothing has
happened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import final

from ._applying import apply
from ._files import look_at
from ._opening import as_store_error, check
from ._records import Change, Damaged, StoredLetter
from ._starts import noted_beside
from ._tables import VERSION, read_last, read_letters
from .exceptions import StoreUnavailable

PATIENCE = 1.0  # seconds to wait for another visit that is about to end


@final
class Visit:
    """A store that is open; see the module."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, is_empty: bool) -> None:
        self._connection = connection
        self._path = path
        self._is_empty = is_empty

    def letters(self) -> tuple[tuple[StoredLetter, ...], tuple[Damaged, ...]]:
        """Read the dead letters, and what was damaged of them, both by number."""
        if self._is_empty:
            return (), ()
        damaged: list[Damaged] = []
        return read_letters(self._connection, damaged), tuple(damaged)

    def last_event(self) -> int:
        """Give the highest number that an event ever had, 0 if there was none."""
        return self._last("events")

    def last_delivery(self) -> int:
        """Give the highest number that a delivery ever had, 0 if there was none; those that were lost with the power,
        and are spoken of in the notes alone, included."""
        return max([self._last("deliveries"), *noted_beside(self._path)])

    def _last(self, table: str) -> int:
        return 0 if self._is_empty else read_last(self._connection).get(table, 0)

    def apply(self, changes: Iterable[Change]) -> None:
        """Carry out *changes* at the end of the visit, unless that is left by an error."""
        if not self._is_empty:  # or there is nothing that could be meant
            apply(self._connection, changes)


@contextmanager
def visiting(path: Path, *, changes: bool) -> Generator[Visit]:
    """Have the store at *path* for the block; *changes*: to change it, in one commit at the end. Raise StoreError."""
    look_at(path)
    address = f"{path.absolute().as_uri()}?mode={'rw' if changes else 'ro'}"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=PATIENCE)) as connection:
            if changes:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("BEGIN IMMEDIATE" if changes else "BEGIN")
            version = check(connection, path)
            if version is not None and version < VERSION:
                text = (
                    f"its version is {version}, and this tocsin works with {VERSION}: start its bus once, and stop it"
                )
                raise StoreUnavailable(path, text)
            yield Visit(connection, path, is_empty=version is None)
            # A commit would make a database of an empty file.
            connection.execute("ROLLBACK" if version is None else "COMMIT")
    except sqlite3.Error as error:
        raise as_store_error(path, error) from error
