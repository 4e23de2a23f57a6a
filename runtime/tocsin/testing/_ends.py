"""Which reports say that an incarnation has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tocsin_supervisors as supervision

from ._facts import Reported

if TYPE_CHECKING:
    from tocsin._reports import Report

    from ._trace import Trace

STOPS = supervision.ChildStopped | supervision.StopFailed  # the second: and raised meanwhile
ENDS = (  # each says that an incarnation has ended
    supervision.ChildCrashed
    | supervision.ChildSuspended
    | supervision.ChildRenewed
    | supervision.ChildFinished
    | STOPS
    | supervision.ChildStartFailed
    | supervision.ChildDeclined
)


def reports_of(trace: Trace) -> list[Report]:
    """Give what was reported, in order."""
    return [fact.report for fact in trace.of(Reported)]
