"""The relay's own connection to the database of the user's: short reads, short deletes, one relay at a time.

Another file, with the ending `-relay`, is locked for as long as the connection lives: two relays would hand over the
same events to two buses. Its lock ends with the process, in whatever way.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, final

from ._opening import as_store_error, closed_on_error
from ._outbox_table import all_event_ids, cursor_of, make_tables, read_rows, remove_rows, set_row_aside
from .exceptions import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ._outbox_table import Row

PATIENCE = 1.0  # seconds to wait for somebody who writes: a stop of the bus may have to wait as long


class RelayConnection:
    """See the module. One thread at a time uses it, not always the same one; whoever closes it waits for that."""

    def __init__(self, path: Path) -> None:
        """Open it and make the tables; raise StoreError."""
        self._path = path
        self._in_use = threading.Lock()
        self._lock = _locked(path)
        try:
            uri = f"{path.as_uri()}?mode=rw"  # the database is the user's, and so is making it
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            with closed_on_error(path, self._connection):
                self._cursor = cursor_of(self._connection)
                # What is deleted must not be there again after a loss of power, when its mark in the store is gone:
                # without a log, only EXTRA waits for that.
                self._cursor.execute("PRAGMA synchronous = EXTRA")
                make_tables(self._cursor, path)
        except sqlite3.Error as error:
            self._lock.close()
            raise as_store_error(path, error) from error
        except BaseException:  # raised again
            self._lock.close()
            raise
        self._version: object = None

    def has_changed(self) -> bool:
        """Tell whether another connection has committed something since the last look."""
        with self._in_use:
            (version,) = self._cursor.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)

    def read(self) -> list[Row]:
        """Give the oldest rows."""
        with self._in_use:
            return read_rows(self._cursor)

    def event_ids(self) -> frozenset[str]:
        """Give the ids of all that is there."""
        with self._in_use:
            return all_event_ids(self._cursor)

    def remove(self, numbers: Sequence[int]) -> None:
        """They are relayed."""
        with self._in_use, self._connection:
            self._cursor.execute("BEGIN IMMEDIATE")
            remove_rows(self._cursor, numbers)

    def set_aside(self, number: int, why: str) -> None:
        """Keep it where it is in nobody's way."""
        with self._in_use, self._connection:
            self._cursor.execute("BEGIN IMMEDIATE")
            set_row_aside(self._cursor, number, why)

    def close(self) -> None:
        """Let go of it."""
        with self._in_use:
            self._connection.close()
            self._lock.close()


@final
class Opening:
    """A connection that a thread opens, for whom may give up waiting for that: then the thread closes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()  # around who of both comes first
        self._opened: RelayConnection | None = None
        self._is_given_up = False

    def open(self) -> None:
        """Open it, in the thread; raise StoreError."""
        opened = RelayConnection(self._path)
        with self._mutex:
            self._opened = opened
            is_given_up = self._is_given_up
        if is_given_up:
            opened.close()

    def opened(self) -> RelayConnection | None:
        """Give it, if it is open; otherwise nobody wants it any more."""
        with self._mutex:
            self._is_given_up = self._opened is None
            return self._opened


def _locked(path: Path) -> sqlite3.Connection:
    lock = path.with_name(f"{path.name}-relay")
    connection = sqlite3.connect(lock, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnavailable(
            path, f"the lock {lock.name} cannot be had ({error}): one bus at a time relays"
        ) from error
    return connection
