"""Reports as sentences, for logs and for people.

Everything in them may come from an exception, and so from an event or from a stranger: a line break would forge a log
line, an escape sequence a terminal. So each piece is escaped and cut on its own, then the whole is cut.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, assert_never, final

import attrs

from ._exits import ForeignCancellation, RenewChild, SuspendChild
from ._failures import MAX_CAUSES, MAX_LEAVES
from ._reports import (
    ChildCrashed,
    ChildDeclined,
    ChildFinished,
    ChildHeld,
    ChildParked,
    ChildRemoved,
    ChildRenewed,
    ChildStarted,
    ChildStartFailed,
    ChildStopped,
    ChildSuspended,
    LoopStalled,
    RestartScheduled,
    StopFailed,
    StopTimedOut,
    SupervisorFinished,
    SupervisorGaveUp,
    SupervisorStopping,
)
from ._text import escaped, qualified_name, safe_text, shortened

if TYPE_CHECKING:
    from ._failures import Failure
    from ._reports import Report

PIECE = 200  # characters of a name, a line or a message in a headline: what a log line bears
MAX_LINES = 50  # of a stack
_CUT = "\n    …"
# Of these the sentence itself says what they are.
_REQUESTS = frozenset(map(qualified_name, (RenewChild, SuspendChild, ForeignCancellation)))

_OfOneLife: TypeAlias = (
    ChildStarted
    | ChildStartFailed
    | ChildCrashed
    | ChildSuspended
    | ChildRenewed
    | ChildFinished
    | ChildDeclined
    | ChildStopped
    | StopTimedOut
    | StopFailed
)


def describe(report: Report, *, single_line: bool = True, limit: int = 1000) -> str:
    """Say in at most *limit* characters what *report* says: who, what happened, why, and the numbers that go with it.

    One printable line: `root/db crashed: builtins.OSError: gone; caused by … (incarnation 3)`. Without *single_line*
    several: what happened, then indented fields, last the end of the traceback as far as there is room.
    Never raises, whatever texts the report has in it, and costs what *limit* allows, not what they weigh.
    """
    limit = max(1, limit)
    account = _account_of(report)
    child: object = getattr(report, "child", None)
    who = safe_text(report.supervisor, PIECE)
    who = f"supervisor {who}" if account.is_of_supervisor else f"{who}/{safe_text(child, PIECE)}"
    text = f"{who} {account.what}"
    if single_line:
        return shortened(text + _rest_of_line(account, limit - len(text)), limit)
    fields = [("supervisor", report.supervisor), ("child", child), ("at", f"{report.at:.3f} s"), *account.facts]
    fields += [("called from", line) for line in islice(account.stack, MAX_LINES)]
    text += "".join(_field(name, value) for name, value in fields if value is not None)
    return shortened(text + _fields_of(account.failure, limit - len(text)), limit)


def headline(report: Report) -> str:
    """Say the same in a short line for a log that knows by itself where it is: the child without its supervisor, and
    no numbers."""
    account = _account_of(report)
    subject = f"supervisor {safe_text(report.supervisor, PIECE)}"
    if not account.is_of_supervisor:
        subject = safe_text(getattr(report, "child", None), PIECE)
    line = f"{subject} {account.what}"
    if account.failure is None or account.is_long_story:
        return line
    return f"{line}: {_reason(account.failure, 2 * PIECE)}"


# ── what happened ──


@final
@attrs.frozen
class _Account:
    """A report taken apart."""

    what: str  # happened: the predicate of a sentence, printable
    failure: Failure | None = None
    facts: tuple[tuple[str, object], ...] = ()  # name → value
    stack: tuple[str, ...] = ()  # lines of code, outermost first
    is_of_supervisor: bool = False  # the subject of the sentence is the supervisor, not a child
    is_long_story: bool = False  # the failure is only the last of many


def _account_of(report: Report) -> _Account:
    match report:
        case RestartScheduled(delay=delay, restarts=restarts):
            return _Account(f"is started again in {delay:g} s", facts=(("restart", restarts),))
        case ChildHeld(canary=canary, cause=cause):
            return _Account(f"is held until {_piece(canary)} has proved itself", facts=(("cause", cause),))
        case ChildParked(exceeded=exceeded, failure=failure):
            what = "is parked: its restart intensity was exceeded"
            return _Account(what, failure, (("counted", exceeded),), is_long_story=True)
        case ChildRemoved():
            return _Account("is forgotten")
        case SupervisorGaveUp(child=child, exceeded=exceeded, failure=failure, of_supervisor=of_supervisor):
            whose = "the supervisor" if of_supervisor else "the child"
            facts = (("counted", exceeded), ("by the intensity of", whose))
            what = f"gives up because of {_piece(child)}"
            return _Account(what, failure, facts, is_of_supervisor=True, is_long_story=True)
        case SupervisorFinished(child=child):
            what = f"ends by itself: its significant children have ended, {_piece(child)} last"
            return _Account(what, is_of_supervisor=True)
        case SupervisorStopping():
            return _Account("stops its children", is_of_supervisor=True)
        case LoopStalled(child=child, seconds=seconds, line=line, stack=stack):
            who = "code of no child" if child is None else _piece(child)
            what = f"saw the event loop stand still for {seconds:.2f} s: {who} blocked it at {_line(line)}"
            return _Account(what, stack=stack, is_of_supervisor=True)
        case _:
            return _of_one_life(report)


def _of_one_life(report: _OfOneLife) -> _Account:
    facts: tuple[tuple[str, object], ...] = (("incarnation", report.incarnation),)
    match report:
        case ChildStarted():
            return _Account("is up", facts=facts)
        case ChildStartFailed(failure=failure):
            return _Account("did not start", failure, facts)
        case ChildCrashed(failure=failure, foreign_cancel=foreign):
            return _Account("crashed, cancelled by a stranger" if foreign else "crashed", failure, facts)
        case ChildSuspended(failure=failure, cause=cause):
            return _Account("is suspended", failure, facts if cause is None else (*facts, ("cause", cause)))
        case ChildRenewed(failure=failure):
            return _Account("asked to be replaced", failure, facts)
        case ChildFinished():
            return _Account("returned", facts=facts)
        case ChildDeclined():
            return _Account("declined its start", facts=facts)
        case ChildStopped():
            return _Account("was stopped", facts=facts)
        case StopTimedOut(line=line, stack=stack):
            return _Account(f"does not stop; it is stuck at {_line(line)}", facts=facts, stack=stack)
        case StopFailed(failure=failure):
            return _Account("raised while stopping", failure, facts)
        case _:
            assert_never(report)


def _piece(value: object) -> str:
    return safe_text(value, PIECE)


def _line(line: str) -> str:
    return safe_text(line, 2 * PIECE)


# ── on one line ──


def _rest_of_line(account: _Account, room: int) -> str:
    facts = "; ".join(f"{name} {_piece(value)}" for name, value in account.facts)
    facts = f" ({facts})" if facts else ""
    failure, room = account.failure, room - len(facts)
    if failure is None or room < len("; last failure: …"):
        return facts
    link = "; last failure: " if account.is_long_story else ": "
    return link + _reason(failure, room - len(link)) + facts


def _reason(failure: Failure, room: int) -> str:
    """Say in at most *room* characters what was raised: half of them for the exception itself, the rest for causes."""
    of = [f"; caused by {_piece(each)}" for each in islice(failure.causes, MAX_CAUSES)]
    of += [f"; in it {_piece(each)}" for each in islice(failure.leaves, MAX_LEAVES)]
    more = "".join(of)
    kind, message = _piece(failure.type), safe_text(failure.message, room)
    itself = message if message and kind in _REQUESTS else f"{kind}: {message}" if message else kind
    return shortened(shortened(itself, max(room // 2, room - len(more))) + more, room)


# ── on several ──


def _field(name: str, value: object, limit: int = PIECE) -> str:
    return f"\n  {name}: {safe_text(value, limit)}"


def _fields_of(failure: Failure | None, room: int) -> str:
    if failure is None:
        return ""
    fields = [_field("failure", failure.type), _field("message", failure.message, max(PIECE, room // 2))]
    fields += [_field("caused by", each) for each in islice(failure.causes, MAX_CAUSES)]
    fields += [_field("in it", each) for each in islice(failure.leaves, MAX_LEAVES)]
    text = "".join(fields)
    return text + _traceback(failure.traceback, room - len(text))


def _traceback(text: str, room: int) -> str:
    """Give the last lines of a traceback, as many as there is room for: the innermost frame comes last."""
    head = "\n  traceback:"
    room -= len(head) + len(_CUT)
    # The slice of the base class: the cost must follow the room, and a subclass may override anything.
    end = str.__getitem__(text, slice(-room, None)) if room > 0 else ""
    if not end:
        return ""
    kept: list[str] = []
    for line in reversed(end.rstrip("\n").split("\n")):
        kept.append(f"\n    {escaped(line)}")
        room -= len(kept[-1])
        if room < 0:
            kept[-1] = _CUT
            break
    return head + "".join(reversed(kept))
