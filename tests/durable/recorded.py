"""A store that works on real files and has all recorded that it does to them, and all that it has promised."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest
from attrs import frozen

from tests.durable.disk import Recording, RecordingOs, Sync, Truncate, Write
from tocsin.codecs import CodecRegistry
from tocsin.durable import Change, OpenStore, SQLiteStore, StoreError

# The files of SQLite whose first synchronisation is one of the folder, too: it says so when it opens them.
_WITH_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


@frozen
class Asked:
    change: Change


@frozen
class Promised:
    change: Change


@frozen
class WasHandled:
    delivery: int


class RecordedFile(apsw.VFSFile):
    def __init__(self, recording: Recording, name: Any, flags: list[int]) -> None:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name))
        exists = path.exists() and path.stat().st_size > 0
        super().__init__("", name, flags)
        self._recording = recording
        self._file = recording.opened(path.name, exists=exists or not flags[0] & _WITH_FOLDER)
        self._with_folder = bool(flags[0] & _WITH_FOLDER) and not exists

    def xWrite(self, data: Any, offset: int) -> None:
        self._recording.note(Write(self._file, offset, bytes(data)))
        super().xWrite(data, offset)  # pyright: ignore[reportUnknownMemberType]  # of the stubs

    def xTruncate(self, newsize: int) -> None:
        self._recording.note(Truncate(self._file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._recording.note(Sync(self._file, self._with_folder))
        self._with_folder = False


class RecordedFolder(apsw.VFS):
    """The file system of SQLite, while everything that goes through it is recorded."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("recorded", "")
        self._recording = recording

    def xOpen(self, name: Any, flags: list[int]) -> RecordedFile:
        return RecordedFile(self._recording, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._recording.deleted(Path(filename).name)
        if syncdir:
            self._recording.note(Sync(None, with_folder=True))


def connect(path: Path, **_options: Any) -> apsw.Connection:
    return apsw.Connection(str(path), vfs="recorded")


class RecordedStore:
    """A `Store`; see the module."""

    def __init__(self, path: Path, recording: Recording, patch: pytest.MonkeyPatch, **options: Any) -> None:
        self._store = SQLiteStore(path, **options)
        self._recording = recording
        self._folder = RecordedFolder(recording)
        patched = SimpleNamespace(connect=connect, Error=sqlite3.Error, Connection=apsw.Connection)
        patch.setattr("tocsin.durable._opening.sqlite3", patched)
        patch.setattr("tocsin.durable._starts.os", RecordingOs(recording))
        patch.setattr("tocsin.durable._opening.CHECKPOINT", 10)  # pages: the log begins anew every few commits

    @property
    def codecs(self) -> CodecRegistry:
        return self._store.codecs

    async def open(self) -> OpenStore:
        opened = await self._store.open()
        submit = opened.submit

        def promised(change: Change, done: Callable[[StoreError | None], object], error: StoreError | None) -> None:
            assert error is None, error
            self._recording.note(Promised(change))
            done(error)

        def submitted(change: Change, done: Callable[[StoreError | None], object]) -> None:
            self._recording.note(Asked(change))
            submit(change, partial(promised, change, done))

        def over(slot: int, delivery: int, attempt: int, *, handled: bool) -> None:
            if handled:
                self._recording.note(WasHandled(delivery))
            note_over(slot, delivery, attempt, handled=handled)

        note_over = opened.over
        opened.submit = submitted  # type: ignore[method-assign]
        opened.over = over  # type: ignore[method-assign]
        return opened

    def close(self) -> None:
        self._folder.unregister()


def written(image: dict[str, bytes], folder: Path) -> Path:
    """Make *image* a folder."""
    folder.mkdir()
    for name, content in image.items():
        (folder / name).write_bytes(content)
        os.chmod(folder / name, 0o600)
    return folder / "bus.db"
