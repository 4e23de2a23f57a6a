"""Letters in columns that fit a terminal. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate

from tocsin.cli._showing import shown

from ._letter import LetterView

_HEAD = ("ID", "LAST FAILED", "ACTOR", "TYPE", "REASON", "TRIES", "ERROR")
_RIGHT = frozenset({0, 5})  # columns of numbers
_ACTOR, _TYPE, _ERROR = 2, 3, 6  # columns that give way, if there is no room
_NARROWEST = 8  # characters of such a column
_LONGEST = 300  # of a cell, where nothing limits the line
_GAP = "  "


def table(letters: Sequence[LetterView], width: int | None) -> Iterator[str]:
    """Give *letters* as lines of at most *width* columns, if that is wide enough at all; None: as long as they are.

    Texts are escaped. What is cut off is marked by an ellipsis.
    """
    rows = [_HEAD, *map(_cells, letters)]
    widths = _fitting([max(columns_of(row[column]) for row in rows) for column in range(len(_HEAD))], width)
    for row in rows:
        columns = enumerate(zip(row, widths, strict=True))
        cells = [_padded(cell, size, right=at in _RIGHT) for at, (cell, size) in columns]
        yield _GAP.join(cells).rstrip()


def _cells(letter: LetterView) -> tuple[str, ...]:
    if letter.damaged is not None:
        return (str(letter.id), "?", "?", "?", "(damaged)", "?", shown(letter.damaged, _LONGEST))
    texts = (time_of(letter.failed_at), letter.subscription, letter.event_type.rpartition(".")[2], letter.reason)
    cells = (shown(text, _LONGEST) for text in texts)
    return (str(letter.id), *cells, str(letter.attempts), shown(letter.error, _LONGEST))


def time_of(text: str) -> str:
    """Give a time of ISO 8601 in UTC to the second: `2026-11-27 18:00:00`."""
    return text[:19].replace("T", " ")


def _fitting(widths: list[int], width: int | None) -> list[int]:
    """Let the columns of texts give way: first the last one, then whichever is the widest."""
    if width is None:
        return widths
    too_much = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    for column in (_ERROR, _TYPE, _ACTOR):
        cut = max(0, min(too_much, widths[column] - max(_NARROWEST, len(_HEAD[column]))))
        widths[column] -= cut
        too_much -= cut
    return widths


def _padded(cell: str, size: int, *, right: bool) -> str:
    text = cut(cell, size)
    room = " " * (size - columns_of(text))
    return room + text if right else text + room


def cut(text: str, size: int) -> str:
    """Give *text*, or as much of it as fits *size* columns with an ellipsis."""
    if columns_of(text) <= size:
        return text
    fitting = sum(columns < size for columns in accumulate(map(_columns_of, text)))  # one is for the ellipsis
    return f"{text[:fitting]}…"


def columns_of(text: str) -> int:
    """Give how many columns of a terminal *text* takes: two for a character of East Asia, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
