"""`--reload`: a parent that starts the daemon again, as a new process, whenever files change. For development.

A new process, since modules that were imported cannot be taken back. The child has a session of its own, so that Ctrl-C
reaches it once, by its parent, and not a second time from the terminal, which would cut its drain short.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias, assert_never, final

import anyio
from anyio.abc import Process
from attrs import define, field, frozen
from watchfiles import PythonFilter, awatch

from ._log import OURS
from ._process import own_signals
from ._showing import shown

logger = logging.getLogger(OURS)
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts the changes that we name

# Files that a daemon is made of. Databases, logs and caches change while it runs, and would have it start for ever.
FILES: Final = PythonFilter(extra_extensions=(".toml",))
DEBOUNCE = 300  # milliseconds: an editor saves in several steps


@final
@frozen
class Over:
    """The parent ends, too."""

    code: int


@final
@frozen
class AwaitChange:
    """The child has failed by itself, and would again: wait until a file has changed."""

    code: int


@final
@frozen
class StartAgain:
    """A file has changed."""


Next: TypeAlias = Over | AwaitChange | StartAgain


def next_step(returncode: int, *, has_changed: bool, is_ending: bool) -> Next:
    """Say what follows when a child has ended with *returncode*, which is negative if a signal has killed it."""
    code = 128 - returncode if returncode < 0 else returncode
    if is_ending:
        return Over(code)
    if has_changed:
        return StartAgain()
    return Over(code) if code == 0 else AwaitChange(code)


async def run_again_and_again(command: Sequence[str], folders: Sequence[Path], *, patience: float) -> int:
    """Run *command* until a signal or its own end in order, and give its exit code; see `Reloader`."""
    with anyio.open_signal_receiver(*own_signals()) as signals:
        return await Reloader(command, folders, patience=patience).run(signals)


@final
@define
class Reloader:
    """Runs *command*, again whenever files in *folders* have changed. A child that takes longer than *patience* seconds
    to end is killed. Signals are handed on to it.
    """

    command: Sequence[str]
    folders: Sequence[Path]
    patience: float = field(kw_only=True)
    _child: Process | None = field(default=None, init=False)
    _is_ending: bool = field(default=False, init=False)
    _news: anyio.Event = field(factory=anyio.Event, init=False)  # a file has changed, or the end was asked for
    _has_changed: bool = field(default=False, init=False)
    _is_over: anyio.Event = field(factory=anyio.Event, init=False)

    async def run(self, signals: AsyncIterator[signal.Signals]) -> int:
        """Run until the end, and give the exit code of the last child."""
        code = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hand_on, signals)
            tasks.start_soon(self._watch)
            code = await self._run_children()
            self._is_over.set()  # a cancellation alone would wait for the watching thread, 5 s
            tasks.cancel_scope.cancel()
        return code

    async def _run_children(self) -> int:
        code = 0
        while not self._is_ending:
            self._has_changed, self._news = False, anyio.Event()
            returncode = await self._run_child()
            step = next_step(returncode, has_changed=self._has_changed, is_ending=self._is_ending)
            match step:
                case Over(code=code):
                    return code
                case AwaitChange(code=code):
                    logger.warning("it ended with %d; it starts again when a file changes", code)
                    await self._news.wait()
                case StartAgain():
                    pass
                case _:
                    assert_never(step)
        return code

    async def _run_child(self) -> int:
        async with await anyio.open_process(
            self.command, stdin=None, stdout=None, stderr=None, start_new_session=True
        ) as child:
            self._child = child
            if self._is_ending:  # asked for while the child was being made
                child.terminate()
            returncode = 0
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._end_after_change, child)
                    returncode = await child.wait()
                    tasks.cancel_scope.cancel()
            finally:
                self._child = None
            return returncode

    async def _end_after_change(self, child: Process) -> None:
        await self._news.wait()
        if not self._is_ending:  # then it has its signal
            child.terminate()
            await anyio.sleep(self.patience)
            child.kill()

    async def _hand_on(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number is not signal.SIGHUP:
                self._is_ending = True
                self._news.set()
            if self._child is not None:
                with suppress(ProcessLookupError):  # it has just ended
                    self._child.send_signal(number)

    async def _watch(self) -> None:
        async for files in awatch(*self.folders, watch_filter=FILES, debounce=DEBOUNCE, stop_event=self._is_over):
            names = sorted({Path(name).name for _, name in files})
            logger.info("changed: %s", shown(", ".join(names)))
            self._has_changed = True
            self._news.set()
