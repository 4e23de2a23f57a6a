"""Running one bus to its end: signals in, messages to the service manager out, an exit code at last.

    tasks ─┬─ obey            signals → what they ask for
           ├─ watch the end   a stop that does not end → the process is ended all the same
           ├─ inform          while the bus runs or stops: the service manager
           ├─ control         from before the bus starts until after it has ended: who is at the control socket
           └─ (in the caller's task) the bus itself

The tasks outlive the bus: its stop is what they serve most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from signal import Signals
from typing import TYPE_CHECKING, assert_never, final

import anyio
from attrs import define, field

from tocsin import BusNotRunning, EventBus

from . import _notifications as notifications
from ._endings import Ended, Ending, account, ending_of, exit_code, summary
from ._exit_codes import ExitCode
from ._herald import Herald
from ._log import OURS, set_level
from ._options import RunOptions, changes, taken_over
from ._showing import shown
from ._signals import TOGETHER, CutShort, Drain, EndAtOnce, Ignore, ReadAgain, SignalDesk

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from ._control._server import ControlServer
    from ._notify_socket import ServiceManager
    from ._process import Process

logger = logging.getLogger(OURS)

LOOK_EVERY = 1.0  # seconds
# Seconds beyond the deadline for a stop: a tree cuts at its deadline what is left, then waits a while for that to end.
PATIENCE = 5.0


class Unreadable(Exception):
    """The configuration cannot be read again. Its text says why."""


async def serve(daemon: Daemon) -> int:
    """Run *daemon* under the signals of this process, and give the exit code."""
    with anyio.open_signal_receiver(*daemon.process.signals) as signals:
        return await daemon.run(signals)


@final
@define
class Daemon:
    """One run of a bus as a process. *read* gives the options anew, or raises Unreadable."""

    bus: EventBus
    options: RunOptions
    read: Callable[[], RunOptions]
    process: Process
    manager: ServiceManager
    herald: Herald = field(factory=Herald)
    ground: AbstractAsyncContextManager[object] = field(factory=nullcontext)
    """What the bus stands on: entered before it starts, left after it has ended."""
    control: ControlServer | None = None
    _desk: SignalDesk = field(factory=SignalDesk, init=False)
    _whole: anyio.CancelScope = field(init=False)  # around the bus and its ground
    _has_announced_end: bool = field(default=False, init=False)

    async def run(self, signals: AsyncIterator[Signals]) -> int:
        """Run the bus until it has ended; see the module."""
        self._whole = anyio.CancelScope()
        ending: Ending = Ended(None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._obey, signals, tasks)
            tasks.start_soon(self._watch_the_end)
            ending = await self._run_bus(tasks)
            tasks.cancel_scope.cancel()
        code = exit_code(ending, self._desk.second)
        self._announce_end(summary(ending))
        self.manager.tell(notifications.status(summary(ending)))
        level = logging.CRITICAL if code == ExitCode.GAVE_UP or not isinstance(ending, Ended) else logging.WARNING
        logger.log(logging.INFO if code == ExitCode.IN_ORDER else level, "%s", account(ending))
        return code

    async def _run_bus(self, tasks: TaskGroup) -> Ending:
        with self._whole:
            try:
                async with self._with_neighbours(tasks):
                    return Ended(await self.bus.wait_stopped())
            except BaseException as error:  # raised again unless it is one of the ends that a run may have
                ending = ending_of(error)
                if ending is None:
                    raise
                return ending
        return Ended(None)

    @asynccontextmanager
    async def _with_neighbours(self, tasks: TaskGroup) -> AsyncGenerator[None]:
        """Run the bus, and what belongs to it: the one place to add to.

        What looks at the bus is a task that is started once it is up, and cancelled when it has ended; the control
        socket answers before that, too, and says so.
        """
        if self.control is not None:
            tasks.start_soon(self.control.serve)
        drain_timeout, shutdown_deadline = self.options.drain_timeout, self.options.shutdown_deadline
        async with (
            self.ground,
            self.bus.running(drain_timeout=drain_timeout, shutdown_deadline=shutdown_deadline),
        ):
            if self.bus.phase == "running":  # it may have been told to stop while it started
                logger.info("bus %s runs, %d actors", shown(self.bus.name), len(self.bus.subscriptions))
                self._tell_ready()
            if self.manager.is_there:
                tasks.start_soon(self._inform)
            yield

    # ── signals ──

    async def _obey(self, signals: AsyncIterator[Signals], tasks: TaskGroup) -> None:
        async for number in signals:
            terminal_is_gone = self.process.terminal_is_gone()
            request = self._desk.see(number, anyio.current_time(), terminal_is_gone=terminal_is_gone)
            match request:
                case Drain():
                    seconds = self.options.drain_timeout
                    logger.info("%s: draining, %g s at most; once more to stop at once", number.name, seconds)
                    self._stop(seconds, f"{number.name}: draining")
                case CutShort():
                    logger.warning("%s: stopping without finishing; once more to end in no order", number.name)
                    tasks.start_soon(self._let_the_next_one_kill)
                    self._stop(0.0, f"{number.name}: stopping")
                case EndAtOnce():
                    self.process.end_by(number)
                case ReadAgain():
                    self._read_again()
                case Ignore():
                    pass
                case _:
                    assert_never(request)

    async def _let_the_next_one_kill(self) -> None:
        await anyio.sleep(TOGETHER)  # the same one may come once more
        self.process.let_signals_kill()

    def _stop(self, drain_timeout: float, why: str) -> None:
        self._announce_end(why)
        try:
            self.bus.request_stop(drain_timeout=drain_timeout)
        except BusNotRunning:  # its ground is still being entered
            self._whole.cancel()

    def _read_again(self) -> None:
        """Take over what may change, and tell of it. Whatever is wrong with the file, the bus runs on."""
        is_up = self.bus.phase == "running"
        if is_up:
            self.manager.tell(notifications.reloading(time.monotonic()))
        try:
            read = self.read()
        except Unreadable as error:
            logger.error("SIGHUP: the configuration stays as it was: %s", shown(error, 1000))
        else:
            told = "; ".join(map(str, changes(self.options, read))) or "nothing has changed"
            self.options = taken_over(self.options, read)
            set_level(self.options.log_level)
            logger.info("SIGHUP: %s", shown(told, 1000))
        if is_up:
            self._tell_ready()

    # ── the service manager ──

    def _tell_ready(self) -> None:
        self.manager.tell(self.herald.ready(anyio.current_time(), self.bus.statistics()))

    def _announce_end(self, why: str) -> None:
        if not self._has_announced_end:
            self._has_announced_end = True
            limit = self.options.drain_timeout + self.options.shutdown_deadline + PATIENCE
            self.manager.tell(self.herald.stopping(anyio.current_time(), limit, why))

    async def _inform(self) -> None:
        trouble: str | None = None
        while True:
            now, statistics = anyio.current_time(), self.bus.statistics()
            if statistics.phase in ("draining", "stopping"):
                self._announce_end(statistics.phase)
            for message in self.herald.due(now, statistics):
                self.manager.tell(message)
            if self.herald.trouble not in (None, trouble):
                logger.critical("the watchdog is not petted any more: %s", self.herald.trouble)
            trouble = self.herald.trouble
            await anyio.sleep(min(LOOK_EVERY, max(0.0, self.herald.next_due() - now)))

    # ── a stop that does not end ──

    async def _watch_the_end(self) -> None:
        """End the process when the tree has had its time: what shields itself, or is in a thread, nobody can end."""
        since: float | None = None
        while True:
            await anyio.sleep(LOOK_EVERY)
            now, tree = anyio.current_time(), self.bus.statistics().tree
            if tree is None or tree.state in ("starting", "running"):
                continue
            since = now if since is None else since
            report = self.bus.stop_report
            is_late = now - since > self.options.shutdown_deadline + PATIENCE
            if is_late or (report is not None and report.unstopped):
                logger.critical("what does not stop is left behind, and the process ends\n%s", account(Ended(report)))
                self.manager.tell(notifications.status("ends although not everything has stopped"))
                self.process.abandon(ExitCode.GAVE_UP)
                return
