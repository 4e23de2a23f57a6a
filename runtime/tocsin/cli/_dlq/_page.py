"""One letter with everything that it says, for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tocsin.cli._control._protocol import Json
from tocsin.cli._control._reading import Reading
from tocsin.cli._showing import shown

from ._letter import LetterView
from ._table import time_of

_LONGEST = 100_000  # characters of one text: that is as much as a letter keeps of one
_LABELS = 15  # columns

_FACTS = (
    ("event_id", "event id"),
    ("topic", "topic"),
    ("priority", "priority"),
    ("schema_version", "schema version"),
    ("correlation_id", "correlation id"),
    ("causation_id", "caused by"),
    ("incarnation", "incarnation"),
)


def page(letter: LetterView) -> Iterator[str]:
    """Give *letter* as lines. Texts are escaped, and stay lines: those of a traceback, and of the event."""
    if letter.damaged is not None:
        yield f"dead letter {letter.id}: {shown(letter.damaged, _LONGEST)}"
        yield from _labelled("row", letter.facts.get("row"))
        return
    reading = Reading(letter.to_json(), "the dead letter")
    yield f"dead letter {letter.id}: {shown(letter.event_type)} for {shown(letter.subscription)}"
    yield from _labelled("reason", f"{letter.reason}, after {letter.attempts} attempts")
    first, last = _time(reading, "first_failed_at"), _time(reading, "last_failed_at")
    yield from _labelled("failed", f"first {first}, last {last}")
    yield from _labelled("published", _time(reading, "published_at"))
    for name, label in _FACTS:
        yield from _labelled(label, letter.facts.get(name))
    yield from _replays(reading)
    yield from _deaths(reading)
    yield from _headers(letter.facts.get("headers"))
    yield from _failure(reading.optional_object("failure"))
    yield from _event(letter.facts)


def _labelled(label: str, value: Json) -> Iterator[str]:
    if value is not None:
        yield f"  {label:<{_LABELS}} {shown(value, _LONGEST)}"


def _time(reading: Reading, name: str) -> str:
    return time_of(reading.text(name))


def _replays(reading: Reading) -> Iterator[str]:
    count, earlier = reading.count("replay_count"), reading.count("replayed_from")
    if count:
        yield from _labelled("replayed", f"{count} times, last as a replay of letter {earlier}")


def _deaths(reading: Reading) -> Iterator[str]:
    yield "  deaths"
    for death in reading.objects("history"):
        times = f"first {_time(death, 'first')}, last {_time(death, 'last')}"
        yield f"    {death.count('count')} x {_place(death)}: {times}"
    first = reading.object("first_death")
    yield f"    the first of all: {_place(first)}, {_time(first, 'at')}"


def _place(death: Reading) -> str:
    return f"{shown(death.text('reason'))} at {shown(death.text('subscription'))}"


def _headers(headers: Json) -> Iterator[str]:
    if isinstance(headers, Mapping) and headers:
        yield "  headers"
        for name, value in headers.items():
            yield f"    {shown(name, _LONGEST)}: {shown(_as_text(value), _LONGEST)}"


def _failure(failure: Reading | None) -> Iterator[str]:
    if failure is None:
        return
    yield f"  failure: {shown(failure.text('type'))}: {shown(failure.text('message'), _LONGEST)}"
    for line in (failure.optional_text("traceback") or "").splitlines():
        yield f"    {shown(line, _LONGEST)}"
    for name, label in (("causes", "caused by"), ("leaves", "holds")):
        for each in failure.texts(name):
            yield f"    {label} {shown(each, _LONGEST)}"
    if failure.flag("truncated"):
        yield "    (something was left out, as it was too long)"


def _event(facts: Mapping[str, Json]) -> Iterator[str]:
    if "event" in facts:
        yield "  event"
        for line in _as_text(facts["event"]).splitlines():
            yield f"    {shown(line, _LONGEST)}"
    if "encode_error" in facts:
        yield from _labelled("not encoded", facts["encode_error"])


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
