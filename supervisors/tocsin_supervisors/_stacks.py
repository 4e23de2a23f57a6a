"""Where code is: a coroutine that hangs is found by following what it awaits, the same way on every backend."""

from __future__ import annotations

import gc
import sys
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType

UNKNOWN = "nowhere to be seen"
_BACKENDS = frozenset({"anyio", "asyncio", "trio", "outcome", "sniffio"})
# type → the names of its frame and of what it awaits
_LINKS: dict[type, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_ASYNC_GENERATOR_STEPS = ("async_generator_asend", "async_generator_athrow")


def line_of(awaitable: object) -> str:
    """Give the innermost line where *awaitable* waits, as "file:line function": in its own code, if some of it is
    not a backend's."""
    innermost = own = None
    while awaitable is not None:
        frame, awaitable = _step(awaitable)
        if frame is not None:
            innermost = frame
            own = frame if is_own(frame) else own
    frame = own or innermost
    return UNKNOWN if frame is None else place_of(frame)


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


def _step(awaitable: object) -> tuple[FrameType | None, object]:
    """Give the frame of *awaitable*, if it has one, and what it awaits."""
    kind = type(awaitable)
    if kind.__name__ in _ASYNC_GENERATOR_STEPS:
        # A step of an async generator names its generator nowhere; the collector knows.
        referents: list[object] = gc.get_referents(awaitable)
        return None, next((each for each in referents if type(each) in _LINKS), None)
    frame, awaited = _LINKS.get(kind, ("", ""))
    return getattr(awaitable, frame, None), getattr(awaitable, awaited, None)
