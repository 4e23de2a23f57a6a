"""Points in time as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.cli._dlq._times import moment

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_an_age_is_so_long_before_now(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


@pytest.mark.parametrize("text", ["2026-11-27T18:00", "2026-11-27 18:00:00Z", "2026-11-27T19:00+01:00"])
def test_a_time_is_in_utc_unless_it_says_otherwise(text: str) -> None:
    found = moment(text, NOW)
    assert (found, found.utcoffset()) == (NOW, timedelta(0))


def test_a_date_is_its_beginning() -> None:
    assert moment("2026-11-27", NOW) == datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "h", "2", "2y", "2h ago", "-2h", "1h 2m", "999999999w", "0001-01-01T00:00+14:00"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time such as 2026-11-27T18:00, or how long ago"):
        moment(text, NOW)
