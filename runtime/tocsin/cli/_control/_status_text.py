"""A snapshot of a bus as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin.cli._showing import shown

from ._figures import duration
from ._view import ActorView, BusView, Row

_HEAD = ("NAME", "STATE", "RESTARTS", "MAILBOX", "OLDEST", "IN HAND", "RETRY", "HANDLED", "DEAD", "DROPPED")
_LEFT = 2  # columns that are text
_GAP = "  "
_NAME = 40  # characters


def status_lines(bus: BusView) -> Iterator[str]:
    """Give *bus* as lines: what it is, how much of what, then the tree. Texts are escaped."""
    process = f", process {bus.process}" if bus.process else ""
    yield f"{shown(bus.name)}: {shown(bus.phase)}{process}"
    yield f"{bus.published} published, {bus.undeliverable} of them undeliverable"
    ended = {
        "handled": bus.handled,
        "dead-lettered": bus.dead_lettered,
        "dropped": bus.dropped,
        "rejected": bus.rejected,
        "returned": bus.returned,
    }
    yield "deliveries: " + ", ".join(f"{count} {how}" for how, count in ended.items())
    yield f"now: {bus.queued} queued, {bus.in_flight} in hand, {bus.waiting_retry} waiting for a retry"
    yield f"dead letters: {bus.dead_letters}{_besides(bus)}"
    if bus.store_is_behind:
        yield f"THE STORE IS BEHIND: {bus.store_backlog} changes wait to be written; the log says why"
    yield ""
    yield from _table(bus.rows) if bus.rows else ["it has no actors yet: it has not begun to run"]


def _besides(bus: BusView) -> str:
    """Say what should not be, if it is."""
    counts = {
        "let go of, as the office was full": bus.dead_letters_evicted,
        "reports lost": bus.reports_lost,
        "errors of the observer": bus.observer_errors,
        "errors of the store": bus.store_errors,
    }
    return "".join(f"; {count} {what}" for what, count in counts.items() if count)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    yield _aligned(_HEAD, widths)
    for row, line in zip(rows, cells[1:], strict=True):
        yield _aligned(line, widths)
        if row.last_error is not None:
            yield f"{'  ' * (row.level + 1)}last error: {shown(row.last_error)}"


def _cells(row: Row) -> tuple[str, ...]:
    name = "  " * row.level + shown(row.name, _NAME)
    return (name, state_of(row), str(row.restarts), *_numbers(row.actor))


def state_of(row: Row) -> str:
    """Give the state of *row* as a word or two."""
    return f"{shown(row.state, 20)}, paused" if row.is_paused else shown(row.state, 20)


def _numbers(actor: ActorView | None) -> tuple[str, ...]:
    if actor is None:
        return ("",) * (len(_HEAD) - 3)
    counts = (actor.in_flight, actor.waiting_retry, actor.handled, actor.dead_lettered, actor.dropped)
    blocked = f" +{actor.blocked_publishers}" if actor.blocked_publishers else ""  # who would put something in
    return (f"{actor.depth}/{actor.capacity}{blocked}", duration(actor.oldest_age), *map(str, counts))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column < _LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(padded).rstrip()
