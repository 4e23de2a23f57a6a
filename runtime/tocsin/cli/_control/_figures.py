"""Figures as short texts, for columns."""

from __future__ import annotations

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def duration(seconds: float | None) -> str:
    """Give *seconds* in three digits or so: `1.2ms`, `45s`, `3m05s`, `2h10m`, `5d`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds < 60.0:
        return _below_a_minute(seconds)
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d"


def _below_a_minute(seconds: float) -> str:
    if seconds <= 0:
        return "0s"
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{_three_digits(seconds / size)}{unit}"


def amount(number: float | None) -> str:
    """Give *number* in three digits or so: `0`, `3.4`, `1234`, `56.7k`, `8.9M`; `-` for None."""
    if number is None:
        return "-"
    if number == int(number) and number < 10_000:
        return str(int(number))
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{_three_digits(number / (1e3 if unit == 'k' else size))}{unit}"
    return _three_digits(number)


def _three_digits(number: float) -> str:
    return f"{number:.1f}" if number < 100.0 else f"{number:.0f}"
