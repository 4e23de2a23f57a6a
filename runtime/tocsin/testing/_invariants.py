"""What a bus promises, as predicates of a trace: each gives the sentences that say where it was broken.

The numbers are those of `docs/testing.md`. Pure: a trace goes in, sentences come out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

from tocsin._outcomes import DeadLettered, Dropped, Handled, Rejected

from ._facts import Accepted, AttemptEnded, AttemptStarted, Broken, Matched, Published, PublishEnded, Settled
from ._invariants_of_lives import INVARIANTS_OF_LIVES
from ._invariants_of_restarts import INVARIANTS_OF_RESTARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin._outcomes import Outcome

    from ._trace import Trace

Pair: TypeAlias = tuple[int, str]  # the number of an event, and a subscription


@final
@frozen
class Violation:
    """One promise that was not kept: its number, and what happened instead."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


def violations_in(trace: Trace) -> tuple[Violation, ...]:
    """Give all violations, in the order of the invariants."""
    invariants = (*INVARIANTS, *INVARIANTS_OF_LIVES, *INVARIANTS_OF_RESTARTS)
    found = [(name, text) for name, find in invariants for text in find(trace)]
    return tuple(Violation(name, text) for name, text in sorted(found, key=lambda each: int(each[0][1:])))


# ── conservation ──


def _conservation(trace: Trace) -> Iterator[str]:
    """I1: every delivery ends exactly once, and between any two steps the account is right."""
    yield from (fact.text for fact in trace.of(Broken))
    ends = Counter((fact.number, fact.subscription) for fact in trace.of(Settled))
    for number, subscription in _pairs(trace):
        if ends[number, subscription] != 1:
            yield f"the delivery of event {number} to {subscription} has ended {ends[number, subscription]} times"
    if trace.ledger is not None and trace.ledger.live:
        yield f"at the end there is something left: {trace.ledger}"


def _no_phantom(trace: Trace) -> Iterator[str]:
    """I2: only what matched, was accepted and has not ended is handled."""
    pairs, accepted, settled = set(_pairs(trace)), set[Pair](), set[Pair]()
    for fact in trace.facts:
        if isinstance(fact, Accepted):
            accepted.add((fact.number, fact.subscription))
        elif isinstance(fact, Settled):
            settled.add((fact.number, fact.subscription))
        elif isinstance(fact, AttemptStarted):
            pair = (fact.number, fact.subscription)
            if pair not in pairs:
                yield f"{_pair(fact)} is handled and did not match"
            if pair not in accepted:
                yield f"{_pair(fact)} is handled and was not accepted"
            if pair in settled:
                yield f"{_pair(fact)} is handled after its end"


def _knowledge(trace: Trace) -> Iterator[str]:
    """I3: a publisher that has returned knows what became of its event, and nobody takes it later."""
    matched = {fact.number: set(fact.subscriptions) for fact in trace.of(Matched)}
    known: dict[int, set[str]] = defaultdict(set)  # who has taken it, or ended it
    over: set[int] = set()
    for fact in trace.facts:
        if isinstance(fact, Accepted | Settled):
            known[fact.number].add(fact.subscription)
            if isinstance(fact, Accepted) and fact.number in over:
                yield f"{_pair(fact)} was taken after its publisher was through"
        elif isinstance(fact, PublishEnded):
            over.add(fact.number)
            left = matched.get(fact.number, set()) - known[fact.number]
            if left:
                yield f"the publisher of event {fact.number} is through, and nobody knows about {sorted(left)}"


# ── order ──


def _first_in_first_out(trace: Trace) -> Iterator[str]:
    """I4: of one publisher and one priority, a mailbox takes events in the order of publishing, and hands them out in
    that order; under `strict_order` none begins before the one before it has ended."""
    published = {fact.number: fact for fact in trace.of(Published)}
    taken: dict[tuple[str, int, int], int] = {}
    for accepted in trace.of(Accepted):
        fact = published.get(accepted.number)
        if fact is None:
            continue
        lane = (accepted.subscription, fact.publisher, fact.priority)
        if taken.get(lane, -1) > fact.number:
            yield f"{_pair(accepted)} was taken after event {taken[lane]} of the same publisher"
        taken[lane] = max(taken.get(lane, -1), fact.number)
    yield from _begun_in_order(trace, published)


