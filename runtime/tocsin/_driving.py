"""Runs a coroutine in the task at hand and sees each time that it really waits for something.

That is what a time limit needs to know, and no more: a handler that never waits cannot be cancelled by anybody. And it
is how a worker sees that it is held up, and that a server has nothing to do: the coroutine then gives a `Sign`.
"""

from __future__ import annotations

import types
from operator import call
from typing import TYPE_CHECKING, Any, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class Watcher(Protocol):
    """Who wants to know."""

    def waits(self) -> None:
        """Called whenever the coroutine is about to wait, before anybody else runs."""

    def goes_on(self) -> None:
        """Called whenever it is about to go on."""


@final
class Sign:
    """What a coroutine yields that is not for the event loop, but for who drives it."""

    __slots__ = ()


@types.coroutine
def drive(watcher: Watcher, driven: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Run *driven*, which gives no signs, to its end."""
    try:
        waited_for = driven.send(None)
    except StopIteration:
        return
    yield from drive_on(watcher, driven, waited_for, call)


def drive_on(
    watcher: Watcher, driven: Coroutine[Any, Any, None], waited_for: Any, step: Callable[..., Any]
) -> Generator[Any, Any, Sign | None]:
    """Go on with *driven*, which waits, until it gives a sign, or has ended: None. The event loop notices no
    difference: whatever passes is passed on as it is. *step* calls a method of *driven*.

    Who follows what a task awaits loses the trail here: the local variable named `driven` is where it goes on.
    """
    error: BaseException | None = None
    value: Any = None
    while type(waited_for) is not Sign:
        watcher.waits()
        try:
            value = yield waited_for
        except GeneratorExit:
            step(driven.close)
            raise
        except BaseException as thrown:  # thrown in below, outside of this block: or it would be its own context
            error = thrown
        watcher.goes_on()
        try:
            if error is None:
                waited_for = step(driven.send, value)
            else:
                passed, error = error, None
                try:
                    waited_for = step(driven.throw, passed)
                finally:
                    del passed  # its traceback holds this frame
        except StopIteration:
            return None
    return waited_for
