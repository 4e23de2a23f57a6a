"""Text made of values nobody trusts: for log lines, failures and dead letters.

Nothing here raises, whatever the value does. The cost follows the limit, not the value, if the value is a string or
bytes; that of other values is the cost of their own ``__str__`` or ``__repr__``.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import linecache
import math
import os
import sys
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from itertools import islice
from types import FrameType, TracebackType
from typing import Any, cast, final

import attrs

MAX_FRAMES = 30  # the innermost ones; dramatiq keeps as many
MAX_JSON_DEPTH = 16  # deeper than any event a person would write; far below the recursion limit
MAX_JSON_NODES = 10_000  # values walked in one document: bounds the cost of shared and cyclic structures
MAX_JSON_TEXT = 100_000  # characters of one string or bytes
MAX_JSON_INT_BITS = 4_096  # the interpreter refuses to print integers of more than 4,300 digits

# Read from the slots themselves: a subclass or metaclass may shadow these names with properties that raise.
_module_of: Callable[[type], Any] = vars(type)["__module__"].__get__
_qualname_of: Callable[[type], str] = vars(type)["__qualname__"].__get__
_traceback_of: Callable[[BaseException], TracebackType | None] = vars(BaseException)["__traceback__"].__get__
_item_of: Callable[[dict[str, Any], str], object] = vars(dict)["get"]

_NOT_THE_APPLICATION = frozenset({"anyio", "trio", "tocsin", "tocsin_supervisors"}) | sys.stdlib_module_names


def safe_text(value: object, limit: int = 200) -> str:
    """Return ``str(value)`` as one printable line of at most *limit* characters.

    Never raises: a value whose ``__str__`` raises anything at all reads ``<unprintable Name>``. Newlines, control and
    format characters (ANSI escapes, bidirectional overrides), lone surrogates and other unprintable characters are
    written as backslash escapes. What is cut off is marked by an ellipsis.
    """
    return _one_line(value, str, limit)


def safe_repr(value: object, limit: int = 200) -> str:
    """Return ``repr(value)`` under the same guarantees as `safe_text`."""
    return _one_line(value, repr, limit)


def qualified_name(kind: type) -> str:
    """Return "module.QualName" of a class, printable and bounded whatever its metaclass does."""
    try:
        module = _module_of(kind)
    except AttributeError:  # a class may delete its __module__
        module = None
    return _joined_name(module if type(module) is str else "?", _qualname_of(kind))


# By the two texts, not by the class: that may be made anew all the time, and must not live on in here.
@lru_cache(maxsize=1024)
def _joined_name(module: str, name: str) -> str:
    return safe_text(f"{module}.{name}", 400)


def escaped(text: str) -> str:
    """Return *text* with every unprintable character as a backslash escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shortened(text: str, limit: int) -> str:
    """Return *text*, or its beginning and an ellipsis when it is longer than *limit*."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def json_safe(value: object) -> Any:
    """Return a copy of *value* that `json.dumps` accepts with ``allow_nan=False``.

    Mappings, sequences, sets, attrs classes and dataclasses are walked, at most `MAX_JSON_DEPTH` deep and
    `MAX_JSON_NODES` values in all, what exceeds that number is left out; times, identifiers, decimals and paths become
    text, bytes base64, enum members their value, NaN and the infinities text. Everything else becomes its `safe_repr`;
    what is too deep, or fails when it is read, becomes "<name of its class>".
    """
    return _Walk().copied(value, 0)


@final
@attrs.frozen
class Frames:
    """The innermost frames of an exception's traceback, as text."""

    shown: tuple[str, ...]  # as the interpreter would print them, outermost first
    left_out: int
    _place: str

    @classmethod
    def of(cls, exc: BaseException) -> Frames:
        """Return the frames of *exc*; its length in frames costs only the walk."""
        entries: list[TracebackType] = []
        node = _traceback_of(exc)
        while node is not None:
            entries.append(node)
            node = node.tb_next
        if not entries:
            return _NO_FRAMES
        innermost = entries[-MAX_FRAMES:]
        return cls(tuple(map(_frame_text, innermost)), len(entries) - len(innermost), _place_in(entries))

    def text(self) -> str:
        """Return them as one text, of printable lines."""
        left_out = f"  ... {self.left_out} outer frames left out\n" if self.left_out else ""
        return left_out + "".join(self.shown)

    def place(self) -> str:
        """Return " at file:function:line" of the application's innermost frame, or of the innermost of all; nothing
        without any."""
        return self._place


_NO_FRAMES = Frames((), 0, "")


def _frame_text(entry: TracebackType) -> str:
    frame, line = entry.tb_frame, entry.tb_lineno or 0
    code = frame.f_code
    try:
        source = linecache.getline(code.co_filename, line, frame.f_globals)
    except Exception:  # a module's loader may fail in any way; the traceback then has no source line
        source = ""
    # Cut before it is remembered: a line of generated code may be as long as a file.
    return _remembered_frame(str(code.co_filename), line, str(code.co_name), source.strip()[:300])


