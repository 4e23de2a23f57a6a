"""The closing report: the ledger, the dead letters, and what the subscribers found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tocsin import DeadLetter, Ledger, StopReport

from .daemon import Daemon
from .endpoint import Answer, Endpoint
from .insight import RepositoryCount
from .narration import brief

SEARCHES: Final = ("vulnerability", "spelling", "update readme")
MEANINGS: Final = (
    ("handled", "the handler returned"),
    ("dead_lettered", "given up after its attempts; kept, can be replayed"),
    ("dropped", "let go of by policy; here: webhooks sent twice"),
    ("rejected", "the publisher was told that it was not taken"),
    ("returned", "handed back: the bus stopped before its turn"),
    ("queued", "still in a mailbox"),
    ("in_flight", "still being handled"),
    ("waiting_retry", "still waiting for another attempt"),
    ("blocked", "its publisher still waits for room"),
)


def heading(console: Console, text: str) -> None:
    """Print a heading."""
    console.print(f"\n{text}", style="bold", markup=False, highlight=False)


def line(console: Console, text: str) -> None:
    """Print a line that may hold anything."""
    console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


def table(*columns: str) -> Table:
    """Make a plain table whose first column holds numbers."""
    made = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(any(columns)), header_style="dim")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number else "right", overflow="fold")
    return made


def show_ledger(console: Console, ledger: Ledger) -> None:
    """Print where every delivery has gone."""
    heading(console, "Ledger: where each delivery (an event for one subscriber) has ended")
    rows = table("", "", "")
    rows.add_row(str(ledger.matched), "matched", "events, times the subscribers that wanted each")
    for name, meaning in MEANINGS:
        rows.add_row(str(getattr(ledger, name)), name.replace("_", " "), meaning)
    console.print(rows)
    if ledger.balanced:
        line(console, f"It balances: {ledger.matched} = {ledger.ended + ledger.live}.")
    else:
        line(console, f"IT DOES NOT BALANCE: {ledger}")


def show_dead_letters(console: Console, letters: Iterable[DeadLetter[Any]], when: str, *, evicted: int = 0) -> None:
    """Print dead letters, those alike on one line."""
    groups = Counter(
        (letter.subscription, letter.reason.value, brief(letter.failure) if letter.failure else "-", _place(letter))
        for letter in letters
    )
    heading(console, f"Dead letters {when}: {groups.total()}")
    if groups:
        rows = table("letters", "of", "reason", "error", "at")
        for (subscription, reason, error, place), count in groups.most_common():
            rows.add_row(str(count), subscription, reason, error, place)
        console.print(rows)
    if evicted:
        line(console, f"The office keeps the latest; {evicted} older ones were let go of.")


def _place(letter: DeadLetter[Any]) -> str:
    """Say where it failed: the end of the fingerprint "type at file:function:line"."""
    return "-" if letter.failure is None else letter.failure.fingerprint.rsplit(" at ", 1)[-1].rsplit("/", 1)[-1]


def show_top_repositories(console: Console, answer: Sequence[RepositoryCount]) -> None:
    """Print what the statistics answered."""
    heading(console, "Top repositories, as the statistics answered `bus.ask(TopRepositories())`")
    rows = table("webhooks", "people", "repository")
    for each in answer:
        rows.add_row(str(each.webhooks), str(each.people), each.repository)
    console.print(rows)


def show_findings(console: Console, daemon: Daemon) -> None:
    """Print what the other subscribers have gathered."""
    heading(console, "Searches")
    rows = table("hits", "words", "best")
    for words in SEARCHES:
        hits, best = daemon.index.search(words, limit=1)
        rows.add_row(str(hits), words, *best)
    console.print(rows)
    heading(console, "Others")
    line(console, f"audit log: {daemon.audit.lines} lines")
    line(console, f"triage: {len(daemon.triage.waiting)} opened and nobody assigned")
    line(
        console,
        "applause: "
        + (", ".join(f"{count} {what}" for what, count in sorted(daemon.applause.heard.items())) or "none"),
    )


def show_endpoint(console: Console, endpoint: Endpoint, sent: int) -> None:
    """Print how the notifier fared, as the endpoint saw it."""
    heading(console, "Notifications, as the endpoint saw them")
    accepted = [each.delivery for each in endpoint.taken]
    counts = endpoint.answers
    twice = len(accepted) - len(set(accepted))
    later = sum(each.attempt > 1 for each in endpoint.taken)
    line(console, f"{len(accepted)} taken, {twice} of them twice, {later} in a later attempt; {sent} sent")
    failed = f"{counts[Answer.FAIL]} requests failed, {counts[Answer.STALL]} stalled"
    line(console, f"{failed}, {counts[Answer.OUTAGE]} were refused in the outage")
    first = [each.priority.name for each in endpoint.first_after_outage[:6]]
    if first:
        line(console, f"first after the outage: {', '.join(first)}")


def show_stop(console: Console, report: StopReport | None) -> None:
    """Print what a stop has left behind, if anything."""
    if report is None or not (report.returned or report.unstopped):
        return
    heading(console, "Left behind by the stop")
    for name, count in Counter(each.subscription for each in report.returned).items():
        line(console, f"{count} deliveries of {name} handed back")
    for each in report.unstopped:
        line(console, f"{each.child} still runs, at {each.line}")
