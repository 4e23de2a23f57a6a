"""Change the parts that decide, mechanically, one place at a time, and see whether the tests notice.

    python -m tests.mutants.sweep [--jobs N] [lanes | router | mailbox | decisions …]

Needs cosmic-ray, which makes the changes. A change that no test notices is a *survivor*: it means the same, or does not
matter, or shows a hole. `survivors.toml` says of each why it may live. Fails if one is not in there, or if fewer than
95 of 100 are noticed of those that do not mean the same.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, final

from attrs import frozen

from tests.mutants.copies import make_copy, surroundings
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.subjects import SUBJECTS
from tests.mutants.survivors import survivors
from tests.tables import ROOT

LIMIT = 120.0  # seconds for one group of tests: what does not end has been noticed
SCORE = 0.95
# Loaded once, before the tests of a change are forked off; nothing of the library itself.
LOADED_ONCE = ("pytest", "hypothesis.stateful", "anyio._backends._asyncio", "anyio._backends._trio", "trio.testing")
PARTS = ("tocsin", "tocsin_supervisors", "tests")
QUICKLY = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not soak"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what was loaded before
)


@frozen
class Verdict:
    """What became of *mutant*: noticed by a group of tests, or by none."""

    mutant: Mutant
    is_noticed: bool
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:6.1f} s  {'noticed' if self.is_noticed else 'SURVIVES'}  {self.mutant}"


@final
class Laboratory:
    """One process that has a copy of its own, and forks off the tests of one change after the other."""

    copy: Path

    @classmethod
    def open(cls, folder: str) -> None:
        cls.copy = make_copy(Path(folder) / str(os.getpid()))
        for name in LOADED_ONCE:
            importlib.import_module(name)
        gc.freeze()

    @classmethod
    def try_out(cls, mutant: Mutant, groups: tuple[tuple[str, ...], ...]) -> Verdict:
        began = time.monotonic()
        file = cls.copy / mutant.file
        as_it_is = file.read_text()
        file.write_text(mutant.source)
        try:
            is_noticed = not all(passes(cls.copy, group, LIMIT) for group in groups)
        finally:
            file.write_text(as_it_is)
        return Verdict(mutant, is_noticed, time.monotonic() - began)


def passes(copy: Path, tests: tuple[str, ...], limit: float) -> bool:
    """Tell whether *tests* pass in *copy*, in a process of their own, within *limit* seconds."""
    child = os.fork()
    if child == 0:
        run_tests(copy, tests)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def run_tests(copy: Path, tests: tuple[str, ...]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.environ.update(surroundings(copy))
        os.chdir(copy)
        sys.path[:0] = [str(copy / "runtime"), str(copy / "supervisors"), str(copy)]
        for name in [name for name in sys.modules if name.partition(".")[0] in PARTS]:
            del sys.modules[name]
        import pytest

        code = int(pytest.main([*QUICKLY, *tests]))
    finally:
        os._exit(code)


def unchanged(file: str) -> Mutant:
    """Give the change that is none."""
    return Mutant(file, "", "", 0, (ROOT / file).read_text())


def sweep(name: str, jobs: int) -> bool:
    """Try every change of a subject, and say whether enough are noticed, and the rest are argued."""
    subject = SUBJECTS[name]
    mutants = [mutant for file in subject.files for mutant in mutants_of(file)]
    print(f"{name}: {len(mutants)} changes", flush=True)
    unnoticed: list[Mutant] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(jobs, initializer=Laboratory.open, initargs=(folder,)) as pool,
    ):
        if pool.submit(Laboratory.try_out, unchanged(subject.files[0]), subject.tests).result().is_noticed:
            sys.exit(f"the tests of {name} fail without any change, or take too long: mend that first")
        for verdict in pool.map(partial(Laboratory.try_out, groups=subject.tests), mutants):
            if not verdict.is_noticed:
                print(verdict, flush=True)
                unnoticed.append(verdict.mutant)
    return report(name, len(mutants), unnoticed)


def report(name: str, count: int, unnoticed: list[Mutant]) -> bool:
    """Print the score of a subject with *count* changes, and say whether it will do."""
    known = survivors()
    argued = [each for mutant in unnoticed for each in known if each.is_of(mutant)]
    equivalent = sum(each.is_equivalent for each in argued)
    unargued = [mutant for mutant in unnoticed if not any(each.is_of(mutant) for each in known)]
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
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)} (default: all)")
    arguments = parser.parse_args()
    wrong = set(arguments.subject) - SUBJECTS.keys()
    if wrong:
        parser.error(f"{', '.join(sorted(wrong))}: must be of {', '.join(SUBJECTS)}")
    os.chdir(ROOT)
    done = [sweep(name, arguments.jobs) for name in arguments.subject or SUBJECTS]
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
