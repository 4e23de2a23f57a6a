"""How one run of the bus has ended, what exit code that makes, and how it is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TypeAlias, assert_never, final

from attrs import frozen

from tocsin import ChildStartError, Failure, RestartIntensityExceeded, StopReport
from tocsin.durable.exceptions import StoreCorrupt, StoreError
from tocsin_supervisors._failures import leaves_of

from ._exit_codes import ExitCode
from ._showing import shown, shown_failure


@final
@frozen
class Ended:
    """The bus was stopped. `report` is None if it was told to stop before it had begun."""

    report: StopReport | None


@final
@frozen
class GaveUp:
    """The supervision gave up at its root."""

    error: RestartIntensityExceeded


@final
@frozen
class NotStarted:
    """An actor did not start, so none runs."""

    error: ChildStartError


@final
@frozen
class NoStore:
    """What the bus was to keep its durable deliveries in cannot be had."""

    error: StoreError


@final
@frozen
class Exited:
    """A handler raised SystemExit, or KeyboardInterrupt."""

    code: int
    message: str = ""


Ending: TypeAlias = Ended | GaveUp | NotStarted | NoStore | Exited


def ending_of(error: BaseException) -> Ending | None:
    """Tell which ending *error*, raised by `running()`, is; None for one that is none of ours, such as a cancellation.

    If there are several in it, what the process was told to end with counts most, then why the tree ended.
    """
    endings = [ending for leaf in leaves_of(error) if (ending := _ending_of_one(leaf)) is not None]
    return min(endings, key=_order, default=None)


def _ending_of_one(error: BaseException) -> Ending | None:
    match error:
        case SystemExit(code=None):
            return Exited(0)
        case SystemExit(code=int(code)):
            return Exited(code)
        case SystemExit(code=message):  # as the interpreter does: the text is told, the code is 1
            return Exited(1, shown(message))
        case KeyboardInterrupt():
            return Exited(128 + signal.SIGINT)
        case RestartIntensityExceeded():
            return GaveUp(error)
        case ChildStartError():
            return NotStarted(error)
        case StoreError():
            return NoStore(error)
        case _:
            return None


def _order(ending: Ending) -> int:
    return (Exited, GaveUp, NotStarted, NoStore, Ended).index(type(ending))


def exit_code(ending: Ending, cut_short_by: signal.Signals | None) -> int:
    """Give the exit code of a run that has ended so, after a second signal or without one."""
    match ending:
        case Exited(code=code):
            return code
        case GaveUp():
            return ExitCode.GAVE_UP
        case NotStarted():
            return ExitCode.NOT_STARTED
        case NoStore(error=error):
            return ExitCode.DAMAGED if isinstance(error, StoreCorrupt) else ExitCode.NOT_STARTED
        case Ended(report=report):
            if report is not None and report.unstopped:
                return ExitCode.GAVE_UP
            if cut_short_by is not None:
                return 128 + cut_short_by
            is_clean = report is None or not (report.handed_back or report.unpublished)
            return ExitCode.IN_ORDER if is_clean else ExitCode.LEFT_OVER
        case _:
            assert_never(ending)


def summary(ending: Ending) -> str:
    """Say in one line how it ended: for the service manager, and for the head of the log's block."""
    match ending:
        case Exited(code=code, message=message):
            return f"a handler ended the process with {code}{': ' if message else ''}{message}"
        case GaveUp(error=error):
            return f"the supervision gave up: {shown(error.supervisor)} on {shown(error.child)}, {error.exceeded}"
        case NotStarted(error=error):
            return f"{shown(error.child)} of {shown(error.supervisor)} did not start"
        case NoStore(error=error):
            return f"the store cannot be used: {shown(error.path)}"
        case Ended(report=report):
            return "stopped before it had begun" if report is None else _summary_of_stop(report)
        case _:
            assert_never(ending)


def _summary_of_stop(report: StopReport) -> str:
    counts = {
        "deliveries handed back": len(report.handed_back),
        "deliveries are in the store for the next run": len(report.kept),
        "posted events not published": len(report.unpublished),
        "actors did not stop": len(report.unstopped),
    }
    return ", ".join(["stopped", *(f"{count} {what}" for what, count in counts.items() if count)])


def account(ending: Ending) -> str:
    """Say all there is to say: the summary, and below it the facts, one to a line.

    Of an exception its type, its message without passwords and the line are told; its locals and the event are not.
    """
    return "\n".join([summary(ending), *(f"  {name:13} {value}" for name, value in _facts(ending))])


def _facts(ending: Ending) -> Iterator[tuple[str, str]]:
    match ending:
        case GaveUp(error=error):
            yield "supervisor", shown(error.supervisor)
            yield "child", shown(error.child)
            whose = "supervisor's" if error.of_supervisor else "child's"
            yield "restarts", f"{error.restarts}, the {whose} limit is {error.limit} ({error.exceeded})"
            yield "last failure", shown_failure(error.failure)
            if error.failure is not None:
                yield from _more_of(error.failure)
            yield "what to do", "repair the cause, allow more restarts, or let the child be parked"
        case NotStarted(error=error):
            reason = shown(error) if error.failure is None else shown_failure(error.failure)
            yield "reason", reason
            if error.failure is not None:
                yield from _more_of(error.failure)
        case NoStore(error=error):
            yield "reason", shown(error, 2000)
        case Ended(report=StopReport(unstopped=unstopped)):
            for each in unstopped:
                yield "not stopped", f"{shown(each.child)}, at {shown(each.line)}"
        case Ended() | Exited():
            return
        case _:
            assert_never(ending)


def _more_of(failure: Failure) -> Iterator[tuple[str, str]]:
    for leaf in failure.leaves:
        yield "one of them", shown(leaf)
    for cause in failure.causes:
        yield "caused by", shown(cause)
    _, at, place = failure.fingerprint.rpartition(" at ")
    if at:
        yield "at", shown(place)
