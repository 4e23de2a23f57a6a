"""Tables of what has to be tested, and which tests cover which row: each names the number of its row."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("asyncio", "trio")


@frozen
class Table:
    """Rows by their number. *argued*: why there is no test of (part of) one. *places*: where the tests are.

    *numbers* finds, in a name in which spaces stand for underscores, what `findall` gives the numbers in.
    """

    what: str
    rows: Mapping[str, str]
    argued: Mapping[str, str]
    places: tuple[Path, ...]
    numbers: re.Pattern[str]

    def covering(self, tests: Iterable[str]) -> dict[str, list[str]]:
        """Sort the ids of tests by the rows that they name."""
        found: dict[str, list[str]] = defaultdict(list)
        for test in tests:
            named = self.numbers.findall(test.partition("::")[2].replace("_", " "))
            for number in {number for each in named for number in each.split()}:
                found[number].append(test)
        return found

    def problems(self, found: Mapping[str, list[str]]) -> list[str]:
        """Say what is missing."""
        lines = [f"{number} is not in the table" for number in found if number not in self.rows]
        for number, title in self.rows.items():
            lacking = set(BACKENDS) - backends_of(found.get(number, []))
            if number not in self.argued and lacking:
                lines.append(f"{number} ({title}) has no test on {' and '.join(sorted(lacking))}")
        return lines

    def main(self) -> None:
        """Print which tests cover which row; fail if one has neither a test nor a reason why there is none."""
        found = self.covering(collected(self.places))
        for number, title in self.rows.items():
            tests = found.get(number, [])
            where = " and ".join(sorted(backends_of(tests))) if tests else "argued"
            print(f"{number:4} {len(tests):5} {where:16} {title}")
            if number in self.argued:
                print(f"{'':28}{self.argued[number]}")
        wrong = self.problems(found)
        print(*wrong, sep="\n")
        covered = sum(1 for number in self.rows if found.get(number))
        print(
            f"{len(self.rows)} {self.what}: {covered} covered by tests, {len(self.argued)} argued, {len(wrong)} missing"
        )
        sys.exit(1 if wrong else 0)


def collected(places: Iterable[Path]) -> list[str]:
    """Give the ids of all tests in *places*, those of the long runs included."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", ""]
    done = subprocess.run([*command, *map(str, places)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the tests could not be collected:\n{done.stdout}{done.stderr}")
    return [line for line in done.stdout.splitlines() if "::" in line]


def backends_of(tests: Iterable[str]) -> set[str]:
    """Tell on which backends the tests run; one that names none is about values, and holds on both."""
    named = [{backend for backend in BACKENDS if backend in re.split(r"[\[\]-]", test)} for test in tests]
    return {backend for each in named for backend in (each or BACKENDS)}
