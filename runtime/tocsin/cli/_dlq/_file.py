"""Where an export goes: a file for its owner alone, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class CannotWrite(Exception):
    """The file cannot be written. Its text says why, and is not escaped."""


@contextmanager
def written(path: Path, *, force: bool) -> Generator[Callable[[str], object]]:
    """Give what writes a line, into a file that is at *path* when the block has ended; raise CannotWrite.

    It is made beside *path* with rights for its owner alone (0600), on the disk before it has the name, and deleted if
    the block raises. What is at *path* stays as it is, and is an error, unless *force*: then it is replaced.
    """
    try:
        if not force and os.path.lexists(path):
            raise FileExistsError
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                yield lambda line: file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            if force:
                os.replace(name, path)
            else:
                os.link(name, path)  # which does not replace what has come there meanwhile
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
    except FileExistsError as error:
        raise CannotWrite(f"{path} is there already: say --force to replace it") from error
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from error
