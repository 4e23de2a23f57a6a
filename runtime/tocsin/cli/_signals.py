"""What a signal asks for, decided from those seen before.

Rules:

* SIGTERM and SIGINT ask for the end. The first one drains. The next one that is *seen*, after the first one was, cuts
  the drain short: two that come at once may reach a process as one. Another one ends the process as it would one that
  listens to none.
* SIGHUP reads the configuration again, as it does for any daemon. But if the terminal that the process was started in
  is gone, SIGHUP is what says so, and asks for the end: nobody is there to ask for it otherwise.
"""

from __future__ import annotations

import signal
from typing import TypeAlias, final

from attrs import define, field, frozen

LISTENED_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@final
@frozen
class Drain:
    """Take nothing new, finish what was accepted."""

    signal: signal.Signals


@final
@frozen
class CutShort:
    """Do not wait for the drain; stop in order."""

    signal: signal.Signals


@final
@frozen
class EndAtOnce:
    """End the process by this signal, in no order."""

    signal: signal.Signals


@final
@frozen
class ReadAgain:
    """Read the configuration again."""


Request: TypeAlias = Drain | CutShort | EndAtOnce | ReadAgain


@final
@define
class SignalDesk:
    """Counts the signals of one run."""

    first: signal.Signals | None = field(default=None, init=False)
    second: signal.Signals | None = field(default=None, init=False)
    """The one that cut the drain short."""

    def see(self, number: signal.Signals, *, terminal_is_gone: bool = False) -> Request:
        """Say what *number* asks for now."""
        if number is signal.SIGHUP and not terminal_is_gone:
            return ReadAgain()
        if self.first is None:
            self.first = number
            return Drain(number)
        if self.second is None:
            self.second = number
            return CutShort(number)
        return EndAtOnce(number)
