"""How the process ends, as a number: the one table that the documentation and `--help` are made from."""

from __future__ import annotations

import enum
from collections.abc import Mapping


@enum.unique
class ExitCode(enum.IntEnum):
    """Those from 64 on are of BSD's sysexits.h, which systemd, postfix and others know by name."""

    IN_ORDER = 0
    FINDINGS = 1
    USAGE = 2
    DAMAGED = 65  # EX_DATAERR
    NOT_STARTED = 69  # EX_UNAVAILABLE
    GAVE_UP = 70  # EX_SOFTWARE
    NO_SOCKET = 73  # EX_CANTCREAT
    LEFT_OVER = 75  # EX_TEMPFAIL
    NOT_LOADED = 78  # EX_CONFIG


MEANINGS: dict[str, str] = {
    "0": "ended in order; after SIGTERM or SIGINT: drained, nothing was left",
    "1": "--check has findings",
    "2": "the command line or configuration is wrong, or tocsin[cli] missing",
    "65": "the store is damaged, or of something else (EX_DATAERR)",
    "69": "an actor, the store or --http did not start (EX_UNAVAILABLE)",
    "70": "the supervision gave up, or an actor did not stop (EX_SOFTWARE)",
    "73": "the control socket cannot be where --control says (EX_CANTCREAT)",
    "75": "deliveries handed back: time was over, or they were paused (EX_TEMPFAIL)",
    "78": "MODULE:BUS could not be loaded (EX_CONFIG)",
    "128+n": "cut short by a second SIGINT (130) or SIGTERM (143), or killed",
    "other": "that of SystemExit, raised by a handler",
}


@enum.unique
class AnswerCode(enum.IntEnum):
    """Those of a command that asks a running daemon."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NO_DAEMON = 69  # EX_UNAVAILABLE
    BROKEN = 76  # EX_PROTOCOL


ANSWER_MEANINGS: dict[str, str] = {
    "0": "done",
    "1": "the daemon has refused it, or part of it; publish: nobody takes it",
    "2": "the command line is wrong, or several daemons listen: --socket",
    "69": "no daemon listens there (EX_UNAVAILABLE)",
    "76": "no proper answer: what was done is not known (EX_PROTOCOL)",
    "130": "interrupted by Ctrl-C; the daemon gives the command up",
}


@enum.unique
class LetterCode(enum.IntEnum):
    """Those of `tocsin dlq`, which asks a running daemon, or reads its file."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    DAMAGED = 65  # EX_DATAERR
    UNAVAILABLE = 69  # EX_UNAVAILABLE
    NOT_WRITTEN = 73  # EX_CANTCREAT


LETTER_MEANINGS: dict[str, str] = {
    "0": "done; there may have been nothing to do",
    "1": "show: no such letter; replay: not all; else: the daemon has refused",
    "2": "the command line is wrong, or several daemons listen: --socket",
    "65": "the file is damaged, or no store (EX_DATAERR)",
    "69": "no daemon listens there, or the file cannot be had (EX_UNAVAILABLE)",
    "73": "the export cannot be written (EX_CANTCREAT)",
    "76": "no proper answer: what was done is not known (EX_PROTOCOL)",
    "130": "interrupted by Ctrl-C; what was done by then stays done",
}


def table(meanings: Mapping[str, str] = MEANINGS) -> str:
    """Give the table as lines of text."""
    return "\n".join(f"{code:>5}  {meaning}" for code, meaning in meanings.items())
