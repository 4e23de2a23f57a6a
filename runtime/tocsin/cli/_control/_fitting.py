"""Text that fits into columns of a terminal, where some characters take two and some none."""

from __future__ import annotations

import unicodedata
from itertools import accumulate

ELLIPSIS = "\u2026"


def columns(text: str) -> int:
    """Give how many columns *text* takes."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Give *text* in exactly *width* columns: cut, and a sign says so, or with spaces, *right* before it."""
    taken = columns(text)
    if taken > width:
        text = _cut(text, width - 1) + ELLIPSIS if width > 0 else ""
        taken = columns(text)
    room = " " * (width - taken)
    return room + text if right else text + room


def _cut(text: str, width: int) -> str:
    taken = accumulate(map(_columns_of, text))
    return text[: sum(columns <= width for columns in taken)]
