"""Rounds: several children that are stopped in reverse order, one at a time, and then started in order, one at a
time."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, final

import attrs

from ._children import ChildState
from ._slots import OURS, Alarm
from ._strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._decisions_children import Children
    from ._slots import Slot


@final
@enum.unique
class Phase(enum.Enum):
    """How far a round is."""

    STOPPING = "stopping"
    WAITING = "waiting"  # for the backoff of the child that failed
    STARTING = "starting"


@final
@attrs.define
class Round:
    """The initial start, or a group restart. The supervisor has at most one."""

    affected: dict[str, None]  # ids in start order
    phase: Phase
    due: float
    is_initial: bool = False  # some child has never been up in this run
    to_stop: list[str] = attrs.field(factory=list[str])  # next one last
    to_start: list[str] = attrs.field(factory=list[str])  # next one last

    @classmethod
    def starting(cls, ids: Iterable[str], now: float) -> Round:
        """Make the round of the initial start."""
        affected = dict.fromkeys(ids)
        return cls(affected, Phase.STARTING, now, is_initial=True, to_start=list(reversed(affected)))

    @classmethod
    def restarting(cls, ids: Iterable[str], due: float, *, is_initial: bool) -> Round:
        """Make a group restart whose starts are due at *due*."""
        affected = dict.fromkeys(ids)
        return cls(affected, Phase.STOPPING, due, is_initial=is_initial, to_stop=list(affected))

    def join(self, ids: Iterable[str], order: Iterable[str], due: float) -> None:
        """Let a further failure join while the round still stops children: one round is enough for both."""
        both = {*ids, *self.affected}
        self.affected = dict.fromkeys(id for id in order if id in both)
        self.to_stop = list(self.affected)
        self.due = max(self.due, due)

    def add(self, id: str) -> None:
        """Let a child take part that was added to the supervisor, at the end of its order."""
        self.affected[id] = None
        if self.phase is Phase.STARTING:
            self.to_start.insert(0, id)

    def leave(self, id: str) -> None:
        """Take a child out, and its turn with it."""
        self.affected.pop(id, None)
        if id in self.to_start:
            self.to_start.remove(id)

    def begin_starting(self) -> None:
        """All are down and the backoff is over."""
        self.phase = Phase.STARTING
        self.to_start = list(reversed(self.affected))


def start_for(children: Children, round: Round | None, slot: Slot, token: int | None) -> None:
    """Start a child that is down, by request; *token*: of who waits for it, if anybody does."""
    slot.starter = slot.asked_by = token
    if round is None:
        children.start(slot)
    else:
        # Others are being started or stopped in order: it takes its turn, which is the last.
        slot.state = ChildState.WAITING
        round.leave(slot.spec.id)
        round.add(slot.spec.id)


@final
class Rounds:
    """Restarts the children of one supervisor as its strategy says: alone, or in the one round there may be at a
    time."""

    __slots__ = ("_children", "current")

    def __init__(self, children: Children) -> None:
        self._children = children
        self.current: Round | None = None

    @property
    def is_initial(self) -> bool:
        """True until all children of the initial start have had their turn."""
        return self.current is not None and self.current.is_initial

    @property
    def restarts_alone(self) -> bool:
        """True if a failing child never takes others with it."""
        return self._children.options.strategy is Strategy.ONE_FOR_ONE

    def may_join(self, slot: Slot) -> bool:
        """Tell whether a failure of this child now belongs to the round that is stopping it anyway."""
        round = self.current
        return round is not None and round.phase is Phase.STOPPING and slot.spec.id in round.affected

    def begin_initial(self) -> None:
        """Start all children."""
        self.current = Round.starting(self._children.slots, self._children.now)

    def restart(self, slot: Slot, delay: float) -> None:
        """Restart a child that is down, and whoever else the strategy says, in *delay* seconds."""
        if self.restarts_alone:
            self.restart_alone(slot, delay)
        else:
            self._begin(slot, self._children.now + delay)

    def restart_alone(self, slot: Slot, delay: float) -> None:
        """Restart one child that is down, whatever the strategy; in the round's turn if it takes part in one."""
        round = self.current
        if round is None or round.phase is Phase.STARTING or slot.spec.id not in round.affected:
            self._set_alarm(slot, delay)
            if round is not None:
                round.leave(slot.spec.id)  # else its turn would come before its delay is over

    def start_soon(self, slot: Slot) -> None:
        """Start a child that is down as soon as a step begins, by request."""
        slot.state = ChildState.WAITING
        self._set_alarm(slot, 0.0)

    def due(self, slot: Slot) -> None:
        """Its time has come: start it, or let it take its turn, if somebody asked for it while there is a round."""
        if slot.starter is None:
            self._children.start(slot)
        else:
            start_for(self._children, self.current, slot, slot.starter)

    def give_up(self) -> None:
        """Nothing is started any more."""
        self.current = None
        self._children.alarms.clear((OURS, Alarm.ROUND))

    def begin_starting(self) -> None:
        """The backoff is over, and all are down."""
        round, slots = self.current, self._children.slots
        assert round is not None
        round.begin_starting()
        for id in round.affected:
            slot = slots.get(id)
            if slot is not None and slot.state is not ChildState.PARKED:
                assert not slot.is_alive, f"{id!r} is alive before its turn"
                slot.state = ChildState.WAITING

    def advance(self) -> bool:
        """Take the next step of the round, if there is one. True in the step in which the initial start is over."""
        round, children = self.current, self._children
        if round is None:
            return False
        if round.phase is Phase.STOPPING:
            # One that hangs is passed over by its siblings, but nobody is started before it has ended.
            if not children.stop_last(round.to_stop) and not any(map(self._is_alive, round.affected)):
                round.phase = Phase.WAITING
                children.alarms.set((OURS, Alarm.ROUND), round.due)
        elif round.phase is Phase.STARTING and not self._start_next(round):
            self.current = None
            return round.is_initial
        return False

    def _set_alarm(self, slot: Slot, delay: float) -> None:
        self._children.alarms.set((slot.spec.id, Alarm.RESTART), self._children.now + delay)

    def _begin(self, slot: Slot, due: float) -> None:
        children, round = self._children, self.current
        if round is not None and self.may_join(slot):
            # It is part of the round, and so is whoever the strategy says: to find out anew at each of many failures
            # would cost their number squared, and would bring back who was terminated meanwhile.
            round.due = max(round.due, due)
            return
        order = list(children.slots)
        ids = children.options.strategy.affected(order, slot.spec.id)
        if round is not None and round.phase is Phase.STOPPING:
            round.join(ids, order, due)
        else:
            # A round in progress affects the end of the order too: who still waits for its turn is among these, but
            # for those earlier in the order that were started by request.
            earlier = due if round is None else round.due
            is_initial = round is not None and round.is_initial
            both = (*ids, *self._asked_for(round))
            self.current = round = Round.restarting(both, max(due, earlier), is_initial=is_initial)
        children.alarms.clear((OURS, Alarm.ROUND))
        for id in round.affected:
            children.alarms.clear((id, Alarm.RESTART))  # from here on the round decides when they are started

    def _asked_for(self, round: Round | None) -> list[str]:
        """Give who waits for its turn in *round* because somebody asked for its start, and waits for the answer."""
        slots = self._children.slots
        waiting = [] if round is None else [slots[id] for id in round.affected if id in slots]
        return [each.spec.id for each in waiting if each.state is ChildState.WAITING and each.starter is not None]

    def _is_alive(self, id: str) -> bool:
        slot = self._children.slots.get(id)
        return slot is not None and slot.is_alive

    def _start_next(self, round: Round) -> bool:
        """Start the next child of the round, if none is on its way. False when all have had their turn."""
        children = self._children
        while round.to_start:
            id = round.to_start[-1]
            slot = children.slots.get(id)
            if slot is not None and slot.state in (ChildState.STARTING, ChildState.STOPPING):
                return True
            if slot is not None and slot.state is ChildState.WAITING:
                children.start(slot)
                return True
            round.to_start.pop()
        return False
