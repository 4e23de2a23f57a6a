"""What is asked of the file before it is opened: it holds what users sent, and what it says will be handled."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from .exceptions import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def prepare(path: Path) -> None:
    """Make the file at *path*, for its owner alone, unless it is there; raise StoreUnavailable if it is not safe.

    Not safe: no regular file (a link could lead anywhere), of another owner, with a second name, or writable for
    others; in a folder in which everybody may rename files. SQLite gives its other files the same permissions.
    """
    try:
        _check_folder(path.parent)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            _check_file(path)
    except OSError as error:
        raise StoreUnavailable(path, f"it cannot be opened ({error.strerror}): choose a place that can") from error


def look_at(path: Path) -> None:
    """Raise StoreUnavailable unless there is a file at *path* that is safe, as for `prepare`. Makes none."""
    try:
        _check_folder(path.parent)
        _check_file(path)
    except OSError as error:
        raise StoreUnavailable(path, f"it cannot be opened ({error.strerror}): give the path of a store") from error


def _check_folder(folder: Path) -> None:
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StoreUnavailable(
            folder, "everybody may replace files in this folder: take that right away (chmod o-w), or use another one"
        )


def _check_file(path: Path) -> None:
    is_ = path.lstat()
    if not stat.S_ISREG(is_.st_mode):
        raise StoreUnavailable(path, "it is no regular file: give the path of the file itself")
    if is_.st_uid != os.geteuid():
        raise StoreUnavailable(path, f"it belongs to user {is_.st_uid} and not to {os.geteuid()}, who runs this")
    if is_.st_nlink > 1:
        raise StoreUnavailable(path, f"it has {is_.st_nlink} names (hard links): give it one only")
    if is_.st_mode & OTHERS_MAY_WRITE:
        raise StoreUnavailable(path, "others may write to it: take that right away (chmod go-w)")


def identity(path: Path) -> tuple[int, int]:
    """Tell which file is at *path*: another one there means that ours is lost. Raise OSError if there is none."""
    is_ = path.stat()
    return is_.st_dev, is_.st_ino
