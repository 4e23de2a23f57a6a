"""What tests of simulated buses share: an event, a handler, restarts free of charge."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tocsin import Backoff, RestartIntensity, RetryPolicy

# How often is too often is a matter of the supervisors' own tests.
PLENTY = RestartIntensity(10_000, 1.0, max_consecutive=None, may_never_trip=True)


@frozen
class Work:
    number: int = 0


async def nothing(_event: Work) -> None:
    """Handle it."""


def twice(*, restart: float, retry: float, jitter: float = 0.0, **options: Any) -> dict[str, Any]:
    """Give the options of a subscription with two attempts; *restart* and *retry* are the seconds before those."""
    return {
        "intensity": PLENTY,
        "backoff": Backoff(restart, restart, jitter=0.0),
        "retry": RetryPolicy(2, Backoff(retry, retry, jitter=jitter)),
        **options,
    }
