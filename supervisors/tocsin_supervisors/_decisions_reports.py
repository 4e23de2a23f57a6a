"""The reports that an exit calls for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from ._exits import Crashed, Declined, Fatal, Finished, Renewed, Stopped, SuspendChild, Suspended
from ._failures import Failure
from ._reports import (
    ChildCrashed,
    ChildDeclined,
    ChildFinished,
    ChildRenewed,
    ChildStartFailed,
    ChildStopped,
    ChildSuspended,
    StopFailed,
)

if TYPE_CHECKING:
    from ._decisions_children import Children
    from ._exits import Exit
    from ._slots import Slot


def failure_to_start(slot: Slot, exit: Exit, *, was_late: bool) -> tuple[Failure, BaseException | None]:
    """Give why an incarnation that ended with *exit* never was up, and the exception for the `__cause__` of an
    error."""
    match exit:
        case Crashed(failure=failure, error=error) | Suspended(failure=failure, error=error):
            return failure, error
        case Renewed(failure=failure):
            return failure, None
        case _:
            pass
    if was_late:
        text = (
            f"not up within start_timeout={slot.spec.start_timeout:g} s: call context.started() earlier, or allow more"
        )
        return Failure.of(TimeoutError(text)), None
    return Failure.of(RuntimeError("it returned without having called context.started()")), None


def tell_start_failed(children: Children, slot: Slot, failure: Failure) -> None:
    """Report that an incarnation never was up."""
    slot.last_failure = failure
    children.tell(ChildStartFailed(**children.record(slot), incarnation=slot.incarnation, failure=failure))


def tell_exit(children: Children, slot: Slot, exit: Exit) -> None:
    """Report how an incarnation ended that had been up, or was stopped before."""
    life: dict[str, Any] = {**children.record(slot), "incarnation": slot.incarnation}
    match exit:
        case Finished():
            children.tell(ChildFinished(**life))
        case Renewed(failure=failure):
            slot.last_failure = failure
            children.tell(ChildRenewed(**life, failure=failure))
        case Declined():
            children.tell(ChildDeclined(**life))
        case Suspended(failure=failure, error=error):
            slot.last_failure = failure
            cause = error.cause if isinstance(error, SuspendChild) else None
            children.tell(ChildSuspended(**life, failure=failure, cause=cause))
        case Crashed(failure=failure, foreign_cancel=foreign):
            slot.last_failure = failure
            children.tell(ChildCrashed(**life, failure=failure, foreign_cancel=foreign))
        case Stopped(failure=failure):
            children.tell(ChildStopped(**life) if failure is None else StopFailed(**life, failure=failure))
        case Fatal(failure=failure):
            slot.last_failure = failure
            children.tell(ChildCrashed(**life, failure=failure))
        case _:
            assert_never(exit)
