"""The commands of the command line that ask a running daemon."""

from __future__ import annotations

from ._asking import Asking, answer
from ._protocol import Json
from ._status_text import status_lines
from ._view import view_of


def show_status(options: Asking) -> int:
    """`tocsin status`: see its help."""
    return answer(options, "status", None, _status)


def _status(document: Json) -> str:
    return "\n".join(status_lines(view_of(document)))
