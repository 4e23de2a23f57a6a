"""A residence: one incarnation of a child that has no task, seen by its supervisor as a cell is."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._cells import tell_end
from ._contexts import ChildContext
from ._directives import CameUp
from ._stacks import line_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from ._children import Resident
    from ._contexts import Callback, Host
    from ._directives import Fact


@final
class Residence:
    """See the module. Lives begin in copies of *base*."""

    __slots__ = ("_post", "_resident", "context")

    def __init__(
        self,
        resident: Resident,
        id: str,
        incarnation: int,
        path: str,
        host: Host,
        base: Context,
        post: Callable[[Fact], None],
    ) -> None:
        self._resident = resident
        self._post = post
        self.context = ChildContext(id, incarnation, path, self._came_up, host)
        self.context.house(base, self)

    def begin(self) -> None:
        """Let the life begin. Nothing that the child does makes this raise."""
        try:
            self._resident.begin(self.context)
        except BaseException as error:  # becomes the Exit: a residence lets nothing through
            self.ended(error)

    def request_stop(self) -> tuple[Callback, ...]:
        """Tell the child that it is to stop, and give its callbacks."""
        return (*self.context.request_stop(), self._resident.asked_to_stop)

    def cancel(self) -> None:
        """Cancel the child."""
        if not self.context.is_over:
            self._resident.cancel()

    def line(self) -> str:
        """Give the innermost line where the child waits, or the task below that it waits for."""
        return line_of(self._resident.awaitable())

    def stack(self) -> tuple[str, ...]:
        """Give the lines that lead there, outermost first, and those of the tasks below that still run."""
        return stack_of(self._resident.awaitable())

    def _came_up(self, value: object) -> None:
        self._post(CameUp(self.context.id, self.context.incarnation, value))

    def ended(self, error: BaseException | None) -> None:
        """See `Landlord`."""
        tell_end(self.context, error, self._post)
