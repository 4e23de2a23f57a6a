"""Change the parts that decide, mechanically, one place at a time, and see whether the tests notice.

    python -m tests.mutants.sweep [--jobs N] [--file TEXT] [lanes | router | mailbox | decisions …]

Needs cosmic-ray, which makes the changes. A change that no test notices is a *survivor*: it means the same, or does not
matter, or shows a hole. `survivors.toml` says of each why it may live. Fails if one is not in there, or if fewer than
95 of 100 are noticed of those that do not mean the same.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from tests.mutants.laboratory import Laboratory, Trial, laboratories
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.subjects import SUBJECTS
from tests.mutants.survivors import survivors
from tests.tables import ROOT

LIMIT = 120.0  # seconds for one group of tests: what does not end has been noticed
SCORE = 0.95


def sweep(name: str, jobs: int, text: str) -> bool:
    """Try every change of a subject in the files with *text* in their names, and say whether enough are noticed, and
    the rest are argued."""
    subject = SUBJECTS[name]
    mutants = [mutant for file in subject.files if text in file for mutant in mutants_of(file)]
    print(f"{name}: {len(mutants)} changes", flush=True)
    file = subject.files[0]
    with laboratories(jobs) as pool:
        as_it_is = pool.submit(Laboratory.try_out, file, (ROOT / file).read_text(), subject.tests, LIMIT).result()
        if as_it_is.by is not None:
            sys.exit(f"the tests of {name} fail without any change, or take too long: mend that first")
        trials = pool.map(partial(_try_out, groups=subject.tests), mutants)
        unnoticed = list(_unnoticed(zip(mutants, trials, strict=True)))
    return report(name, len(mutants), unnoticed)


def _try_out(mutant: Mutant, groups: Sequence[Sequence[str]]) -> Trial:
    return Laboratory.try_out(mutant.file, mutant.source, groups, LIMIT)


def _unnoticed(tried: Iterable[tuple[Mutant, Trial]]) -> Iterator[Mutant]:
    for mutant, trial in tried:
        if trial.by is None:
            print(f"{trial.seconds:6.1f} s  SURVIVES  {mutant}", flush=True)
            yield mutant


def report(name: str, count: int, unnoticed: list[Mutant]) -> bool:
    """Print the score of a subject with *count* changes, and say whether it will do."""
    known = survivors()
    arguments = [next((each for each in known if each.is_of(mutant)), None) for mutant in unnoticed]
    argued = [each for each in arguments if each is not None]
    equivalent = sum(each.is_equivalent for each in argued)
    unargued = [mutant for mutant, each in zip(unnoticed, arguments, strict=True) if each is None]
    score = (count - len(unnoticed)) / (count - equivalent)
    for mutant in unargued:
        print(f"not argued: {mutant}")
    print(
        f"{name}: of {count} changes {equivalent} mean the same, {count - len(unnoticed)} are noticed ({score:.1%} of"
        f" the others), {len(argued) - equivalent} survivors are argued, {len(unargued)} are not",
        flush=True,
    )
    return score >= SCORE and not unargued


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.sweep", description="See what the tests notice.")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time (default: 2)")
    parser.add_argument("--file", default="", metavar="TEXT", help="only changes of files with TEXT in their names")
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)} (default: all)")
    arguments = parser.parse_args()
    wrong = set(arguments.subject) - SUBJECTS.keys()
    if wrong:
        parser.error(f"{', '.join(sorted(wrong))}: must be of {', '.join(SUBJECTS)}")
    os.chdir(ROOT)
    done = [sweep(name, arguments.jobs, arguments.file) for name in arguments.subject or SUBJECTS]
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
