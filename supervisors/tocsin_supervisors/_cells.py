"""A cell: one incarnation of a child in a task and a task group of its own, so that nothing it does reaches a sibling.

Two tasks: a *guardian* in the supervisor's group, which opens a fresh group, and in it the child's own task. A child
may cancel the scope or the group around it, be cancelled by a stranger, leave tasks behind or abandon an async
generator that holds a group: all that ends in the guardian, which tells the supervisor one `Exit`. The same child
run in the supervisor's group would take its siblings down with it, on asyncio without a trace, on trio with the
whole run.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, final

import anyio

from ._children import Nested
from ._enclosing import enclosing
from ._lives import Life

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._children import ChildSpec
    from ._directives import StartChild
    from ._lives import Surroundings


@final
class Cell(Life):
    """See the module."""

    __slots__ = ("_awaitable", "_is_cancelled", "_raised", "_scope", "_spec")

    def __init__(self, directive: StartChild, around: Surroundings) -> None:
        super().__init__(directive, around)
        # Until it has begun: what it was started with need not outlive that.
        self._spec: ChildSpec | None = directive.spec
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self._awaitable: Awaitable[object] | None = None
        self._raised: BaseException | None = None  # by the child; held only until the guardian has judged it

    async def guard(self) -> None:
        """Live one life, then tell how it ended. Nothing that the child does makes this raise."""
        error = await self._contain()
        try:
            self._is_over(error)
        finally:
            del error

    def cancel(self) -> None:
        """Cancel the child; if it is a supervisor, have it cancel its own children."""
        if self.context.on_cut is not None:
            self.context.on_cut()
            return
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    def _awaited(self) -> object:
        return self._awaitable

    async def _contain(self) -> BaseException | None:
        """Run the child and give what it raised, by itself or through tasks it left in the group."""
        stray: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                self._scope = group.cancel_scope
                group.start_soon(self._live, name=self.context.path)
        except BaseException as error:  # becomes the Exit: a cell lets nothing through
            stray = error
        raised, self._raised, self._awaitable = self._raised, None, None
        return both_of(raised, stray)

    async def _live(self) -> None:
        assert self._scope is not None
        try:
            enclosing.set((*enclosing.get(), self.context))
            self._awaitable = awaitable = self._begin()
            await awaitable
        except BaseException as error:  # becomes the Exit: a cell lets nothing through
            self._raised = error
        finally:
            self._scope.cancel()  # nothing that the child left in the group outlives it

    def _begin(self) -> Awaitable[object]:
        if self._is_cancelled and self._scope is not None:
            self._scope.cancel()
        spec, self._spec = self._spec, None
        assert spec is not None, "a cell lives once"
        start: Any = spec.start
        if isinstance(start, Nested):
            return start.live_as_child(self.context)
        awaitable = start(self.context) if spec.wants_context else start()
        if not inspect.isawaitable(awaitable):
            raise TypeError(
                f"start of child {spec.id!r} returned {type(awaitable).__name__}, which cannot be awaited: "
                "it must be an async function"
            )
        if not spec.wants_context:
            self.context.started()  # only now: what cannot even be called has not started
        return awaitable


def both_of(raised: BaseException | None, stray: BaseException | None) -> BaseException | None:
    """Give what came out of a life: of the child itself, and of tasks that it had left in its group."""
    if raised is None or stray is None:
        return raised or stray
    return BaseExceptionGroup("the child failed, and what it had left in its task group too", [raised, stray])
