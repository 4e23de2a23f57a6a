"""Make each bug of the catalogue in a copy of the source, and see which harness finds it, and how soon.

    python -m tests.mutants [--jobs N] [TEXT …]     only bugs in whose description one of the texts is

Fails if one is not found, by a harness that takes a minute at most.
"""

from __future__ import annotations

import argparse
import sys

from attrs import frozen

from tests.mutants.catalogue import HARNESSES, Bug, bugs, source_of
from tests.mutants.laboratory import Laboratory, Trial, laboratories

LIMIT = 60.0  # seconds for one harness


@frozen
class Hunt:
    """How the search for a bug went: *by* is the harness that has found it."""

    bug: Bug
    by: str | None
    seconds: float

    def __str__(self) -> str:
        found = f"{self.by:14}" if self.by else "NOT FOUND     "
        return f"{self.seconds:6.1f} s  {found} {self.bug.what}"


def hunt(bug: Bug) -> Hunt:
    """Make *bug*, and let the harnesses look for it."""
    source = bug.in_source(source_of(bug))
    trial = Laboratory.try_out(bug.file, source, [HARNESSES[name] for name in bug.found_by], LIMIT)
    return Hunt(bug, None if trial.by is None else bug.found_by[trial.by], trial.seconds)


def without_a_bug(bug: Bug, harness: str) -> Trial:
    """Let *harness* look at the file of *bug* as it is."""
    return Laboratory.try_out(bug.file, source_of(bug), [HARNESSES[harness]], LIMIT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Have the harnesses look for bugs.")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time (default: 2)")
    parser.add_argument("text", nargs="*", help="only bugs in whose description one of these is")
    arguments = parser.parse_args()
    chosen = [bug for bug in bugs() if not arguments.text or any(text in bug.what for text in arguments.text)]
    harnesses = {name: bug for bug in chosen for name in bug.found_by}
    with laboratories(arguments.jobs) as pool:
        for name, trial in zip(harnesses, pool.map(without_a_bug, harnesses.values(), harnesses), strict=True):
            if trial.by is not None:
                sys.exit(
                    f"the harness {name!r} fails, or takes longer than {LIMIT:g} s, without any bug: mend that first"
                )
            print(f"{trial.seconds:6.1f} s  {name}, where there is nothing to be found", flush=True)

        hunts: list[Hunt] = []
        for each in pool.map(hunt, chosen):
            print(each, flush=True)
            hunts.append(each)
    missed = [each for each in hunts if each.by is None]
    print(f"{len(hunts)} bugs: {len(hunts) - len(missed)} found, {len(missed)} not found")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
