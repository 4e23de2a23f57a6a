"""A life: one incarnation of a child, as its supervisor sees it, whether it has a task (`_cells.py`) or none
(`_residences.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

import attrs

from ._contexts import ChildContext
from ._directives import CameUp, Ended
from ._exits import Crashed, Fatal, Suspended, exit_of
from ._failures import forget_traceback
from ._stacks import line_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from ._contexts import Callback, Host
    from ._directives import Fact, StartChild


_WITH_ERROR = (Crashed, Suspended, Fatal)  # whose error may yet be raised; a union would be made anew at each use


@final
@attrs.frozen(eq=False)
class Surroundings:
    """What all lives in one run of a supervisor have in common."""

    path: str  # of the supervisor
    host: Host
    post: Callable[[Fact], None]  # takes what the supervisor is to know
    base: Context  # of variables: each life begins in a copy of it
    cancelled: type[BaseException]  # the cancellation of the running backend


class Life(ABC):
    """See the module."""

    __slots__ = ("_around", "context")

    def __init__(self, directive: StartChild, around: Surroundings) -> None:
        id = directive.spec.id
        path = f"{around.path}/{id}"
        self.context: ChildContext = ChildContext(id, directive.incarnation, path, self._came_up, around.host)
        self._around = around

    def request_stop(self) -> tuple[Callback, ...]:
        """Tell the child that it is to stop, and give what is to be called because of that."""
        return self.context.request_stop()

    @abstractmethod
    def cancel(self) -> None:
        """Cancel the child."""

    @abstractmethod
    def _awaited(self) -> object:
        """Give what the child awaits."""

    def line(self) -> str:
        """Give the innermost line where the child waits, or the task below that it waits for."""
        return line_of(self._awaited())

    def stack(self) -> tuple[str, ...]:
        """Give the lines that lead there, outermost first, and those of the tasks below that still run."""
        return stack_of(self._awaited())

    def _came_up(self, value: object) -> None:
        self._around.post(CameUp(self.context.id, self.context.incarnation, value))

    def _is_over(self, error: BaseException | None) -> None:
        """Tell how the life has ended, of which *error* came out, and let go of what it was."""
        context = self.context
        exit = exit_of(error, cancelled=self._around.cancelled, stop_requested=context.stop_requested)
        if error is not None and not isinstance(exit, _WITH_ERROR):
            forget_traceback(error)
        del error
        self._around.post(Ended(context.id, context.incarnation, exit))
        # The run holds this until the next life begins, and the run of a supervisor that is over begins no other.
        context.over()
        del self._around
