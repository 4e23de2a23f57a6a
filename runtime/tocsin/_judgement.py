"""How an attempt that raised has ended: the one place where the many shapes of exceptions are told apart. Pure.

The same program fails with an `ExceptionGroup` on one backend and with a `BaseExceptionGroup` that also holds
cancellations on the other; a cancellation may be ours, or somebody else's that must not be taken for ours. So the
leaves decide, never the outer type.
"""

from __future__ import annotations

from typing import TypeAlias, final

from attrs import frozen

from tocsin_supervisors._exits import ForeignCancellation
from tocsin_supervisors._failures import sort_leaves


@final
@frozen
class Interrupted:
    """We stopped it: the delivery goes back, the attempt does not count.

    `error` is what the handler raised while it was being stopped.
    """

    error: Exception | None = None


@final
@frozen
class Failed:
    """The handler failed. `timed_out`: our time limit ended it. `foreign`: a stranger to the runtime cancelled it."""

    error: Exception
    timed_out: bool = False
    foreign: bool = False


@final
@frozen
class Deadly:
    """Something that ends programs (KeyboardInterrupt, SystemExit, …): it goes through, after an ordered stop."""

    error: BaseException


Judgement: TypeAlias = Interrupted | Failed | Deadly


class AttemptTimedOut(TimeoutError):
    """The time limit of a subscription ended an attempt. It is the delivery's failure; handlers never see it."""


def judge(
    error: BaseException, cancelled: type[BaseException], *, stopping: bool, cut: bool, overdue: bool
) -> Judgement:
    """Judge what an attempt raised.

    *cancelled* is the backend's cancellation; *stopping*: we asked for a stop; *cut*: its task is cancelled by now;
    *overdue*: its time was up.
    """
    leaves = sort_leaves(error, cancelled)
    if leaves.fatal:
        # A bare one is raised as it is; out of a group, the first one speaks for the group.
        in_group = issubclass(type(error), BaseExceptionGroup)  # not isinstance: it may lie about its class
        return Deadly(_with_note(leaves.fatal[0]) if in_group else error)
    if stopping and (cut or not leaves.ordinary):
        # What a handler raises after we cancelled it comes from its cleanup, and says nothing about the delivery.
        return Interrupted(leaves.ordinary[0] if leaves.ordinary else None)
    if isinstance(error, Exception):
        return Failed(error, timed_out=overdue, foreign=type(error) is ForeignCancellation)
    if leaves.ordinary:
        return Failed(_as_ordinary(error, leaves.ordinary), timed_out=overdue)
    if overdue:
        return Failed(AttemptTimedOut("the time limit of the attempt ended it"), timed_out=True)
    return Failed(ForeignCancellation("cancelled, but not by the runtime"), foreign=True)


def _with_note(fatal: BaseException) -> BaseException:
    fatal.add_note("it was raised inside of an exception group")
    return fatal


def _as_ordinary(error: BaseException, ordinary: tuple[Exception, ...]) -> Exception:
    """Give the ordinary part of a group that also held cancellations."""
    if len(ordinary) == 1:
        return ordinary[0]
    return ExceptionGroup(str(error.args[0]) if error.args else "unhandled errors", ordinary)
