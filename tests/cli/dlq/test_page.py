"""One letter with everything that it says."""

from __future__ import annotations

from typing import Any

from tests.cli.dlq.shops import NOON, letter
from tocsin.cli._dlq._letter import LetterView
from tocsin.cli._dlq._page import page
from tocsin.durable import Damaged
from tocsin_supervisors import DeadLetter, DeadLetterReason, Failure


def shown(letter: DeadLetter[Any]) -> list[str]:
    return list(page(LetterView.of(letter, full=True)))


def failed() -> Failure:
    try:
        try:
            raise KeyError("sku")
        except KeyError as error:
            raise ValueError("no stock") from error
    except ValueError as error:
        return Failure.of(error)


def test_everything_that_is_known_is_there() -> None:
    text = "\n".join(shown(letter(4, headers={"trace": "t1", "n": 3}, topic="orders", failure=failed())))
    for each in (
        "dead letter 4: shop.orders.OrderPlaced for ship\n",
        "reason          handler_error, after 3 attempts",
        "failed          first 2024-05-01 12:00:00, last 2024-05-01 12:04:00",
        "published       2024-05-01 12:00:00",
        "event id        e4",
        "topic           orders",
        "1 x handler_error at ship: first 2024-05-01 12:04:00, last 2024-05-01 12:04:00",
        "the first of all: handler_error at ship, 2024-05-01 12:04:00",
        "trace: t1\n    n: 3\n",
        "failure: builtins.ValueError: no stock",
        'raise ValueError("no stock") from error',
        "caused by builtins.KeyError: 'sku'",
        '  event\n    {\n      "number": 4\n    }',
    ):
        assert each in text


def test_what_is_not_known_is_left_out() -> None:
    text = "\n".join(shown(letter(failure=None)))
    for each in ("topic", "caused by", "failure", "headers", "replayed", "not encoded", "left out"):
        assert each not in text


def test_a_replay_that_failed_says_of_which_letter_it_was_one() -> None:
    again = letter(5, reason=DeadLetterReason.TIMEOUT).after(letter(4))
    text = "\n".join(shown(again))
    assert "replayed        1 times, last as a replay of letter 4" in text
    assert "1 x timeout at ship" in text
    assert "1 x handler_error at ship" in text


def test_a_group_says_what_it_holds_and_what_was_left_out_is_told() -> None:
    group = Failure.of(ExceptionGroup("many", [ValueError(n) for n in range(30)]))
    text = "\n".join(shown(letter(failure=group)))
    assert "holds builtins.ValueError: 0" in text
    assert "(something was left out, as it was too long)" in text


def test_an_event_that_is_text_is_shown_as_it_is() -> None:
    assert shown(letter(event="hello"))[-2:] == ["  event", "    hello"]


def test_an_encoder_that_failed_is_told() -> None:
    facts = LetterView.of(letter(), full=True).to_json() | {"encode_error": "ValueError: no"}
    assert list(page(LetterView.read(facts)))[-1].split() == ["not", "encoded", "ValueError:", "no"]


def test_a_letter_without_its_event_is_shown_without() -> None:
    assert "  event" not in list(page(LetterView.of(letter(), full=False)))


def test_nothing_in_a_letter_reaches_the_terminal_as_more_than_letters() -> None:
    evil = "\x1b[31m\x9b2J\u202e\r"
    hostile = letter(
        event={evil: [evil]},
        event_id=evil,
        event_type=evil,
        subscription=evil,
        headers={evil: evil},
        failure=Failure(evil, evil, traceback=f"{evil}\n{evil}", causes=(evil,)),
        first_failed_at=NOON,
    )
    assert all(line.isprintable() for line in shown(hostile))


def test_a_damaged_row_is_shown_as_such() -> None:
    view = LetterView.of_damaged(Damaged("letters", 9, "", 0, "its checksum is wrong", "{'number': 9}"))
    assert list(page(view)) == ["dead letter 9: its checksum is wrong", "  row             {'number': 9}"]
