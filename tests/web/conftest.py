"""What tests of embedded buses stand on."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def terminations() -> Iterator[list[int]]:
    """Note each SIGTERM instead of ending by it, also in tests that expect none."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)
