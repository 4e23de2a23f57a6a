"""What is kept of an exception, and what an exception means.

An exception holds its traceback, that holds frames, those hold the locals of a handler and with them the event. A
`Failure` is text only. Exceptions are hostile here: their ``__str__`` raises, their causes run in circles, their groups
nest deeper than the interpreter's stack. So everything is read from the base classes' own slots, walked without
recursion and bounded by the constants below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import TypeGuard, TypeVar, final

import attrs

from ._kinds import Kinds, mro_of
from ._text import Frames, qualified_name, safe_repr, safe_text, shortened

MAX_MESSAGE = 1_000  # characters
MAX_TRACEBACK = 10_000  # characters
MAX_CAUSES = 10
MAX_LEAVES = 20
MAX_GROUP_NODES = 20_000  # exceptions looked at in one group: a few milliseconds
MAX_GROUP_DEPTH = 1_000  # the interpreter's own split() fails near this depth
MAX_CHAIN_NODES = 1_000  # exceptions freed of their tracebacks at once

E = TypeVar("E", bound=BaseException)

# A subclass may shadow these names with properties that raise or lie; the slots below cannot be overridden.
_set_traceback: Callable[[BaseException, None], None] = vars(BaseException)["__traceback__"].__set__
_cause_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__cause__"].__get__
_context_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__context__"].__get__
_context_hidden: Callable[[BaseException], bool] = vars(BaseException)["__suppress_context__"].__get__
_args_of: Callable[[BaseException], tuple[object, ...]] = vars(BaseException)["args"].__get__
_members_of: Callable[[BaseException], tuple[BaseException, ...]] = vars(BaseExceptionGroup)["exceptions"].__get__
_dict_of: Callable[[type], Mapping[str, object]] = vars(type)["__dict__"].__get__


@final
@attrs.frozen
class Failure:
    """A snapshot of an exception: text only, so that keeping it keeps nothing else alive.

    Made by `Failure.of`, which never raises, whatever the exception does.
    """

    type: str
    """Qualified name of the exception's class: "builtins.ValueError"."""

    message: str
    """One printable line, at most 1,000 characters."""

    traceback: str = attrs.field(default="", repr=False)
    """The 30 innermost frames, without locals, at most 10,000 characters. For a group, its own and its first leaf's."""

    causes: tuple[str, ...] = ()
    """The chain of causes and contexts, nearest first, each "Type: message"; at most 10."""

    leaves: tuple[str, ...] = ()
    """Of an exception group: the exceptions in it, at whatever depth, each "Type: message"; at most 20."""

    truncated: bool = False
    """Whether anything was left out for length, depth or number."""

    fingerprint: str = ""
    """Type and innermost frame of the application: "builtins.ValueError at app.py:handler:12". Failures of one
    cause have one fingerprint; for a group it names the first leaf."""

    @classmethod
    def of(cls, exc: BaseException) -> Failure:
        """Return the snapshot of *exc*. *exc* itself is left as it is; see `forget_traceback`."""
        if is_group(exc) or _next_cause(exc) is not None:
            return _of_several(exc)
        kind, message, frames = qualified_name(type(exc)), _message(exc), Frames.of(exc)
        text = frames.text()
        is_cut = len(message) > MAX_MESSAGE or len(text) > MAX_TRACEBACK or frames.left_out > 0
        # By position: this is made at every failed attempt, and keywords cost as much as all that is given.
        return cls(kind, shortened(message, MAX_MESSAGE), _end_of(text), (), (), is_cut, kind + frames.place())

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


