"""Runs a coroutine in the task at hand and sees each time that it really waits for something.

That is what a time limit needs to know, and no more: a handler that never waits cannot be cancelled by anybody.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


class Watcher(Protocol):
    """Who wants to know."""

    def waits(self) -> None:
        """Called whenever the coroutine is about to wait, before anybody else runs."""


@types.coroutine
def drive(watcher: Watcher, driven: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Run *driven* to its end. The event loop notices no difference: whatever passes is passed on as it is.

    Who follows what a task awaits loses the trail here: the local variable named `driven` is where it goes on.
    """
    error: BaseException | None = None
    value: Any = None
    try:
        waited_for = driven.send(None)
        while True:
            watcher.waits()
            try:
                value = yield waited_for
            except GeneratorExit:
                driven.close()
                raise
            except BaseException as thrown:  # thrown in below, outside of this block: or it would be its own context
                error = thrown
            if error is None:
                waited_for = driven.send(value)
            else:
                passed, error = error, None
                try:
                    waited_for = driven.throw(passed)
                finally:
                    del passed  # its traceback holds this frame
    except StopIteration:
        return
