"""Which letters are meant: the same in a command line, in a request, and in the office."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.dlq.shops import MINUTE, NOON, letter
from tocsin.cli._control._errors import CommandRefused
from tocsin.cli._control._params import Params
from tocsin.cli._control._protocol import Json
from tocsin.cli._dlq._choice import Choice, choice_in
from tocsin_supervisors import DeadLetterOffice, DeadLetterReason

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)
EVERYTHING = Choice(
    ids=(1, 7),
    subscription="ship",
    event_type="OrderPlaced",
    error_type="ValueError",
    reason=DeadLetterReason.TIMEOUT,
    since=NOON,
    until=NOON + MINUTE,
)


@pytest.mark.parametrize("choice", [Choice(), EVERYTHING])
def test_a_request_says_what_the_command_line_said(choice: Choice) -> None:
    params = Params(choice.params())
    assert choice_in(params, NOW) == choice
    params.end()


def test_an_age_in_a_request_is_one_of_the_daemon() -> None:
    assert choice_in(Params({"since": "2h"}), NOW).since == datetime(2026, 11, 27, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ids": []}, "ids must be a list of numbers"),
        ({"ids": "1"}, "ids must be a list of numbers"),
        ({"ids": [1, "2"]}, "ids must be a list of numbers"),
        ({"ids": [True]}, "ids must be a list of numbers"),
        ({"ids": [0]}, "ids must be a list of numbers"),
        ({"reason": "bad luck"}, "reason must be one of handler_error, "),
        ({"since": "soon"}, "since='soon' must be a time"),
        ({"until": 5}, "until=5 must be a text"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Json], message: str) -> None:
    with pytest.raises(CommandRefused, match=message):
        choice_in(Params(params), NOW)


@pytest.mark.parametrize(
    ("choice", "is_all", "says_more"),
    [
        (Choice(), True, False),
        (Choice(limit=3), True, False),
        (Choice(ids=(1,)), False, False),
        (Choice(ids=(1,), limit=3), False, False),
        (Choice(subscription="ship"), False, True),
        (EVERYTHING, False, True),
    ],
)
def test_how_much_it_says(choice: Choice, is_all: bool, says_more: bool) -> None:
    assert (choice.is_all, choice.says_more_than_ids) == (is_all, says_more)


def test_the_office_chooses_by_each_of_the_conditions() -> None:
    office: DeadLetterOffice[Any] = DeadLetterOffice()
    late = DeadLetterReason.TIMEOUT
    office.restore(
        [
            letter(1, reason=late),
            letter(2, reason=late),
            letter(7, reason=late),
            letter(8, reason=late, last_failed_at=NOON),
        ]
    )
    assert [each.id for each in office.list(**EVERYTHING.conditions())] == [1]
