"""The command line: `python3 dev.py demo …`, or `python -m examples.webhooks …` where everything is installed."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import cast

import anyio

from .demo import Options, main
from .pace import FAST, UNHURRIED

EPILOG = """
Ctrl-C or SIGTERM: takes nothing more, finishes what was accepted, reports, exits with 0.
Once more: stops without finishing, reports what is left, exits with 130.
Exit code 1: the ledger did not balance, or the supervision gave up.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="A daemon that takes real GitHub webhooks in, on an event bus with supervised actors.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--seed", type=int, default=1, help="decides order, duplicates and failures (default: 1)")
    parser.add_argument("--rate", type=_positive, help=f"webhooks a second (default: {UNHURRIED.rate:.0f})")
    parser.add_argument("--repeat", type=_count, default=2, help="how often the 329 webhooks come (default: 2)")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live view, also in a terminal")
    parser.add_argument("--fast", action="store_true", help="everything as fast as it goes, a few seconds in all")
    parser.add_argument("--fix-bug", action="store_true", help="without the bug in `feeds` from the start")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of this run in a new folder there")
    given = parser.parse_args(arguments)
    return Options(
        backend=given.backend,
        seed=given.seed,
        repeat=given.repeat,
        pace=(FAST if given.fast else UNHURRIED).at_rate(given.rate),
        plain=given.plain,
        fix_bug=given.fix_bug,
        keep=given.keep,
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: must be above 0 and below a million")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return value


def run(arguments: Sequence[str] | None = None) -> int:
    """Play the demo and give the exit code."""
    options = parse_arguments(arguments)
    logging.getLogger("tocsin").addHandler(logging.NullHandler())  # the screen tells the same
    with standard_output():
        try:
            return anyio.run(main, options, backend=options.backend)
        except KeyboardInterrupt:  # so early that nobody listened for signals yet
            return 130


@contextmanager
def standard_output() -> Generator[None]:
    """Make sure that there is one, even if the demo was started with it closed, and that it takes every character."""
    stdout = cast("io.TextIOWrapper | None", sys.stdout)
    if stdout is not None:
        stdout.reconfigure(errors="replace")  # for terminals that cannot show a bar
        yield
    else:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            yield


if __name__ == "__main__":
    sys.exit(run())
