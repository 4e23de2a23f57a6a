"""Where the demo is shown: live in a terminal, as plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections import deque
from types import TracebackType
from typing import Protocol

import anyio
from attrs import define, field
from rich.console import Console
from rich.live import Live

from tocsin import BusStatistics

from .narration import Line, Urgency
from .view import Rates, render, summary


class PatientConsole(Console):
    """A console that notes when its reader has gone (`… | head`), and then writes to nowhere instead of failing."""

    reader_is_gone = False

    def on_broken_pipe(self) -> None:
        """Called by rich when writing has failed."""
        self.reader_is_gone = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # also for what the interpreter flushes when it ends
        os.close(nowhere)


class Screen(Protocol):
    """What the demo needs of a place to be shown."""

    interval: float
    """Seconds between two snapshots."""

    def __enter__(self) -> object: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...
    def say(self, line: Line) -> None:
        """Show *line* now."""

    def show(self, statistics: BusStatistics, title: str) -> None:
        """Show a snapshot."""


@define
class PlainScreen:
    """One status line a second, and each line as it comes."""

    console: Console
    interval: float = 1.0
    start: float = field(factory=anyio.current_time)

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        pass

    def say(self, line: Line) -> None:
        """Print *line* with the time since the start."""
        mark = "!" if line.urgency is Urgency.ALARM else " "
        self._print(f"{mark} {line.text}")

    def show(self, statistics: BusStatistics, title: str) -> None:
        """Print the totals, and who is not running."""
        actors = statistics.subscriptions.values() if statistics.phase in {"running", "draining"} else ()
        down = [f"{each.name} {each.state}" for each in actors if each.state != "running"]
        self._print("  " + "; ".join([summary(statistics), *down]))

    def _print(self, text: str) -> None:
        elapsed = anyio.current_time() - self.start
        self.console.print(f"{elapsed:5.1f} s {text}", markup=False, highlight=False, soft_wrap=True)


@define
class LiveScreen:
    """A picture that is drawn anew four times a second."""

    console: Console
    interval: float = 0.25
    start: float = field(factory=anyio.current_time)
    rates: Rates = field(factory=Rates)
    recent: deque[Line] = field(factory=lambda: deque[Line](maxlen=8))
    live: Live = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.live = Live(console=self.console, auto_refresh=False)

    def __enter__(self) -> LiveScreen:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.live.stop()

    def say(self, line: Line) -> None:
        """Keep *line* for the next picture."""
        elapsed = anyio.current_time() - self.start
        self.recent.append(Line(line.urgency, f"{elapsed:5.1f} s {line.text}"))

    def show(self, statistics: BusStatistics, title: str) -> None:
        """Draw the tree, the totals and the recent lines, alarms first."""
        self.rates.update(statistics, anyio.current_time())
        lines = sorted(self.recent, key=lambda line: line.urgency)
        self.live.update(render(statistics, self.rates.per_second, lines, title), refresh=True)
