"""Topics, patterns of topics, and finding the patterns that match a topic.

A topic is 1 to 32 segments separated by dots: `order.placed`. A pattern is a topic in which a segment may be `*`,
exactly one segment whatever it says, or `#`, any number of segments, none included. `order.#` matches `order`, too.

How matching works: all patterns stand in one trie of segments. A topic is read segment by segment, and the set of all
nodes that can be reached so far moves along. A node is in the set once, however many ways lead to it, so the work is
bounded by nodes times segments: `#.a.#.a.#` cannot be made to backtrack, which a regular expression can.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar, final

from tocsin_supervisors._text import safe_repr

from .exceptions import InvalidTopic

MAX_TOPIC_BYTES = 255  # AMQP's limit for routing keys; NATS and MQTT allow more, but nobody reads it
MAX_SEGMENTS = 32  # bounds the work of matching

ONE = "*"
ANY = "#"

H = TypeVar("H", bound=Hashable)


def check_topic(topic: object) -> str:
    """Return *topic* as plain text, or raise `InvalidTopic` saying which rule it breaks.

    At most 255 bytes of UTF-8 and 32 segments, none of them empty; printable characters only (no control characters, no
    invisible or direction-changing ones); in Unicode normal form C, so that topics that look the same are the same; no
    `*` and `#`, which are for patterns.
    """
    text = _check_text(topic, "topic")
    if ONE in text or ANY in text:
        raise _invalid(text, "topic", "has a wildcard: publish to one topic, * and # are for patterns of subscribers")
    _check_segments(text, "topic")
    return text


def check_pattern(pattern: object) -> str:
    """Return *pattern* as plain text, or raise `InvalidTopic`. As `check_topic`, but segments may be `*` and `#`."""
    text = _check_text(pattern, "pattern")
    for segment in _check_segments(text, "pattern"):
        if len(segment) > 1 and (ONE in segment or ANY in segment):
            reason = f"has a wildcard inside of the segment {segment!r}: * and # stand for whole segments"
            raise _invalid(text, "pattern", reason)
    return text


def _check_text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _invalid(value, what, "is no text: give it as a str, like 'order.placed'")
    text = str.__str__(value)  # members of a StrEnum become plain text; an overridden __str__ is not asked
    if not text:
        raise _invalid(text, what, "is empty: give at least one segment")
    # By characters first: no encoding of ten megabytes only to refuse them. Escaped, since a lone surrogate has no
    # bytes.
    if len(text) > MAX_TOPIC_BYTES or len(text.encode("utf-8", "backslashreplace")) > MAX_TOPIC_BYTES:
        raise _invalid(text, what, f"is longer than {MAX_TOPIC_BYTES} bytes of UTF-8: put details into the event")
    if not text.isprintable():
        raise _invalid(text, what, "has control, invisible or unassigned characters: use printable ones")
    if not unicodedata.is_normalized("NFC", text):
        raise _invalid(text, what, "is not in Unicode normal form C: pass it through unicodedata.normalize('NFC', …)")
    return text


def _check_segments(text: str, what: str) -> list[str]:
    segments = text.split(".")
    if len(segments) > MAX_SEGMENTS:
        raise _invalid(text, what, f"has {len(segments)} segments, at most {MAX_SEGMENTS} are allowed")
    if "" in segments:
        raise _invalid(text, what, "has an empty segment: segments are separated by single dots")
    return segments


def _invalid(value: object, what: str, reason: str) -> InvalidTopic:
    return InvalidTopic(f"the {what} {safe_repr(value, 80)} {reason}")


@final
class TopicPatterns(Generic[H]):
    """Patterns with entries, and the question which entries have a pattern that matches a topic."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Node[H] = _Node(repeats=False)

    def add(self, pattern: str, entry: H) -> None:
        """Let topics that match *pattern* find *entry*. Raise `InvalidTopic` if it is no pattern."""
        node = self._root
        for segment in check_pattern(pattern).split("."):
            child = node.children.get(segment)
            if child is None:
                child = node.children[segment] = _Node(repeats=segment == ANY)
            node = child
        node.entries.add(entry)

    def remove(self, pattern: str, entry: H) -> None:
        """Take back one `add`; nothing happens if there was none. Leaves no nodes behind that nobody needs."""
        path = [self._root]
        segments = pattern.split(".")
        for segment in segments:
            child = path[-1].children.get(segment)
            if child is None:
                return
            path.append(child)
        path[-1].entries.discard(entry)
        for parent, child, segment in zip(path[-2::-1], path[:0:-1], reversed(segments), strict=True):
            if child.entries or child.children:
                return
            del parent.children[segment]

    def matching(self, topic: str) -> set[H]:
        """Return the entries of all patterns that match *topic*, which is valid."""
        states = _with_empty_repetitions([self._root])
        for segment in topic.split("."):
            states = _with_empty_repetitions(_after(states, segment))
        return {entry for node in states for entry in node.entries}


def pattern_matches(pattern: str, topic: str) -> bool:
    """Tell whether the valid *topic* matches *pattern*. Raise `InvalidTopic` if that is no pattern."""
    patterns: TopicPatterns[str] = TopicPatterns()
    patterns.add(pattern, pattern)
    return bool(patterns.matching(topic))


@final
class _Node(Generic[H]):
    """Where one way through the trie leads: what may follow, and who has a pattern that ends here."""

    __slots__ = ("children", "entries", "repeats")

    def __init__(self, *, repeats: bool) -> None:
        self.children: dict[str, _Node[H]] = {}  # segment, * or # → what follows it
        self.entries: set[H] = set()
        self.repeats = repeats  # reached by a #, which may take the next segment as well


def _after(nodes: Iterable[_Node[H]], segment: str) -> Iterator[_Node[H]]:
    """The nodes reached from *nodes* by reading one segment."""
    for node in nodes:
        if node.repeats:
            yield node
        for way in (segment, ONE):
            child = node.children.get(way)
            if child is not None:
                yield child


def _with_empty_repetitions(nodes: Iterable[_Node[H]]) -> dict[_Node[H], None]:
    """Return *nodes*, each once, and the ones reached from them without reading, since a # may stand for nothing."""
    reached: dict[_Node[H], None] = {}  # a set that keeps its order, so that runs can be repeated exactly
    for node in nodes:
        current: _Node[H] | None = node
        while current is not None and current not in reached:
            reached[current] = None
            current = current.children.get(ANY)
    return reached
