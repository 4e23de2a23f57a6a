"""What topics and patterns are, and which match."""

from __future__ import annotations

import time
import unicodedata
from enum import StrEnum

import pytest

from tocsin._topics import (
    MAX_SEGMENTS,
    MAX_TOPIC_BYTES,
    TopicPatterns,
    check_pattern,
    check_topic,
    pattern_matches,
)
from tocsin.exceptions import InvalidTopic


class Liar(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("an overridden __str__ must not be asked")


class Topic(StrEnum):
    PLACED = "order.placed"


GOOD = [
    "a",
    "order.placed",
    "Bestellung.geändert",
    "注文.作成",
    "with space.and-dash_9",
    ".".join("a" * MAX_SEGMENTS),
    "ß" * 127,
]
BAD = {
    "empty": ("", "is empty"),
    "leading dot": (".a", "empty segment"),
    "trailing dot": ("a.", "empty segment"),
    "double dot": ("a..b", "empty segment"),
    "only a dot": (".", "empty segment"),
    "NUL": ("a\x00b", "control, invisible"),
    "newline": ("a\nb", "control, invisible"),
    "ANSI escape": ("a\x1b[31mb", "control, invisible"),
    "C1 control": ("a\x9bb", "control, invisible"),
    "DEL": ("a\x7f", "control, invisible"),
    "lone surrogate": ("a\ud800", "control, invisible"),
    "right-to-left override": ("a\u202eb", "control, invisible"),
    "bidirectional isolate": ("a\u2066b", "control, invisible"),
    "zero-width space": ("a\u200bb", "control, invisible"),
    "no-break space": ("a\u00a0b", "control, invisible"),
    "line separator": ("a\u2028b", "control, invisible"),
    "byte order mark": ("\ufeffa", "control, invisible"),
    "one byte too long": ("a" * (MAX_TOPIC_BYTES + 1), "longer than 255 bytes"),
    "too long in bytes": ("ß" * 128, "longer than 255 bytes"),
    "one segment too many": (".".join("a" * (MAX_SEGMENTS + 1)), "has 33 segments, at most 32"),
    "decomposed": (unicodedata.normalize("NFD", "geändert"), "normal form C"),
    "bytes": (b"order.placed", "is no text"),
    "number": (7, "is no text"),
    "None": (None, "is no text"),
}


@pytest.mark.parametrize("topic", GOOD)
def test_a_topic_of_printable_segments_is_accepted(topic: str) -> None:
    assert check_topic(topic) == topic
    assert check_pattern(topic) == topic


@pytest.mark.parametrize(("text", "rule"), BAD.values(), ids=BAD)
def test_fault_H6_H7_a_text_that_breaks_a_rule_is_neither_a_topic_nor_a_pattern(text: object, rule: str) -> None:
    with pytest.raises(InvalidTopic, match=rule):
        check_topic(text)
    with pytest.raises(InvalidTopic, match=rule):
        check_pattern(text)


@pytest.mark.parametrize("topic", ["*", "#", "order.*", "#.placed", "C#.released", "a*b"])
def test_wildcards_have_no_place_in_a_topic(topic: str) -> None:
    with pytest.raises(InvalidTopic, match="has a wildcard: publish to one topic"):
        check_topic(topic)


@pytest.mark.parametrize("pattern", ["*", "#", "order.*", "#.placed", "*.*", "#.#", "#.a.#.a"])
def test_a_whole_segment_of_a_pattern_may_be_a_wildcard(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["ord*", "**", "##", "a.b#", "*#", "C#.released"])
def test_a_wildcard_inside_of_a_segment_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidTopic, match="stand for whole segments"):
        check_pattern(pattern)


def test_the_message_shows_the_refused_text_in_printable_form() -> None:
    with pytest.raises(InvalidTopic) as caught:
        check_topic("a\x1b[31m\ud800")
    assert str(caught.value).isprintable()
    assert r"\x1b[31m\ud800" in str(caught.value)


