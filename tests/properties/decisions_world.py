"""The world around the machine that decides: scripted incarnations, which do what it asks, and a check of each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st

from tocsin_supervisors import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    Crashed,
    Exit,
    Failure,
    Finished,
    Options,
    Report,
    RestartIntensity,
    RestartPolicy,
    RestartScheduled,
    Strategy,
    SupervisorFinished,
    SupervisorStopping,
)
from tocsin_supervisors._children import Start
from tocsin_supervisors._decisions import Machine
from tocsin_supervisors._directives import (
    Answer,
    Begin,
    CameUp,
    CancelChild,
    Directive,
    End,
    Ended,
    Fact,
    NoteHanging,
    Refuse,
    RequestStop,
    StartChild,
    Tell,
)

FAILURE = Failure.of(ValueError("broken"))
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
# Mostly so many that a run goes on: a supervisor that has given up finds nothing more.
INTENSITIES = st.builds(RestartIntensity, st.sampled_from([100, 12, 2]), st.just(20.0))
OF_CHILDREN = st.builds(
    RestartIntensity,
    st.sampled_from([100, 3, 1, 0]),
    st.sampled_from([2.0, 20.0]),
    max_consecutive=st.sampled_from([None, 10, 2]),
)


async def without_context() -> None: ...


async def with_context(context: object) -> None: ...


STARTS: list[Start] = [with_context, without_context]


@st.composite
def specs(draw: st.DrawFn) -> ChildSpec:
    """Draw a child of any kind."""
    id = draw(IDS)
    restart = draw(st.sampled_from(RestartPolicy))
    return ChildSpec(
        id,
        draw(st.sampled_from(STARTS)),
        restart=restart,
        grace_period=draw(st.sampled_from([0.0, 2.0, math.inf])),
        start_timeout=draw(st.sampled_from([5.0, math.inf])),
        backoff=draw(st.sampled_from([Backoff.none(), Backoff(initial=1.0, maximum=4.0)])),
        intensity=draw(OF_CHILDREN),
        on_exhausted=draw(st.sampled_from(["park", "park", "escalate"])),
        unpark_after=draw(st.sampled_from([0.0, 3.0, math.inf])),
        stable_after=draw(st.sampled_from([0.0, 3.0])),
        significant=restart is not RestartPolicy.PERMANENT and draw(st.booleans()),
        needs=tuple(each for each in draw(st.lists(IDS, max_size=2, unique=True)) if each != id),
    )


def lists_of_specs(most: int) -> st.SearchStrategy[list[ChildSpec]]:
    """Draw several children of different ids."""
    return st.lists(specs(), max_size=most, unique_by=lambda spec: spec.id)


def acceptable(children: Iterable[ChildSpec], options: Options) -> tuple[ChildSpec, ...]:
    """Give *children* as the door of a supervisor would let them in."""
    never = options.auto_shutdown is AutoShutdown.NEVER
    return tuple(attrs.evolve(each, significant=False) if never else each for each in children)


@attrs.define
class Life:
    """One incarnation."""

    incarnation: int
    is_up: bool = False
    is_stopping: bool = False
    is_cancelled: bool = False
    hangs: bool = False


class World:
    """What the machine has asked for so far, and what was asked of it."""

    def __init__(self, children: Iterable[ChildSpec], options: Options) -> None:
        self.now = 1000.0
        self.lives: dict[str, Life] = {}
        self.last: dict[str, int] = {}  # child → number of its last incarnation
        self.waiting: set[int] = set()  # tokens of requests without an answer
        self.token = 0
        self.charges: list[float] = []  # to the supervisor: when, oldest first
        # No failure is part of another one: nobody is restarted along with others, and there is no common cause.
        self.counts_charges = options.strategy is Strategy.ONE_FOR_ONE
        self.cut_at = math.inf  # when the time of an ordered stop is over
        self.ended = False
        self.is_sound = True  # False after a step that has failed a check
        self.machine = Machine("root", children, options=options, random=Random(7), incarnations={})
        self.tell(Begin())

    @property
    def options(self) -> Options:
        """What the supervisor is told now."""
        return self.machine.children.options

    # ── one step ──

    def tell(self, fact: Fact) -> None:
        """Tell the machine, and do what it asks."""
        self.is_sound = False
        touched: dict[str, set[str]] = {}
        reports: list[Report] = []
        for directive in self.machine.on(fact, self.now):
            if isinstance(directive, StartChild):
                touched.setdefault(directive.spec.id, set()).add("start")
            elif isinstance(directive, RequestStop | CancelChild | NoteHanging):
                touched.setdefault(directive.child, set()).add("stop")
            elif isinstance(directive, Tell):
                reports.append(directive.report)
            self.carry_out(directive)
        assert all(len(kinds) == 1 for kinds in touched.values()), f"started and stopped in one step: {touched}"
        if isinstance(fact, Ended):
            assert "start" not in touched.get(fact.child, ()), f"{fact.child} is started in the step it ended in"
            self._count_charges(fact, reports)
        self.is_sound = True

    def carry_out(self, directive: Directive) -> None:
        """Do what the machine asks."""
        assert not self.ended, f"{directive} after the end"
        match directive:
            case StartChild(spec=spec, incarnation=incarnation):
                assert not self.machine.is_ending, f"{spec.id} is started although the end has begun"
                assert spec.id not in self.lives, f"two lives of {spec.id}"
                assert incarnation > self.last.get(spec.id, 0)
                self.lives[spec.id] = Life(incarnation)
                self.last[spec.id] = incarnation
            case RequestStop():
                self._stop(directive)
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
            case Tell(report=SupervisorStopping()):
                self.cut_at = min(self.cut_at, self.now + self.options.shutdown_deadline)
            case Tell(report=SupervisorFinished()):
                assert self.options.auto_shutdown is not AutoShutdown.NEVER
            case _:
                pass

    def _stop(self, directive: RequestStop) -> None:
        life = self.lives[directive.child]
        assert life.incarnation == directive.incarnation
        assert not life.is_stopping, f"{directive.child} is told twice"
        if self.machine.is_ending and self.now < self.cut_at and self.options.template is None:
            order = list(self.machine.children.slots)
            later = order[order.index(directive.child) + 1 :]
            assert all(self.lives[id].hangs for id in later if id in self.lives), "not the last one alive"
        life.is_stopping = True

    def _count_charges(self, fact: Ended, reports: list[Report]) -> None:
        """Hold the machine to the supervisor's limit, where each failure is one of its own."""
        if not self.counts_charges or not isinstance(fact.exit, Crashed | Finished) or self.machine.is_ending:
            return
        if any(isinstance(each, RestartScheduled) and each.child == fact.child for each in reports):
            self.charges.append(self.now)
        recent = [at for at in self.charges if at > self.now - self.options.intensity.period]
        assert len(recent) <= self.options.intensity.max_restarts

    # ── what may happen ──

    def request(self, make: Callable[[int], Any]) -> None:
        """Ask for something, as a caller of the supervisor does."""
        if self.ended:
            return  # the shell refuses it without asking
        self.token += 1
        self.waiting.add(self.token)
        self.tell(make(self.token))

    def somebody(self, number: int) -> str:
        """Choose one who is alive."""
        return sorted(self.lives)[number % len(self.lives)]

    def comes_up(self, id: str) -> None:
        """Have a child come up."""
        self.lives[id].is_up = True
        self.tell(CameUp(id, self.lives[id].incarnation))

    def end(self, id: str, exit: Exit) -> None:
        """Have a child end."""
        life = self.lives.pop(id)
        self.tell(Ended(id, life.incarnation, exit))
