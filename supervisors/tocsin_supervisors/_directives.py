"""What the machine of a supervisor is told (facts, requests among them) and what it may ask for (directives)."""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from ._children import ChildSpec
from ._exits import Exit
from ._failures import Failure
from ._reports import Report
from ._requests import Request

# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@final
@attrs.frozen
class Begin:
    """The supervisor starts."""


@final
@attrs.frozen
class CameUp:
    """An incarnation is up."""

    child: str
    incarnation: int
    value: object = None


@final
@attrs.frozen
class Ended:
    """An incarnation is over, with everything it had started."""

    child: str
    incarnation: int
    exit: Exit


@final
@attrs.frozen
class Hangs:
    """A nested supervisor can do no more: all that is left of it hangs, and it has said so itself."""

    child: str
    incarnation: int


@final
@attrs.frozen
class StopAsked:
    """Somebody wants the supervisor to stop, in order."""


@final
@attrs.frozen
class CutAsked:
    """The time for an ordered stop is over: cancel everything."""


@final
@attrs.frozen
class Broke:
    """Something that ends programs struck the supervisor itself."""

    error: BaseException


@final
@attrs.frozen
class RestartsBelow:
    """A supervisor among the children, or one below it, has charged itself for restarts. *count*: how many; a
    negative one takes some back, that turned out to be parts of one failure."""

    child: str
    incarnation: int
    count: int
    failure: Failure | None


@final
@attrs.frozen
class Tick:
    """Time has passed. *late*: by how many seconds it is told too late, because nobody could run."""

    late: float = 0.0


Fact: TypeAlias = Begin | CameUp | Ended | Hangs | StopAsked | CutAsked | Broke | RestartsBelow | Tick | Request

# ── directives ────────────────────────────────────────────────────────────────────────────────────────────────────────


@final
@attrs.frozen
class StartChild:
    """Start an incarnation; none of this child is alive."""

    spec: ChildSpec
    incarnation: int


@final
@attrs.frozen
class RequestStop:
    """Tell an incarnation that it is to stop."""

    child: str
    incarnation: int


@final
@attrs.frozen
class CancelChild:
    """Cancel an incarnation that was told to stop."""

    child: str
    incarnation: int


@final
@attrs.frozen
class NoteHanging:
    """Find out and report where an incarnation hangs that was cancelled."""

    child: str
    incarnation: int


@final
@attrs.frozen
class Tell:
    """Give a report to the observer."""

    report: Report


@final
@attrs.frozen
class Answer:
    """A request was carried out."""

    token: int
    value: object = None


@final
@attrs.frozen
class Refuse:
    """A request was not carried out."""

    token: int
    error: Exception


@final
@attrs.frozen
class TellAbove:
    """Let the supervisor above know of restarts; see `RestartsBelow`."""

    count: int
    failure: Failure | None


@final
@attrs.frozen
class Ready:
    """All children of the initial start are up."""


@final
@attrs.frozen
class AllHang:
    """Whatever is left hangs, and nothing more can be done about it than to wait."""


@final
@attrs.frozen
class End:
    """Everything is down. `error` is to be raised, if there is one. `by_itself`: nobody had asked for it, so nobody may
    know of it."""

    error: BaseException | None = None
    by_itself: bool = False


Directive: TypeAlias = (
    StartChild | RequestStop | CancelChild | NoteHanging | Tell | Answer | Refuse | TellAbove | Ready | AllHang | End
)
