"""Text for terminals and logs: no escape sequences, no passwords."""

from __future__ import annotations

import time

import pytest

from tocsin import Failure
from tocsin.cli._showing import redacted, shown, shown_failure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://shop:hunter2@db/orders", "postgres://shop:***@db/orders"),
        ("redis://:hunter2@cache:6379", "redis://:***@cache:6379"),
        ("amqp://u:p@ss:w@rd@host refused", "amqp://u:***@host refused"),
        ("a://u:1@h and b://v:2@i", "a://u:***@h and b://v:***@i"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
        ("http://localhost:8080/", "http://localhost:8080/"),
        ("a@b:c", "a@b:c"),
    ],
)
def test_the_passwords_of_addresses_are_replaced_and_nothing_else(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize("text", ["://a:" * 100_000, "://" + "a:" * 100_000, "://a:" + "@" * 100_000 + "/"])
def test_looking_for_passwords_takes_time_by_the_length_of_the_text_only(text: str) -> None:
    started = time.process_time()
    redacted(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("hostile", ["\x1b]52;c;aGk=\x07", "\x9b31m", "a\nb", "\u202eabc", "\x1b]8;;http://x\x07y"])
def test_what_is_shown_is_one_printable_line(hostile: str) -> None:
    assert shown(hostile).isprintable()


def test_a_password_that_the_limit_would_cut_in_two_is_not_shown_in_part() -> None:
    assert "secret" not in shown("x" * 380 + "postgres://shop:" + "secret" * 20 + "@db")


def test_a_failure_is_shown_by_type_and_message() -> None:
    assert shown_failure(Failure.of(ValueError("a\nb"))) == "builtins.ValueError: a\\nb"


def test_without_a_failure_that_is_said() -> None:
    assert shown_failure(None) == "no failure"
