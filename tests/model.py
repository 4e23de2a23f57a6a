"""The whole bus in obvious, sequential code: what the real one must agree with whenever nothing moves.

It rests on *gated handlers*: a delivery that is being handled stays so until somebody says how it ends. So the model
needs no tasks and no chance. Each call makes everything happen that can happen at that moment; `advance` goes from one
due moment to the next. Pure: time is what it is told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from attrs import Factory, define, frozen

PolicyName = Literal["wait", "reject", "drop_oldest", "drop_newest", "dead_letter", "coalesce"]
Ending = Literal["ok", "raise", "group", "cancel", "decode"]
Coupling = Literal["one_for_one", "one_for_all", "rest_for_one"]


@frozen
class Config:
    """What a subscription of the model asks for; `kinds` and `priorities` say which events match."""

    kinds: frozenset[str]
    capacity: int = 1
    policy: PolicyName = "wait"
    limit: float | None = None
    concurrency: int = 1
    keyed: bool = False
    strict: bool = False
    max_attempts: int = 1
    backoff: float = 0.53125
    priorities: frozenset[int] = frozenset(range(4))
    window: float | None = None  # of duplicates, by key
    timeout: float = math.inf  # of one attempt


@define(eq=False)
class Publication:
    """One event and what its publisher knows of it."""

    event: int
    result: str | None = None  # None while it waits
    accepted: list[str] = Factory(list[str])
    outcomes: dict[str, str | None] = Factory(dict[str, str | None])
    waiting: dict[Pair, float] = Factory(dict["Pair", float])  # for room, each until its limit
    refused: list[str] = Factory(list[str])


@define(eq=False)
class Pair:
    """One event for one subscription."""

    publication: Publication
    priority: int
    key: int
    expires_at: float
    number: int
    attempt: int = 0
    remembered: bool = False
    deadline: float = math.inf  # of the attempt in flight
    letter: Letter | None = None  # the one that it replays
    is_next: bool = False  # with its key, which is kept for it although it is back in its lane


@frozen(eq=False)
class Letter:
    """One pair that was given up."""

    name: str
    pair: Pair
    reason: str


@define(eq=False)
class Sub:
    """One subscription: where its deliveries are, and how those that are nowhere ended."""

    name: str
    config: Config
    is_coupled: bool = False
    is_paused: bool = False
    is_stopped: bool = False
    lanes: list[list[Pair]] = Factory(lambda: [list[Pair]() for _ in range(4)])
    held: list[Pair] = Factory(list[Pair])  # found in a lane while their key was busy
    retries: list[tuple[float, Pair]] = Factory(list[tuple[float, Pair]])  # by due time
    in_flight: list[Pair] = Factory(list[Pair])
    blocked: list[Pair] = Factory(list[Pair])
    seen: dict[int, float] = Factory(dict[int, float])  # key → first accepted
    counts: Counter[str] = Factory(Counter[str])

    @property
    def queued(self) -> list[Pair]:
        return [*(pair for lane in self.lanes for pair in lane), *self.held]

    @property
    def has_room(self) -> bool:
        return len(self.queued) + len(self.retries) < self.config.capacity

    @property
    def has_idle_server(self) -> bool:
        return not self.is_paused and not self.is_stopped and len(self.in_flight) < self.config.concurrency

    @property
    def busy_keys(self) -> set[int]:
        waiting = [pair for _, pair in self.retries] if self.config.strict else []
        return {pair.key for pair in [*self.in_flight, *waiting]} if self.config.keyed else set()

    def end(self, pair: Pair, outcome: str) -> None:
        self.counts[outcome.split(":")[0]] += 1
        pair.publication.outcomes[self.name] = outcome

    def put(self, pair: Pair) -> None:
        self.lanes[pair.priority].append(pair)
        pair.publication.accepted.append(self.name)

    def take(self, now: float) -> Pair | None:
        due = [entry for entry in self.retries if entry[0] <= now]
        if self.config.strict and due:
            self.retries.remove(due[0])
            return due[0][1]
        if self.config.strict and self.retries and not self.config.keyed:
            return None
        for entry in reversed(due):
            self.retries.remove(entry)
            self.lanes[entry[1].priority].insert(0, entry[1])
        for lane in self.lanes:
            while lane:
                pair = lane.pop(0)
                if pair.key not in self.busy_keys:
                    self._go_before(pair)
                    return pair
                self.held.append(pair)
        return None

    def _go_before(self, urgent: Pair) -> None:
        """Hold again what was next with the key of *urgent*."""
        urgent.is_next = False
        for pair in [pair for lane in self.lanes for pair in lane if pair.is_next and pair.key == urgent.key]:
            pair.is_next = False
            self.remove(pair)
            self.held.append(pair)

    def waiting_with(self, key: int) -> Pair | None:
        waiting = [*self.queued, *(pair for _, pair in self.retries)]
        return next((pair for pair in waiting if pair.key == key), None)

    def remove(self, pair: Pair) -> None:
        self.retries = [entry for entry in self.retries if entry[1] is not pair]
        self.lanes = [[each for each in lane if each is not pair] for lane in self.lanes]

    def release(self, key: int) -> None:
        """The most urgent, then the oldest that was held for *key* comes first in its lane."""
        if not self.config.keyed or key in self.busy_keys:
            return
        for pair in sorted(self.held, key=lambda each: (each.priority, each.number)):
            if pair.key == key:
                self.held.remove(pair)
                self.put_first(pair)
                return

    def interrupt(self) -> None:
        """End the incarnation: what it has in hand is first in its lane again, and the attempt does not count."""
        for pair in self.in_flight:
            pair.attempt -= 1
            self.put_first(pair)
        self.in_flight.clear()

    def put_first(self, pair: Pair) -> None:
        self.lanes[pair.priority].insert(0, pair)
        pair.is_next = self.config.keyed


class Model:
    """See the module. Keys of `subs`: names in the order of subscribing. *coupling*: what a crash of one of those that
    are coupled does to the others."""

    def __init__(self, coupling: Coupling = "one_for_one") -> None:
        self.coupling = coupling
        self.now = 0.0
        self.open = True
        self.subs: dict[str, Sub] = {}
        self.gone: Counter[str] = Counter()
        self.publications: list[Publication] = []
        self.letters: list[Letter] = []
        self.numbers = 0

    # ── what the publishers do ──

    def publish(
        self, event: int, kind: str, priority: int, key: int, expires_in: float = math.inf, *, nowait: bool = False
    ) -> Publication:
        publication = Publication(event)
        self.publications.append(publication)
        if not self.open:
            publication.result = "closed"
            return publication
        matching = [s for s in self.subs.values() if kind in s.config.kinds and priority in s.config.priorities]
        pairs = [(s, self._pair(publication, priority, key, self.now + expires_in)) for s in matching]
        publication.outcomes = dict.fromkeys(s.name for s in matching)
        for sub, pair in pairs:
            sub.counts["matched"] += 1
            self._offer(sub, pair, nowait=nowait)
        self._conclude(publication)
        self._settle_down()
        return publication

    def cancel(self, publication: Publication) -> None:
        for pair in list(publication.waiting):
            self._refuse(pair, "cancelled")
        publication.result = "cancelled"

    def replay(self, letter: Letter) -> Publication:
        """The event of *letter* goes to the one that had failed it, with attempts counted anew, and waits for room."""
        self.letters.remove(letter)
        sub, old = self.subs[letter.name], letter.pair
        publication = Publication(old.publication.event, outcomes={letter.name: None})
        pair = self._pair(publication, old.priority, old.key, math.inf)
        pair.letter = letter
        sub.counts["matched"] += 1
        if sub.has_room:
            sub.put(pair)
        else:
            publication.waiting[pair] = math.inf
            sub.blocked.append(pair)
        self._conclude(publication)
        self._settle_down()
        return publication

    # ── what handlers do ──

    def finish(self, name: str, event: int, ending: Ending) -> None:
        sub = self.subs[name]
        pair = next(pair for pair in sub.in_flight if pair.publication.event == event)
        sub.in_flight.remove(pair)
        if ending == "ok":
            sub.end(pair, "handled")
        elif ending == "decode":
            self._bury(sub, pair, "non_retryable")
        else:
            self._failed(sub, pair, "foreign_cancel" if ending == "cancel" else "handler_error")
        sub.release(pair.key)
        if ending == "cancel" and sub.is_coupled:
            self._interrupt_those_coupled_to(sub)
        self._settle_down()

    def _failed(self, sub: Sub, pair: Pair, reason: str) -> None:
        if pair.attempt < sub.config.max_attempts and sub.config.policy == "coalesce" and sub.waiting_with(pair.key):
            sub.end(pair, "dropped:coalesced")  # to try the older state again would undo the newer one
        elif pair.attempt < sub.config.max_attempts:
            sub.counts["retried"] += 1
            sub.retries.append((self.now + sub.config.backoff, pair))
        else:
            self._bury(sub, pair, reason)

    def _bury(self, sub: Sub, pair: Pair, reason: str) -> None:
        sub.end(pair, f"dead_lettered:{reason}")
        self.letters.append(Letter(sub.name, pair, reason))

    def _interrupt_those_coupled_to(self, crashed: Sub) -> None:
        """Restart the others, those that had been stopped, too."""
        coupled = [sub for sub in self.subs.values() if sub.is_coupled]
        place = coupled.index(crashed)
        others = {"one_for_one": [], "one_for_all": coupled, "rest_for_one": coupled[place:]}[self.coupling]
        for sub in others:
            sub.interrupt()
            sub.is_stopped = False

    # ── what the operator does ──

    def subscribe(self, name: str, config: Config, *, is_coupled: bool = False) -> None:
        self.subs[name] = Sub(name, config, is_coupled)

    def unsubscribe(self, name: str) -> None:
        self._clear(self.subs[name], "unsubscribed")
        self.gone.update(self.subs.pop(name).counts)

    def pause(self, name: str) -> None:
        self.subs[name].is_paused = True

    def resume(self, name: str) -> None:
        self.subs[name].is_paused = False
        self._settle_down()

    def stop_actor(self, name: str) -> None:
        sub = self.subs[name]
        sub.interrupt()
        sub.is_stopped = True
        for pair in list(sub.blocked):
            sub.blocked.remove(pair)
            del pair.publication.waiting[pair]
            self._bury(sub, pair, "actor_stopped")
            self._conclude(pair.publication)

    def restart(self, name: str) -> None:
        self.subs[name].interrupt()
        self.subs[name].is_stopped = False
        self._settle_down()

    def drain(self) -> None:
        self.open = False
        for sub in self.subs.values():
            for pair in list(sub.blocked):
                self._refuse(pair, "closed")

    def stop(self) -> list[tuple[str, int, int]]:
        """Give what is returned, in the order of publishing: to whom, which event, how often it had failed."""
        self.open = False
        failed = {
            pair: pair.attempt - (pair in sub.in_flight)
            for sub in self.subs.values()
            for pair in [*sub.in_flight, *sub.queued, *(pair for _, pair in sub.retries)]
        }
        left = [(pair.number, sub.name, pair) for sub in self.subs.values() for pair in self._clear(sub, "closed")]
        return [
            (name, pair.publication.event, failed[pair]) for _, name, pair in sorted(left, key=lambda each: each[0])
        ]

    def advance(self, by: float) -> None:
        end = self.now + by
        while (due := min(self._due_times(), default=math.inf)) <= end:
            self.now = due
            for publication in self.publications:
                for pair in [pair for pair, limit in publication.waiting.items() if limit <= due]:
                    self._refuse(pair, "full")
            for sub in self.subs.values():
                for pair in [pair for pair in sub.in_flight if pair.deadline <= due]:
                    sub.in_flight.remove(pair)
                    self._failed(sub, pair, "timeout")
                    sub.release(pair.key)
            self._settle_down()
        self.now = end

    # ── how it all follows ──

    def _pair(self, publication: Publication, priority: int, key: int, expires_at: float) -> Pair:
        self.numbers += 1
        return Pair(publication, priority, key, expires_at, self.numbers)

    def _offer(self, sub: Sub, pair: Pair, *, nowait: bool) -> None:
        if sub.is_stopped:
            self._bury(sub, pair, "actor_stopped")
        elif self._is_duplicate(sub, pair):
            sub.end(pair, "dropped:duplicate")
        elif sub.config.policy == "coalesce" and self._coalesced(sub, pair):
            pass
        elif sub.has_room:
            sub.put(pair)
        else:
            self._overflow(sub, pair, nowait=nowait)

    def _overflow(self, sub: Sub, pair: Pair, *, nowait: bool) -> None:
        match sub.config.policy:
            case "wait" if not nowait:
                limit = sub.config.limit
                pair.publication.waiting[pair] = math.inf if limit is None else self.now + limit
                sub.blocked.append(pair)
            case "wait" | "reject":
                self._reject(sub, pair, "full")
                pair.publication.refused.append(sub.name)
            case "drop_newest":
                sub.end(pair, "dropped:newest")
            case "dead_letter":
                self._bury(sub, pair, "overflow")
            case "drop_oldest" | "coalesce":
                self._drop_for(sub, pair)

    def _drop_for(self, sub: Sub, pair: Pair) -> None:
        lane = next((lane for lane in reversed(sub.lanes) if lane), None)
        if lane is None or lane[0].priority < pair.priority:
            sub.end(pair, "dropped:newest")
            return
        sub.end(lane.pop(0), "dropped:oldest")
        sub.put(pair)

    def _coalesced(self, sub: Sub, pair: Pair) -> bool:
        old = sub.waiting_with(pair.key)
        if old is None:
            return False
        lane = sub.lanes[pair.priority]
        if old in lane:
            lane[lane.index(old)] = pair
            pair.publication.accepted.append(sub.name)
        else:
            sub.remove(old)
            sub.put(pair)
        sub.end(old, "dropped:coalesced")
        return True

    def _is_duplicate(self, sub: Sub, pair: Pair) -> bool:
        if sub.config.window is None:
            return False
        if self.now - sub.seen.get(pair.key, -math.inf) < sub.config.window:
            return True
        sub.seen[pair.key] = self.now
        pair.remembered = True
        return False

    def _reject(self, sub: Sub, pair: Pair, reason: str) -> None:
        if pair.remembered:
            sub.seen.pop(pair.key, None)
        sub.end(pair, f"rejected:{reason}")

    def _refuse(self, pair: Pair, reason: str) -> None:
        publication = pair.publication
        sub = next(sub for sub in self.subs.values() if pair in sub.blocked)
        sub.blocked.remove(pair)
        del publication.waiting[pair]
        self._reject(sub, pair, reason)
        if pair.letter is not None:
            self.letters.append(pair.letter)
        if reason == "full":
            publication.refused.append(sub.name)
        if reason == "closed":
            publication.result = "closed"
        self._conclude(publication)

    def _conclude(self, publication: Publication) -> None:
        if not publication.waiting and publication.result is None:
            publication.result = "full" if publication.refused else "ok"

    def _clear(self, sub: Sub, reason: str) -> list[Pair]:
        for pair in list(sub.blocked):
            self._refuse(pair, reason)
        left = [*sub.in_flight, *sub.queued, *(pair for _, pair in sub.retries)]
        for pair in left:
            sub.end(pair, "returned")
        sub.retries.clear()
        for place in (sub.in_flight, sub.held, *sub.lanes):
            place.clear()
        return left

    def _due_times(self) -> Iterator[float]:
        for sub in self.subs.values():
            yield from (pair.deadline for pair in sub.in_flight if pair.deadline < math.inf)
            if sub.has_idle_server:
                yield from (due for due, _ in sub.retries)
        for publication in self.publications:
            yield from (limit for limit in publication.waiting.values() if limit < math.inf)

    def _settle_down(self) -> None:
        """Let every idle server take what it may, and every publisher in for which there is room."""
        for sub in self.subs.values():
            self._admit(sub)
            while sub.has_idle_server and (pair := sub.take(self.now)) is not None:
                if self.now >= pair.expires_at:
                    self._bury(sub, pair, "expired")
                    sub.release(pair.key)
                else:
                    pair.attempt += 1
                    pair.deadline = self.now + sub.config.timeout
                    sub.in_flight.append(pair)
                self._admit(sub)

    def _admit(self, sub: Sub) -> None:
        while sub.blocked and sub.has_room:
            pair = min(sub.blocked, key=lambda each: each.priority)  # of equals the first, which waits longest
            sub.blocked.remove(pair)
            del pair.publication.waiting[pair]
            sub.put(pair)
            self._conclude(pair.publication)
