"""How one incarnation of a child ended: a closed set, and the one place where it is told from what the child raised."""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from ._failures import Failure, failure_after, sort_leaves


class RenewChild(Exception):  # a request, not an error
    """Raised by a child to be replaced by a fresh incarnation: at once, that child alone, and nothing is charged.

    A temporary child that was started dynamically, without `keep`, just ends: what it was started with is gone.
    *after*: the `Failure` of its `__cause__`, if that was made before, so that it is not made once more.
    """

    def __init__(self, *args: object, after: Failure | None = None) -> None:
        super().__init__(*args)
        self.after = after


class SuspendChild(Exception):  # a request, not an error
    """Raised by a child to be restarted after its suspension backoff; charged like a crash, but rows do not count.

    *cause*: what keeps it from its work, as a qualified name of an exception; children with the same one are held
    together when many ask at once.
    """

    def __init__(self, *args: object, cause: str | None = None) -> None:
        super().__init__(*args)
        self.cause = cause


class DeclineStart(Exception):  # a request, not an error
    """Raised by a child in its start, before it is up, to say that it is not needed: it stays down, and that is no
    failure. OTP's `ignore`. Raised later it is a crash like any other."""


class ForeignCancellation(Exception):  # named for what happened
    """Stands in the failure of a child that ended cancelled although nobody who may had asked it to stop; raised by a
    supervisor whose own task was cancelled so."""


@final
@attrs.frozen
class Finished:
    """The child returned."""


@final
@attrs.frozen
class Renewed:
    """The child asked to be replaced, by raising `RenewChild`."""

    failure: Failure


@final
@attrs.frozen
class Declined:
    """The child said in its start that it is not needed, by raising `DeclineStart`."""

    failure: Failure


@final
@attrs.frozen
class Suspended:
    """The child asked to be restarted later, by raising `SuspendChild`. `error` is it: for causes, never for
    records."""

    failure: Failure
    error: BaseException | None = attrs.field(default=None, eq=False, repr=False)


@final
@attrs.frozen
class Crashed:
    """The child raised. `foreign_cancel`: it was cancelled by somebody who is not its supervisor."""

    failure: Failure
    foreign_cancel: bool = False
    error: BaseException | None = attrs.field(default=None, eq=False, repr=False)


@final
@attrs.frozen
class Stopped:
    """The child ended after its supervisor had asked it to. `failure` is what it raised meanwhile, if anything."""

    failure: Failure | None = None


@final
@attrs.frozen
class Fatal:
    """The child raised what ends programs: KeyboardInterrupt, SystemExit, or any other exception that is no
    `Exception`. `failure` is all that it raised: of a group, also what would have been an ordinary crash."""

    error: BaseException = attrs.field(eq=False)
    failure: Failure


Exit: TypeAlias = Finished | Renewed | Declined | Suspended | Crashed | Stopped | Fatal
_REQUESTS = (RenewChild, SuspendChild, DeclineStart)


def exit_of(error: BaseException | None, *, cancelled: type[BaseException], stop_requested: bool) -> Exit:
    """Tell how an incarnation ended that raised *error*, or returned if it is None.

    *cancelled* is the cancellation of the running backend. The leaves of groups decide, never the outer type, because
    the same program raises different shapes on different backends; what is most severe among them wins.
    """
    if error is None:
        return Stopped() if stop_requested else Finished()
    if type(error) is RenewChild and not stop_requested:
        return Renewed(_failure_of_renewal(error))  # there is nothing to sort: how lives of actors end, most often
    leaves = sort_leaves(error, cancelled)
    if leaves.fatal:
        return Fatal(leaves.fatal[0], Failure.of(error))
    if stop_requested:
        return Stopped(_failure_while_stopping(error, leaves.ordinary))
    if leaves.ordinary and all(isinstance(leaf, _REQUESTS) for leaf in leaves.ordinary):
        return _as_asked(leaves.ordinary)
    if leaves.cancelled and not leaves.ordinary:
        # The cancellation itself is the backend's: it must not become the cause of an error that outlives it.
        foreign = ForeignCancellation("the child ended cancelled although its supervisor had not asked it to stop")
        return Crashed(Failure.of(foreign), foreign_cancel=True, error=foreign)
    return Crashed(Failure.of(error), error=error)


def _failure_while_stopping(error: BaseException, ordinary: tuple[Exception, ...]) -> Failure | None:
    # A child that had made up its mind to be renewed when the stop came has obeyed: that is no error.
    if all(isinstance(leaf, _REQUESTS) for leaf in ordinary):
        return None
    return Failure.of(error)


def _as_asked(requests: tuple[Exception, ...]) -> Renewed | Declined | Suspended:
    declines = False
    for request in requests:
        if isinstance(request, SuspendChild):
            return Suspended(Failure.of(request), error=request)
        declines = declines or isinstance(request, DeclineStart)
    return Declined(Failure.of(requests[0])) if declines else Renewed(Failure.of(requests[0]))


def _failure_of_renewal(request: RenewChild) -> Failure:
    # One that was raised has a place of its own.
    if request.after is None or request.__traceback__ is not None:
        return Failure.of(request)
    return failure_after(request, request.after)
