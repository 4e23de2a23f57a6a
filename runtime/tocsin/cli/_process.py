"""What a daemon does to its own process; apart, so that its decisions can be tried without ending one."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, final

from ._signals import signals_to_hear


def own_signals() -> tuple[signal.Signals, ...]:
    """Give the signals that a daemon in this process listens to. To be asked before it does."""
    return signals_to_hear(interrupts_are_ignored=signal.getsignal(signal.SIGINT) is signal.SIG_IGN)


class Process(Protocol):
    """The process that the daemon runs in."""

    @property
    def signals(self) -> Sequence[signal.Signals]:
        """Those it listens to."""
        ...

    def terminal_is_gone(self) -> bool:
        """True if it was started in a terminal that is not there any more."""
        ...

    def let_signals_kill(self) -> None:
        """From here on SIGINT and SIGTERM end the process, whatever its event loop does."""
        ...

    def end_by(self, number: signal.Signals) -> None:
        """End as a process that listens to no signals does."""
        ...

    def abandon(self, code: int) -> None:
        """End with *code* although tasks or threads still run: nobody can end those."""
        ...


@final
class UnixProcess:
    """The true one."""

    def __init__(self, terminal: int = 2) -> None:
        self._terminal = terminal
        self._had_terminal = os.isatty(terminal)
        self.signals: tuple[signal.Signals, ...] = own_signals()

    def terminal_is_gone(self) -> bool:
        """See `Process`. A terminal that was hung up answers to nothing, not even what it is."""
        return self._had_terminal and not os.isatty(self._terminal)

    def let_signals_kill(self) -> None:
        """See `Process`."""
        for number in {signal.SIGINT, signal.SIGTERM}.intersection(self.signals):
            signal.signal(number, signal.SIG_DFL)

    def end_by(self, number: signal.Signals) -> None:
        """See `Process`."""
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def abandon(self, code: int) -> None:
        """See `Process`."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
        logging.shutdown()
        os._exit(code)
