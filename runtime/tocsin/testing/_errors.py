"""What ends a simulation that cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._invariants import Violation


@final
class Deadlock(RuntimeError):
    """Every task waits, no time limit is pending, no thread is at work: without a test this would hang for ever.

    `waiting` says of each task, in the order in which they were started, what it waits for: its name, and the lines
    that led there.
    """

    def __init__(self, waiting: Iterable[str]) -> None:
        self.waiting: tuple[str, ...] = tuple(waiting)
        lines = "".join(f"\n  {line}" for line in self.waiting)
        super().__init__(f"every task waits, and nothing is left that would wake one up:{lines}")


@final
class StepLimit(RuntimeError):
    """A simulation took more steps than it may: something goes round in a circle, or gives up its turn for ever."""

    def __init__(self, limit: int, waiting: Iterable[str]) -> None:
        self.limit = limit
        self.waiting: tuple[str, ...] = tuple(waiting)
        lines = "".join(f"\n  {line}" for line in self.waiting)
        super().__init__(
            f"no end after {limit} steps: a task goes round in a circle, or raise max_steps. The tasks are at:{lines}"
        )


@final
class PromiseBroken(AssertionError):
    """A bus has not done what it promises; `violations` says what, each with the number of the promise."""

    def __init__(self, bus: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        lines = "".join(f"\n  {each}" for each in self.violations[:20])
        more = f"\n  … {len(self.violations) - 20} more" if len(self.violations) > 20 else ""
        super().__init__(f"the bus {bus!r} has broken its promises:{lines}{more}")
