"""The bugs that could have been made, and the harnesses that look for them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.tables import ROOT

BUGS = Path(__file__).parent / "bugs.toml"
# The first minutes of each: what takes longer is not what finds a bug while one waits for it.
HARNESSES: dict[str, list[str]] = {
    "faults": ["tests/testing/test_faults.py", "-m", "not slow and not soak"],
    "model": ["tests/properties/test_bus_against_model.py"],
    "cancel": [
        "tests/runtime/test_cancel_at_every_step.py",
        "-m",
        "not slow and not soak",
        "-k",
        "full and not native",
    ],
    "machine": ["tests/properties/test_decisions_machine.py"],
    "backpressure": ["tests/runtime/test_backpressure.py"],
    "backoff": ["tests/supervisors/test_backoff.py"],
    "deduplication": ["tests/runtime/test_deduplication.py"],
    "draining": ["tests/runtime/test_draining.py"],
    "fast_way": ["tests/runtime/test_fast_way.py"],
    "intensity": ["tests/supervisors/test_intensity.py"],
    "judgement": ["tests/runtime/test_judgement.py"],
    "lanes": ["tests/runtime/test_lanes.py"],
    "mailbox": ["tests/runtime/test_mailbox.py"],
    "pool": ["tests/runtime/test_pool.py"],
    "races": ["tests/properties/test_every_schedule.py", "-m", "not slow and not soak"],
    "overflow_policies": ["tests/runtime/test_overflow_policies.py"],
    "asking": ["tests/runtime/test_asking.py"],
    "publishing": ["tests/runtime/test_publishing.py"],
    "stopping": ["tests/runtime/test_stopping.py", "-m", "not slow and not soak"],
    "strategies": ["tests/supervisors/test_strategies.py"],
}


@frozen
class Bug:
    """A change of one place of the source that should not go unnoticed."""

    what: str
    file: str
    before: str
    after: str
    found_by: tuple[str, ...]

    def in_source(self, source: str) -> str:
        """Give *source* with the bug; raise ValueError if the place is not there exactly once."""
        count = source.count(self.before)
        if count != 1:
            raise ValueError(f"{self.what}: its place is {count} times in {self.file}, it must be there once")
        return source.replace(self.before, self.after)


def bugs() -> list[Bug]:
    """Read the catalogue."""
    with BUGS.open("rb") as file:
        read: list[dict[str, Any]] = tomllib.load(file)["bug"]
    return [Bug(found_by=tuple(each.pop("found_by")), **each) for each in read]


def source_of(bug: Bug, root: Path = ROOT) -> str:
    """Give the file of *bug* as it is."""
    return (root / bug.file).read_text()
