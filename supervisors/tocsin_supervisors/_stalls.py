"""What blocks an event loop: whose code it is, and the line, seen from another thread.

How it works. A context variable can be read only by the code that runs in the context, and a blocked loop answers
nobody. But the frames of its thread are open to all, and the context is found through them, or from the backend:

* asyncio: `asyncio.current_task(loop)` is a look into a dictionary, and from Python 3.12 on a task tells its context.
  In 3.11, and in a callback, which has no task, the frame of `Handle._run` has the handle, and that the context.
* trio: it keeps the running task in a `threading.local`, whose dictionary for the loop's thread is taken there. The
  frame of its run loop has the task too, but until Python 3.13 looking at the variables of a frame leaves a copy of
  them in it, and that frame lives as long as the loop.

All this is private to others and may change. Then a stall is nobody's, and nothing worse happens.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, TypeAlias, cast, final

import anyio.lowlevel
import attrs

from ._enclosing import enclosing, working_for
from ._stacks import UNKNOWN, is_own, module_of, place_of, top_package

if TYPE_CHECKING:
    from contextvars import Context
    from types import FrameType

MAX_FRAMES = 50  # the innermost ones: they say what is done, the outer ones only for whom

_OURS = frozenset({"tocsin", "tocsin_supervisors"})
_STEP = ("asyncio.events", "Handle._run")
_TRIO_WAITS_IN = frozenset({f"trio._core._io_{kind}" for kind in ("epoll", "kqueue", "windows")})
# The innermost of these is where the loop's own code ends → the modules in which it waits for something to happen.
# None: it never waits there, what is inside is a step of a task or a callback.
_LOOPS: dict[tuple[str, str], frozenset[str] | None] = {
    _STEP: None,
    ("trio._core._run", "unrolled_run"): None,
    ("asyncio.base_events", "BaseEventLoop._run_once"): frozenset({"selectors", "asyncio.windows_events"}),
    ("trio._core._run", "run"): _TRIO_WAITS_IN,
    ("trio._core._run", "GuestState.guest_tick"): _TRIO_WAITS_IN,
    # All that is seen of a loop that is not written in Python.
    ("asyncio.runners", "Runner.run"): frozenset(),
}

ContextFinder: TypeAlias = "Callable[[FrameType | None], Context | None]"
"""Called with the frame where the loop's own code ends: gives the context of what runs inside."""


@final
@attrs.frozen
class Stall:
    """The event loop did not turn for a while: no other child could do anything.

    It is known to half the threshold of the watchdog: up to so much of *seconds* may have passed before it began.
    """

    seconds: float
    """How long the loop did not turn."""
    child: str | None
    """The path of the innermost child whose code blocks it, names from the root down, joined by "/". None: no child's,
    or it could not be found out."""
    line: str
    """Where, as "file:line function": in its own code, if some of it is not a backend's or the standard library's."""
    stack: tuple[str, ...] = ()
    """How it came there, lines of the same form, outermost first, from the child's own code on; the 50 innermost."""


@final
class LoopThread:
    """The thread of an event loop, for other threads to look at. Made in that thread, while the loop runs."""

    __slots__ = ("_context_of", "_id")

    def __init__(self) -> None:
        self._id = threading.get_ident()
        self._context_of = _context_finder()

    def stall(self, seconds: float) -> Stall | None:
        """Tell what the loop does that has not turned for so many *seconds*. None: it waits in its selector.

        Never raises.
        """
        try:
            frame = sys._current_frames().get(self._id)  # pyright: ignore[reportPrivateUsage]  # there is no other way
            return None if frame is None else stall_at(frame, self._context_of, seconds)
        except Exception:  # whatever it is, it must not end the watch; and that the loop stalls is known
            return unseen(seconds)


def unseen(seconds: float) -> Stall:
    """Give a stall of which nothing but its length is known."""
    return Stall(seconds, None, UNKNOWN)


def stall_at(frame: FrameType, context_of: ContextFinder, seconds: float) -> Stall | None:
    """Tell what the thread does whose innermost frame is *frame*. None: its loop waits for something to happen."""
    frames, loop = _inside_of_loop(frame)
    if not frames:
        return None
    line = place_of(next(filter(is_own, frames), frames[0]))
    try:
        child = _child_in(context_of(loop))
    except Exception:  # the backend is not as we know it: the line is worth telling all the same
        child = None
    frames.reverse()
    relevant = list(dropwhile(_is_machinery, frames)) or frames
    return Stall(seconds, child, line, tuple(map(place_of, relevant[-MAX_FRAMES:])))


def _inside_of_loop(innermost: FrameType) -> tuple[list[FrameType], FrameType | None]:
    """Give the frames of what the loop runs, innermost first, none if it waits; and the frame of the loop, if found."""
    frames: list[FrameType] = []
    frame: FrameType | None = innermost
    while frame is not None:
        name = (module_of(frame), frame.f_code.co_qualname)
        if name in _LOOPS:
            waits_in = _LOOPS[name]
            if waits_in is None:
                return frames or [frame], frame  # what is called without a frame of its own is of C
            is_waiting = bool(frames) and module_of(frames[0]) in waits_in
            return [] if is_waiting else frames, frame
        frames.append(frame)
        frame = frame.f_back
    return frames, None


def _is_machinery(frame: FrameType) -> bool:
    return not is_own(frame) or top_package(frame) in _OURS


def _child_in(context: Context | None) -> str | None:
    if context is None:
        return None
    worker = context.get(working_for)
    if worker is not None:
        return worker.path
    children = context.get(enclosing, ())
    return children[-1].path if children else None


def _context_finder() -> ContextFinder:
    loop = cast("Any", anyio.lowlevel.current_token().native_token)
    if hasattr(loop, "call_soon_threadsafe"):
        return partial(_context_on_asyncio, loop)
    run_context = getattr(sys.modules.get("trio._core._run"), "GLOBAL_RUN_CONTEXT", None)
    return partial(_context_on_trio, {} if run_context is None else vars(run_context))


def _context_on_asyncio(loop: Any, frame: FrameType | None) -> Context | None:
    task = sys.modules["asyncio"].current_task(loop)
    if hasattr(task, "get_context"):
        # Before the handle: a task that was started eagerly runs inside of another's.
        return cast("Context", task.get_context())
    if frame is not None and (module_of(frame), frame.f_code.co_qualname) == _STEP:
        return cast("Context", frame.f_locals["self"]._context)
    return None


def _context_on_trio(run_context: dict[str, Any], _frame: FrameType | None) -> Context | None:
    return getattr(run_context.get("task"), "context", None)
