"""What the terminal shows while the daemon runs, made from a snapshot alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tocsin import BusStatistics, SubscriptionStatistics, TreeNode

from .narration import Line, Urgency

BAR: Final = 8  # characters of a mailbox bar
STYLES: Final[Mapping[str, str]] = {
    "running": "green",
    "starting": "cyan",
    "waiting": "yellow",
    "suspended": "bold yellow",
    "parked": "bold red",
    "stopping": "cyan",
    "stopped": "dim",
    "finished": "dim",
}
URGENCY_STYLES: Final = {Urgency.ALARM: "bold red", Urgency.NOTICE: "yellow", Urgency.DETAIL: "dim"}


@define
class Rates:
    """Handled deliveries per second of each subscription, smoothed over a few snapshots."""

    smoothing: float = 0.3
    per_second: dict[str, float] = field(factory=dict[str, float])
    _handled: dict[str, int] = field(factory=dict[str, int], init=False)
    _at: float | None = field(default=None, init=False)

    def update(self, statistics: BusStatistics, now: float) -> None:
        """Take in the snapshot of *now* (monotonic seconds)."""
        elapsed = 0.0 if self._at is None else now - self._at
        for name, subscription in statistics.subscriptions.items():
            if elapsed > 0:
                current = (subscription.handled - self._handled.get(name, 0)) / elapsed
                before = self.per_second.get(name, current)
                self.per_second[name] = before + self.smoothing * (current - before)
            self._handled[name] = subscription.handled
        self._at = now


def render(statistics: BusStatistics, rates: Mapping[str, float], lines: Iterable[Line], title: str) -> RenderableType:
    """Give the whole picture. It fits into 80 columns and 24 rows with up to 8 lines."""
    return Group(
        Text(title, style="bold", no_wrap=True, overflow="ellipsis"),
        actors(statistics, rates),
        Text(summary(statistics), no_wrap=True, overflow="ellipsis"),
        *(Text(line.text, style=URGENCY_STYLES[line.urgency], no_wrap=True, overflow="ellipsis") for line in lines),
    )


def summary(statistics: BusStatistics) -> str:
    """Give the totals on one line."""
    ledger = statistics.ledger
    live = f"{ledger.queued} queued, {ledger.in_flight} in flight, {ledger.waiting_retry} retrying"
    return f"{statistics.published} events, {ledger.handled} handled, {live}, {statistics.dead_letters} dead letters"


def actors(statistics: BusStatistics, rates: Mapping[str, float]) -> Table:
    """Give the supervision tree, each actor with its mailbox and counters."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("actor", no_wrap=True)
    table.add_column("state", no_wrap=True, width=9)
    table.add_column("mailbox", no_wrap=True, width=BAR + 5)
    for heading, width in (("busy", 4), ("/s", 5), ("handled", 7), ("retries", 7), ("dead", 4), ("restarts", 8)):
        table.add_column(heading, justify="right", no_wrap=True, width=width)
    for guide, node in flattened(statistics.tree):
        name, state = Text(guide + node.id), Text(node.state, style=STYLES.get(node.state, ""))
        subscription = statistics.subscriptions.get(node.id) if node.kind == "actor" else None
        if subscription is None:
            table.add_row(name, state, Text(node.strategy or "", style="dim"))
        else:
            table.add_row(name, state, *counters(subscription, rates.get(node.id, 0.0)))
    return table


def counters(subscription: SubscriptionStatistics, rate: float) -> list[RenderableType]:
    """Give the cells of one actor. Counts of bad news are left blank while there are none."""
    restarts = subscription.restarts
    return [
        mailbox(subscription.depth + subscription.waiting_retry, subscription.capacity),
        str(subscription.in_flight or ""),
        f"{rate:.1f}",
        str(subscription.handled),
        Text(str(subscription.retried or ""), style="yellow"),
        Text(str(subscription.dead_lettered or ""), style="red"),
        Text(str(restarts or ""), style="yellow"),
    ]


def mailbox(depth: int, capacity: int) -> Text:
    """Draw how full a mailbox is; one that is not empty shows at least a trace."""
    filled = min(BAR, -(-depth * BAR // capacity))
    style = "red" if depth * 4 >= capacity * 3 else "cyan"
    bar = Text("█" * filled, style=style)
    bar.append("░" * (BAR - filled), style="dim")
    return bar.append(f" {depth}", style="default")


def flattened(node: TreeNode | None, guide: str = "", below: str = "") -> Iterator[tuple[str, TreeNode]]:
    """Give each node of the tree, top down, with the lines that lead to it."""
    if node is None:
        return
    yield guide, node
    for child in node.children:
        last = child is node.children[-1]
        yield from flattened(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))
