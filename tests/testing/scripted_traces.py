"""Traces written by hand, step by step, to see what the promises make of them."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from tocsin import (
    ChildCrashed,
    ChildStarted,
    ChildStopped,
    Failure,
    Handled,
    PhaseChanged,
    RestartIntensity,
    RestartPolicy,
    RestartScheduled,
    SupervisorStopping,
)
from tocsin.testing import (
    Accepted,
    AttemptEnded,
    AttemptStarted,
    Fact,
    Matched,
    Published,
    PublishEnded,
    Reported,
    Settled,
    Terms,
    Trace,
)

FAILURE = Failure.of(ValueError())
TERMS = Terms(
    mailbox=10,
    concurrency=1,
    max_attempts=2,
    is_keyed=False,
    coalesces=False,
    is_strict=False,
    intensity=RestartIntensity(2, 5.0),
    restart=RestartPolicy.PERMANENT,
)


class Script:
    """Writes a trace, step by step."""

    def __init__(self, **terms: Any) -> None:
        self.trace = Trace(terms={"s": evolve(TERMS, **terms)})
        self.step = 0

    def add(self, kind: Any, /, **facts: Any) -> Script:
        self.step += 1
        fact: Fact = kind(step=self.step, at=float(self.step), **facts)
        self.trace.facts.append(fact)
        return self

    def publish(self, number: int, *, publisher: int = 1, priority: int = 2) -> Script:
        return self.ask(number, publisher=publisher, priority=priority).accept(number).told(number)

    def ask(self, number: int, *, publisher: int = 1, priority: int = 2) -> Script:
        return self.come(number, publisher=publisher, priority=priority).match(number)

    def come(self, number: int, *, publisher: int = 1, priority: int = 2) -> Script:
        return self.add(Published, number=number, publisher=publisher, kind="E", priority=priority, nowait=False)

    def match(self, number: int) -> Script:
        return self.add(Matched, number=number, subscriptions=("s",))

    def accept(self, number: int) -> Script:
        return self.add(Accepted, number=number, subscription="s")

    def told(self, number: int, error: str | None = None) -> Script:
        return self.add(PublishEnded, number=number, error=error, accepted=None)

    def start(self, number: int, attempt: int = 1, key: object = None, incarnation: int = 1) -> Script:
        facts = {"number": number, "subscription": "s", "incarnation": incarnation, "attempt": attempt}
        return self.add(AttemptStarted, key=key, **facts)

    def end(self, number: int, attempt: int = 1, how: str = "returned", incarnation: int = 1) -> Script:
        facts = {"number": number, "subscription": "s", "incarnation": incarnation, "attempt": attempt}
        return self.add(AttemptEnded, how=how, **facts)

    def settle(self, number: int, outcome: Any = None) -> Script:
        return self.add(Settled, number=number, subscription="s", outcome=Handled() if outcome is None else outcome)

    def handle(self, number: int, key: object = None) -> Script:
        return self.start(number, key=key).end(number).settle(number)

    def report(self, kind: Any, /, **fields: Any) -> Script:
        """What the bus reports, as its time the number of the step, unless it is given."""
        return self.add(Reported, report=kind(**{"at": float(self.step), **fields}))

    # ── of the children of one supervisor ──

    def up(self, child: str, incarnation: int = 1, supervisor: str = "bus") -> Script:
        return self.report(ChildStarted, supervisor=supervisor, child=child, incarnation=incarnation)

    def down(self, child: str, incarnation: int = 1, kind: Any = ChildStopped, **fields: Any) -> Script:
        return self.report(kind, supervisor="bus", child=child, incarnation=incarnation, **fields)

    def crash(self, child: str, incarnation: int = 1) -> Script:
        return self.down(child, incarnation, ChildCrashed, failure=FAILURE)

    def restart(self, child: str, at: float | None = None) -> Script:
        at = float(self.step) if at is None else at
        return self.report(RestartScheduled, supervisor="bus", child=child, at=at, delay=0.0, restarts=1)

    def stopping(self, supervisor: str = "bus") -> Script:
        return self.report(SupervisorStopping, supervisor=supervisor)

    def phase(self, name: str) -> Script:
        return self.report(PhaseChanged, bus="bus", phase=name)

    def broken(self) -> list[str]:
        return [str(each) for each in self.trace.violations()]
