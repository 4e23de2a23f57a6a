"""What a signal asks for, decided from those seen before.

Rules:

* SIGTERM and SIGINT ask for the end. The first one drains. The next one that is *seen*, after the first one was, cuts
  the drain short: two that come at once may reach a process as one. Another one ends the process as it would one that
  listens to none.
* Two within `TOGETHER` are one. GNU timeout(1) sends each signal twice, to its child and to their group, and a wrapper
  may hand on what the terminal has sent already; no person is so quick.
* SIGHUP reads the configuration again, as it does for any daemon. But if the terminal that the process was started in
  is gone, SIGHUP is what says so, and asks for the end: nobody is there to ask for it otherwise.
"""

from __future__ import annotations

import math
import signal
from typing import TypeAlias, final

from attrs import define, field, frozen

TOGETHER = 0.1  # seconds


def signals_to_hear(*, interrupts_are_ignored: bool) -> tuple[signal.Signals, ...]:
    """Give the signals to listen to. A shell has what it runs in the background ignore SIGINT, so that Ctrl-C reaches
    only what runs in front: that is kept to.
    """
    interrupts = () if interrupts_are_ignored else (signal.SIGINT,)
    return signal.SIGTERM, signal.SIGHUP, *interrupts


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


@final
@frozen
class Ignore:
    """It is the same one as before, sent twice."""


Request: TypeAlias = Drain | CutShort | EndAtOnce | ReadAgain | Ignore


@final
@define
class SignalDesk:
    """Counts the signals of one run."""

    first: signal.Signals | None = field(default=None, init=False)
    second: signal.Signals | None = field(default=None, init=False)
    """The one that cut the drain short."""
    _seen: float = field(default=-math.inf, init=False)  # when the last one that asks for the end was

    def see(self, number: signal.Signals, now: float, *, terminal_is_gone: bool = False) -> Request:
        """Say what *number* asks for, *now* in seconds."""
        if number is signal.SIGHUP and not terminal_is_gone:
            return ReadAgain()
        if now - self._seen < TOGETHER:
            return Ignore()
        self._seen = now
        if self.first is None:
            self.first = number
            return Drain(number)
        if self.second is None:
            self.second = number
            return CutShort(number)
        return EndAtOnce(number)
