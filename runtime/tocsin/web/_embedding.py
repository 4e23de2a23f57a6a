"""A bus inside of an application that somebody else runs: its end is never that of the host's task.

    the host's lifespan task ─── task group ─┬─ (the body: the host serves requests)
                                             └─ carrying: `bus.running()`, in a task of its own

`bus.running()` cancels its body when the tree gives up. Around the host's task that would be its lifespan, in the
middle of requests: so it is carried by a task that keeps the error, and the host's task is left alone until it ends.

`_is_ending` is set by the host's task when the body was left in order, `_error` by the carrying one when the bus has
ended by itself. A cancellation of the host's task reaches the carrying one through the group, and stops the bus in
order without a drain, as in `running()`. There is nothing between two lines here that it could leave behind: the bus
is either not entered, or left.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, assert_never, final

import anyio

from ._fatal import Call, GoOn, Terminate, announcement, reaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import TaskStatus

    from tocsin._bus import EventBus

    from ._fatal import OnFatal

logger = logging.getLogger("tocsin.web")


@final
class Embedding:
    """One run of *bus* inside of a host."""

    def __init__(self, bus: EventBus, *, on_fatal: OnFatal, drain_timeout: float, shutdown_deadline: float) -> None:
        self._bus = bus
        self._on_fatal: OnFatal = on_fatal
        self._drain_timeout = drain_timeout
        self._shutdown_deadline = shutdown_deadline
        self._is_up = False
        self._is_ending = False
        self._error: BaseException | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the bus for as long as the block lasts; what ended it before is raised at the end of the block."""
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(self._carry, name=f"{self._bus.name}: embedded")
                yield
                self._is_ending = True
                self._bus.request_stop(drain_timeout=self._drain_timeout)
            except BaseException as error:  # raised again below, outside of the group that would wrap it
                failure = error
                tasks.cancel_scope.cancel()
        outcome, self._error = failure or self._error, None
        if outcome is not None:
            try:
                raise outcome
            finally:
                del outcome, failure  # whose tracebacks hold this frame

    async def _carry(self, *, task_status: TaskStatus[None]) -> None:
        try:
            async with self._bus.running(drain_timeout=self._drain_timeout, shutdown_deadline=self._shutdown_deadline):
                self._is_up = True
                task_status.started()
                await self._bus.wait_stopped()
        except BaseException as error:
            if not self._is_up:
                raise
            if isinstance(error, anyio.get_cancelled_exc_class()):
                if _is_cancelled():
                    raise  # the host's task was cancelled, and this one with it
                error = RuntimeError(f"the task that carries bus {self._bus.name!r} was cancelled by a stranger")
            self._error = error
        if self._error is not None:
            self._react(self._error)

    def _react(self, error: BaseException) -> None:
        is_ending = self._is_ending or _is_cancelled()
        what = reaction(self._on_fatal, is_ending=is_ending, may_signal=_may_signal())
        self._tell(announcement(error, what))
        match what:
            case Terminate():
                signal.raise_signal(signal.SIGTERM)
            case GoOn():
                pass
            case Call(function=function):
                try:
                    function(error)
                except Exception:  # the user's function: whatever it raises is told, and the host goes on
                    self._tell("on_fatal has failed, so the process goes on without its bus", with_traceback=True)
            case _:
                assert_never(what)

    def _tell(self, text: str, *, with_traceback: bool = False) -> None:
        with suppress(Exception):  # a handler of the user's log may raise, and what follows must follow
            logger.critical("%s", text, extra={"bus": self._bus.name}, exc_info=with_traceback)


def _is_cancelled() -> bool:
    """True when a scope around this task was cancelled: then the host ends, as only its scopes are around it."""
    return anyio.current_effective_deadline() == -math.inf


def _may_signal() -> bool:
    is_default = signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN)
    return not is_default or threading.current_thread() is threading.main_thread()
