"""What a daemon does to its own process."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
from collections.abc import Iterator

import pytest

from tocsin.cli._process import UnixProcess


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_terminal_that_was_hung_up_is_gone() -> None:
    master, slave = pty.openpty()
    process = UnixProcess(slave)
    assert not process.terminal_is_gone()
    os.close(master)
    assert process.terminal_is_gone()
    os.close(slave)


def test_what_never_was_a_terminal_is_not_gone() -> None:
    reader, writer = os.pipe()
    process = UnixProcess(writer)
    os.close(reader)
    assert not process.terminal_is_gone()
    os.close(writer)


@pytest.mark.usefixtures("own_signals")
def test_signals_kill_when_they_are_let() -> None:
    UnixProcess().let_signals_kill()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL] * 2


@pytest.mark.usefixtures("own_signals")
def test_interrupts_that_it_was_started_to_ignore_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = UnixProcess()
    process.let_signals_kill()
    assert signal.SIGINT not in process.signals
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("own_signals")
def test_it_ends_by_the_signal_itself_with_nobody_listening() -> None:
    signal.signal(signal.SIGWINCH, signal.SIG_IGN)
    UnixProcess().end_by(signal.SIGWINCH)  # whose default is to be ignored
    assert signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL


def test_it_can_be_abandoned_although_nobody_reads_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(sys, "stdout", closed)
    UnixProcess().abandon(70)
    assert codes == [70]
