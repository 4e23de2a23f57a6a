"""Failures that are not the child's own: of a cause that many fail of, or while a sibling that it needs is down.

Who fails so is *held*: started again when the one it waits for has proved itself (`_outbreaks.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._children import ChildState
from ._exits import Crashed, SuspendChild, Suspended
from ._outbreaks import PROOF, SPREAD, Outbreaks, Role, Ruling
from ._reports import ChildHeld, RestartScheduled
from ._slots import Alarm

if TYPE_CHECKING:
    from random import Random

    from ._decisions_children import Children
    from ._exits import Exit
    from ._rounds import Rounds
    from ._slots import Slot


@final
class Causes:
    """Knows what is wrong with many at the moment. Only where children are restarted alone: a strategy that restarts
    them together says itself who goes with whom."""

    __slots__ = ("_children", "_outbreaks", "_random", "_rounds")

    def __init__(self, children: Children, rounds: Rounds, random: Random) -> None:
        self._children = children
        self._rounds = rounds
        self._random = random
        self._outbreaks = Outbreaks()

    # ── holding ──

    def hold_for_needed(self, slot: Slot) -> bool:
        """Hold *slot*, which has failed, if one that it needs is about to be restarted; tell whether that is so."""
        if not slot.spec.needs or not self._rounds.restarts_alone or self._outbreaks.is_canary(slot.spec.id):
            return False
        # One that is down for good is nothing to wait for: then it has to fail, and be given up, on its own account.
        needed = next(filter(self._is_coming_back, slot.spec.needs), None)
        if needed is None:
            return False
        cause = f"needs {needed}"
        self._outbreaks.wait_for(needed, cause, slot.spec.id)
        self._hold(slot, needed, cause)
        return True

    def _is_coming_back(self, id: str) -> bool:
        slot = self._children.slots.get(id)
        # Who waits for somebody itself may wait for the very one that would wait for it here.
        is_due = slot is not None and slot.is_awaited and not self._outbreaks.is_held(id)
        return is_due or (slot is not None and slot.state is ChildState.STARTING)

    def ruling(self, slot: Slot, exit: Exit, *, is_charged: bool) -> Ruling:
        """Say what part *slot* plays among those failing of the same cause, and hold those recognised with it.
        *is_charged*: to the supervisor, unless it is held."""
        cause = cause_of(exit)
        if cause is None or not self._rounds.restarts_alone:
            return Ruling(Role.ALONE)
        children = self._children
        ruling = self._outbreaks.failed(slot.spec.id, cause, children.now, is_charged=is_charged)
        for id in ruling.joined:
            joined = children.slots.get(id)
            if joined is not None and joined.is_awaited:
                self._hold(joined, ruling.canary, cause)
            else:
                self._outbreaks.let_go(id)  # it has been started meanwhile, or is gone
        if ruling.role is Role.HELD:
            self._hold(slot, ruling.canary, cause)
        canary = children.slots.get(ruling.canary)
        if canary is not None and canary.state is ChildState.RUNNING:
            self.came_up(canary)
        return ruling

    def _hold(self, slot: Slot, canary: str, cause: str) -> None:
        slot.state = ChildState.SUSPENDED
        self._children.alarms.clear((slot.spec.id, Alarm.RESTART))
        self._children.tell(ChildHeld(**self._children.record(slot), canary=canary, cause=cause))

    # ── letting go ──

    def came_up(self, slot: Slot) -> None:
        """A canary has to prove itself from now on."""
        if self._outbreaks.is_canary(slot.spec.id):
            self._children.alarms.set((slot.spec.id, Alarm.PROOF), self._children.now + PROOF)

    def proved(self, canary: str) -> None:
        """The canary lives: start those that were held for it."""
        for id in self._outbreaks.proved(canary):
            self._start_held(id, self._random.uniform(0.0, SPREAD))

    def replace_lost_canaries(self) -> None:
        """Let another one try where the canary is down for good."""
        for canary in self._outbreaks.canaries():
            slot = self._children.slots.get(canary)
            if slot is None or not (slot.is_alive or slot.is_awaited):
                for id in self._outbreaks.lost(canary, self._is_waiting):
                    self._start_held(id, 0.0)

    def _is_waiting(self, id: str) -> bool:
        slot = self._children.slots.get(id)
        return slot is not None and slot.is_awaited

    def _start_held(self, id: str, delay: float) -> None:
        children = self._children
        if self._is_waiting(id):
            slot = children.slots[id]
            children.tell(RestartScheduled(**children.record(slot), delay=delay, restarts=slot.restarts))
            self._rounds.restart_alone(slot, delay)


def cause_of(exit: Exit) -> str | None:
    """Give what many may fail of at once: the type of the exception, or what a suspended child names."""
    match exit:
        case Suspended(failure=failure, error=SuspendChild(cause=cause)):
            return cause or failure.type
        case Crashed(failure=failure) | Suspended(failure=failure):
            return failure.type
        case _:
            return None
