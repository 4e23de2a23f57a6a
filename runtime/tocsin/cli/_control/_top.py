"""`tocsin top` on a terminal: looks at the daemon, shows what it sees, and listens for the end.

Tasks: one looks and shows, one reads keys, one hears signals; the first of these two that is asked to ends all. However
that happens, the terminal is given back as it was.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tocsin.cli._exit_codes import AnswerCode
from tocsin.cli._output import say

from ._asking import Asking, error_document, failure
from ._errors import ControlError
from ._finding import find
from ._screen import Line, page, screen
from ._watching import Watching

if TYPE_CHECKING:
    from signal import Signals

TIMEOUT = 5.0  # seconds, for one look
NO_TERMINAL = "tocsin: standard output is no terminal: add --once for one screen of it, or --json"
END_OF_TEXT = "\x03"  # Ctrl-C, where the terminal makes no signal of it


def top(options: Asking, *, interval: float, once: bool) -> int:
    """`tocsin top`: see its help."""
    if not (once or options.json or sys.stdout.isatty()):
        print(NO_TERMINAL, file=sys.stderr)
        return AnswerCode.USAGE
    try:
        path = find() if options.socket is None else options.socket
        anyio.run(_top, path, options, interval, once)
    except ControlError as error:
        return failure(options, error)
    return AnswerCode.DONE


async def _top(path: Path, options: Asking, interval: float, once: bool) -> None:
    watching = await Watching.begun(path, TIMEOUT if options.timeout is None else options.timeout)
    if once:  # but rates need two
        await anyio.sleep(interval)
        await watching.look()
    if options.json:
        await _print(watching, interval, once)
    elif once:
        console = Console()
        console.print(_text(page(watching.view, watching.rates, console.width)))
    else:
        await _show(watching, interval, Console())


async def _print(watching: Watching, interval: float, once: bool) -> None:
    """Print a line for each look, as long as somebody reads them."""
    while say(_as_line(watching)) and not once:
        await anyio.sleep(interval)
        await watching.look()


def _as_line(watching: Watching) -> str:
    trouble = watching.trouble
    return json.dumps(watching.as_json() if trouble is None else error_document(trouble))


def _text(lines: Iterable[Line]) -> Text:
    return Text("\n", no_wrap=True, overflow="crop").join(Text.assemble(*line) for line in lines)


async def _show(watching: Watching, interval: float, console: Console) -> None:
    with (
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        _one_key_at_a_time(),
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_by_signal, signals, tasks.cancel_scope)
            if sys.stdin.isatty():
                tasks.start_soon(_end_by_key, tasks.cancel_scope)
            while True:
                live.update(_now(watching, console), refresh=True)
                await anyio.sleep(interval)
                await watching.look()


def _now(watching: Watching, console: Console) -> Text:
    trouble = None if watching.trouble is None else str(watching.trouble)
    return _text(screen(watching.view, watching.rates, trouble, console.width, console.height))


async def _end_by_signal(signals: AsyncIterator[Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


async def _end_by_key(scope: anyio.CancelScope) -> None:
    while True:
        await anyio.wait_readable(sys.stdin)
        keys = os.read(sys.stdin.fileno(), 100).decode("ascii", "replace")
        if not keys or "q" in keys.lower() or END_OF_TEXT in keys:
            scope.cancel()
            return


@contextmanager
def _one_key_at_a_time() -> Generator[None]:
    """Have the terminal give each key at once, and show none."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
