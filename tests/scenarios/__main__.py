"""Print which tests cover which scenario; fail if one has neither a test nor a reason why there is none."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.scenarios.table import ARGUED, SCENARIOS

FOLDER = Path(__file__).parent
ELSEWHERE = FOLDER.parent / "properties" / "test_conservation.py"  # has a scenario too, and stands with its like
BACKENDS = ("asyncio", "trio")
NUMBER = re.compile(r"(?<![A-Za-z0-9])([OEN]\d+)(?![0-9])")


def collected() -> list[str]:
    """Give the ids of all tests of this folder."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += [str(FOLDER), str(ELSEWHERE)]
    done = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the tests could not be collected:\n{done.stdout}{done.stderr}")
    return [line for line in done.stdout.splitlines() if "::" in line]


def covering(tests: Iterable[str]) -> dict[str, list[str]]:
    """Sort the ids of tests by the scenarios that they name."""
    found: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        for number in set(NUMBER.findall(test.partition("::")[2].replace("_", " "))):
            found[number].append(test)
    return found


def backends_of(tests: Iterable[str]) -> set[str]:
    """Tell on which backends the tests run; one that names none is about values, and holds on both."""
    named = [{backend for backend in BACKENDS if backend in re.split(r"[\[\]-]", test)} for test in tests]
    return {backend for each in named for backend in (each or BACKENDS)}


def problems(found: dict[str, list[str]]) -> list[str]:
    """Say what is missing."""
    lines = [f"{number} is not in the table" for number in found if number not in SCENARIOS]
    for number in SCENARIOS:
        lacking = set(BACKENDS) - backends_of(found.get(number, []))
        if number not in ARGUED and lacking:
            lines.append(f"{number} ({SCENARIOS[number]}) has no test on {' and '.join(sorted(lacking))}")
    return lines


def main() -> None:
    found = covering(collected())
    for number, title in SCENARIOS.items():
        tests = found.get(number, [])
        where = " and ".join(sorted(backends_of(tests))) if tests else "argued"
        print(f"{number:4} {len(tests):5} {where:16} {title}")
        if number in ARGUED:
            print(f"{'':28}{ARGUED[number]}")
    wrong = problems(found)
    print(*wrong, sep="\n")
    covered = sum(1 for number in SCENARIOS if found.get(number))
    print(f"{len(SCENARIOS)} scenarios: {covered} covered by tests, {len(ARGUED)} argued, {len(wrong)} missing")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
