"""The way to the service manager, over real sockets."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.cli._notify_socket import NotifySocket


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket, and its address as NOTIFY_SOCKET has it."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    address = str(tmp_path / "notify") if request.param == "path" else f"@tocsin-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.settimeout(10)
        yield address, listener


def test_a_message_arrives_as_one_datagram(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    NotifySocket.of_environment({"NOTIFY_SOCKET": address}).tell("READY=1\nSTATUS=up")
    assert listener.recv(1000) == b"READY=1\nSTATUS=up"


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: tuple[str, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    notify = NotifySocket.of_environment({"NOTIFY_SOCKET": manager[0]})
    for _ in range(2000):
        notify.tell("STATUS=" + "x" * 1000)
    assert len(caplog.records) == 1


def test_a_manager_that_is_not_there_is_told_of_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify = NotifySocket(str(tmp_path / "nobody"))
    notify.tell("READY=1")
    notify.tell("READY=1")
    assert [record.getMessage() for record in caplog.records] == [
        "the service manager cannot be told anything: [Errno 2] No such file or directory"
    ]


def test_without_a_manager_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    notify = NotifySocket.of_environment({})
    notify.tell("READY=1")
    assert not notify.is_there
    assert caplog.records == []
