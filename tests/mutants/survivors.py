"""What is known of changes that no test notices."""

from __future__ import annotations

import tomllib
from pathlib import Path

from attrs import frozen

from tests.mutants.operators import Mutant

SURVIVORS = Path(__file__).parent / "survivors.toml"


@frozen
class Survivor:
    """Changes of a file that no test notices, and why that is right. *is_equivalent*: the program stays the same."""

    file: str
    changes: list[list[str]]
    why: str
    is_equivalent: bool = False

    def is_of(self, mutant: Mutant) -> bool:
        return self.file == mutant.file and [mutant.before, mutant.after] in self.changes


def survivors() -> list[Survivor]:
    """Read what is known of survivors."""
    with SURVIVORS.open("rb") as file:
        return [Survivor(**each) for each in tomllib.load(file).get("survivor", [])]
