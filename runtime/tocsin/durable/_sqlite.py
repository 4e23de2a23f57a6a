"""A store in one file of SQLite, for one process at a time."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

import anyio
from attrs import field, frozen, validators

from tocsin._backends import next_turn, waker
from tocsin.codecs import CodecRegistry

from ._files import identity
from ._opening import closed_on_error, connect
from ._records import Contents
from ._starts import Starts, notes_of
from ._tables import read
from ._writer import Request, Writer
from .exceptions import StoreError, StoreFailed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from ._records import Change


def _bytes(_instance: object, attribute: object, value: int | None) -> None:
    if value is not None and (type(value) is not int or value < 1 << 20):
        raise ValueError(f"max_bytes={value!r}: must be bytes, a mebibyte (1048576) at least, or None for no limit")


@final
@frozen
class SQLiteStore:
    """Keeps the deliveries of durable subscriptions, and dead letters, in the file at *path*.

    Next to it are files with the same name and an ending (`-wal`, `-starts`): they belong together. The file is for one
    bus in one process at a time, and is made with rights for its owner alone.
    """

    path: Path = field(converter=Path)
    synchronous: Literal["full", "normal"] = field(
        default="full", kw_only=True, validator=validators.in_(("full", "normal"))
    )
    """What a commit waits for. `full`: the disk, so that what was published outlives a loss of power. `normal`: the
    operating system, which is several times as fast, and outlives the end of the process in any way, but not a loss of
    power."""
    busy_timeout: float = field(
        default=5.0, kw_only=True, validator=[validators.instance_of((int, float)), validators.ge(0)]
    )
    """How many seconds to wait for a process that has the file and is about to end."""
    max_bytes: int | None = field(default=None, kw_only=True, validator=_bytes)
    """How large the file may become; then publishing to durable subscriptions raises StoreFull. None: as the disk."""
    codecs: CodecRegistry = field(factory=CodecRegistry, kw_only=True)
    """How events become bytes; see `tocsin.codecs`."""

    async def open(self) -> OpenSQLite:
        """Open the file, make it if there is none, and read it; raise StoreError. A cancellation waits for its end."""
        opened = OpenSQLite(self)
        await opened.ready()
        return opened


@final
class OpenSQLite:
    """An open one; see `OpenStore`. The `Owner` of its writer."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self._path = store.path.absolute()
        self._file: tuple[int, int] | None = None
        self._known = anyio.Event()
        self._is_closed = anyio.Event()
        self._contents: Contents | StoreError | None = None
        self._starts: Starts
        self._answers: deque[Callable[[], object]] = deque()
        self._wake = waker(self._take_answers)
        self._behind: Callable[[StoreError | None], object] = _nobody
        self._is_left = False  # nobody wants to know any more what becomes of what was asked for
        self._asked: list[Request] = []  # for in this turn of the loop
        self._hand_over_soon = next_turn(self._hand_over)
        self._writer = Writer(self._path, self)

    async def ready(self) -> None:
        """Wait until it is open; raise StoreError if it cannot be opened."""
        with anyio.CancelScope(shield=True):
            await self._known.wait()
        if isinstance(self._contents, StoreError):
            raise self._contents

    # ── it is an `OpenStore` ──

    @property
    def contents(self) -> Contents:
        """What it held when it was opened."""
        assert isinstance(self._contents, Contents)
        return self._contents

    @property
    def backlog(self) -> int:
        """How many changes have been asked for and not been begun."""
        return len(self._asked) + self._writer.backlog

    @property
    def commits(self) -> int:
        """How many commits were made: far fewer than changes, when many come at once."""
        return self._writer.commits

    def submit(self, change: Change, done: Callable[[StoreError | None], object]) -> None:
        """See `OpenStore`."""
        if not self._asked:
            self._hand_over_soon()
        self._asked.append(Request(change, done))

    def _hand_over(self) -> None:
        """Let the thread have all that was asked for in a turn at once: it would begin a commit with the first, and the
        two would take the interpreter from each other for the rest.
        """
        asked, self._asked = self._asked, []
        if asked:
            self._writer.submit(asked)

    def begin(self, delivery: int, attempt: int) -> int:
        """See `OpenStore`."""
        return self._starts.begin(delivery, attempt)

    def over(self, slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
        """See `OpenStore`."""
        self._starts.over(slot, delivery, attempt, handled=handled)

    def end(self, slot: int) -> None:
        """See `OpenStore`."""
        self._starts.end(slot)

    def forget_begun(self) -> None:
        """See `OpenStore`."""
        self._starts.clear()

    async def close(self) -> None:
        """See `OpenStore`."""
        self._hand_over()
        self._writer.close()
        try:
            await self._is_closed.wait()
        finally:
            self._is_left = True
            self._starts.close()

    def watch(self, behind: Callable[[StoreError | None], object]) -> None:
        """See `OpenStore`."""
        self._behind = behind

    # ── it is the `Owner` of its writer ──

    def connect(self) -> tuple[sqlite3.Connection, Contents]:
        """In the thread: open and read."""
        store = self._store
        connection = connect(
            self._path,
            synchronous=store.synchronous,
            busy_timeout=store.busy_timeout,
            max_bytes=store.max_bytes,
        )
        with closed_on_error(self._path, connection):
            self._file = identity(self._path)
            self._starts = Starts(notes_of(self._path))
            return connection, read(connection, self._starts.read())

    def look(self) -> None:
        """In the thread: raise StoreFailed if another file is at our path, or none."""
        try:
            is_ours = identity(self._path) == self._file
        except OSError:
            is_ours = False
        if not is_ours:
            raise StoreFailed(
                self._path,
                "the file was moved, deleted or replaced while it was in use: what is written now would be lost",
            )

    def answer(self, what: Callable[[], object]) -> None:
        """In the thread: have *what* called in the loop."""
        self._answers.append(what)
        self._wake()

    def behind(self, error: StoreError | None) -> None:
        """In the loop: something cannot be written, and is tried again; None: nothing is any more."""
        self._behind(error)

    def opened(self, what: Contents | StoreError) -> None:
        """In the loop: it is open, or could not be opened."""
        self._contents = what
        self._known.set()

    def closed(self) -> None:
        """In the loop: it is closed."""
        self._is_closed.set()

    def _take_answers(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            if not self._is_left:
                answer()


def _nobody(_error: StoreError | None) -> None:
    """Nobody watches yet."""
