"""Tells what is being measured: on a terminal in one line that is written over, elsewhere in a line each."""

from __future__ import annotations

import sys
from typing import TextIO, final


@final
class Progress:
    """Writes to the standard error output, which no figure goes to."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._over = self._stream.isatty()

    def show(self, line: str) -> None:
        """Say what comes next; nothing, to make room for what is printed to the same terminal."""
        if self._over:
            print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)
        elif line:
            print(line, file=self._stream, flush=True)
