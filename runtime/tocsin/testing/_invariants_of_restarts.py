"""What a bus promises about restarts and retries: see `_invariants.py`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import Factory, define

import tocsin_supervisors as supervision
from tocsin._reports import DeliveryRetried, RestartRequested
from tocsin_supervisors import RestartPolicy, Strategy

from ._ends import ENDS, STOPS, reports_of
from ._facts import AttemptEnded, AttemptStarted, Reported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin._reports import Report

    from ._trace import Trace

NEVER_ENDED: tuple[None, list[str]] = (None, [])
A_MOMENT = 1e-9  # seconds: sums of floating-point numbers are not exact


def _restart_intensity(trace: Trace) -> Iterator[str]:
    """I11: an actor is restarted no more often within its period than its restart intensity allows."""
    restarts: dict[str, list[float]] = defaultdict(list)
    for report in reports_of(trace):
        if not isinstance(report, supervision.RestartScheduled) or report.child not in trace.terms:
            continue
        limit, times = trace.terms[report.child].intensity, restarts[report.child]
        times.append(report.at)
        # The window is half-open: a restart exactly one period ago does not count any more.
        count = sum(at > report.at - limit.period for at in times)
        if count > limit.max_restarts:
            most = limit.max_restarts
            yield f"{report.child} was restarted {count} times within {limit.period} s, {most} are allowed"


def _no_start_after_giving_up(trace: Trace) -> Iterator[str]:
    """I14, I15: a supervisor that has given up, or stops, starts nothing any more."""
    ending: set[str] = set()
    for report in reports_of(trace):
        if isinstance(report, supervision.SupervisorStopping | supervision.SupervisorGaveUp):
            ending.add(report.supervisor)
        elif isinstance(report, ENDS):
            # If it is a supervisor: in its next life it may start its children.
            below = f"{report.supervisor}/{report.child}"
            ending = {each for each in ending if each != below and not each.startswith(f"{below}/")}
        elif (
            isinstance(report, supervision.ChildStarted)
            and report.supervisor in ending
            and not _was_starting(trace, report)
        ):
            yield f"{report.child} was started by {report.supervisor}, which was ending"


def _was_starting(trace: Trace, started: supervision.ChildStarted) -> bool:
    """Tell whether the start had begun before the end had: then it may come up for a moment."""
    return any(
        isinstance(report, STOPS) and report.incarnation == started.incarnation
        for report in reports_of(trace)
        if getattr(report, "child", None) == started.child
    )


@define
class _Family:
    """The children of one supervisor, as the reports tell of them."""

    strategy: Strategy
    places: dict[str, int]  # child → its place in the order of starting
    up: dict[str, int] = Factory(dict[str, int])  # child that is up → the number of the report that said so
    ends: dict[str, tuple[Report, list[str]]] = Factory(dict[str, Any])  # down → its end, and who had crashed by then
    crashes: dict[str, int] = Factory(dict[str, int])  # child whose restart is not over → the number of the report

    def takes(self, other: str, crashed: str) -> bool:
        """Tell whether a crash of *crashed* has *other* restarted as well."""
        if self.strategy is Strategy.REST_FOR_ONE:
            return self.places.get(other, 0) > self.places.get(crashed, 0)
        return self.strategy is Strategy.ONE_FOR_ALL and other != crashed


def _strategies(trace: Trace) -> Iterator[str]:
    """I13: a crash has those restarted that the strategy of their supervisor says, and they are down before the one
    that crashed is up again; temporary actors are never restarted, transient ones not after they have finished. An
    operator may have any restarted."""
    families: dict[str, _Family] = {}
    asked: set[str] = set()  # whose restart somebody has asked for
    for number, report in enumerate(reports_of(trace)):
        if isinstance(report, RestartRequested):
            asked.add(report.subscription)
        supervisor = getattr(report, "supervisor", None)
        if supervisor is None:
            continue
        if supervisor not in families:
            families[supervisor] = _family_of(trace, supervisor)
        family = families[supervisor]
        if isinstance(report, supervision.ChildRemoved):
            family.ends.pop(report.child, None)
            family.places.pop(report.child, None)  # one that comes back under its name is the last one
        elif isinstance(report, supervision.RestartScheduled):
            family.crashes[report.child] = number
            yield from _unwanted(trace, family, report.child)
        elif isinstance(report, ENDS):
            family.up.pop(report.child, None)
            family.ends[report.child] = report, list(family.crashes)
            # If it is a supervisor: when it is up again, all begins anew.
            families.pop(f"{supervisor}/{report.child}", None)
        elif isinstance(report, supervision.ChildStarted):
            if report.child in asked:
                asked.remove(report.child)
                family.ends.pop(report.child, None)
            yield from _started(family, report.child)
            family.up[report.child] = number
            family.places.setdefault(report.child, len(trace.facts) + number)
            family.crashes.pop(report.child, None)


def _family_of(trace: Trace, supervisor: str) -> _Family:
    strategy = trace.strategies.get(supervisor, Strategy.ONE_FOR_ONE)
    return _Family(strategy, dict(trace.places.get(supervisor, {})))


def _started(family: _Family, child: str) -> Iterator[str]:
    end, crashed = family.ends.pop(child, NEVER_ENDED)
    if isinstance(end, STOPS) and not any(family.takes(child, each) for each in crashed):
        yield f"{child} was stopped and started again, and {family.strategy.value} gives no reason for that"
    if child in family.crashes:
        for other, since in family.up.items():
            if since < family.crashes[child] and family.takes(other, child):
                yield f"{child} was started again after its crash, and {other} had been up all the time"


def _unwanted(trace: Trace, family: _Family, child: str) -> Iterator[str]:
    if child not in trace.terms:
        return
    policy, (end, _) = trace.terms[child].restart, family.ends.get(child, NEVER_ENDED)
    is_finished = isinstance(end, supervision.ChildFinished)
    if policy is RestartPolicy.TEMPORARY or (policy is RestartPolicy.TRANSIENT and is_finished):
        yield f"{child} is {policy.value}, and was to be restarted"


def _backoff(trace: Trace) -> Iterator[str]:
    """I9: a delivery is not attempted again before its delay is over."""
    failed: dict[tuple[str, int], int] = {}  # subscription and attempt → the event whose attempt ended last
    due: dict[tuple[str, int], float] = {}  # subscription and event → when its next attempt may begin
    for fact in trace.facts:
        if isinstance(fact, AttemptEnded):
            failed[fact.subscription, fact.attempt] = fact.number
        elif isinstance(fact, Reported) and isinstance(fact.report, DeliveryRetried):
            number = failed.get((fact.report.subscription, fact.report.attempt))
            if number is not None:
                due[fact.report.subscription, number] = fact.at + fact.report.delay
        elif isinstance(fact, AttemptStarted):
            when = due.pop((fact.subscription, fact.number), 0.0)
            if fact.at < when - A_MOMENT:
                early = when - fact.at
                yield f"step {fact.step}: event {fact.number} for {fact.subscription} began {early:g} s too early"


INVARIANTS_OF_RESTARTS: tuple[tuple[str, Callable[[Trace], Iterator[str]]], ...] = (
    ("I9", _backoff),
    ("I11", _restart_intensity),
    ("I13", _strategies),
    ("I14", _no_start_after_giving_up),
)
