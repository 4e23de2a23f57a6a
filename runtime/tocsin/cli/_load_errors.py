"""What is said when a bus cannot be loaded: what is wrong, and the line of the user's code, instead of a traceback."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, final

from tocsin_supervisors import qualified_name

from ._showing import shown

if TYPE_CHECKING:
    from ._target import Target

MOST_FRAMES = 4  # the user's module, and how it got to the line that raised


@final
class CannotLoad(Exception):
    """There is no bus to run. Its text is for people; the error of the user's code is the `__cause__`."""

    def __init__(self, target: Target, reason: str) -> None:
        super().__init__(f"cannot load {target}: {reason}")
        self.target = target


def no_such_module(name: str, *, in_current_directory: bool) -> str:
    """Say that a module was not found, and what to do."""
    text = f"there is no module {name!r} on the path of modules"
    if in_current_directory:
        return f"{text}; the current directory has it, and is searched only when asked for: add --app-dir ."
    return f"{text}: install it, or name the directory it is in with --app-dir"


def failed_in_code(error: BaseException, what: str) -> str:
    """Say that *what* with *error*: a few lines, the last of them the line of code that failed."""
    message = shown(error)
    lines = [f"{what}", f"  {qualified_name(type(error))}{': ' if message else ''}{message}"]
    frames = _frames_of_user(error)
    if len(frames) > MOST_FRAMES:
        lines += [*_as_lines(frames[:1]), f"  … {len(frames) - MOST_FRAMES} more calls"]
        frames = frames[1 - MOST_FRAMES :]
    lines += _as_lines(frames)
    if isinstance(error, SyntaxError) and error.filename is not None:
        lines += _lines_of_syntax_error(error)
    return "\n".join(lines)


def _frames_of_user(error: BaseException) -> list[traceback.FrameSummary]:
    """Give the frames after the machinery of imports and ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames[1:] if "importlib" not in frame.filename]


def _as_lines(frames: list[traceback.FrameSummary]) -> list[str]:
    lines: list[str] = []
    for frame in frames:
        lines.append(f"  at {shown(frame.filename)}:{frame.lineno}, in {shown(frame.name)}")
        # From Python 3.13 on the text of `-c` counts as that of all code that is in no file.
        if frame.line and not frame.filename.startswith("<"):
            lines.append(f"      {shown(frame.line, 160)}")
    return lines


def _lines_of_syntax_error(error: SyntaxError) -> list[str]:
    text = (error.text or "").strip()
    place = f"  at {shown(error.filename)}:{error.lineno}"
    return [place, f"      {shown(text, 160)}"] if text else [place]