def _begun_in_order(trace: Trace, published: dict[int, Published]) -> Iterator[str]:
    begun: dict[tuple[object, ...], int] = {}
    for start in trace.of(AttemptStarted):
        fact, terms = published.get(start.number), trace.terms[start.subscription]
        if fact is None or start.attempt > 1 or terms.coalesces:
            continue
        lane = (start.subscription, start.key if terms.is_keyed else None, fact.publisher, fact.priority)
        last = begun.get(lane, -1)
        # An attempt that was interrupted does not count, so the first one may begin more than once.
        if last > fact.number and not _began_before(trace, start):
            yield f"{_pair(start)} began after event {last} of the same publisher"
        begun[lane] = max(last, fact.number)


def _began_before(trace: Trace, start: AttemptStarted) -> bool:
    first = next(
        each
        for each in trace.of(AttemptStarted)
        if (each.number, each.subscription) == (start.number, start.subscription)
    )
    return first is not start


def _strict_order(trace: Trace) -> Iterator[str]:
    """I4 again: under `strict_order` no delivery, of its key if there are keys, begins between two of another."""
    unfinished: dict[tuple[str, object], int] = {}  # subscription and key → event that has begun and not ended
    keys: dict[Pair, object] = {}
    for fact in trace.facts:
        if isinstance(fact, AttemptStarted) and trace.terms[fact.subscription].is_strict:
            place = (fact.subscription, fact.key if trace.terms[fact.subscription].is_keyed else None)
            keys[fact.number, fact.subscription] = place[1]
            other = unfinished.setdefault(place, fact.number)
            if other != fact.number and fact.number >= 0 <= other:
                yield f"{_pair(fact)} began while event {other}, which is before it, had not ended"
        elif isinstance(fact, Settled):
            place = (fact.subscription, keys.get((fact.number, fact.subscription)))
            if unfinished.get(place) == fact.number:
                del unfinished[place]


def _priority(trace: Trace) -> Iterator[str]:
    """I5: what begins is the most urgent of what waits."""
    published = {fact.number: fact for fact in trace.of(Published)}
    waiting: dict[str, dict[int, int]] = defaultdict(dict)  # subscription → event → the step in which it was taken
    for fact in trace.facts:
        if isinstance(fact, Accepted):
            waiting[fact.subscription][fact.number] = fact.step
        elif isinstance(fact, Settled):
            waiting[fact.subscription].pop(fact.number, None)
        elif isinstance(fact, AttemptStarted):
            waiting[fact.subscription].pop(fact.number, None)
            terms, own = trace.terms[fact.subscription], published.get(fact.number)
            if own is None or fact.attempt > 1 or terms.is_keyed or terms.is_strict:
                continue
            for number, step in waiting[fact.subscription].items():
                # What came in the same step may have come into the room that this one has left.
                other = published.get(number)
                if other is not None and other.priority < own.priority and step < fact.step:
                    yield f"{_pair(fact)} began while event {number}, which is more urgent, waited"


def _no_overtaking(trace: Trace) -> Iterator[str]:
    """I6: who waits for room is not overtaken by whoever came later with the same priority."""
    waits: dict[str, list[Published]] = defaultdict(list)  # subscription → whose publishers wait, longest first
    published = {fact.number: fact for fact in trace.of(Published)}
    matched: dict[int, Matched] = {}
    came: dict[int, int] = {}  # event → how many facts there were when it was published
    began: dict[Pair, int] = {}  # event and subscription → since when its publisher waits
    for place, fact in enumerate(trace.facts):
        if isinstance(fact, Published):
            came[fact.number] = place
        elif isinstance(fact, Matched) and fact.number in published:
            matched[fact.number] = fact
            for subscription in fact.subscriptions:
                waits[subscription].append(published[fact.number])
                began[fact.number, subscription] = place
        elif isinstance(fact, Accepted | Settled) and fact.number in published:
            own = published[fact.number]
            ahead = waits[fact.subscription]
            if isinstance(fact, Accepted):
                for other in ahead:
                    if other.priority == own.priority and began[other.number, fact.subscription] < came[own.number]:
                        yield f"{_pair(fact)} got past event {other.number}, whose publisher waited before it came"
            if own in ahead:
                ahead.remove(own)