def _of_several(exc: BaseException) -> Failure:
    """Return the snapshot of a group, or of an exception that has causes."""
    kind, message, frames = qualified_name(type(exc)), _message(exc), Frames.of(exc)
    causes = _first(_causes(exc), MAX_CAUSES)
    leaves, deep = _first(leaves_of(exc) if is_group(exc) else iter(()), MAX_LEAVES), _too_deep(exc)
    text, fingerprint = frames.text(), kind + frames.place()
    if leaves:
        first, inner = qualified_name(type(leaves[0])), Frames.of(leaves[0])
        text += f"first of its leaves, {first}:\n{inner.text()}" if inner.shown else ""
        fingerprint = f"{kind}[{first}]{inner.place() or frames.place()}"
    return Failure(
        type=kind,
        message=shortened(message, MAX_MESSAGE),
        traceback=_end_of(text),
        causes=tuple(map(_summary, causes[:MAX_CAUSES])),
        leaves=tuple(map(_summary, leaves[:MAX_LEAVES])),
        truncated=(
            deep
            or len(message) > MAX_MESSAGE
            or len(text) > MAX_TRACEBACK
            or len(causes) > MAX_CAUSES
            or len(leaves) > MAX_LEAVES
            or frames.left_out > 0
        ),
        fingerprint=fingerprint,
    )


def failure_after(exc: BaseException, cause: Failure) -> Failure:
    """Return the snapshot of *exc*, which is caused by what *cause* is the snapshot of: that is not told once more.

    *exc* is no group, and was never raised.
    """
    kind, message = qualified_name(type(exc)), _message(exc)
    # Who has more causes than are kept says no more than that, so as many as are kept may be all or not.
    is_cut = len(message) > MAX_MESSAGE or len(cause.causes) >= MAX_CAUSES
    causes = (_summed_up(cause.type, cause.message), *cause.causes)[:MAX_CAUSES]
    return Failure(kind, shortened(message, MAX_MESSAGE), "", causes, (), is_cut, kind)


def _end_of(text: str) -> str:
    # Its end is the innermost frame, so the beginning is what can be missed.
    return text if len(text) <= MAX_TRACEBACK else "…" + text[1 - MAX_TRACEBACK :]


STRAY_CANCELLATIONS = Kinds.of(("asyncio.exceptions.CancelledError", "trio.Cancelled"))


@final
@attrs.frozen
class Leaves:
    """The leaves of an exception, sorted by what they mean for the one who raised it."""

    ordinary: tuple[Exception, ...]
    """Crashes. A GeneratorExit inside a group stands here as a `RuntimeError` caused by it."""

    fatal: tuple[BaseException, ...]
    """What must end the whole program: KeyboardInterrupt, SystemExit, a bare GeneratorExit, anything else that is
    neither an Exception nor a cancellation."""

    cancelled: int
    """How many leaves are cancellations."""

    truncated: bool
    """Whether the group was too deep or too large to be walked wholly."""


def sort_leaves(exc: BaseException, cancelled: type[BaseException]) -> Leaves:
    """Sort the leaves of *exc*, a group or not, by their meaning. *cancelled* is the backend's class.

    The cancellation of the other backend counts, too: it strays in from a loop that runs in another thread.
    Never recurses. A group beyond the limits counts as one ordinary leaf, so no exception yields nothing at all.
    """
    grouped = is_group(exc)
    if not grouped and _is(exc, Exception) and not _is_cancellation(exc, cancelled):
        return Leaves((exc,), (), 0, False)  # as nearly everything is that is raised
    ordinary: list[Exception] = []
    fatal: list[BaseException] = []
    count = 0
    for leaf in leaves_of(exc) if grouped else (exc,):
        if _is_cancellation(leaf, cancelled):
            count += 1
        elif _is(leaf, Exception):
            ordinary.append(leaf)
        elif grouped and (is_group(leaf) or _is(leaf, GeneratorExit)):
            ordinary.append(_as_crash(leaf))
        else:
            fatal.append(leaf)
    return Leaves(tuple(ordinary), tuple(fatal), count, grouped and _too_deep(exc))


def _is_cancellation(exc: BaseException, cancelled: type[BaseException]) -> bool:
    return _is(exc, cancelled) or STRAY_CANCELLATIONS.include(exc)


