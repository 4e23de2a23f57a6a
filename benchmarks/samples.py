"""Delays by the thousand, and what is said of them: the median, and what one in a hundred exceeds."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """Give the least sample that *percent* of them do not exceed; raise ValueError without any."""
    if not samples:
        raise ValueError("no samples, so no percentile of them")
    ordered = sorted(samples)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def percentiles(samples: Sequence[float], prefix: str = "") -> dict[str, float]:
    """Give p50 and p99 of *samples* in seconds, as figures in microseconds."""
    return {f"{prefix}p{percent}_us": percentile(samples, percent) * 1e6 for percent in (50, 99)}
