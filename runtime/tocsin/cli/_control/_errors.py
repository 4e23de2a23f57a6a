"""What goes wrong between a client and a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import final

from tocsin.cli._showing import shown


class ControlError(Exception):
    """A question to a daemon has no answer. Its text is for people, and not escaped."""


@final
class CommandRefused(ControlError):
    """The daemon does not do it: raised by a command, and again in the client that has asked for it.

    *kind* is for programs, one word such as "unknown_name"; the message is for people.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@final
class NoDaemon(ControlError):
    """Nobody listens there, or not to this user."""


@final
class SeveralDaemons(ControlError):
    """More than one listens where they do by default, and nobody has said which is meant."""


@final
class BrokenConversation(ControlError):
    """The daemon did not answer in time, not to the end, or not in this protocol: what it has done is not known."""


def unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    """Say that there is no *what* called *name*, and which comes close to it."""
    close = get_close_matches(name[:100], known, n=3, cutoff=0.5)
    hint = f": did you mean {' or '.join(shown(each, 60) for each in close)}?" if close else ""
    return f"there is no {what} {shown(name, 60)}{hint}"
