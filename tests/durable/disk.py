"""A disk whose power may be cut at any moment: what was written to it, and what may be there afterwards.

The model is the weakest that databases are written for. What a file held when it was last synchronised is there. Of
what was written later, each sector of 512 bytes may be there or not, in any version, and the file may be of any size it
has had. Names come and go in order, and are kept for sure when the folder is synchronised.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TypeAlias

from attrs import define, field, frozen

SECTOR = 512


@frozen
class Create:
    name: str
    file: int


@frozen
class Delete:
    name: str


@frozen
class Write:
    file: int
    offset: int
    data: bytes


@frozen
class Truncate:
    file: int
    size: int


@frozen
class Sync:
    """`file` None: of the folder alone."""

    file: int | None
    with_folder: bool = False


Operation: TypeAlias = Create | Delete | Write | Truncate | Sync


class Recording:
    """All that was done to the files of one folder, and notes of those who did it, in order."""

    def __init__(self, before: dict[str, bytes] | None = None) -> None:
        self.before = before or {}
        self.entries: list[Operation | object] = []
        self._files = {name: number for number, name in enumerate(self.before)}
        self._last = len(self._files)

    def note(self, entry: Operation | object) -> None:
        self.entries.append(entry)

    def opened(self, name: str, *, exists: bool) -> int:
        """Give the number of the file with this name; it is made if it is not there."""
        if name not in self._files or not exists:
            self._last += 1
            self._files[name] = self._last
            self.note(Create(name, self._last))
        return self._files[name]

    def deleted(self, name: str) -> None:
        if self._files.pop(name, None) is not None:
            self.note(Delete(name))


class RecordingOs:
    """Stands for `os` in the module that writes the file of attempts."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._files: dict[int, int] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        exists = path.exists()
        number = os.open(path, flags, mode)
        self._files[number] = self._recording.opened(path.name, exists=exists)
        return number

    def pwrite(self, file: int, data: bytes, offset: int) -> int:
        self._recording.note(Write(self._files[file], offset, data))
        return os.pwrite(file, data, offset)

    def ftruncate(self, file: int, size: int) -> None:
        self._recording.note(Truncate(self._files[file], size))
        os.ftruncate(file, size)


# ── what may be there ──


@define
class _File:
    safe: bytes = b""  # what it held when it was last synchronised
    later: list[Write | Truncate] = field(factory=list)

    def now(self) -> bytes:
        content = bytearray(self.safe)
        for each in self.later:
            _apply(content, each)
        return bytes(content)

    def sync(self) -> None:
        self.safe, self.later = self.now(), []


def _apply(content: bytearray, operation: Write | Truncate) -> None:
    match operation:
        case Write(offset=offset, data=data):
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        case Truncate(size=size):
            del content[size:]
            content.extend(bytes(size - len(content)))


class Disk:
    """The state of the disk after some operations."""

    def __init__(self, before: dict[str, bytes]) -> None:
        self._files = {number: _File(content) for number, content in enumerate(before.values())}
        self._names = {name: number for number, name in enumerate(before)}
        self._later: list[Create | Delete] = []

    def after(self, operation: Operation) -> None:
        match operation:
            case Create(file=file):
                self._files[file] = _File()
                self._later.append(operation)
            case Delete():
                self._later.append(operation)
            case Write(file=file) | Truncate(file=file):
                self._files[file].later.append(operation)
            case Sync(file=file, with_folder=with_folder):
                if file is not None:
                    self._files[file].sync()
                if with_folder:
                    self._names, self._later = self._names_after(len(self._later)), []

    def _names_after(self, count: int) -> dict[str, int]:
        names = dict(self._names)
        for each in self._later[:count]:
            match each:
                case Create(name=name, file=file):
                    names[name] = file
                case Delete(name=name):
                    names.pop(name, None)
        return names

    def image(self, random: Random) -> dict[str, bytes]:
        """Give what may be there if the power is cut now."""
        names = self._names_after(random.randint(0, len(self._later)))
        what = random.choice(MIXES)
        return {name: what(self._files[file], random) for name, file in names.items()}


def _nothing(file: _File, _random: Random) -> bytes:
    return file.safe


def _everything(file: _File, _random: Random) -> bytes:
    return file.now()


def _some(file: _File, random: Random) -> bytes:
    """Whole writes, in any order."""
    chosen = [each for each in file.later if random.random() < 0.5]
    random.shuffle(chosen)
    return _File(file.safe, chosen).now()


def _torn(file: _File, random: Random) -> bytes:
    """Each sector in any version it has had, in a file of any size it has had."""
    versions = list(_versions(file))
    size = len(random.choice(versions))
    image = bytearray(size)
    for start in range(0, size, SECTOR):
        sector = random.choice(versions)[start : start + SECTOR]
        image[start : start + len(sector)] = sector
    return bytes(image[:size])


def _versions(file: _File) -> Iterator[bytes]:
    content = bytearray(file.safe)
    yield file.safe
    for place, each in enumerate(file.later, 1):
        _apply(content, each)
        if place > len(file.later) - 40:  # of a file that is never synchronised there are too many
            yield bytes(content)


MIXES: tuple[Callable[[_File, Random], bytes], ...] = (_nothing, _everything, _some, _torn, _torn)
