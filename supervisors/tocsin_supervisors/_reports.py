"""What a supervisor tells its observer: a closed union of frozen lifecycle records.

Every record has `supervisor` (the path of the supervisor, names joined by "/") and `at` (monotonic seconds); those
about a child have `child` (its id).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import attrs

from ._failures import Failure
from ._intensity import Exceeded


@attrs.frozen(kw_only=True)
class _Record:
    supervisor: str
    child: str
    at: float


@final
@attrs.frozen(kw_only=True)
class ChildStarted(_Record):
    """An incarnation is up."""

    incarnation: int


@final
@attrs.frozen(kw_only=True)
class ChildStartFailed(_Record):
    """An incarnation ended, or was ended for being late, before it was up."""

    incarnation: int
    failure: Failure


@final
@attrs.frozen(kw_only=True)
class ChildCrashed(_Record):
    """An incarnation raised."""

    incarnation: int
    failure: Failure
    foreign_cancel: bool = False


@final
@attrs.frozen(kw_only=True)
class ChildSuspended(_Record):
    """An incarnation asked to be restarted later. `cause`: what keeps it from its work, as a qualified name."""

    incarnation: int
    failure: Failure
    cause: str | None = None


@final
@attrs.frozen(kw_only=True)
class ChildRenewed(_Record):
    """An incarnation asked to be replaced."""

    incarnation: int
    failure: Failure


@final
@attrs.frozen(kw_only=True)
class ChildFinished(_Record):
    """An incarnation returned."""

    incarnation: int


@final
@attrs.frozen(kw_only=True)
class ChildDeclined(_Record):
    """An incarnation said in its start that it is not needed; it stays down."""

    incarnation: int


@final
@attrs.frozen(kw_only=True)
class ChildStopped(_Record):
    """An incarnation ended because it was asked to."""

    incarnation: int


@final
@attrs.frozen(kw_only=True)
class RestartScheduled(_Record):
    """A child will be started again after `delay` seconds, for the `restarts`-th time in this run of its supervisor."""

    delay: float
    restarts: int


@final
@attrs.frozen(kw_only=True)
class ChildHeld(_Record):
    """A child failed of a cause that many have failed of, or while one that it needs was down: it is started again
    after `canary` has proved itself. `cause` is the cause in common, or "needs" and the id."""

    canary: str
    cause: str


@final
@attrs.frozen(kw_only=True)
class ChildParked(_Record):
    """A child exceeded its restart intensity and stays down until `restart_child`, or for its `unpark_after`; its
    siblings live on."""

    exceeded: Exceeded
    failure: Failure | None


@final
@attrs.frozen(kw_only=True)
class ChildRemoved(_Record):
    """The supervisor forgot a child: it was temporary and ended, was deleted, or did not start."""


@final
@attrs.frozen(kw_only=True)
class SupervisorGaveUp(_Record):
    """A restart intensity was exceeded: all children are being stopped, then the supervisor raises. `child` failed
    last."""

    exceeded: Exceeded
    of_supervisor: bool
    failure: Failure | None


@final
@attrs.frozen(kw_only=True)
class SupervisorFinished(_Record):
    """The significant children have ended, `child` last: the others are being stopped, then the supervisor ends."""


@final
@attrs.frozen(kw_only=True)
class SupervisorStopping:
    """The end of a supervisor has begun, asked for or not: nothing is started any more. Comes before the first stop."""

    supervisor: str
    at: float


@final
@attrs.frozen(kw_only=True)
class LoopStalled:
    """The event loop has not turned for `seconds`; told when it turns again, by the supervisor that watches it.

    `child` is the path of the child whose code blocked it, if it was one's; `line` and `stack` say where.
    """

    supervisor: str
    at: float
    child: str | None
    seconds: float
    line: str
    stack: tuple[str, ...]


@final
@attrs.frozen(kw_only=True)
class StopTimedOut(_Record):
    """A child has not ended although it was asked to, given its grace period and cancelled. `line` says where it
    hangs, or the task below it that it waits for; `stack` the lines that led there, outermost first."""

    incarnation: int
    line: str
    stack: tuple[str, ...] = ()


@final
@attrs.frozen(kw_only=True)
class StopFailed(_Record):
    """An incarnation raised while it was being stopped; it is down all the same. Told in the place of `ChildStopped`;
    of a callback of `ChildContext.on_stop` that raises it is told as well, and the incarnation ends later.
    """

    incarnation: int
    failure: Failure


Report: TypeAlias = (
    ChildStarted
    | ChildStartFailed
    | ChildCrashed
    | ChildSuspended
    | ChildRenewed
    | ChildFinished
    | ChildDeclined
    | ChildStopped
    | RestartScheduled
    | ChildHeld
    | ChildParked
    | ChildRemoved
    | SupervisorGaveUp
    | SupervisorFinished
    | SupervisorStopping
    | LoopStalled
    | StopTimedOut
    | StopFailed
)
"""Everything that an observer of a supervisor may be called with."""

Observer: TypeAlias = Callable[[Report], object]
"""Called in the supervisor's own task, so it must be quick and must not wait."""


@final
@attrs.frozen
class Unstopped:
    """A child that did not end in time: its path, names joined by "/", the innermost line where it hung, and the lines
    that led there."""

    child: str
    line: str
    stack: tuple[str, ...] = attrs.field(default=(), eq=False)


@final
@attrs.frozen
class SupervisorStopReport:
    """What became of a stop. `unstopped`: children that did not end although they had been cancelled; some may have
    ended since. `errors`: what children raised meanwhile."""

    unstopped: tuple[Unstopped, ...] = ()
    errors: tuple[StopFailed, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True if every child ended in time and none raised while it was being stopped."""
        return not self.unstopped and not self.errors
