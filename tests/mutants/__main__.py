"""Make each bug of the catalogue in a copy of the source, and see which harness finds it, and how soon.

    python -m tests.mutants [--jobs N] [TEXT …]     only bugs in whose description one of the texts is

Fails if one is not found, by a harness that takes a minute at most.
"""

from __future__ import annotations

import argparse
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from tests.mutants.catalogue import HARNESSES, Bug, bugs, source_of
from tests.mutants.copies import make_copy, surroundings

T = TypeVar("T")
R = TypeVar("R")
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


@contextmanager
def copies(count: int) -> Generator[queue.Queue[Path]]:
    """Give copies of the checkout to make bugs in."""
    with tempfile.TemporaryDirectory() as folder:
        found: queue.Queue[Path] = queue.Queue()
        for number in range(count):
            found.put(make_copy(Path(folder) / str(number)))
        yield found


def hunt(bug: Bug, copy: Path) -> Hunt:
    """Make *bug* in *copy*, let the harnesses look for it, and take it back."""
    began = time.monotonic()
    file = copy / bug.file
    as_it_is = source_of(bug, copy)
    file.write_text(bug.in_source(as_it_is))
    try:
        for harness in bug.found_by:
            if not passes(harness, copy, LIMIT):
                return Hunt(bug, harness, time.monotonic() - began)
        return Hunt(bug, None, time.monotonic() - began)
    finally:
        file.write_text(as_it_is)


def seconds_of(harness: str, copy: Path) -> float:
    """Give how long *harness* takes where there is no bug; exit if it finds one, or takes too long to be of use."""
    began = time.monotonic()
    if not passes(harness, copy, LIMIT):
        sys.exit(f"the harness {harness!r} fails, or takes longer than {LIMIT:g} s, without any bug: mend that first")
    return time.monotonic() - began


def passes(harness: str, copy: Path, limit: float) -> bool:
    """Tell whether *harness* finds nothing in *copy*; what does not end within *limit* seconds has found something, as
    it ends without a bug."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", f"timeout={limit:.0f}"]
    process = subprocess.Popen(
        [*command, *HARNESSES[harness]],
        cwd=copy,
        env={**os.environ, **surroundings(copy)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Have the harnesses look for bugs.")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time (default: 2)")
    parser.add_argument("text", nargs="*", help="only bugs in whose description one of these is")
    arguments = parser.parse_args()
    chosen = [bug for bug in bugs() if not arguments.text or any(text in bug.what for text in arguments.text)]
    harnesses = sorted({name for bug in chosen for name in bug.found_by})
    with copies(arguments.jobs) as free, ThreadPoolExecutor(arguments.jobs) as pool:

        def in_a_copy(work: Callable[[T, Path], R], subject: T) -> R:
            copy = free.get()
            try:
                return work(subject, copy)
            finally:
                free.put(copy)

        for harness, seconds in zip(harnesses, pool.map(partial(in_a_copy, seconds_of), harnesses), strict=True):
            print(f"{seconds:6.1f} s  {harness}, where there is nothing to be found", flush=True)

        hunts: list[Hunt] = []
        for each in pool.map(partial(in_a_copy, hunt), chosen):
            print(each, flush=True)
            hunts.append(each)
    missed = [each for each in hunts if each.by is None]
    print(f"{len(hunts)} bugs: {len(hunts) - len(missed)} found, {len(missed)} not found")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
