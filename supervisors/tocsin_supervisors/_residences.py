"""A residence: the life of a child that has no task."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._enclosing import enclosing
from ._lives import Life

if TYPE_CHECKING:
    from contextvars import Context

    from ._children import Resident
    from ._contexts import Callback
    from ._directives import StartChild
    from ._lives import Surroundings


@final
class Residence(Life):
    """See the module. The resident is given it, to say by `ended` when the life is over."""

    __slots__ = ("_resident",)

    def __init__(self, resident: Resident, directive: StartChild, around: Surroundings) -> None:
        super().__init__(directive, around)
        self._resident = resident

    def begin(self) -> None:
        """Let the life begin. Nothing that the child does makes this raise."""
        try:
            self._resident.begin(self)
        except BaseException as error:  # becomes the Exit: a residence lets nothing through
            self.ended(error)

    def variables(self) -> Context:
        """Make a context of variables for code of the resident."""
        context = self._around.base.copy()
        context.run(enclosing.set, (*context.get(enclosing, ()), self.context))
        return context

    def ended(self, error: BaseException | None) -> None:
        """Say that the life is over, with *error* or well. Only the first time counts."""
        if not self.context.is_over:
            self._is_over(error)

    def request_stop(self) -> tuple[Callback, ...]:
        """See `Life`."""
        return (*super().request_stop(), self._resident.asked_to_stop)

    def cancel(self) -> None:
        """See `Life`."""
        if not self.context.is_over:
            self._resident.cancel()

    def _awaited(self) -> object:
        return self._resident.awaitable()
