"""Where a control socket is if nobody says, and how a client finds it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tocsin.cli._control._errors import NoDaemon, SeveralDaemons
from tocsin.cli._control._finding import find, listen
from tocsin.cli._control._place import file_name, folders
from tocsin.cli._control._socket import CannotListen, ControlSocket


def opened(control: str | None, bus: str, environment: dict[str, str]) -> ControlSocket:
    found = listen(control, bus, environment)
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def no_common_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def session(tmp_path: Path) -> dict[str, str]:
    """The environment of a user's session."""
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


# ── places ──


def test_the_directory_of_a_service_is_better_than_that_of_a_session_and_that_than_a_temporary_one() -> None:
    environment = {"RUNTIME_DIRECTORY": "/run/shop:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert folders(environment, 7, "/tmp") == (Path("/run/shop"), Path("/run/user/7/tocsin"), Path("/tmp/tocsin-7"))


@pytest.mark.parametrize("value", ["", "relative", "./x"])
def test_what_is_no_absolute_path_counts_as_not_said(value: str) -> None:
    assert folders({"RUNTIME_DIRECTORY": value, "XDG_RUNTIME_DIR": value}, 7, "/tmp") == (Path("/tmp/tocsin-7"),)


def test_a_plain_name_is_that_of_its_file() -> None:
    assert file_name("shop.eu-1_b") == "shop.eu-1_b.sock"


@pytest.mark.parametrize("bus", ["a/b", "../x", ".hidden", "a b", "\x1b", "ü", "x" * 41, "\ud800"])
def test_any_other_name_makes_a_plain_file_name_that_fits(bus: str) -> None:
    name = file_name(bus)
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) <= 60


def test_names_that_become_the_same_are_told_apart() -> None:
    assert file_name("a/b") != file_name("a b")


# ── a daemon ──


def test_by_default_it_is_in_the_private_directory_of_the_session(tmp_path: Path, session: dict[str, str]) -> None:
    with opened(None, "shop", session) as found:
        assert found.path == tmp_path / "tocsin" / "shop.sock"
        assert (tmp_path / "tocsin").stat().st_mode & 0o777 == 0o700


def test_without_a_session_it_is_in_a_private_temporary_directory(tmp_path: Path) -> None:
    with opened(None, "shop", {}) as found:
        assert found.path == tmp_path / "tmp" / f"tocsin-{os.getuid()}" / "shop.sock"
        assert found.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_session_that_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    with opened(None, "shop", {"XDG_RUNTIME_DIR": "/nowhere/at/all"}) as found:
        assert found.path.is_relative_to(tmp_path / "tmp")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_in_which_others_may_write_is_passed_over(
    tmp_path: Path, session: dict[str, str], mode: int
) -> None:
    (tmp_path / "tocsin").mkdir()
    (tmp_path / "tocsin").chmod(mode)
    with opened(None, "shop", session) as found:
        assert found.path.is_relative_to(tmp_path / "tmp")


def test_a_link_to_a_directory_is_passed_over(tmp_path: Path, session: dict[str, str]) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "tocsin").symlink_to("elsewhere")
    with opened(None, "shop", session) as found:
        assert found.path.is_relative_to(tmp_path / "tmp")


def test_a_directory_that_is_somebody_elses_is_passed_over(
    tmp_path: Path, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert listen(None, "shop", session) is None


def test_without_any_place_there_is_none_and_the_log_says_so(
    tmp_path: Path, session: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tocsin").write_text("")
    (tmp_path / "tmp" / f"tocsin-{os.getuid()}").write_text("")
    assert listen(None, "shop", session) is None
    assert caplog.messages == ["no control socket: there is no private directory for one"]


def test_a_place_that_does_not_do_is_passed_over(tmp_path: Path, session: dict[str, str]) -> None:
    (tmp_path / "tocsin").mkdir(mode=0o700)
    (tmp_path / "tocsin" / "shop.sock").write_text("")
    with opened(None, "shop", session) as found:
        assert found.path.is_relative_to(tmp_path / "tmp")


def test_a_second_daemon_of_the_same_name_has_none_and_the_log_says_why(
    session: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(None, "shop", session):
        assert listen(None, "shop", session) is None
    (message,) = caplog.messages
    assert message.startswith("no control socket: another daemon listens at ")


def test_off_means_none_and_nothing_is_made(tmp_path: Path, session: dict[str, str]) -> None:
    assert listen("off", "shop", session) is None
    assert not (tmp_path / "tocsin").exists()


def test_a_path_that_was_named_is_taken_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened("mine", "shop", {}) as found:
        assert found.path == tmp_path / "mine"


def test_a_path_that_was_named_and_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotListen):
        listen(str(tmp_path / "missing" / "s"), "shop", {})


# ── a client ──


def test_the_only_daemon_is_found(session: dict[str, str]) -> None:
    with opened(None, "shop", session) as found:
        assert find(session) == found.path


def test_one_that_was_left_behind_is_not_found(tmp_path: Path, session: dict[str, str]) -> None:
    with opened(None, "shop", session) as found:
        os.link(found.path, found.path.with_name("dead.sock"))
    with opened(None, "other", session) as found:
        assert (tmp_path / "tocsin" / "dead.sock").exists()
        assert find(session) == found.path


def test_without_a_daemon_the_places_are_named(tmp_path: Path, session: dict[str, str]) -> None:
    with pytest.raises(NoDaemon, match=f"no daemon listens in {tmp_path}/tocsin, .*: name its socket with --socket"):
        find(session)


def test_of_several_none_is_taken_and_all_are_named(session: dict[str, str]) -> None:
    with (
        opened(None, "shop", session),
        opened(None, "till", session),
        pytest.raises(SeveralDaemons, match=r"2 daemons listen, .*/shop\.sock, .*/till\.sock"),
    ):
        find(session)


def test_a_daemon_is_not_looked_for_where_others_may_write(tmp_path: Path, session: dict[str, str]) -> None:
    with opened(None, "shop", session):
        (tmp_path / "tocsin").chmod(0o777)
        with pytest.raises(NoDaemon):
            find(session)


def test_a_socket_that_cannot_be_asked_is_not_found(
    tmp_path: Path, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tocsin").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path / "tocsin")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("x" * 95 + ".sock")  # its whole path would be too long
        listener.listen()
        with pytest.raises(NoDaemon):
            find(session)
