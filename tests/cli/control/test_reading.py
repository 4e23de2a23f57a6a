"""Answers taken apart, and parameters: what is of another kind is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tocsin.cli._control._errors import BrokenConversation, CommandRefused
from tocsin.cli._control._params import Params
from tocsin.cli._control._protocol import Json
from tocsin.cli._control._reading import Reading


def test_everything_of_its_kind_is_given() -> None:
    one = Reading({"t": "a", "n": 1.5, "c": 3, "f": True, "o": {"t": "b"}, "l": [{"t": "c"}], "none": None})
    assert (one.text("t"), one.number("n"), one.count("c"), one.flag("f")) == ("a", 1.5, 3, True)
    assert one.object("o").text("t") == "b"
    assert [each.text("t") for each in one.objects("l")] == ["c"]
    assert one.values()["c"] == 3


@pytest.mark.parametrize("name", ["none", "missing"])
def test_what_may_be_missing_is_none_or_nothing(name: str) -> None:
    one = Reading({"none": None})
    found = (one.optional_text(name), one.optional_number(name), one.optional_object(name))
    assert found == (None, None, None)
    assert (one.count(name), one.flag(name)) == (0, False)


WRONG_READS: list[tuple[Callable[[Reading], Any], str]] = [
    (lambda one: one.text("n"), r"the answer\.n is no text"),
    (lambda one: one.optional_text("n"), r"the answer\.n is no text"),
    (lambda one: one.text("missing"), r"the answer\.missing is no text"),
    (lambda one: one.number("t"), r"the answer\.t is no number"),
    (lambda one: one.number("f"), r"the answer\.f is no number"),
    (lambda one: one.number("missing"), r"the answer\.missing is no number"),
    (lambda one: one.count("t"), r"the answer\.t is no number"),
    (lambda one: one.object("t"), r"the answer\.t is no object"),
    (lambda one: list(one.objects("t")), r"the answer\.t is no list"),
    (lambda one: list(one.objects("l")), r"the answer\.l\[0\] is no object: is the daemon of another version\?"),
]


@pytest.mark.parametrize(("read", "message"), WRONG_READS)
def test_what_is_of_another_kind_is_a_broken_conversation(read: Callable[[Reading], Any], message: str) -> None:
    with pytest.raises(BrokenConversation, match=message):
        read(Reading({"t": "a", "n": 1, "f": True, "l": [7]}))


def test_an_answer_that_is_no_object_is_told() -> None:
    with pytest.raises(BrokenConversation, match="the answer is no object"):
        Reading([])


# ── parameters ──


def test_every_parameter_of_its_kind_is_taken() -> None:
    params = Params({"t": "a", "ts": ["a", "b"], "n": 2.5, "w": 3, "f": True, "v": {"x": 1}})
    assert (params.text("t"), params.texts("ts"), params.optional_number("n")) == ("a", ("a", "b"), 2.5)
    assert params.whole_number("w", 9, at_least=1, at_most=3) == 3
    assert (params.flag("f"), params.value("v")) == (True, {"x": 1})
    params.end()


@pytest.mark.parametrize("given", [{}, {"t": None, "ts": None, "n": None, "w": None, "f": None, "v": None}])
def test_what_is_missing_has_its_default(given: dict[str, Json]) -> None:
    params = Params(given)
    assert (params.optional_text("t"), params.texts("ts"), params.optional_number("n")) == (None, (), None)
    assert params.whole_number("w", 9, at_least=1, at_most=3) == 9
    assert (params.flag("f"), params.value("v")) == (False, None)
    params.end()


WRONG_PARAMS: list[tuple[Callable[[Params], Any], str]] = [
    (lambda params: params.text("missing"), "missing is missing: it must be a text"),
    (lambda params: params.text("n"), "n=1 must be a text"),
    (lambda params: params.texts("t"), "t=a must be a list of texts"),
    (lambda params: params.texts("l"), r"l=\['a', 1\] must be a list of texts"),
    (lambda params: params.optional_number("t"), "t=a must be a number"),
    (lambda params: params.optional_number("f"), "f=True must be a number"),
    (lambda params: params.flag("n"), "n=1 must be true or false"),
    (lambda params: params.whole_number("n", 1, at_least=2, at_most=3), "n=1 must be a whole number from 2 to 3"),
    (lambda params: params.whole_number("n", 1, at_least=0, at_most=0), "n=1 must be a whole number from 0 to 0"),
    (lambda params: params.whole_number("f", 1, at_least=0, at_most=3), "f=True must be a whole number"),
    (lambda params: params.whole_number("t", 1, at_least=0, at_most=3), "t=a must be a whole number"),
    (lambda params: params.end(), "there is no parameter f"),
]


@pytest.mark.parametrize(("take", "message"), WRONG_PARAMS)
def test_a_parameter_of_another_kind_is_refused(take: Callable[[Params], Any], message: str) -> None:
    with pytest.raises(CommandRefused, match=message) as raised:
        take(Params({"t": "a", "n": 1, "f": True, "l": ["a", 1]}))
    assert raised.value.kind == "bad_params"
