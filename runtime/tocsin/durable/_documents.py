"""Dead letters as documents: JSON of everything but the event, which has its own bytes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs

from tocsin_supervisors._failures import Failure
from tocsin_supervisors._letters import DeadLetter, DeadLetterReason, DeathCount, FirstDeath
from tocsin_supervisors._text import json_safe

_FIELDS = tuple(field.name for field in attrs.fields(DeadLetter) if field.name != "event")


def document_of(letter: DeadLetter[Any]) -> bytes:
    """Write down everything that *letter* says beside its event. Headers that JSON does not know become text."""
    facts = {name: json_safe(getattr(letter, name)) for name in _FIELDS}
    return json.dumps(facts, allow_nan=False).encode("ascii")


def letter_of(document: bytes, event: Any) -> DeadLetter[Any]:
    """Make the letter anew, with *event*; raise ValueError, KeyError or TypeError if *document* is none."""
    facts = json.loads(document)
    for name in ("published_at", "first_failed_at", "last_failed_at"):
        facts[name] = datetime.fromisoformat(facts[name])
    facts["reason"] = DeadLetterReason(facts["reason"])
    if facts["failure"] is not None:
        failure = facts["failure"]
        failure |= {"causes": tuple(failure["causes"]), "leaves": tuple(failure["leaves"])}
        facts["failure"] = Failure(**failure)
    facts["history"] = tuple(_death(DeathCount, each, "first", "last") for each in facts["history"])
    facts["first_death"] = _death(FirstDeath, facts["first_death"], "at")
    # What a newer version may have written besides is left out: it does not know how to be there.
    return DeadLetter(event=event, **{name: facts[name] for name in _FIELDS})


def _death(kind: type[Any], facts: dict[str, Any], *times: str) -> Any:
    facts["reason"] = DeadLetterReason(facts["reason"])
    for name in times:
        facts[name] = datetime.fromisoformat(facts[name])
    return kind(**facts)
