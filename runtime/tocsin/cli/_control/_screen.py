"""One screen of `tocsin top`, as lines of text in styles: what a terminal has to show, and nothing of how.

Columns are left out, the least wanted first, until a name has room; lines are left out from below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, final

from attrs import frozen

from tocsin.cli._showing import shown

from ._figures import amount, duration
from ._fitting import columns, fitted
from ._rates import Rates
from ._view import BusView, Row

Segment: TypeAlias = tuple[str, str]
"""A text, and its style in the words of rich; escaped."""
Line: TypeAlias = list[Segment]

NAME = 12  # columns a name should have at least
_BAR = 8
_STYLES = {
    "running": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "waiting": "yellow",
    "suspended": "yellow",
    "dormant": "dim",
}


@final
@frozen
class _Column:
    title: str
    width: int
    cell: Callable[[Row, Rates], Segment]
    right: bool = True


def page(bus: BusView, rates: Rates, width: int) -> list[Line]:
    """Give the lines of *bus* in *width* columns."""
    return [_fit(line, width) for line in (*_head(bus, rates), *_table(bus, rates, width))]


def screen(bus: BusView, rates: Rates, trouble: str | None, width: int, height: int) -> list[Line]:
    """Give the lines for a terminal of *width* times *height*. *trouble*: why *bus* is not of now, if it is not."""
    body = page(bus, rates, width)
    room = max(1, height - 1)  # the last line is for what can be done
    if len(body) > room:
        hidden = len(body) - room + 1
        body = [*body[: room - 1], _fit([(f"{hidden} more lines: make the window higher", "dim")], width)]
    foot = ("q: quit", "dim") if trouble is None else (f"q: quit. Trying again: {shown(trouble, 1000)}", "bold red")
    return [*body, _fit([foot], width)]


def _head(bus: BusView, rates: Rates) -> Iterator[Line]:
    yield [
        (shown(bus.name), "bold"),
        (f": {shown(bus.phase)}", "green" if bus.phase == "running" else "yellow"),
        (f", {amount(rates.published)} published/s, {amount(rates.handled)} handled/s", ""),
    ]
    yield [
        (f"{bus.queued} queued, {bus.in_flight} in hand, {bus.waiting_retry} to retry, ", ""),
        (f"{bus.dead_letters} dead letters", "red" if bus.dead_letters else ""),
    ]
    yield []


def _table(bus: BusView, rates: Rates, width: int) -> Iterator[Line]:
    chosen = _columns_for(width)
    longest = max((row.level + columns(shown(row.name, 200)) for row in bus.rows), default=0)
    name_width = max(1, min(max(NAME, longest), width - sum(each.width + 1 for each in chosen)))
    titles = [fitted("NAME", name_width), *(fitted(each.title, each.width, right=each.right) for each in chosen)]
    yield [(" ".join(titles), "reverse")]
    for row in bus.rows:
        name = " " * row.level + shown(row.name, 200)
        line: Line = [(fitted(name, name_width), "" if row.actor else "bold")]
        for column in chosen:
            text, style = column.cell(row, rates)
            line += [(" ", ""), (fitted(text, column.width, right=column.right), style)]
        yield line
        if row.last_error is not None:
            yield [(" " * (row.level + 2) + shown(row.last_error), "red")]


def _columns_for(width: int) -> list[_Column]:
    chosen = list(_COLUMNS)
    for unwanted in _LEAVE_OUT:
        if width - sum(each.width + 1 for each in chosen) >= NAME:
            break
        chosen = [each for each in chosen if each.title != unwanted]
    return chosen


def _fit(line: Line, width: int) -> Line:
    """Cut *line* where the terminal ends: it would go on in the next one."""
    fit: Line = []
    for text, style in line:
        room = width - sum(columns(each) for each, _ in fit)
        fit.append((fitted(text, room) if columns(text) > room else text, style))
    return fit


# ── cells ──


def _state(row: Row, _: Rates) -> Segment:
    return ("paused", "magenta") if row.is_paused else (shown(row.state, 20), _STYLES.get(row.state, "bold red"))


def _bar(row: Row, _: Rates) -> Segment:
    if row.actor is None or row.actor.capacity < 1:
        return "", ""
    part = min(1.0, row.actor.depth / row.actor.capacity)
    inside = _BAR - 2
    full = min(inside, int(part * inside) + (part > 0))  # what is not empty is seen
    style = "green" if part < 0.5 else "yellow" if part < 0.9 else "red"
    return f"[{'|' * full}{' ' * (inside - full)}]", style


def _mailbox(row: Row, _: Rates) -> Segment:
    if row.actor is None:
        return "", ""
    return f"{amount(row.actor.depth)}/{amount(row.actor.capacity)}", "red" if row.actor.blocked_publishers else ""


def _oldest(row: Row, _: Rates) -> Segment:
    return ("" if row.actor is None else duration(row.actor.oldest_age)), ""


def _rate(row: Row, rates: Rates) -> Segment:
    return ("" if row.actor is None else amount(rates.handled_by(row.name))), "bold"


def _median(row: Row, _: Rates) -> Segment:
    return ("" if row.actor is None else duration(row.actor.p50)), ""


def _late(row: Row, _: Rates) -> Segment:
    return ("" if row.actor is None else duration(row.actor.p99)), ""


def _restarts(row: Row, _: Rates) -> Segment:
    return amount(row.restarts), "yellow" if row.restarts else ""


_COLUMNS = (
    _Column("STATE", 9, _state, right=False),
    _Column("", _BAR, _bar, right=False),
    _Column("MAILBOX", 9, _mailbox),
    _Column("OLDEST", 6, _oldest),
    _Column("RATE/s", 6, _rate),
    _Column("P50", 6, _median),
    _Column("P99", 6, _late),
    _Column("RST", 4, _restarts),
)
_LEAVE_OUT = ("P50", "", "RST", "P99", "OLDEST", "MAILBOX", "STATE")  # the rate stays
