"""A control socket and its file: rights, leftovers, neighbours."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from tocsin.cli._control._socket import AnotherDaemon, CannotListen, listen_at, look_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


def leave_behind(path: Path) -> None:
    """Leave a socket as a daemon does that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))


def test_only_its_user_may_connect(path: Path) -> None:
    with listen_at(path):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_it_has_these_rights_from_its_first_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches the directory sees no other: they are not set after it was made."""
    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.delattr(os, name, raising=False)
    before = os.umask(0)
    try:
        with listen_at(path):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_it_is_removed_at_the_end(path: Path) -> None:
    with listen_at(path):
        assert look_at(path) == "alive"
    assert list(path.parent.iterdir()) == []


def test_one_that_was_left_behind_is_replaced(path: Path) -> None:
    leave_behind(path)
    assert look_at(path) == "stale"
    with listen_at(path):
        assert look_at(path) == "alive"


def test_one_that_another_daemon_listens_at_is_left_alone(path: Path) -> None:
    with listen_at(path):
        with pytest.raises(AnotherDaemon, match=r"another daemon listens at .*s\.sock: give this one"):
            listen_at(path)
        assert look_at(path) == "alive"


def test_one_at_which_too_many_wait_counts_as_alive(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
            waiting.connect(str(path))
            assert look_at(path) == "alive"


def test_a_file_that_is_removed_meanwhile_is_no_trouble(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_behind(path)
    lstat = Path.lstat

    def lstat_and_remove(self: Path) -> os.stat_result:
        found = lstat(self)
        self.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", lstat_and_remove)
        assert look_at(path) == "stale"
    with listen_at(path):
        assert look_at(path) == "alive"


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_something_else_is_left_alone(path: Path, kind: str) -> None:
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(CannotListen, match="is there and is no socket: it is left alone"):
        listen_at(path)
    assert path.is_symlink() or path.exists()


def test_the_socket_of_whoever_came_after_it_is_not_removed(path: Path) -> None:
    with listen_at(path):
        path.unlink()
        later = listen_at(path)
    with later:
        assert look_at(path) == "alive"


def test_a_directory_that_has_gone_is_no_trouble_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with listen_at(folder / "s.sock"):
        (folder / "s.sock").unlink()
        folder.rmdir()
    assert not folder.exists()


def test_a_directory_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="cannot be a control socket: No such file or directory"):
        listen_at(tmp_path / "missing" / "s.sock")


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="path too long"):
        listen_at(tmp_path / ("x" * 200))


def test_a_path_is_told_escaped(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"a\\x1bb"):
        listen_at(tmp_path / "a\x1bb" / "s.sock")


@pytest.mark.real_time
def test_a_directory_that_somebody_has_locked_is_not_waited_for_long(path: Path) -> None:
    held = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CannotListen, match="is locked by somebody else"):
            listen_at(path)
    finally:
        os.close(held)
    assert look_at(path) == "nothing"


def test_an_error_that_nobody_expects_leaves_no_socket_open(path: Path) -> None:
    with pytest.raises(ValueError, match="null"):
        listen_at(path.parent / "a\0b" / "s.sock")
