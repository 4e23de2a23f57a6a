"""What a bus promises about the lives of its actors, its stop, and what it keeps: see `_invariants.py`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import tocsin_supervisors as supervision
from tocsin._outcomes import DeadLettered, Returned
from tocsin._reports import DeliveryDeadLettered, PhaseChanged

from ._ends import ENDS, STOPS, reports_of
from ._facts import Accepted, AttemptEnded, AttemptStarted, Reported, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._trace import Trace

# ── incarnations ──


def _one_life_at_a_time(trace: Trace) -> Iterator[str]:
    """I8: incarnations are numbered upwards, each ends once, and the next one begins after that."""
    last: dict[str, int] = {}  # child → its last incarnation
    up: dict[str, int] = {}
    for report in reports_of(trace):
        if isinstance(report, supervision.ChildStarted):
            if report.incarnation <= last.get(report.child, 0):
                yield f"incarnation {report.incarnation} of {report.child} was up after {last[report.child]}"
            if report.child in up:
                yield f"incarnation {report.incarnation} of {report.child} was up beside {up[report.child]}"
            last[report.child] = up[report.child] = report.incarnation
        elif isinstance(report, ENDS):
            if report.child in up and up[report.child] != report.incarnation:
                yield f"incarnation {report.incarnation} of {report.child} ended while {up[report.child]} was up"
            up.pop(report.child, None)


def _handled_by_the_living(trace: Trace) -> Iterator[str]:
    """I8: an incarnation handles nothing after its end, and no two of one actor handle at the same time."""
    over: dict[str, int] = {}  # child → the incarnation that ended last
    running: dict[str, list[AttemptStarted]] = defaultdict(list)
    for fact in trace.facts:
        if isinstance(fact, Reported) and isinstance(fact.report, ENDS):
            over[fact.report.child] = fact.report.incarnation
            for each in running[fact.report.child]:
                yield f"{_attempt(each)} went on when its incarnation {each.incarnation} had ended"
        elif isinstance(fact, AttemptStarted):
            if fact.incarnation <= over.get(fact.subscription, 0):
                yield f"{_attempt(fact)} began in incarnation {fact.incarnation}, which had ended"
            if any(each.incarnation != fact.incarnation for each in running[fact.subscription]):
                yield f"{_attempt(fact)} began in incarnation {fact.incarnation} while another one was handling"
            running[fact.subscription].append(fact)
        elif isinstance(fact, AttemptEnded):
            running[fact.subscription] = [each for each in running[fact.subscription] if each.number != fact.number]


def _attempt(fact: AttemptStarted) -> str:
    return f"step {fact.step}: event {fact.number} for {fact.subscription}"


# ── the stop ──


def _stop_order(trace: Trace) -> Iterator[str]:
    """I15: actors are stopped in the reverse order of their start, one after the other, as long as there is time."""
    places: dict[tuple[str, str], int] = {}  # supervisor and child → when it was first up
    since: dict[str, float] = {}  # supervisor → when its stop began
    lowest: dict[str, tuple[int, str]] = {}  # supervisor → the first of its children that was stopped by now
    late = {report.child for report in reports_of(trace) if isinstance(report, supervision.StopTimedOut)}
    for report in reports_of(trace):
        if isinstance(report, supervision.ChildStarted):
            places.setdefault((report.supervisor, report.child), len(places))
        elif isinstance(report, supervision.SupervisorStopping):
            since[report.supervisor] = report.at
        elif isinstance(report, STOPS) and report.supervisor in since and not late:
            place = places.get((report.supervisor, report.child))
            if place is None or report.at >= min(since.values()) + trace.shutdown_deadline:
                continue
            before = lowest.setdefault(report.supervisor, (place, report.child))
            if place > before[0]:
                yield f"{report.child} was stopped after {before[1]}, which was started before it"
            lowest[report.supervisor] = min(before, (place, report.child))


def _nothing_after_the_end(trace: Trace) -> Iterator[str]:
    """I15: once a bus stops, mailboxes take nothing, and once it has stopped, nothing is handled."""
    phases: dict[str, int] = {}  # phase → the step in which it began
    for fact in trace.facts:
        if isinstance(fact, Reported) and isinstance(fact.report, PhaseChanged):
            phases[fact.report.phase] = fact.step
        # Of what was published unseen it is known only when it is handled.
        elif isinstance(fact, Accepted) and fact.number >= 0 and fact.step > phases.get("stopping", fact.step):
            yield f"step {fact.step}: event {fact.number} was taken by {fact.subscription} while the bus was stopping"
        elif isinstance(fact, AttemptStarted | AttemptEnded) and "stopped" in phases:
            yield f"step {fact.step}: {fact.subscription} was at work on event {fact.number} after the end of the bus"


def _returned(trace: Trace) -> Iterator[str]:
    """I16: a delivery that was accepted is returned by a stop or by the end of its subscription, by nothing else."""
    stopping = False
    ended = {report.child for report in reports_of(trace) if isinstance(report, supervision.ChildRemoved)}
    accepted: set[tuple[int, str]] = set()
    for fact in trace.facts:
        if isinstance(fact, Accepted):
            accepted.add((fact.number, fact.subscription))
        elif isinstance(fact, Reported) and isinstance(fact.report, PhaseChanged):
            stopping |= fact.report.phase in ("stopping", "stopped")
        elif isinstance(fact, Settled) and isinstance(fact.outcome, Returned):
            if (fact.number, fact.subscription) not in accepted:
                yield f"step {fact.step}: event {fact.number} was returned by {fact.subscription}, which never had it"
            if not stopping and fact.subscription not in ended:
                yield f"step {fact.step}: event {fact.number} was returned by {fact.subscription}, which had not ended"


# ── what is kept ──


def _bounded(trace: Trace) -> Iterator[str]:
    """I18: no more waits in a mailbox than it has room for; what was interrupted, or is tried again, may be more."""
    waiting: dict[str, set[int]] = defaultdict(set)  # subscription → what was accepted and never begun
    step = 0
    for fact in trace.facts:
        if fact.step > step:
            # Looked at between steps: within one, a handler is called after its place in the mailbox was given away.
            for subscription, numbers in waiting.items():
                if subscription in trace.terms and len(numbers) > trace.terms[subscription].mailbox:
                    yield f"step {step}: {len(numbers)} wait for {subscription}, there is room for less"
            step = fact.step
        if isinstance(fact, Accepted):
            waiting[fact.subscription].add(fact.number)
        elif isinstance(fact, AttemptStarted | Settled):
            waiting[fact.subscription].discard(fact.number)


def _causes(trace: Trace) -> Iterator[str]:
    """I21: what counts as dead-lettered is in the dead-letter office, under its own number."""
    letters = {report.letter for report in reports_of(trace) if isinstance(report, DeliveryDeadLettered)}
    seen: set[int] = set()
    for fact in trace.of(Settled):
        if isinstance(fact.outcome, DeadLettered):
            letter = fact.outcome.letter
            if letter not in letters or letter in seen:
                yield f"event {fact.number} for {fact.subscription} is dead letter {letter}, which there is not"
            seen.add(letter)


INVARIANTS_OF_LIVES: tuple[tuple[str, Callable[[Trace], Iterator[str]]], ...] = (
    ("I8", _one_life_at_a_time),
    ("I8", _handled_by_the_living),
    ("I15", _stop_order),
    ("I15", _nothing_after_the_end),
    ("I16", _returned),
    ("I18", _bounded),
    ("I21", _causes),
)