# ── handling ──


def _serial(trace: Trace) -> Iterator[str]:
    """I7: a subscription handles no more at a time than its concurrency, and of one key one."""
    running: dict[str, list[AttemptStarted]] = defaultdict(list)
    for fact in trace.facts:
        if isinstance(fact, AttemptStarted):
            terms, others = trace.terms[fact.subscription], running[fact.subscription]
            others.append(fact)
            if len(others) > terms.concurrency:
                yield f"{fact.subscription} handles {len(others)} at a time, at most {terms.concurrency} are allowed"
            if terms.is_keyed and sum(each.key == fact.key for each in others) > 1:
                yield f"{fact.subscription} handles two of the key {fact.key!r} at a time"
        elif isinstance(fact, AttemptEnded):
            running[fact.subscription] = [each for each in running[fact.subscription] if each.number != fact.number]
    for subscription, left in running.items():
        for each in left:
            yield f"{subscription} had not ended with event {each.number} at the end"


def _attempts(trace: Trace) -> Iterator[str]:
    """I9, I12: attempts are numbered 1, 2, … without a gap, and there are no more than allowed."""
    attempts: dict[Pair, list[AttemptStarted]] = defaultdict(list)
    for fact in trace.of(AttemptStarted):
        attempts[fact.number, fact.subscription].append(fact)
    for (number, subscription), starts in attempts.items():
        counted = [start.attempt for start in starts]
        # An attempt that a stop or a restart interrupted is made again under the same number.
        steps = [later - earlier for earlier, later in zip([0, *counted], counted, strict=False)]
        if any(step not in (0, 1) for step in steps):
            yield f"the attempts of event {number} for {subscription} are {counted}"
        most = trace.terms[subscription].max_attempts
        if number >= 0 and max(counted) > most:
            yield f"event {number} was attempted {max(counted)} times for {subscription}, {most} are allowed"


def _handled(trace: Trace) -> Iterator[str]:
    """I10: what counts as handled was handled: its last attempt returned."""
    last: dict[Pair, str] = {}
    for fact in trace.facts:
        if isinstance(fact, AttemptEnded):
            last[fact.number, fact.subscription] = fact.how
        elif isinstance(fact, Settled):
            how = last.get((fact.number, fact.subscription), "never began")
            if isinstance(fact.outcome, Handled) and how != "returned":
                yield f"{_pair(fact)} counts as handled, and its last attempt {how}"


# ── the accounts ──


def _counters(trace: Trace) -> Iterator[str]:
    """I21, I22: the public counters say what has happened."""
    if trace.ledger is None:
        return
    counted = Counter(_name(fact.outcome) for fact in trace.of(Settled))
    for name in ("handled", "dead_lettered", "dropped", "returned"):
        # Questions and replays have no receipt that is watched, so the bus may count more.
        if counted[name] > getattr(trace.ledger, name):
            yield f"{counted[name]} deliveries were {name}, and the ledger says {trace.ledger}"


def _name(outcome: Outcome) -> str:
    match outcome:
        case Handled():
            return "handled"
        case DeadLettered():
            return "dead_lettered"
        case Dropped():
            return "dropped"
        case Rejected():
            return "rejected"
        case _:
            return "returned"


def _pairs(trace: Trace) -> Iterator[Pair]:
    for fact in trace.of(Matched):
        for subscription in fact.subscriptions:
            yield fact.number, subscription


def _pair(fact: Accepted | AttemptStarted | Settled) -> str:
    return f"step {fact.step}: event {fact.number} for {fact.subscription}"


INVARIANTS: tuple[tuple[str, Callable[[Trace], Iterator[str]]], ...] = (
    ("I1", _conservation),
    ("I2", _no_phantom),
    ("I3", _knowledge),
    ("I4", _first_in_first_out),
    ("I4", _strict_order),
    ("I5", _priority),
    ("I6", _no_overtaking),
    ("I7", _serial),
    ("I9", _attempts),
    ("I10", _handled),
    ("I22", _counters),
)
