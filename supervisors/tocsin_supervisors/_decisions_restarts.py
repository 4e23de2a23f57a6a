"""Whether a child that failed is restarted, and what that is charged to; or parked; or that the supervisor gives up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

import attrs

from ._children import ChildState
from ._decisions_causes import Causes
from ._directives import TellAbove
from ._exits import Crashed, Suspended
from ._intensity import RestartHistory
from ._outbreaks import Role
from ._reports import ChildParked, RestartScheduled, SupervisorGaveUp
from ._slots import Alarm
from .exceptions import RestartIntensityExceeded

if TYPE_CHECKING:
    from random import Random

    from ._decisions_children import Children
    from ._directives import RestartsBelow
    from ._exits import Exit
    from ._failures import Failure
    from ._intensity import Exceeded
    from ._rounds import Rounds
    from ._slots import Slot


@final
class Restarts:
    """Keeps the supervisor's own restart histories. Each method gives the error that the supervisor has to end with,
    if any."""

    __slots__ = ("_children", "_history", "_random", "_rounds", "_subtree", "causes")

    def __init__(self, children: Children, rounds: Rounds, random: Random) -> None:
        self._children = children
        self._rounds = rounds
        self._random = random
        self._history = RestartHistory()  # of the children
        self._subtree = RestartHistory()  # of these, and of all that is below them
        self.causes = Causes(children, rounds, random)

    def restart(self, slot: Slot, exit: Exit) -> RestartIntensityExceeded | None:
        """Restart a child that ended by itself, or find that this has been done too often."""
        if self.causes.hold_for_needed(slot):
            slot.restarts += 1
            return None
        suspended = isinstance(exit, Suspended)
        exceeded = slot.history.charge(self._children.now, slot.spec.intensity, consecutive=not suspended)
        if exceeded is not None and slot.spec.on_exhausted == "park":
            self._park(slot, exceeded, exit)
            return None
        if exceeded is not None:
            return self._give_up(slot, exceeded, exit, of_supervisor=False)
        is_held, exceeded = self._charge_supervisor(slot, exit)
        if exceeded is not None:
            return self._give_up(slot, exceeded, exit, of_supervisor=True)
        delay = slot.delay(self._random, suspended=suspended)
        slot.restarts += 1
        if is_held:
            return None
        slot.state = ChildState.SUSPENDED if suspended else ChildState.WAITING
        self._schedule(slot, delay)
        self._rounds.restart(slot, delay)
        return None

    def _schedule(self, slot: Slot, delay: float) -> None:
        children = self._children
        children.tell(RestartScheduled(**children.record(slot), delay=delay, restarts=slot.restarts))

    # ── charging ──

    def _charge_supervisor(self, slot: Slot, exit: Exit) -> tuple[bool, Exceeded | None]:
        """Charge a restart to the supervisor; tell whether the child is held, and which limit that breaks.

        Suspensions pace themselves: an outage under many children must not use up what is meant for crashes. What
        joins a round, or an outbreak, is part of a failure that was charged already.
        """
        is_charged = not isinstance(exit, Suspended) and not self._rounds.may_join(slot)
        ruling = self.causes.ruling(slot, exit, is_charged=is_charged)
        is_held = ruling.role is Role.HELD
        if ruling.forgiven:
            self._forgive(ruling.forgiven)
        if is_held or not is_charged:
            return is_held, None
        # Rows are of one child's lives; over many children they would mean nothing.
        exceeded = self._history.charge(self._children.now, self._children.options.intensity, consecutive=False)
        failure, _ = facts_of(exit)
        return is_held, exceeded or self._charge_subtree(1, failure)

    def _forgive(self, count: int) -> None:
        self._history.forgive(count)
        self._charge_subtree(-count, None)

    def _charge_subtree(self, count: int, failure: Failure | None) -> Exceeded | None:
        children = self._children
        children.directives.append(TellAbove(count, failure))
        intensity = children.options.subtree_intensity
        if intensity is None:
            return None
        if count < 0:
            self._subtree.forgive(-count)
            return None
        exceeded = self._subtree.charge(children.now, intensity, consecutive=False)
        return None if exceeded is None else attrs.evolve(exceeded, rule="subtree")

    def below(self, slot: Slot, fact: RestartsBelow) -> RestartIntensityExceeded | None:
        """Note what a supervisor among the children has charged itself for."""
        exceeded = self._charge_subtree(fact.count, fact.failure)
        if exceeded is None:
            return None
        return self._gave_up(slot, exceeded, fact.failure, None, of_supervisor=True)

    # ── giving up ──

    def _park(self, slot: Slot, exceeded: Exceeded, exit: Exit) -> None:
        children = self._children
        slot.state = ChildState.PARKED
        failure, _ = facts_of(exit)
        children.tell(ChildParked(**children.record(slot), exceeded=exceeded, failure=failure))
        if slot.spec.unpark_after < math.inf:
            children.alarms.set((slot.spec.id, Alarm.UNPARK), children.now + slot.spec.unpark_after)

    def unpark(self, slot: Slot) -> None:
        """It has rested for long enough."""
        slot.absolve()
        slot.restarts += 1
        slot.state = ChildState.WAITING
        self._schedule(slot, 0.0)
        self._rounds.restart_alone(slot, 0.0)

    def _give_up(self, slot: Slot, exceeded: Exceeded, exit: Exit, *, of_supervisor: bool) -> RestartIntensityExceeded:
        failure, error = facts_of(exit)
        return self._gave_up(slot, exceeded, failure, error, of_supervisor=of_supervisor)

    def _gave_up(
        self,
        slot: Slot,
        exceeded: Exceeded,
        failure: Failure | None,
        error: BaseException | None,
        *,
        of_supervisor: bool,
    ) -> RestartIntensityExceeded:
        children = self._children
        record = children.record(slot)
        children.tell(SupervisorGaveUp(**record, exceeded=exceeded, of_supervisor=of_supervisor, failure=failure))
        problem = RestartIntensityExceeded(children.path, slot.spec.id, exceeded, failure, of_supervisor=of_supervisor)
        problem.__cause__ = error
        return problem


def facts_of(exit: Exit) -> tuple[Failure | None, BaseException | None]:
    """Give what is known about a failure; a permanent child that returned has none."""
    match exit:
        case Crashed(failure=failure, error=error) | Suspended(failure=failure, error=error):
            return failure, error
        case _:
            return None, None