def test_a_huge_text_is_refused_with_a_short_message() -> None:
    with pytest.raises(InvalidTopic) as caught:
        check_topic("a" * 10_000_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", [Liar("order.placed"), Topic.PLACED], ids=["subclass", "enum"])
def test_a_subclass_of_text_becomes_plain_text(text: str) -> None:
    assert type(check_topic(text)) is str
    assert check_topic(text) == "order.placed"


# ── matching ──

MATCHES = [
    ("order", "order"),
    ("order.placed", "order.placed"),
    ("order.*", "order.placed"),
    ("*.placed", "order.placed"),
    ("*.*", "order.placed"),
    ("#", "order"),
    ("#", "order.placed.twice"),
    ("order.#", "order"),
    ("order.#", "order.placed"),
    ("order.#", "order.placed.twice"),
    ("#.twice", "twice"),
    ("#.twice", "order.placed.twice"),
    ("order.#.twice", "order.twice"),
    ("order.#.twice", "order.a.b.c.twice"),
    ("#.a.#.a", "a.a"),
    ("#.a.#.a", "x.a.y.a"),
    ("#.*", "order"),
    ("#.#", "order"),
    ("*.#.*", "a.b"),
]
MISSES = [
    ("order", "orders"),
    ("order", "order.placed"),
    ("Order", "order"),
    ("order.*", "order"),
    ("order.*", "order.placed.twice"),
    ("*", "order.placed"),
    ("order.#", "orders.placed"),
    ("#.twice", "order.twice.placed"),
    ("#.a.#.a", "a"),
    ("#.a.#.a", "a.b"),
    ("*.#.*", "a"),
]


@pytest.mark.parametrize(("pattern", "topic"), MATCHES)
def test_a_topic_matches(pattern: str, topic: str) -> None:
    assert pattern_matches(pattern, topic)


@pytest.mark.parametrize(("pattern", "topic"), MISSES)
def test_a_topic_does_not_match(pattern: str, topic: str) -> None:
    assert not pattern_matches(pattern, topic)


def test_all_entries_with_a_matching_pattern_are_found_once() -> None:
    patterns: TopicPatterns[str] = TopicPatterns()
    for pattern, entry in [("order.*", "x"), ("#", "x"), ("order.placed", "y"), ("order.cancelled", "z")]:
        patterns.add(pattern, entry)
    assert patterns.matching("order.placed") == {"x", "y"}
    assert patterns.matching("invoice") == {"x"}


def test_a_removed_pattern_matches_no_more_and_the_others_still_do() -> None:
    patterns: TopicPatterns[str] = TopicPatterns()
    for pattern in ("order.*", "order.*.twice", "order"):
        patterns.add(pattern, pattern)
    patterns.add("order.*", "another")
    patterns.remove("order.*", "order.*")
    assert patterns.matching("order.placed") == {"another"}
    patterns.remove("order.*", "another")
    assert patterns.matching("order.placed") == set()
    assert patterns.matching("order.placed.twice") == {"order.*.twice"}
    patterns.remove("order.*.twice", "order.*.twice")
    assert patterns.matching("order") == {"order"}


def test_removing_what_was_never_added_changes_nothing() -> None:
    patterns: TopicPatterns[str] = TopicPatterns()
    patterns.add("order.*", "x")
    for pattern, entry in [("order", "x"), ("order.*", "y"), ("invoice.*", "x"), ("order.*.twice", "x")]:
        patterns.remove(pattern, entry)
    assert patterns.matching("order.placed") == {"x"}


def test_a_pattern_that_is_none_cannot_be_added() -> None:
    with pytest.raises(InvalidTopic):
        TopicPatterns[str]().add("ord*", "x")


def test_fault_H8_the_longest_pattern_of_repetitions_is_matched_without_backtracking() -> None:
    pattern = ".".join(["#", "a"] * (MAX_SEGMENTS // 2))
    topic = ".".join(["a"] * (MAX_SEGMENTS - 1) + ["b"])
    started = time.process_time()
    assert not pattern_matches(pattern, topic)
    # 32 x 32 steps; trying all ways instead would take longer than the age of the universe.
    assert time.process_time() - started < 1
