"""A bound control socket and its file: made with mode 0600 from its first moment, and removed at the end.

A file that is left of a daemon that was killed is removed: nobody accepts there. Two daemons that start at once could
each take the other's fresh socket for such a file, so looking and binding are done under a lock of the directory. The
process has one thread that does this, before its event loop begins.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias, assert_never, final

from tocsin.cli._showing import shown

MODE = 0o600
BACKLOG = 16
PATIENCE = 1.0  # seconds, for the lock and for the connection that is tried

Found: TypeAlias = Literal["nothing", "stale", "alive", "foreign"]


class CannotListen(Exception):
    """There can be no control socket at this place. Its text is for people, and escaped."""


@final
class AnotherDaemon(CannotListen):
    """Somebody listens there already."""


@final
class ControlSocket:
    """A socket that listens at *path*. Leaving its context closes it and removes its file."""

    def __init__(self, path: Path, listener: socket.socket) -> None:
        self.path = path
        self.listener = listener
        self._file = _identity(path)

    def __enter__(self) -> ControlSocket:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.listener.close()
        with suppress(OSError):  # its directory may be gone, and with it what there is to do
            if _identity(self.path) == self._file:  # and not the socket of somebody after us
                self.path.unlink()


def listen_at(path: Path) -> ControlSocket:
    """Bind a socket at *path*, and listen; raise CannotListen. Waits a second at most."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _lock_of(path.parent):
            _make_room(path)
            _bind(listener, path)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            return ControlSocket(path, listener)
    except OSError as error:  # also for a path that is too long, which has no number
        listener.close()
        raise CannotListen(f"{shown(path)} cannot be a control socket: {error.strerror or error}") from error
    except BaseException:  # raised again
        listener.close()
        raise


def look_at(path: Path) -> Found:
    """Say what is at *path*: a socket that somebody listens at, one that nobody does, or something else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return "nothing"
    if not stat.S_ISSOCK(mode):
        return "foreign"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return "stale"
        except (BlockingIOError, TimeoutError):  # so many wait to be accepted that there is no room for one more
            pass
    return "alive"


def _make_room(path: Path) -> None:
    found = look_at(path)
    match found:
        case "nothing":
            pass
        case "stale":
            path.unlink(missing_ok=True)
        case "alive":
            text = f"another daemon listens at {shown(path)}: give this one a place of its own, --control PATH"
            raise AnotherDaemon(text)
        case "foreign":
            raise CannotListen(f"{shown(path)} is there and is no socket: it is left alone")
        case _:
            assert_never(found)


def _bind(listener: socket.socket, path: Path) -> None:
    before = os.umask(0o777 & ~MODE)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


@contextmanager
def _lock_of(folder: Path) -> Generator[None]:
    """Hold the lock of *folder*: its own, so that no file is left. Whoever holds it longer is no daemon of ours."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _has_locked(held):
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, f"{folder} is locked by somebody else")
            time.sleep(0.01)
        yield
    finally:
        os.close(held)


def _has_locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
