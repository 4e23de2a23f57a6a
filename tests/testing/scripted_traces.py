"""Traces written by hand, step by step, to see what the promises make of them."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from tocsin import Handled, RestartIntensity
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

TERMS = Terms(
    mailbox=10,
    concurrency=1,
    max_attempts=2,
    is_keyed=False,
    coalesces=False,
    is_strict=False,
    intensity=RestartIntensity(2, 5.0),
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

    def broken(self) -> list[str]:
        return [str(each) for each in self.trace.violations()]
