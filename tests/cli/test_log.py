"""The log of a daemon: nobody forges a line."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Callable

import pytest

from tocsin import SupervisionWarning
from tocsin.cli._log import OURS, SafeFormatter, log_to_stderr

Write = Callable[..., list[str]]


@pytest.fixture
def write() -> Write:
    """Log something by the formatter, and give the lines that it becomes, without their times."""

    def write(name: str, text: str, *values: object, error: BaseException | None = None) -> list[str]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(SafeFormatter())
        information = None if error is None else (type(error), error, error.__traceback__)
        handler.handle(logging.LogRecord(name, logging.WARNING, "x.py", 1, text, values, information))
        return [line.removeprefix(stream.getvalue()[:24]) for line in stream.getvalue().splitlines()]

    return write


def test_a_message_of_a_stranger_is_one_printable_line(write: Write) -> None:
    lines = write("shop", "order %s", "\x1b]52;c;aGk=\x07\n2026-01-01 00:00:00,000 CRITICAL root: forged")
    assert len(lines) == 1
    assert lines[0].isprintable()


def test_a_message_of_ours_keeps_its_lines(write: Write) -> None:
    assert write(OURS, "gave up\n  child  a\x1bb") == ["WARNING  tocsin.cli: gave up", "  child  a\\x1bb"]


def test_a_message_cannot_tell_the_password_of_an_address(write: Write) -> None:
    assert write("shop", "lost %s", "amqp://u:hunter2@host") == ["WARNING  shop: lost amqp://u:***@host"]


def test_a_traceback_is_indented_and_escaped(write: Write) -> None:
    try:
        raise OSError("a\x1bb\nforged postgres://u:hunter2@db")
    except OSError as error:
        first, *lines = write("shop", "it failed", error=error)
    assert first == "WARNING  shop: it failed"
    assert all(line.startswith("  ") and line.isprintable() for line in lines)
    assert "hunter2" not in "".join(lines)


def test_a_very_long_message_is_cut(write: Write) -> None:
    assert len(write("shop", "x" * 100_000)[0]) < 11_000


def test_the_log_goes_to_standard_error_from_its_level_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_stderr("warning")
    logging.getLogger("shop").info("quiet")
    logging.getLogger("shop").warning("loud")
    assert "loud" in (told := capsys.readouterr().err)
    assert "quiet" not in told


def test_a_log_that_the_user_has_configured_stays_and_gets_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = logging.StreamHandler(sys.stdout)
    monkeypatch.setattr(logging.getLogger(), "handlers", [mine])
    log_to_stderr("debug")
    assert logging.getLogger().handlers == [mine]
    assert logging.getLogger().level == logging.DEBUG


def test_warnings_of_supervision_are_left_to_the_log() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log_to_stderr("info")
        warnings.warn("a tree", SupervisionWarning, stacklevel=1)
    assert caught == []
