"""A letter as it is shown: the same from the letter itself and from what it has written."""

from __future__ import annotations

import json

import pytest

from tests.cli.dlq.shops import letter
from tocsin.cli._control._errors import BrokenConversation
from tocsin.cli._control._protocol import Json
from tocsin.cli._dlq._letter import LetterView
from tocsin.durable import Damaged


def test_a_view_says_what_the_letter_says() -> None:
    view = LetterView.of(letter(7), full=False)
    assert (view.id, view.subscription, view.event_type) == (7, "ship", "shop.orders.OrderPlaced")
    assert (view.reason, view.attempts, view.failed_at) == ("handler_error", 3, "2024-05-01T12:07:00+00:00")
    assert (view.error, view.damaged) == ("ValueError: no stock", None)


def test_a_letter_that_never_failed_in_a_handler_has_no_error() -> None:
    assert LetterView.of(letter(failure=None), full=False).error == ""


@pytest.mark.parametrize("full", [True, False])
def test_a_view_is_the_same_once_it_has_been_json(full: bool) -> None:
    view = LetterView.of(letter(), full=full)
    assert LetterView.read(json.loads(view.to_json_line())) == view


def test_in_full_it_is_the_line_that_the_letter_writes() -> None:
    assert json.loads(LetterView.of(letter(), full=True).to_json_line()) == json.loads(letter().to_json_line())


def test_otherwise_what_may_be_large_is_left_out() -> None:
    facts = LetterView.of(letter(), full=False).to_json()
    whole = json.loads(letter().to_json_line())
    assert whole.keys() - facts.keys() == {"event"}
    assert isinstance(facts["failure"], dict)
    assert whole["failure"].keys() - facts["failure"].keys() == {"traceback"}


def test_of_a_damaged_row_its_number_and_the_damage_are_known() -> None:
    view = LetterView.of_damaged(Damaged("letters", 9, "", 0, "its checksum is wrong", "{'number': 9}"))
    assert (view.id, view.damaged) == (9, "its checksum is wrong")
    assert LetterView.read(view.to_json()) == view


@pytest.mark.parametrize("facts", [None, {}, {"id": "1"}, {"id": 1}, {"id": 1, "damaged": 3}])
def test_what_is_no_letter_is_refused(facts: Json) -> None:
    with pytest.raises(BrokenConversation, match="a dead letter"):
        LetterView.read(facts)