def _place_in(entries: list[TracebackType]) -> str:
    for entry in reversed(entries):
        if _is_of_application(entry.tb_frame):
            return _place_of(entry)
    return _place_of(entries[-1])


def _place_of(entry: TracebackType) -> str:
    code = entry.tb_frame.f_code
    return _remembered_place(str(code.co_filename), entry.tb_lineno or 0, str(code.co_name))


# Exceptions come from few places, and what is said of each is asked for again and again. Made of nothing but texts, so
# that no code and no module lives on in here; with the line of source, which may be another one after a reload.
@lru_cache(maxsize=1024)
def _remembered_frame(file: str, line: int, function: str, source: str) -> str:
    source = shortened(escaped(source), 200)
    head = f'  File "{safe_text(file, 300)}", line {line}, in {safe_text(function)}\n'
    return f"{head}    {source}\n" if source else head


@lru_cache(maxsize=1024)
def _remembered_place(file: str, line: int, function: str) -> str:
    return f" at {os.path.basename(safe_text(file, 300))}:{safe_text(function)}:{line}"


def _is_of_application(frame: FrameType) -> bool:
    # By dict's own get: code run by exec() may have globals of a subclass.
    module = _item_of(frame.f_globals, "__name__")
    top = module.partition(".")[0] if type(module) is str else ""
    return top not in _NOT_THE_APPLICATION


def _one_line(value: object, convert: Callable[[object], str], limit: int) -> str:
    kind = type(value)
    try:
        # Cut before converting: the cost must follow the limit, not the value. By the base classes' own slices, since a
        # subclass may override anything. issubclass of the true type, because __class__ may lie.
        if issubclass(kind, str):
            value = str.__getitem__(cast("str", value), slice(limit + 1))
        elif issubclass(kind, bytes):
            value = bytes.__getitem__(cast("bytes", value), slice(limit + 1))
        text = convert(value)
        if type(text) is str and len(text) <= limit and text.isprintable():
            return text  # as nearly everything that is asked for is
        text = str.__getitem__(text, slice(limit + 1))
    except BaseException:  # not re-raised: a __str__ may raise even SystemExit, and a log line must not
        text = f"<unprintable {_qualname_of(kind)}>"
    return shortened(escaped(text), limit)


class _Walk:
    """One walk over one value, counting what it has seen."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen = 0

    def copied(self, value: object, depth: int) -> Any:
        self._seen += 1
        try:
            if self._seen <= MAX_JSON_NODES and depth <= MAX_JSON_DEPTH:
                return self._known(value, depth)
        except Exception:  # the value's own code (a property, an iterator) may fail in any way
            pass
        # Not its repr: that of a structure which shares its parts is as large as the walk was not allowed to become.
        return f"<{qualified_name(type(value))}>"

    def _known(self, value: object, depth: int) -> Any:
        match value:
            case None | bool():
                return value
            case enum.Enum():
                return self.copied(value.value, depth + 1)
            case str():
                return _well_formed(value)
            case int():
                bits = value.bit_length()
                return int(value) if bits <= MAX_JSON_INT_BITS else f"<integer of {bits} bits>"
            case float():
                return float(value) if math.isfinite(value) else repr(float(value))
            case bytes() | bytearray():
                return b64encode(value[:MAX_JSON_TEXT]).decode("ascii")
            case datetime.datetime() | datetime.date() | datetime.time():
                return value.isoformat()
            case uuid.UUID() | decimal.Decimal() | os.PathLike():
                return safe_text(cast("object", value), MAX_JSON_TEXT)
            case _:
                return self._composite(value, depth)

    def _composite(self, value: object, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._object(cast("Mapping[object, object]", value).items(), depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._array(cast("Iterable[object]", value), depth)
        if isinstance(value, type):
            return qualified_name(value)
        names = _field_names(type(value))
        if names is None:
            return safe_repr(value)
        return self._object(((name, getattr(value, name)) for name in names), depth)

    def _array(self, values: Iterable[object], depth: int) -> list[Any]:
        return [self.copied(value, depth + 1) for value in islice(values, self._room)]

    def _object(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in islice(items, self._room):
            name = _well_formed(key) if isinstance(key, str) else safe_text(key)
            if name in result:  # {1: ..., "1": ...}: two keys of one text must not hide each other
                name = f"{name} ({qualified_name(type(key))})"
            result[name] = self.copied(value, depth + 1)
        return result

    @property
    def _room(self) -> int:
        return max(0, MAX_JSON_NODES - self._seen)


def _field_names(kind: type) -> tuple[str, ...] | None:
    if attrs.has(kind):
        return tuple(field.name for field in attrs.fields(kind))
    if is_dataclass(kind):
        return tuple(field.name for field in dataclass_fields(kind))
    return None


def _well_formed(text: str) -> str:
    # A lone surrogate survives json.dumps, and then no other language can read the line.
    exact = str.__getitem__(text, slice(MAX_JSON_TEXT + 1))
    return shortened(exact.encode("utf-8", "backslashreplace").decode("utf-8"), MAX_JSON_TEXT)
