"""Topic matching against a recursive definition of what a pattern means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsin._topics import TopicPatterns, check_pattern, check_topic, pattern_matches
from tocsin.exceptions import InvalidTopic

# Few different segments, so that matches are frequent.
topics = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(".".join)
patterns = st.lists(st.sampled_from("ab*#"), min_size=1, max_size=6).map(".".join)


def matches(pattern: list[str], topic: list[str]) -> bool:
    """The meaning of a pattern, word for word."""
    match pattern, topic:
        case [], []:
            return True
        case ["#", *rest], _:
            return any(matches(rest, topic[taken:]) for taken in range(len(topic) + 1))
        case [first, *rest], [segment, *others]:
            return first in ("*", segment) and matches(rest, others)
        case _:
            return False


@given(patterns, topics)
def test_a_pattern_matches_exactly_what_its_meaning_says(pattern: str, topic: str) -> None:
    assert pattern_matches(pattern, topic) is matches(pattern.split("."), topic.split("."))


@given(st.lists(patterns, max_size=12), st.sets(st.integers(0, 11)), topics)
def test_the_index_finds_what_asking_each_pattern_finds(added: list[str], removed: set[int], topic: str) -> None:
    index: TopicPatterns[int] = TopicPatterns()
    for number, pattern in enumerate(added):
        index.add(pattern, number)
    for number in removed & set(range(len(added))):
        index.remove(added[number], number)
    kept = {number: pattern for number, pattern in enumerate(added) if number not in removed}
    expected = {number for number, pattern in kept.items() if matches(pattern.split("."), topic.split("."))}
    assert index.matching(topic) == expected


@given(st.text(max_size=300))
def test_any_text_is_either_a_topic_or_refused_as_one(text: str) -> None:
    refusal = None
    try:
        check_topic(text)
    except InvalidTopic as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal.isprintable()
        return
    assert check_topic(text) == check_pattern(text) == text
    assert text.isprintable()
    assert len(text.encode()) <= 255
    assert all(text.split("."))
    assert pattern_matches(text, text)
    assert pattern_matches("#", text)
