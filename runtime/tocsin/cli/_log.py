"""The log of a daemon that `tocsin run` carries: lines on standard error, in which no event can forge another line."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import final

from tocsin import SupervisionWarning
from tocsin_supervisors import safe_text

from ._showing import redacted

LINE = 10_000  # characters; a line of a log that is longer is read by nobody, and some collectors cut it anywhere
OURS = "tocsin.cli"  # its messages may have several lines, each of them escaped where it was made


@final
class SafeFormatter(logging.Formatter):
    """Writes a record so that it holds neither escape sequences nor line breaks of strangers, nor passwords of
    addresses."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the first line, and the further ones of our own messages."""
        if record.name != OURS:
            return _one_line(super().formatMessage(record))
        return "\n".join(map(_one_line, super().formatMessage(record).split("\n")))

    def formatException(self, ei: object) -> str:
        """Write a traceback, indented: no line of it can be taken for a record."""
        lines = super().formatException(ei).split("\n")  # type: ignore[arg-type]  # the stubs disagree on its type
        return "\n".join(f"  {_one_line(line)}" for line in lines)


def _one_line(text: str) -> str:
    return safe_text(redacted(text), LINE)


def log_to_stderr(level: str) -> None:
    """Send the log to standard error, unless the user's module has configured one: then only the level is ours."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(SafeFormatter())
        root.addHandler(handler)
    set_level(level)
    # What these say is logged before the bus starts.
    warnings.filterwarnings("ignore", category=SupervisionWarning)


def set_level(level: str) -> None:
    """Write from *level* on."""
    logging.getLogger().setLevel(level.upper())
