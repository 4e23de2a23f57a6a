"""The ready-made event, and the topic of an event."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from tocsin._events import Event, topic_of
from tocsin.exceptions import InvalidTopic


class Topic(StrEnum):
    PLACED = "order.placed"


class Plain:
    pass


class Pretender:
    """Says that it is an `Event`, and is none."""

    type = "order.placed"

    @property
    def __class__(self) -> Any:
        return Event

    @__class__.setter
    def __class__(self, value: object) -> None:
        raise AssertionError("nobody sets the class")


def test_an_event_carries_a_type_and_a_payload() -> None:
    event = Event("order.placed", {"id": 7})
    assert (event.type, event.payload, event.schema_version) == ("order.placed", {"id": 7}, 1)
    assert event == Event("order.placed", {"id": 7})


def test_an_event_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Event("order.placed").payload = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "order..placed", "order.*", "a\x00b", 7, None])
def test_the_type_of_an_event_must_be_a_topic(name: Any) -> None:
    with pytest.raises(InvalidTopic):
        Event(name)


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None])
def test_the_version_of_an_event_must_be_a_positive_whole_number(version: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        Event("order.placed", schema_version=version)


def test_the_topic_of_an_event_is_its_type() -> None:
    assert topic_of(Event("order.placed"), None) == "order.placed"


def test_an_explicit_topic_wins_over_the_type_of_an_event() -> None:
    assert topic_of(Event("order.placed"), "audit") == "audit"


def test_an_object_of_another_class_has_no_topic_unless_one_is_given() -> None:
    assert topic_of(Plain(), None) is None
    assert topic_of(Plain(), "plain") == "plain"


def test_an_object_that_only_says_it_is_an_event_has_no_topic() -> None:
    pretender = Pretender()
    assert isinstance(pretender, Event)
    assert topic_of(pretender, None) is None


def test_a_member_of_an_enum_of_texts_becomes_plain_text() -> None:
    assert type(topic_of(Plain(), Topic.PLACED)) is str
    assert Event(Topic.PLACED).type == "order.placed"
    assert type(Event(Topic.PLACED).type) is str


def test_a_topic_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidTopic, match="is no text"):
        topic_of(Plain(), 7)  # type: ignore[arg-type]
