"""A dead letter as it is shown: read from what one writes of itself, be that here or in a daemon. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, final

import attrs

from tocsin.cli._control._protocol import Json
from tocsin.cli._control._reading import Reading
from tocsin_supervisors import DeadLetter

if TYPE_CHECKING:
    from tocsin.durable import Damaged


@final
@attrs.frozen(kw_only=True)
class LetterView:
    """What is known of one letter. All texts are as they came: whoever shows them escapes them."""

    id: int
    subscription: str = ""
    event_type: str = ""
    reason: str = ""
    attempts: int = 0
    failed_at: str = ""
    """When it failed last, in ISO 8601."""
    error: str = ""
    """The last failure: type and message."""
    damaged: str | None = None
    """Why its row in the file cannot be read; then nothing else is known but its number."""
    facts: Mapping[str, Json] = attrs.field(factory=dict[str, Json], repr=False)
    """All of it, as it was read."""

    @classmethod
    def of(cls, letter: DeadLetter[Any], *, full: bool) -> Self:
        """Give the view of *letter*; without the event and the traceback, which may be large, unless *full*."""
        return cls.read(facts_of(letter, full=full))

    @classmethod
    def of_damaged(cls, row: Damaged) -> Self:
        """Give the view of a row that cannot be read."""
        return cls.read({"id": row.number, "damaged": row.why, "row": row.row})

    @classmethod
    def read(cls, facts: Json) -> Self:
        """Read what `to_json` gave; raise BrokenConversation if it is none."""
        reading = Reading(facts, "a dead letter")
        number = int(reading.number("id"))
        damaged = reading.optional_text("damaged")
        if damaged is not None:
            return cls(id=number, damaged=damaged, facts=reading.values())
        return cls(
            id=number,
            subscription=reading.text("subscription"),
            event_type=reading.text("event_type"),
            reason=reading.text("reason"),
            attempts=reading.count("attempts"),
            failed_at=reading.text("last_failed_at"),
            error=_error(reading.optional_object("failure")),
            facts=reading.values(),
        )

    def to_json(self) -> dict[str, Json]:
        """Give all of it as JSON."""
        return dict(self.facts)

    def to_json_line(self) -> str:
        """Give all of it as a line of ASCII, without line end."""
        return json.dumps(self.facts, allow_nan=False)


def facts_of(letter: DeadLetter[Any], *, full: bool) -> dict[str, Json]:
    """Give *letter* as JSON; without its event and traceback unless *full*."""
    if full:
        return _read(letter.to_json_line())
    facts = _read(letter.to_json_line(lambda _event: None))
    del facts["event"]
    failure = facts["failure"]
    if isinstance(failure, dict):
        del failure["traceback"]
    return facts


def _read(line: str) -> dict[str, Json]:
    facts: dict[str, Json] = json.loads(line)
    return facts


def _error(failure: Reading | None) -> str:
    return "" if failure is None else f"{failure.text('type').removeprefix('builtins.')}: {failure.text('message')}"
