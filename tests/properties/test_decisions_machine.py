"""The machine under facts in any order, checked against a world of scripted incarnations: what must always hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tocsin_supervisors import (
    Backoff,
    ChildSpec,
    Crashed,
    Exit,
    Failure,
    Fatal,
    Finished,
    Options,
    Renewed,
    RestartIntensity,
    RestartPolicy,
    RestartScheduled,
    Stopped,
    Strategy,
    Suspended,
)
from tocsin_supervisors._decisions import Machine
from tocsin_supervisors._directives import (
    Answer,
    Begin,
    CameUp,
    CancelChild,
    CutAsked,
    DeleteAsked,
    Directive,
    End,
    Ended,
    Fact,
    NoteHanging,
    Ready,
    Refuse,
    RequestStop,
    RestartAsked,
    StartAsked,
    StartChild,
    StopAsked,
    Tell,
    TerminateAsked,
    Tick,
    Withdrawn,
)

FAILURE = Failure.of(ValueError("broken"))
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
NUMBERS = st.integers(0, 11)  # of one of those alive
EXITS = st.sampled_from(["crash", "suspend", "renew", "finish"])


async def without_context() -> None: ...


async def with_context(context: object) -> None: ...


def specs(ids: st.SearchStrategy[str] = IDS) -> st.SearchStrategy[ChildSpec]:
    return st.builds(
        ChildSpec,
        ids,
        st.sampled_from([with_context, without_context]),
        restart=st.sampled_from(RestartPolicy),
        grace_period=st.sampled_from([0.0, 2.0, math.inf]),
        start_timeout=st.sampled_from([5.0, math.inf]),
        backoff=st.sampled_from([Backoff.none(), Backoff(initial=1.0, maximum=4.0)]),
        intensity=st.builds(RestartIntensity, st.integers(0, 8), st.sampled_from([2.0, 20.0])),
        on_exhausted=st.sampled_from(["escalate", "park"]),
        stable_after=st.sampled_from([0.0, 3.0]),
    )


@attrs.define
class Life:
    """One incarnation in the world outside of the machine."""

    incarnation: int
    is_up: bool = False
    is_stopping: bool = False
    is_cancelled: bool = False
    hangs: bool = False


class DecisionsMachine(RuleBasedStateMachine):
    @initialize(
        children=st.lists(specs(), max_size=4, unique_by=lambda spec: spec.id),
        strategy=st.sampled_from(Strategy),
        intensity=st.builds(RestartIntensity, st.integers(2, 12), st.just(20.0)),
        common_cause=st.booleans(),
        all_come_up=st.booleans(),
    )
    def begin(
        self,
        children: list[ChildSpec],
        strategy: Strategy,
        intensity: RestartIntensity,
        common_cause: bool,
        all_come_up: bool,
    ) -> None:
        self.now = 1000.0
        self.lives: dict[str, Life] = {}
        self.last: dict[str, int] = {}
        self.waiting: set[int] = set()  # tokens of requests without an answer
        self.starts: dict[int, str] = {}
        self.restarts: list[float] = []
        self.intensity = intensity
        self.strategy = strategy
        self.common_cause = common_cause
        self.token = 0
        self.steps = 0
        self.is_cut = False
        self.ended = False
        self.machine = Machine(
            "root",
            children,
            options=Options(strategy=strategy, intensity=intensity, shutdown_deadline=50.0),
            random=Random(7),
            incarnations={},
        )
        self.tell(Begin())
        if all_come_up:
            self.all_come_up()

    # ── the world ──

    def tell(self, fact: Fact) -> None:
        touched: dict[str, set[str]] = {}
        for directive in self.machine.on(fact, self.now):
            if isinstance(directive, StartChild):
                touched.setdefault(directive.spec.id, set()).add("start")
            elif isinstance(directive, RequestStop | CancelChild | NoteHanging):
                touched.setdefault(directive.child, set()).add("stop")
            self.carry_out(directive)
        assert all(len(kinds) == 1 for kinds in touched.values()), f"started and stopped in one step: {touched}"

    def carry_out(self, directive: Directive) -> None:
        assert not self.ended, f"{directive} after the end"
        match directive:
            case StartChild(spec=spec, incarnation=incarnation):
                assert not self.machine.is_ending, f"{spec.id} is started although the end has begun"
                assert spec.id not in self.lives, f"two lives of {spec.id}"
                assert incarnation > self.last.get(spec.id, 0)
                self.lives[spec.id] = Life(incarnation)
                self.last[spec.id] = incarnation
            case RequestStop():
                self.stop(directive)
            case CancelChild(child=child, incarnation=incarnation):
                life = self.lives[child]
                assert life.incarnation == incarnation
                assert life.is_stopping
                life.is_cancelled = True
            case NoteHanging(child=child):
                assert self.lives[child].is_cancelled
                self.lives[child].hangs = True
            case Answer(token=token) | Refuse(token=token):
                assert token in self.waiting, f"request {token} has two answers"
                self.waiting.remove(token)
            case End():
                assert not self.lives
                self.ended = True
            case Tell(report=report):
                if isinstance(report, RestartScheduled):
                    self.restarts.append(report.at)
            case _:
                pass

    def stop(self, directive: RequestStop) -> None:
        life = self.lives[directive.child]
        assert life.incarnation == directive.incarnation
        assert not life.is_stopping, f"{directive.child} is told twice"
        if self.machine.is_ending and not self.is_cut:
            order = list(self.machine.children.slots)
            later = order[order.index(directive.child) + 1 :]
            assert all(self.lives[id].hangs for id in later if id in self.lives), "not the last one alive"
        life.is_stopping = True

    def request(self, make: Callable[[int], Any]) -> None:
        if self.ended:
            return  # the shell refuses it without asking
        self.token += 1
        self.waiting.add(self.token)
        self.tell(make(self.token))

    # ── what may happen ──

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        target = self.now + seconds
        while (due := self.machine.next_due()) is not None and due <= target:
            self.now = max(self.now, due)
            self.tell(Tick())
        self.now = target

    def somebody(self, number: int) -> str:
        return sorted(self.lives)[number % len(self.lives)]

    @precondition(lambda self: self.lives)
    @rule(number=NUMBERS)
    def comes_up(self, number: int) -> None:
        id = self.somebody(number)
        if not self.lives[id].is_up:
            self.lives[id].is_up = True
            self.tell(CameUp(id, self.lives[id].incarnation))

    @precondition(lambda self: any(not life.is_up for life in self.lives.values()))
    @rule()
    def all_come_up(self) -> None:
        while starting := [id for id, life in self.lives.items() if not life.is_up and not life.is_stopping]:
            self.comes_up(sorted(self.lives).index(starting[0]))

    @precondition(lambda self: self.lives)
    @rule(number=NUMBERS, exit=EXITS)
    def ends_by_itself(self, number: int, exit: str) -> None:
        id = self.somebody(number)
        cause = attrs.evolve(FAILURE, type="common" if self.common_cause else f"of {id}")
        exits: dict[str, Exit] = {"suspend": Suspended(cause), "renew": Renewed(cause), "finish": Finished()}
        self.end(id, Stopped() if self.lives[id].is_stopping else exits.get(exit, Crashed(cause)))

    @precondition(lambda self: any(life.is_stopping for life in self.lives.values()))
    @rule(number=NUMBERS)
    def obeys(self, number: int) -> None:
        stopping = sorted(id for id, life in self.lives.items() if life.is_stopping)
        self.end(stopping[number % len(stopping)], Stopped())

    def end(self, id: str, exit: Exit) -> None:
        life = self.lives.pop(id)
        self.tell(Ended(id, life.incarnation, exit))

    @rule(spec=specs())
    def start_child(self, spec: ChildSpec) -> None:
        self.starts[self.token + 1] = spec.id
        self.request(lambda token: StartAsked(token, spec))

    @rule(id=IDS)
    def terminate_child(self, id: str) -> None:
        self.request(lambda token: TerminateAsked(token, id))

    @rule(id=IDS)
    def restart_child(self, id: str) -> None:
        self.starts[self.token + 1] = id
        self.request(lambda token: RestartAsked(token, id))

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(id=IDS)
    def delete_child(self, id: str) -> None:
        self.request(lambda token: DeleteAsked(token, id))

    @precondition(lambda self: self.starts)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.starts)))
        self.waiting.discard(token)
        before = set(self.waiting)
        self.waiting.add(token)  # an answer that comes too late is thrown away by the shell
        self.tell(Withdrawn(token, self.starts.pop(token)))
        self.waiting = before & self.waiting

    @precondition(lambda self: self.steps > 30 and not self.machine.is_ending)
    @rule(cut=st.booleans())
    def stop_is_asked(self, cut: bool) -> None:
        self.is_cut = cut
        self.tell(CutAsked() if cut else StopAsked())

    @precondition(lambda self: self.steps > 30 and self.lives)
    @rule(number=NUMBERS)
    def fails_fatally(self, number: int) -> None:
        self.end(self.somebody(number), Fatal(KeyboardInterrupt()))

    # ── what holds ──

    @invariant()
    def a_step_is_over(self) -> None:
        self.steps += 1

    @invariant()
    def slots_agree_with_the_world(self) -> None:
        slots = self.machine.children.slots
        assert {id for id, slot in slots.items() if slot.is_alive} == set(self.lives)
        assert self.machine.children.alive == len(self.lives)
        for id, life in self.lives.items():
            assert slots[id].is_hanging == life.hangs

    @invariant()
    def restarts_stay_below_the_supervisors_limit(self) -> None:
        if self.strategy is Strategy.ONE_FOR_ONE and not self.common_cause:  # which is charged once
            recent = [at for at in self.restarts if at > self.now - self.intensity.period]
            assert len(recent) <= self.intensity.max_restarts

    @invariant()
    def whatever_waits_is_waited_for(self) -> None:
        """Nothing is stuck: who is about to be started has an alarm, or somebody before it has to act first."""
        if self.machine.is_ending or self.lives:
            return
        awaited = [id for id, slot in self.machine.children.slots.items() if slot.is_awaited]
        assert not awaited or self.machine.next_due() is not None, f"{awaited} wait for nothing"

    def teardown(self) -> None:
        """However it went: asked to stop, it ends, and nobody is left without an answer."""
        if not hasattr(self, "machine"):
            return
        if not self.machine.is_over:
            self.tell(StopAsked())
        for _ in range(100):
            if self.machine.is_over:
                break
            while any(life.is_stopping for life in self.lives.values()):
                self.obeys(0)
            due = self.machine.next_due()
            if due is not None and not self.machine.is_over:
                self.now = max(self.now, due)
                self.is_cut = True  # the deadline may be among what is due
                self.tell(Tick())
        assert self.ended
        assert not self.waiting, f"requests without an answer: {self.waiting}"


TestDecisionsMachine = DecisionsMachine.TestCase


def test_the_initial_start_is_ready_when_all_are_up() -> None:
    machine = Machine(
        "root",
        [ChildSpec("a", with_context)],
        options=Options(),
        random=Random(1),
        incarnations={},
    )
    machine.on(Begin(), 0.0)
    assert Ready() in machine.on(CameUp("a", 1), 0.0)
    assert machine.is_ready