def leaves_of(
    exc: BaseException, *, whole: Callable[[BaseException], bool] = lambda _group: False
) -> Iterator[BaseException]:
    """Yield *exc* itself, or the leaves of a group in their order, at whatever depth.

    A group for which *whole* is true, and one beyond the limits of depth and number, is yielded as if it were a leaf.
    """
    waiting: list[tuple[BaseException, int]] = [(exc, 0)]
    room = MAX_GROUP_NODES
    while waiting:
        node, depth = waiting.pop()
        members = _members_of(node) if is_group(node) else ()
        if not members or depth >= MAX_GROUP_DEPTH or len(members) > room or whole(node):
            yield node
            continue
        room -= len(members)
        waiting.extend((member, depth + 1) for member in reversed(members))


def is_group(exc: BaseException) -> bool:
    """Return whether *exc* is an exception group, by its true type."""
    return issubclass(type(exc), BaseExceptionGroup)


def _is(exc: BaseException, kind: type[E]) -> TypeGuard[E]:
    return issubclass(type(exc), kind)  # isinstance() would believe what __class__ says


def forget_traceback(exc: BaseException) -> None:
    """Drop the tracebacks of *exc*, its causes, contexts and leaves, so that no frame is kept alive by them.

    Without it, an exception instance raised again and again collects one traceback entry each time, and a kept
    exception keeps the handler's locals. Walks at most 1,000 exceptions.
    """
    waiting = [exc]
    seen = {id(exc)}
    for node in waiting:  # which grows meanwhile
        _set_traceback(node, None)
        for other in _neighbours(node):
            if id(other) not in seen and len(seen) < MAX_CHAIN_NODES:
                seen.add(id(other))
                waiting.append(other)


def _neighbours(exc: BaseException) -> Collection[BaseException]:
    members = _members_of(exc)[:MAX_CHAIN_NODES] if is_group(exc) else ()
    cause, context = _cause_of(exc), _context_of(exc)
    if cause is None and context is None:
        return members  # most often none
    return [each for each in (cause, context, *members) if each is not None]


def _as_crash(exc: BaseException) -> RuntimeError:
    too_deep = "an exception group is too deep or too large to be sorted"
    closed = "GeneratorExit left a task group: a generator was closed while it held one open"
    crash = RuntimeError(too_deep if is_group(exc) else closed)
    crash.__cause__ = exc
    return crash


def _too_deep(exc: BaseException) -> bool:
    return is_group(exc) and any(is_group(leaf) for leaf in leaves_of(exc))


def _first(exceptions: Iterator[BaseException], limit: int) -> list[BaseException]:
    return list(islice(exceptions, limit + 1))  # one more, to know whether there was more


def _causes(exc: BaseException) -> Iterator[BaseException]:
    seen = {id(exc)}
    node = _next_cause(exc)
    while node is not None and id(node) not in seen:
        seen.add(id(node))
        yield node
        node = _next_cause(node)


def _next_cause(exc: BaseException) -> BaseException | None:
    cause = _cause_of(exc)
    return cause if cause is not None or _context_hidden(exc) else _context_of(exc)


def _summary(exc: BaseException) -> str:
    return _summed_up(qualified_name(type(exc)), _message(exc))


def _summed_up(kind: str, message: str) -> str:
    return f"{kind}: {shortened(message, 200)}" if message else kind


def _style_of(kind: type) -> object:
    for base in mro_of(kind):
        style = _dict_of(base).get("__str__", _NONE)
        if style is not _NONE:
            return style
    return _NONE  # pragma: no cover  # object has one


_NONE = object()
_PLAIN, _OF_A_KEY = vars(BaseException)["__str__"], vars(KeyError)["__str__"]


def _message(exc: BaseException) -> str:
    limit = MAX_MESSAGE + 1
    style = _style_of(type(exc))
    # The two usual ways are followed by hand: str() of several arguments, or of a KeyError, costs what they weigh.
    if style is _PLAIN:
        args = _args_of(exc)
        if len(args) > 1:
            more = ", …" if len(args) > 10 else ""
            return shortened(f"({', '.join(safe_repr(arg, limit) for arg in args[:10])}{more})", limit)
        return safe_text(args[0], limit) if args else ""
    if style is _OF_A_KEY and len(_args_of(exc)) == 1:
        return safe_repr(_args_of(exc)[0], limit)
    return safe_text(exc, limit)
