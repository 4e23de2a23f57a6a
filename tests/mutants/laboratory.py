"""Where changes of the source are tried out: a copy of the checkout for each process, and a process for each run of
tests, forked off one that has loaded what all of them need.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, final

from attrs import frozen

from tests.mutants.copies import make_copy, surroundings

# Nothing of the library itself.
LOADED_ONCE = ("pytest", "hypothesis.stateful", "anyio._backends._asyncio", "anyio._backends._trio", "trio.testing")
PARTS = ("tocsin", "tocsin_supervisors", "tests")
QUICKLY = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not soak"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what was loaded before
)


@final
@frozen
class Trial:
    """How a change was tried out: *by* is the place of the first group of tests that has noticed it, if any has."""

    by: int | None
    seconds: float


@final
class Laboratory:
    """What one process has: its copy."""

    copy: Path

    @classmethod
    def open(cls, folder: str) -> None:
        """Make the copy; called once in each process."""
        cls.copy = make_copy(Path(folder) / str(os.getpid()))
        for name in LOADED_ONCE:
            importlib.import_module(name)
        gc.freeze()

    @classmethod
    def try_out(cls, file: str, source: str, groups: Sequence[Sequence[str]], limit: float) -> Trial:
        """Let *file* be *source*, and run groups of tests, *limit* seconds each, until one notices. What does not end
        has been noticed, as it ends without the change."""
        began = time.monotonic()
        place = cls.copy / file
        as_it_is = place.read_text()
        place.write_text(source)
        try:
            by = next((number for number, tests in enumerate(groups) if not passes(cls.copy, tests, limit)), None)
        finally:
            place.write_text(as_it_is)
        return Trial(by, time.monotonic() - began)


@contextmanager
def laboratories(jobs: int) -> Generator[ProcessPoolExecutor]:
    """Give so many processes for `Laboratory.try_out`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(jobs, initializer=Laboratory.open, initargs=(folder,)) as pool,
    ):
        yield pool


def passes(copy: Path, tests: Sequence[str], limit: float) -> bool:
    """Tell whether *tests*, arguments of pytest, pass in *copy*, in a process of their own, within *limit* seconds."""
    child = os.fork()
    if child == 0:
        run_tests(copy, tests)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)  # the child runs in real time
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def run_tests(copy: Path, tests: Sequence[str]) -> NoReturn:
    """Be the process that runs *tests* in *copy*."""
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
