"""Points in time as people type them: a date, or how long ago. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ALLOWED = "must be a time such as 2026-11-27T18:00, or how long ago: 90s, 30m, 2h, 1h30m, 7d, 2w"


def moment(text: str, now: datetime) -> datetime:
    """Give the time that *text* means at *now*, in UTC; raise ValueError.

    A time without an offset is in UTC, as all times are that are shown.
    """
    try:
        age = _age(text)
        return now - age if age is not None else _time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:60]!r} {_ALLOWED}") from error


def _age(text: str) -> timedelta | None:
    pieces = _AGE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in pieces))


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
