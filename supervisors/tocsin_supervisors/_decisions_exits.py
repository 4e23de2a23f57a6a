"""What follows from the exit of an incarnation: who is told, who is restarted and when, or that the supervisor has
to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._children import ChildState
from ._decisions_reports import failure_to_start, tell_exit, tell_start_failed
from ._exits import Crashed, Fatal, Finished, Renewed, SuspendChild, Suspended
from ._intensity import RestartHistory
from ._outbreaks import PROOF, SPREAD, Outbreaks, Role, Ruling
from ._policies import RestartPolicy
from ._reports import ChildHeld, ChildParked, RestartScheduled, SupervisorGaveUp
from ._slots import Alarm
from .exceptions import ChildStartError, RestartIntensityExceeded

if TYPE_CHECKING:
    from random import Random

    from ._decisions_children import Children
    from ._exits import Exit
    from ._failures import Failure
    from ._intensity import Exceeded, RestartIntensity
    from ._rounds import Rounds
    from ._slots import Slot


@final
class Aftermath:
    """Keeps the supervisor's own restart history. Each method gives the error that the supervisor has to end with,
    if any."""

    __slots__ = ("_children", "_history", "_intensity", "_outbreaks", "_random", "_rounds")

    def __init__(self, children: Children, rounds: Rounds, intensity: RestartIntensity, random: Random) -> None:
        self._children = children
        self._rounds = rounds
        self._intensity = intensity
        self._random = random
        self._history = RestartHistory()
        self._outbreaks = Outbreaks()

    def of(self, slot: Slot, exit: Exit, *, is_ending: bool) -> BaseException | None:
        """Draw the conclusions from *exit*, the first of all that the incarnation is over."""
        was, children = slot.state, self._children
        children.ended(slot)
        for token in slot.terminators:
            children.answer(token)
        slot.terminators = []
        never_up = was is ChildState.STARTING or slot.is_late
        if never_up and not is_ending and not slot.is_ordered_down and not isinstance(exit, Fatal):
            return self._never_up(slot, exit)
        tell_exit(children, slot, exit)
        if isinstance(exit, Finished):
            slot.state = ChildState.FINISHED
        if isinstance(exit, Fatal):
            return exit.error
        return None if is_ending else self._was_up(slot, was, exit)

    def _was_up(self, slot: Slot, was: ChildState, exit: Exit) -> BaseException | None:
        policy = slot.spec.restart
        if slot.is_ordered_down:
            slot.is_ordered_down = False
            if slot.is_unwanted or policy is RestartPolicy.TEMPORARY:
                self._children.forget(slot)
        elif was is ChildState.STOPPING:
            self._stopped_in_round(slot)
        elif isinstance(exit, Renewed):
            slot.state = ChildState.WAITING
            self._rounds.restart_alone(slot, 0.0)
        elif policy is RestartPolicy.TEMPORARY:
            self._children.forget(slot)
        elif policy.restarts_after(exit):
            return self._restart(slot, exit)
        return None

    def _stopped_in_round(self, slot: Slot) -> None:
        if slot.spec.restart is RestartPolicy.TEMPORARY:
            self._children.forget(slot)  # a bystander: OTP does not bring it back either
        else:
            slot.restarts += 1
            slot.state = ChildState.WAITING

    # ── it never was up ──

    def _never_up(self, slot: Slot, exit: Exit) -> BaseException | None:
        if isinstance(exit, Finished) and slot.spec.restart is not RestartPolicy.PERMANENT:
            # It had nothing to do, which only a permanent child may not say.
            self._children.answer(slot.starter)
            slot.starter = None
            slot.state = ChildState.FINISHED
            tell_exit(self._children, slot, exit)
            return self._was_up(slot, ChildState.RUNNING, exit)
        failure, error = failure_to_start(slot, exit, was_late=slot.is_late)
        tell_start_failed(self._children, slot, failure)
        problem = ChildStartError(self._children.path, slot.spec.id, failure)
        problem.__cause__ = error
        if slot.starter is not None:
            self._refuse_start(slot, problem)
            return None
        if self._rounds.is_initial and not slot.was_up:
            return problem
        # A temporary child is started by the initial start or on request, so it does not come here.
        assert slot.spec.restart is not RestartPolicy.TEMPORARY
        return self._restart(slot, exit if isinstance(exit, Suspended) else Crashed(failure, error=error))

    def _refuse_start(self, slot: Slot, problem: ChildStartError) -> None:
        self._children.refuse(slot.starter, problem)
        slot.starter = None
        if slot.is_new or slot.spec.restart is RestartPolicy.TEMPORARY:
            self._children.forget(slot)

    # ── restarts ──

    def _restart(self, slot: Slot, exit: Exit) -> BaseException | None:
        children = self._children
        failure, error = _facts(exit)
        suspended = isinstance(exit, Suspended)
        exceeded = slot.history.charge(children.now, slot.spec.intensity, consecutive=not suspended)
        if exceeded is not None and slot.spec.on_exhausted == "park":
            slot.state = ChildState.PARKED
            children.tell(ChildParked(**children.record(slot), exceeded=exceeded, failure=failure))
            return None
        if exceeded is not None:
            return self._give_up(slot, exceeded, failure, error, of_supervisor=False)
        ruling = self._ruling(slot, exit)
        if not suspended and not self._rounds.may_join(slot) and ruling.role is not Role.HELD:
            # Rows are of one child's lives; over many children they would mean nothing. Suspensions pace themselves: an
            # outage under many children must not use up what is meant for crashes.
            exceeded = self._history.charge(children.now, self._intensity, consecutive=False)
        if exceeded is not None:
            return self._give_up(slot, exceeded, failure, error, of_supervisor=True)
        delay = slot.delay(self._random, suspended=suspended)
        slot.restarts += 1
        slot.state = ChildState.SUSPENDED if suspended else ChildState.WAITING
        if ruling.role is Role.HELD:
            self._hold(slot, ruling, cause_of(exit))
            return None
        children.tell(RestartScheduled(**children.record(slot), delay=delay, restarts=slot.restarts))
        self._rounds.restart(slot, delay)
        return None

    # ── a common cause ──

    def _ruling(self, slot: Slot, exit: Exit) -> Ruling:
        """Say what part *slot* plays among those failing of the same cause, and hold those recognised with it."""
        cause = cause_of(exit)
        if cause is None or not self._rounds.restarts_alone:
            return Ruling(Role.ALONE)
        children = self._children
        ruling = self._outbreaks.failed(slot.spec.id, cause, children.now)
        if isinstance(exit, Crashed):
            self._history.forgive(len(ruling.joined))
        for id in ruling.joined:
            joined = children.slots.get(id)
            if joined is not None and joined.is_awaited:
                self._hold(joined, ruling, cause)
            else:
                self._outbreaks.let_go(id)  # it has been started meanwhile, or is gone
        canary = children.slots.get(ruling.canary)
        if canary is not None and canary.state is ChildState.RUNNING:
            self.came_up(canary)
        return ruling

    def _hold(self, slot: Slot, ruling: Ruling, cause: str | None) -> None:
        slot.state = ChildState.SUSPENDED
        self._children.alarms.clear((slot.spec.id, Alarm.RESTART))
        self._children.tell(ChildHeld(**self._children.record(slot), canary=ruling.canary, cause=cause or ""))

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
                for id in self._outbreaks.lost(canary):
                    self._start_held(id, 0.0)

    def _start_held(self, id: str, delay: float) -> None:
        children = self._children
        slot = children.slots.get(id)
        if slot is not None and slot.is_awaited:
            children.tell(RestartScheduled(**children.record(slot), delay=delay, restarts=slot.restarts))
            self._rounds.restart_alone(slot, delay)

    # ── giving up ──

    def _give_up(
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


def _facts(exit: Exit) -> tuple[Failure | None, BaseException | None]:
    """Give what is known about a failure; a permanent child that returned has none."""
    match exit:
        case Crashed(failure=failure, error=error) | Suspended(failure=failure, error=error):
            return failure, error
        case _:
            return None, None


def cause_of(exit: Exit) -> str | None:
    """Give what many may fail of at once: the type of the exception, or what a suspended child names."""
    match exit:
        case Suspended(failure=failure, error=SuspendChild(cause=cause)):
            return cause or failure.type
        case Crashed(failure=failure) | Suspended(failure=failure):
            return failure.type
        case _:
            return None
