"""The machine under facts in any order, checked against a world of scripted incarnations: what must always hold."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.properties.decisions_world import (
    FAILURE,
    IDS,
    INTENSITIES,
    World,
    acceptable,
    lists_of_specs,
    specs,
    with_context,
)
from tocsin_supervisors import (
    AutoShutdown,
    ChildSpec,
    ChildState,
    Crashed,
    Declined,
    Exit,
    Fatal,
    Finished,
    Options,
    Renewed,
    RestartIntensity,
    Stopped,
    Strategy,
    Suspended,
)
from tocsin_supervisors._decisions import Machine
from tocsin_supervisors._directives import Begin, CameUp, CutAsked, Hangs, Ready, RestartsBelow, StopAsked, Tick
from tocsin_supervisors._requests import (
    Added,
    DeleteAsked,
    ReconfigureAsked,
    RestartAsked,
    StartAsked,
    TerminateAsked,
    Withdrawn,
)
from tocsin_supervisors._rounds import Phase, Round
from tocsin_supervisors._slots import OURS, Alarm, Slot

NUMBERS = st.integers(0, 11)  # of one of those alive
EXITS = st.sampled_from(["crash", "crash", "suspend", "renew", "finish", "decline"])
CAUSES = {"own": (), "common": ("common",), "two": ("common", "other")}
LATER = 30  # steps after which the end may come


class DecisionsMachine(RuleBasedStateMachine):
    @initialize(
        children=lists_of_specs(4),
        strategy=st.sampled_from(Strategy),
        intensity=INTENSITIES,
        subtree_intensity=st.none() | INTENSITIES,
        auto_shutdown=st.sampled_from(AutoShutdown),
        max_children=st.sampled_from([None, 4]),
        causes=st.sampled_from(sorted(CAUSES)),
        all_come_up=st.booleans(),
    )
    def begin(
        self,
        children: list[ChildSpec],
        strategy: Strategy,
        intensity: RestartIntensity,
        subtree_intensity: RestartIntensity | None,
        auto_shutdown: AutoShutdown,
        max_children: int | None,
        causes: str,
        all_come_up: bool,
    ) -> None:
        options = Options(
            strategy=strategy,
            intensity=intensity,
            subtree_intensity=subtree_intensity,
            auto_shutdown=auto_shutdown,
            max_children=max_children,
            shutdown_deadline=50.0,
        )
        self.live(children, options, causes)
        if all_come_up:
            self.all_come_up()

    def live(self, children: list[ChildSpec], options: Options, causes: str) -> None:
        self.causes = CAUSES[causes]
        self.starts: dict[int, str] = {}  # token → child
        self.steps = 0
        self.was_reconfigured = False
        self.world = World(acceptable(children, options), options)
        self.world.counts_charges &= causes == "own"

    # ── what may happen ──

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        world = self.world
        target = world.now + seconds
        while (due := world.machine.next_due()) is not None and due <= target:
            world.now = max(world.now, due)
            world.tell(Tick())
        world.now = target

    @rule(seconds=st.sampled_from([0.3, 2.0, 10.0]))
    def nobody_can_run_for_a_while(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.tell(Tick(late=seconds))

    @precondition(lambda self: self.world.lives)
    @rule(number=NUMBERS)
    def comes_up(self, number: int) -> None:
        id = self.world.somebody(number)
        if not self.world.lives[id].is_up:
            self.world.comes_up(id)

    @precondition(lambda self: any(not life.is_up for life in self.world.lives.values()))
    @rule()
    def all_come_up(self) -> None:
        lives = self.world.lives
        while starting := [id for id, life in lives.items() if not life.is_up and not life.is_stopping]:
            self.world.comes_up(starting[0])

    @precondition(lambda self: self.world.lives)
    @rule(number=NUMBERS, exit=EXITS, cause=st.integers(0, 1))
    def ends_by_itself(self, number: int, exit: str, cause: int) -> None:
        id = self.world.somebody(number)
        life, slot = self.world.lives[id], self.world.machine.children.slots[id]
        failure = attrs.evolve(FAILURE, type=self.causes[cause % len(self.causes)] if self.causes else f"of {id}")
        exits: dict[str, Exit] = {
            "suspend": Suspended(failure),
            "renew": Renewed(failure),
            "finish": Finished(),
            "decline": Declined(failure),
        }
        finishes = exit == "finish" and life.is_up and not life.is_stopping
        self.world.end(id, Stopped() if life.is_stopping else exits.get(exit, Crashed(failure)))
        if finishes and slot.spec.significant and self.world.options.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            assert self.world.machine.is_ending

    @precondition(lambda self: len(self.world.lives) > 2 and self.causes)
    @rule(cause=st.integers(0, 1), suspend=st.booleans(), data=st.data())
    def many_fail_at_once(self, cause: int, suspend: bool, data: st.DataObject) -> None:
        failure = attrs.evolve(FAILURE, type=self.causes[cause % len(self.causes)])
        exit = Suspended(failure) if suspend else Crashed(failure)
        for id in data.draw(st.permutations(sorted(self.world.lives))):
            life = self.world.lives.get(id)
            if life is not None and life.is_up and not life.is_stopping:
                self.world.end(id, exit)

    @precondition(lambda self: any(life.is_stopping for life in self.world.lives.values()))
    @rule(number=NUMBERS)
    def obeys(self, number: int) -> None:
        stopping = sorted(id for id, life in self.world.lives.items() if life.is_stopping)
        self.world.end(stopping[number % len(stopping)], Stopped())

    @precondition(lambda self: any(life.is_stopping and not life.hangs for life in self.world.lives.values()))
    @rule(number=NUMBERS)
    def says_itself_that_it_hangs(self, number: int) -> None:
        stopping = sorted(id for id, life in self.world.lives.items() if life.is_stopping and not life.hangs)
        id = stopping[number % len(stopping)]
        self.world.lives[id].hangs = True
        self.world.tell(Hangs(id, self.world.lives[id].incarnation))

    @precondition(lambda self: self.world.lives)
    @rule(number=NUMBERS, count=st.sampled_from([1, 1, 1, -1]))
    def restarts_below(self, number: int, count: int) -> None:
        id = self.world.somebody(number)
        self.world.tell(RestartsBelow(id, self.world.lives[id].incarnation, count, FAILURE))

    # ── what may be asked for ──

    @rule(spec=specs())
    def start_child(self, spec: ChildSpec) -> None:
        self.starts[self.world.token + 1] = spec.id
        self.world.request(lambda token: StartAsked(token, spec))

    @rule(spec=specs())
    def start_child_soon(self, spec: ChildSpec) -> None:
        if not self.world.ended:
            self.world.tell(Added(spec))

    @rule(id=IDS)
    def terminate_child(self, id: str) -> None:
        self.world.request(lambda token: TerminateAsked(token, id))

    @rule(id=IDS, even_if_up=st.booleans())
    def restart_child(self, id: str, even_if_up: bool) -> None:
        self.starts[self.world.token + 1] = id
        self.world.request(lambda token: RestartAsked(token, id, even_if_up))

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(id=IDS)
    def delete_child(self, id: str) -> None:
        self.world.request(lambda token: DeleteAsked(token, id))

    @precondition(lambda self: self.starts)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.starts)))
        waiting = self.world.waiting
        waiting.discard(token)
        before = set(waiting)
        waiting.add(token)  # an answer that comes too late is thrown away by the shell
        self.world.tell(Withdrawn(token, self.starts.pop(token)))
        self.world.waiting = before & self.world.waiting

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(
        changed=lists_of_specs(2),
        strategy=st.none() | st.sampled_from(Strategy),
        intensity=st.none() | INTENSITIES,
        auto_shutdown=st.none() | st.sampled_from(AutoShutdown),
    )
    def reconfigure(
        self,
        changed: list[ChildSpec],
        strategy: Strategy | None,
        intensity: RestartIntensity | None,
        auto_shutdown: AutoShutdown | None,
    ) -> None:
        old = self.world.options
        options = attrs.evolve(
            old,
            strategy=old.strategy if strategy is None or old.template else strategy,
            intensity=intensity or old.intensity,
            auto_shutdown=auto_shutdown or old.auto_shutdown,
        )
        self.was_reconfigured = True
        self.world.counts_charges &= options.strategy is Strategy.ONE_FOR_ONE
        specs = () if options.template else acceptable(changed, options)
        self.world.request(lambda token: ReconfigureAsked(token, options, specs))

    @precondition(lambda self: self.steps > LATER and not self.world.machine.is_ending)
    @rule(cut=st.booleans())
    def stop_is_asked(self, cut: bool) -> None:
        if cut:
            self.world.cut_at = self.world.now
        self.world.tell(CutAsked() if cut else StopAsked())

    @precondition(lambda self: self.steps > LATER and self.world.lives)
    @rule(number=NUMBERS)
    def fails_fatally(self, number: int) -> None:
        self.world.end(self.world.somebody(number), Fatal(KeyboardInterrupt(), FAILURE))

    # ── what holds ──

    @invariant()
    def a_step_is_over(self) -> None:
        self.steps += 1

    @invariant()
    def slots_agree_with_the_world(self) -> None:
        slots, lives = self.world.machine.children.slots, self.world.lives
        assert {id for id, slot in slots.items() if slot.is_alive} == set(lives)
        assert self.world.machine.children.alive == len(lives)
        for id, life in lives.items():
            assert slots[id].is_hanging == life.hangs

    @invariant()
    def whoever_is_awaited_is_on_its_way(self) -> None:
        """Nobody waits for ever: it has an alarm, or its turn in the round, or a canary that is on its way itself."""
        machine: Any = self.world.machine
        if machine.is_ending:
            return
        for id, slot in machine.children.slots.items():
            if slot.is_awaited and not self.is_due(slot):
                canary = machine.children.slots.get(machine._restarts.causes._outbreaks.canary_of(id) or "")
                assert canary is not None, f"{id} waits for nothing"
                assert self.is_due(canary), f"{id} waits for {canary.spec.id}, which waits for nothing"

    def is_due(self, slot: Slot) -> bool:
        """Tell whether a child is about to be up, or for long enough, without somebody else being so first."""
        machine: Any = self.world.machine
        alarms, round, id = machine.children.alarms, machine._rounds.current, slot.spec.id
        if slot.is_awaited:
            return alarms.is_set((id, Alarm.RESTART)) or (round is not None and _has_its_turn(round, id))
        return slot.is_alive and (slot.state is not ChildState.RUNNING or alarms.is_set((id, Alarm.PROOF)))

    @invariant()
    def the_round_goes_on(self) -> None:
        machine: Any = self.world.machine
        round: Round | None = machine._rounds.current
        if round is None:
            return
        states = {id: slot.state for id, slot in machine.children.slots.items()}
        if round.phase is Phase.STOPPING:
            assert any(id in self.world.lives for id in (*round.affected, *round.to_stop))
        elif round.phase is Phase.WAITING:
            assert machine.children.alarms.is_set((OURS, Alarm.ROUND))
            assert not any(id in self.world.lives for id in round.affected)
        else:
            *later, current = round.to_start
            assert states[current] in (ChildState.STARTING, ChildState.STOPPING)
            assert not any(id in self.world.lives for id in later), "started before its turn"

    @invariant()
    def patience_has_an_end(self) -> None:
        """What a child may take for its start and its stop is watched, and what is parked for a time comes back."""
        alarms = self.world.machine.children.alarms
        for id, slot in self.world.machine.children.slots.items():
            if slot.state is ChildState.STOPPING and not slot.is_hanging and slot.spec.grace_period < math.inf:
                assert alarms.is_set((id, Alarm.CANCEL)) or alarms.is_set((id, Alarm.HANGS)) or self.was_reconfigured
            if self.was_reconfigured or self.world.machine.is_ending:
                continue  # then nobody comes up any more
            if slot.state is ChildState.STARTING and slot.spec.start_timeout < math.inf:
                assert alarms.is_set((id, Alarm.START_TIMEOUT))
            if slot.state is ChildState.PARKED and slot.spec.unpark_after < math.inf:
                assert alarms.is_set((id, Alarm.UNPARK))

    def teardown(self) -> None:
        """However it went: asked to stop, it ends, and nobody is left without an answer."""
        if not hasattr(self, "world") or not self.world.is_sound:
            return  # what failed is to be told, not what followed from it
        world = self.world
        if not world.machine.is_over:
            world.tell(StopAsked())
        for _ in range(100):
            if world.machine.is_over:
                break
            while any(life.is_stopping for life in world.lives.values()):
                self.obeys(0)
            due = world.machine.next_due()
            if due is not None and not world.machine.is_over:
                world.now = max(world.now, due)
                world.tell(Tick())
        assert world.ended
        assert not world.waiting, f"requests without an answer: {world.waiting}"


def _has_its_turn(round: Round, id: str) -> bool:
    return id in round.affected and (round.phase is not Phase.STARTING or id in round.to_start)


class TemplateMachine(DecisionsMachine):
    @initialize(
        strategy=st.just(Strategy.ONE_FOR_ONE),
        intensity=INTENSITIES,
        auto_shutdown=st.sampled_from(AutoShutdown),
        max_children=st.sampled_from([None, 4]),
        causes=st.sampled_from(sorted(CAUSES)),
    )
    def begin(
        self,
        strategy: Strategy,
        intensity: RestartIntensity,
        auto_shutdown: AutoShutdown,
        max_children: int | None,
        causes: str,
    ) -> None:
        options = Options(
            intensity=intensity,
            auto_shutdown=auto_shutdown,
            max_children=max_children,
            shutdown_deadline=50.0,
            template=lambda: ChildSpec("never called here", with_context),
        )
        self.live([], options, causes)


TestDecisionsMachine = DecisionsMachine.TestCase
TestTemplateMachine = TemplateMachine.TestCase


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
