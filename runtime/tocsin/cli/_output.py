"""Standard output, whose reader may leave in the middle: `tocsin graph … | head -1` is no failure."""

from __future__ import annotations

import os
import sys


def say(text: str) -> bool:
    """Print *text*; False if nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        return False
    return True


def let_go_of_output() -> None:
    """Write what is still to be written, if somebody is there to read it: a terminal that has gone is no failure.

    The interpreter would try once more at its end, and end with 120 then.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
