"""How an answer about health reads: a few lines for people, JSON for programs. Pure text, of bounded length."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, assert_never

from tocsin_supervisors._text import safe_text

from ._health import ActorDown, MailboxNearlyFull, WrongPhase, sentence

if TYPE_CHECKING:
    from ._health import Complaint, Health

SHOWN: Final = 20  # complaints: a probe logs the whole answer each time, and the first ones tell what is the matter


def as_text(health: Health) -> str:
    """Give "ok", or "failing" and one line for each complaint, the first `SHOWN` of them; then who is paused, if
    anybody is.
    """
    if health.is_well:
        return "\n".join(["ok", *_paused(health), ""])
    left_out = len(health.complaints) - SHOWN
    rest = [f"and {left_out} more"] if left_out > 0 else []
    return "\n".join(["failing", *map(sentence, health.complaints[:SHOWN]), *rest, *_paused(health), ""])


def as_json(health: Health) -> str:
    """Give the same as an object: `status` (ok, failing), `bus`, `phase`, `failing` (a list of objects, each with its
    `check` and a `reason` in words), `left_out` (how many more there are), `paused` (names, the first `SHOWN`).
    """
    content: dict[str, Any] = {
        "status": "ok" if health.is_well else "failing",
        "bus": safe_text(health.bus),
        "phase": health.phase,
        "failing": [{**_facts(each), "reason": sentence(each)} for each in health.complaints[:SHOWN]],
        "left_out": max(0, len(health.complaints) - SHOWN),
        "paused": [safe_text(name) for name in health.paused[:SHOWN]],
    }
    return json.dumps(content) + "\n"


def _paused(health: Health) -> list[str]:
    left_out = len(health.paused) - SHOWN
    names = ", ".join(safe_text(name) for name in health.paused[:SHOWN])
    return [f"paused: {names}{f' and {left_out} more' if left_out > 0 else ''}"] if names else []


def _facts(complaint: Complaint) -> dict[str, Any]:
    match complaint:
        case WrongPhase():
            return {"check": "phase"}
        case ActorDown(subscription=name, state=state):
            return {"check": "actor", "subscription": safe_text(name), "state": state}
        case MailboxNearlyFull(subscription=name, held=held, capacity=capacity):
            return {"check": "mailbox", "subscription": safe_text(name), "held": held, "capacity": capacity}
        case _:
            assert_never(complaint)
