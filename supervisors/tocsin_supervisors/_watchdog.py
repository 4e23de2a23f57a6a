"""Notices when the event loop does not turn, and names whose code keeps it from doing so.

A *heartbeat*, a task of the loop, and a *lookout*, a thread that looks at the frames of the loop's thread when the beat
stays away. They share a pulse, which decides, and touch nothing else of each other; the thread touches nothing of the
loop. Nothing here takes any of the loop's time but two wake-ups per threshold.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, final

import anyio
import attrs

from ._checks import check_stall_threshold
from ._pulse import Pulse
from ._stacks import UNKNOWN
from ._stalls import LoopThread, unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._stalls import Stall

logger = logging.getLogger("tocsin_supervisors")

PATIENCE = 1.0  # seconds for the thread to end: it needs none, unless a handler of the log holds it


@final
class Watchdog:
    """Calls *on_stall* after each time that the event loop has not turned for *threshold* seconds (0.05 to 3600).

    It is called once per stall, in the loop's thread, when the loop turns again; what it raises is logged. While the
    loop does not turn, a thread logs it as CRITICAL under the name "tocsin_supervisors", once per stall.
    """

    def __init__(self, threshold: float, on_stall: Callable[[Stall], object]) -> None:
        check_stall_threshold(threshold, "threshold")
        self._threshold = threshold
        self._on_stall = on_stall

    async def run(self) -> None:
        """Watch the running loop until cancelled; then the thread is gone.

        It ends by itself where there is nothing to watch: in a forked child, and when the time of the loop is not real.
        """
        lookout = Lookout(self._threshold)
        lookout.start()
        try:
            while await lookout.sleep():
                self._tell(lookout.beat())
        except anyio.get_cancelled_exc_class():
            self._tell(lookout.beat())  # what the loop ends with may be a stall
            raise
        finally:
            lookout.end()

    def _tell(self, stall: Stall | None) -> None:
        if stall is None:
            return
        try:
            self._on_stall(stall)
        except KeyboardInterrupt:  # trio raises it in whichever code is at hand
            raise
        except BaseException:  # who is told only looks on: whatever it raises changes nothing
            with suppress(Exception):
                logger.exception("whoever is told of stalls of the event loop raised")


@final
class Lookout:
    """One run of a watchdog: the thread, and what the heartbeat shares with it."""

    def __init__(self, threshold: float) -> None:
        self._pulse = Pulse(threshold, time.monotonic(), time.process_time())
        self._stall: Stall | None = None  # the one that the pulse was told of
        self._lock = threading.Lock()  # of these two; held only for a few steps, so that the loop never waits for it
        self._process = os.getpid()
        self._loop = LoopThread()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tocsin watchdog", daemon=True)

    # ── in the loop's thread ──

    def start(self) -> None:
        """Start the thread. Where that cannot be, stalls are seen only by the work they did, and without their line."""
        try:
            self._thread.start()
        except RuntimeError as error:  # there are no threads here, or too many
            logger.error("the event loop is not watched for stalls: %s", error)

    async def sleep(self) -> bool:
        """Wait until the next beat. False if there is to be none."""
        before, period = time.monotonic(), self._pulse.period
        await anyio.sleep(period)
        # A clock that jumps makes a period pass in no time, and the heartbeat would be all that the loop does.
        return time.monotonic() - before >= period / 10 and not self._is_forked()

    def beat(self) -> Stall | None:
        """Note that the loop turns, and give the stall that this ends, if it does."""
        if self._is_forked():  # pragma: no cover  # only in forked children, where coverage is not collected
            return None  # the thread is in the parent, and may have held the lock when it was copied
        with self._lock:
            seconds = self._pulse.beat(time.monotonic(), time.process_time())
            stall, self._stall = self._stall, None
        if seconds is None:
            return None
        if stall is None:
            stall = unseen(seconds)
            _log(stall)
        return attrs.evolve(stall, seconds=seconds)

    def end(self) -> None:
        """End the thread."""
        if self._is_forked():  # pragma: no cover  # as above
            return
        self._ended.set()
        if self._thread.ident is not None:  # it has been started
            self._thread.join(PATIENCE)

    def _is_forked(self) -> bool:
        return os.getpid() != self._process

    # ── in the thread ──

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds_to_look()):
            self._look()

    def _seconds_to_look(self) -> float:
        with self._lock:
            return self._pulse.seconds_to_look(time.monotonic())

    def _look(self) -> None:
        with self._lock:
            suspicion = self._pulse.look(time.monotonic(), time.process_time())
        stall = None if suspicion is None else self._loop.stall(suspicion.seconds)
        if suspicion is None or stall is None:
            return
        with self._lock:
            is_stall = self._pulse.confirm(suspicion)
            if is_stall:
                self._stall = stall
        if is_stall:
            _log(stall)


def _log(stall: Stall) -> None:
    """Tell of a stall at once: it may never end."""
    who = "code of no known child" if stall.child is None else f"child {stall.child!r}"
    what = "it could not be seen why" if stall.line == UNKNOWN else f"{who} blocks it at {stall.line}"
    with suppress(Exception):  # a broken handler of the log must not end the watch
        logger.critical(
            "the event loop has not turned for %.2f s: %s",
            stall.seconds,
            what,
            extra={"child": stall.child, "stack": stall.stack},
        )
