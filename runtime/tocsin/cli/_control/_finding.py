"""Finding a place for a control socket, and the daemons that have one."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tocsin.cli._log import OURS
from tocsin.cli._showing import shown

from ._errors import NoDaemon, SeveralDaemons
from ._place import SUFFIX, file_name, folders
from ._socket import AnotherDaemon, CannotListen, ControlSocket, listen_at, look_at

logger = logging.getLogger(OURS)

OFF = "off"


def listen(control: str | None, bus: str, environment: Mapping[str, str] = os.environ) -> ControlSocket | None:
    """Open the control socket of *bus* where *control* says: a path, "off", or None for the default place.

    None: it has none, as it is not wanted, or there is no place for it by default; then the log says so. Raise
    CannotListen if it cannot be at the path that was named.
    """
    if control == OFF:
        return None
    if control is not None:
        return listen_at(Path(control).absolute())
    reasons: list[str] = []
    for folder in _usable(_candidates(environment)):
        try:
            return listen_at(folder / file_name(bus))
        except AnotherDaemon as error:
            reasons.append(str(error))
            break  # in the next directory it would be found by nobody who looks for the other
        except CannotListen as error:
            reasons.append(str(error))
    logger.warning("no control socket: %s", "; ".join(reasons) or "there is no private directory for one")
    return None


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """Give the socket of the only daemon that listens at a default place; raise NoDaemon or SeveralDaemons."""
    candidates = _candidates(environment)
    alive = [path for folder in candidates if _is_private(folder) for path in _alive_in(folder)]
    match alive:
        case [path]:
            return path
        case []:
            places = ", ".join(shown(folder) for folder in candidates)
            raise NoDaemon(f"no daemon listens in {places}: name its socket with --socket")
        case _:
            names = ", ".join(map(shown, alive))
            raise SeveralDaemons(f"{len(alive)} daemons listen, name the socket of one with --socket: {names}")


def _candidates(environment: Mapping[str, str]) -> tuple[Path, ...]:
    return folders(environment, os.getuid(), tempfile.gettempdir())


def _usable(candidates: tuple[Path, ...]) -> Iterator[Path]:
    """Iterate over those of *candidates* that are private, making those that are missing."""
    for folder in candidates:
        with suppress(OSError):  # it is there, or cannot be made: the next line tells
            folder.mkdir(mode=0o700)
        if _is_private(folder):
            yield folder


def _is_private(folder: Path) -> bool:
    """True if *folder* is a directory, and only this user may put files into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _alive_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if _is_alive(path)]


def _is_alive(path: Path) -> bool:
    try:
        return look_at(path) == "alive"
    except OSError:  # it is somebody else's, or its path is too long for a socket
        return False
