"""Where code is: a coroutine that hangs is found by following what it awaits, the same way on every backend.

Often it only waits for a task that it has started itself. So the tasks below its own are looked at too, and the one
that hangs in the end is the culprit.
"""

from __future__ import annotations

import gc
import sys
from itertools import dropwhile
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, final

import anyio
import attrs

from ._text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio import TaskInfo

UNKNOWN = "nowhere to be seen"
MAX_LINES = 30  # of a stack, for all tasks together; one more if tasks are left out
MAX_TASKS = 8  # leaves each at least three lines
_OURS = frozenset({"tocsin", "tocsin_supervisors"})
_BACKENDS = frozenset({"anyio", "asyncio", "trio", "outcome", "sniffio"})
# type → the names of its frame and of what it awaits
_LINKS: dict[type, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
# Steps that name what they are a step of nowhere.
_NAMELESS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper")


def line_of(awaitable: object) -> str:
    """Give the innermost line where *awaitable* hangs, as "file:line function": in its own code, if some of it is not
    a backend's.

    If it has started tasks that still run, it is the line of the one that hangs farthest below it; of several, of the
    one that was started first. Those that run code of the application come before those that do not.
    """
    return _culprit(_tasks_below(awaitable)).line()


def stack_of(awaitable: object) -> tuple[str, ...]:
    """Give the lines that led to where *awaitable* hangs, outermost first, each as "file:line function": only those of
    its own code, if some of it is not a backend's; nothing, if it cannot be seen.

    The lines of the tasks below it follow, as long as these run, each after a line with the task's name. There are
    about 30 lines: of more, the outermost of each task are left out, and all of the last tasks.
    """
    tasks = _relevant(_tasks_below(awaitable))
    shown = tasks[:MAX_TASKS]
    lines = [line for task in shown for line in task.lines(MAX_LINES // len(shown))]
    if len(tasks) > len(shown):
        lines.append(f"… {len(tasks) - len(shown)} more tasks")
    return tuple(lines)


def own_chain_of(awaitable: object) -> tuple[str, ...]:
    """Give the lines that led to where *awaitable* hangs, outermost first, without those of backends and of the
    standard library; ours are there."""
    return tuple(place_of(frame) for frame in _frames(awaitable) if is_own(frame))


def place_of(frame: FrameType) -> str:
    """Give the line that *frame* is at, as "file:line function"."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"


def is_own(frame: FrameType) -> bool:
    """Tell whether the code of *frame* is neither a backend's nor the standard library's."""
    top = top_package(frame)
    return top not in _BACKENDS and top not in sys.stdlib_module_names


def top_package(frame: FrameType) -> str:
    """Give the first part of the name of the module that the code of *frame* is in."""
    return module_of(frame).partition(".")[0]


def module_of(frame: FrameType) -> str:
    """Give the name of the module that the code of *frame* is in; "" if it has none."""
    return str(frame.f_globals.get("__name__", ""))


# ── tasks ──


@final
@attrs.frozen
class _Task:
    """A task that hangs, or waits for one below that does."""

    name: str | None  # None for that of the awaitable itself
    depth: int
    order: int  # 0 for the first one started
    is_last: bool  # no task below it runs
    frames: list[FrameType]  # outermost first

    @property
    def own(self) -> list[FrameType]:
        own = list(filter(is_own, self.frames))
        return list(dropwhile(_is_ours, own)) or own or self.frames

    @property
    def is_of_application(self) -> bool:
        return any(is_own(frame) and not _is_ours(frame) for frame in self.frames)

    def line(self) -> str:
        return place_of(self.own[-1]) if self.frames else UNKNOWN

    def lines(self, room: int) -> list[str]:
        heading = [] if self.name is None else [f"task {self.name}:"]
        places = [place_of(frame) for frame in self.own]
        if len(heading) + len(places) > room:
            kept = room - len(heading) - 1
            heading.append(f"… {len(places) - kept} outer lines")
            places = places[-kept:]
        return [*heading, *places]


def _culprit(tasks: list[_Task]) -> _Task:
    last = [task for task in tasks if task.is_last]
    return max(last, key=lambda task: (task.is_of_application, task.depth, -task.order))


def _relevant(tasks: list[_Task]) -> list[_Task]:
    """Leave out the tasks of libraries and of supervisors, unless it is one of these that hangs."""
    if not _culprit(tasks).is_of_application:
        return tasks
    return [task for task in tasks if task.is_of_application]


def _tasks_below(awaitable: object) -> list[_Task]:
    """Give the task of *awaitable* and all below it: each before those that it has started, in the order of their
    start."""
    frames = _frames(awaitable)
    infos = tasks_in_order(anyio.get_running_tasks()) if frames else []
    orders = {info.id: order for order, info in enumerate(infos)}
    below: dict[int | None, list[TaskInfo]] = {}
    for info in infos:
        below.setdefault(info.parent_id, []).append(info)
    found: list[_Task] = []
    waiting = [(info, 0) for info in infos if any(step is awaitable for step, _ in _steps(info.coro))]
    while waiting:
        info, depth = waiting.pop()
        # Taken out: the number of a task that has ended may be given to another one, and so lead in a circle.
        children = below.pop(info.id, [])
        waiting += [(child, depth + 1) for child in reversed(children)]
        name = safe_text(info.name, 100) if depth else None
        found.append(_Task(name, depth, orders[info.id], not children, _frames(info.coro) if depth else frames))
    return found or [_Task(None, 0, 0, True, frames)]


def tasks_in_order(infos: list[TaskInfo]) -> list[TaskInfo]:
    """Sort by the start, which no public name tells. Where these are not as we know them, the order is any."""
    # anyio keeps what it knows of asyncio's tasks in a dictionary, in the order of their start; trio numbers its own.
    known = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)
    places = {id(reference()): place for place, reference in enumerate(known.keyrefs() if known is not None else ())}

    def order(info: TaskInfo) -> tuple[int, int]:
        number = getattr(getattr(info, "_task", None), "_counter", 0)
        return number, places.get(info.id, -1)

    return sorted(infos, key=order)


# ── coroutines ──


def _frames(awaitable: object) -> list[FrameType]:
    return [frame for _, frame in _steps(awaitable) if frame is not None]


def _steps(awaitable: object) -> Iterator[tuple[object, FrameType | None]]:
    """Give *awaitable*, what it awaits, and so on, each with its frame if it has one."""
    while awaitable is not None:
        frame, awaited = _step(awaitable)
        yield awaitable, frame
        awaitable = awaited


def _is_ours(frame: FrameType) -> bool:
    return top_package(frame) in _OURS


def _step(awaitable: object) -> tuple[FrameType | None, object]:
    """Give the frame of *awaitable*, if it has one, and what it awaits."""
    kind = type(awaitable)
    if kind.__name__ in _NAMELESS:
        # The collector knows.
        referents: list[object] = gc.get_referents(awaitable)
        return None, next((each for each in referents if type(each) in _LINKS), None)
    names = _LINKS.get(kind, ("", ""))
    frame: FrameType | None = getattr(awaitable, names[0], None)
    awaited: object = getattr(awaitable, names[1], None)
    if awaited is None and kind is GeneratorType and frame is not None:
        # One that runs a coroutine by hand, step by step; ours say so by the name of a local variable.
        awaited = frame.f_locals.get("driven")
    return frame, awaited
