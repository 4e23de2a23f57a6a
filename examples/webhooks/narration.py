"""Says in words what the bus reports to its observer; most of it is not worth a line."""

from __future__ import annotations

import enum
from collections import defaultdict

from attrs import define, field

import tocsin_supervisors as supervision
from tocsin import DeliveryDeadLettered, Failure, PhaseChanged, Report
from tocsin_supervisors import Allowed, LogThrottle, safe_text


class Urgency(enum.IntEnum):
    """How much a line matters; the most urgent ones are shown first."""

    ALARM = 0
    NOTICE = 1
    DETAIL = 2


@define
class Line:
    """One line for a human."""

    urgency: Urgency
    text: str


@define
class Narrator:
    """Turns reports into lines. A flood of dead letters becomes a few lines for each subscription."""

    throttles: dict[str, LogThrottle] = field(factory=lambda: defaultdict(lambda: LogThrottle(limit=2)))

    def tell(self, report: Report) -> Line | None:
        """Give the line for *report*, or None when it is not worth one."""
        match report:
            case supervision.ChildSuspended():
                return Line(Urgency.ALARM, f"{safe_text(report.failure.message, 100)}")
            case supervision.ChildCrashed() | supervision.ChildStartFailed():
                return Line(Urgency.ALARM, f"{report.child} crashed: {brief(report.failure)}")
            case supervision.ChildParked():
                return Line(Urgency.ALARM, f"{report.child} is parked: {report.exceeded}")
            case supervision.SupervisorGaveUp():
                return Line(Urgency.ALARM, f"{report.supervisor} gives up because of {report.child}: {report.exceeded}")
            case supervision.StopTimedOut():
                return Line(Urgency.ALARM, f"{report.child} does not stop, it is at {report.line}")
            case supervision.StopFailed():
                return Line(Urgency.ALARM, f"{report.child} failed while stopping: {brief(report.failure)}")
            case supervision.LoopStalled():
                who = report.child or "somebody"
                return Line(Urgency.ALARM, f"{who} blocked the event loop for {report.seconds:.1f} s at {report.line}")
            case supervision.RestartScheduled():
                return Line(Urgency.NOTICE, f"{report.child} starts again in {report.delay:.1f} s")
            case supervision.ChildStarted(incarnation=incarnation) if incarnation > 1:
                return Line(Urgency.NOTICE, f"{report.child} is up again, incarnation {incarnation}")
            case DeliveryDeadLettered():
                return self._dead_letter(report)
            case PhaseChanged():
                return Line(Urgency.DETAIL, f"{report.bus} is {report.phase}")
            case _:
                return None

    def _dead_letter(self, report: DeliveryDeadLettered) -> Line | None:
        match self.throttles[report.subscription].allow(report.at):
            case Allowed():
                why = "" if report.failure is None else f": {brief(report.failure)}"
                what = f"dead letter of {report.subscription}, attempt {report.attempts}"
                return Line(Urgency.NOTICE, f"{what}, {report.reason}{why}")
            case suppressed if suppressed.first:
                return Line(Urgency.NOTICE, f"more dead letters of {report.subscription} follow, they are only counted")
            case _:
                return None


def brief(failure: Failure) -> str:
    """Give type and message of *failure* on one short line."""
    first_line = failure.message.split("\n", 1)[0]
    return f"{failure.type.rsplit('.', 1)[-1]}: {safe_text(first_line, 60)}"
