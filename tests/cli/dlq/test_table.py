"""Letters in columns."""

from __future__ import annotations

import pytest

from tests.cli.dlq.shops import letter
from tocsin.cli._dlq._letter import LetterView
from tocsin.cli._dlq._table import columns_of, cut, table
from tocsin.durable import Damaged
from tocsin_supervisors import Failure

LETTERS = [
    LetterView.of(letter(9), full=False),
    LetterView.of(letter(10, subscription="bill", failure=None), full=False),
    LetterView.of_damaged(Damaged("letters", 11, "", 0, "its checksum is wrong", "")),
]


def test_without_a_terminal_a_line_is_as_long_as_it_is() -> None:
    assert list(table(LETTERS, None)) == [
        "ID  LAST FAILED          ACTOR  TYPE         REASON         TRIES  ERROR",
        " 9  2024-05-01 12:09:00  ship   OrderPlaced  handler_error      3  ValueError: no stock",
        "10  2024-05-01 12:10:00  bill   OrderPlaced  handler_error      3",
        "11  ?                    ?      ?            (damaged)          ?  its checksum is wrong",
    ]


@pytest.mark.parametrize("width", [76, 80, 100])
def test_in_a_terminal_no_line_is_longer_than_it_is_wide(width: int) -> None:
    long = LetterView.of(letter(subscription="s" * 90, failure=Failure.of(ValueError("x" * 200))), full=False)
    assert max(map(len, table([*LETTERS, long], width))) == width


def test_the_error_gives_way_first_then_type_and_actor() -> None:
    lines = list(table(LETTERS, 76))
    assert lines[1] == " 9  2024-05-01 12:09:00  ship   OrderPlaced  handler_error      3  ValueErr…"
    assert list(table(LETTERS, 72))[1] == " 9  2024-05-01 12:09:00  ship   OrderPl…  handler_error      3  ValueEr…"


def test_a_terminal_that_is_far_too_narrow_gets_the_narrowest_columns() -> None:
    assert list(table(LETTERS, 10)) == list(table(LETTERS, 20))


def test_nothing_in_a_letter_reaches_the_terminal_as_more_than_letters() -> None:
    error = ValueError("\x1b[31mred\nnext line\u202e")
    hostile = letter(subscription="a\x1b]0;x\x07", event_type="m.T\x9b2J", failure=Failure.of(error))
    lines = list(table([LetterView.of(hostile, full=False)], None))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_how_many_columns_a_text_takes(text: str, columns: int) -> None:
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("text", "size", "left"), [("abcd", 4, "abcd"), ("abcde", 4, "abc…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…")]
)
def test_what_does_not_fit_ends_in_an_ellipsis(text: str, size: int, left: str) -> None:
    assert cut(text, size) == left
