"""What follows from the exit of an incarnation: who is told, whether it is restarted, or that the supervisor has to
end."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from ._children import ChildState
from ._decisions_reports import failure_to_start, tell_exit, tell_start_failed
from ._exits import Crashed, Declined, Fatal, Finished, Renewed, Suspended
from ._options import AutoShutdown
from ._policies import RestartPolicy
from ._reports import SupervisorFinished
from ._requests import DECLINED
from .exceptions import ChildStartError

if TYPE_CHECKING:
    from ._decisions_children import Children
    from ._decisions_restarts import Restarts
    from ._exits import Exit
    from ._rounds import Rounds
    from ._slots import Slot


@final
@attrs.frozen
class Ending:
    """The supervisor has to end: with an error, or because its significant children have ended."""

    error: BaseException | None


@final
class Aftermath:
    """Draws the conclusions. Each method gives the `Ending`, if the supervisor has to."""

    __slots__ = ("_children", "_restarts", "_rounds")

    def __init__(self, children: Children, rounds: Rounds, restarts: Restarts) -> None:
        self._children = children
        self._rounds = rounds
        self._restarts = restarts

    def of(self, slot: Slot, exit: Exit, *, is_ending: bool) -> Ending | None:
        """Draw the conclusions from *exit*, the first of all that the incarnation is over."""
        was, children = slot.state, self._children
        children.ended(slot)
        for token in slot.terminators:
            children.answer(token)
        slot.terminators = ()
        never_up = was is ChildState.STARTING or slot.is_late
        if never_up and not is_ending and not slot.is_ordered_down and not isinstance(exit, Fatal):
            return self._never_up(slot, exit)
        if isinstance(exit, Declined):
            exit = Crashed(exit.failure)  # too late to decline
        tell_exit(children, slot, exit)
        if isinstance(exit, Finished):
            slot.state = ChildState.FINISHED
        if isinstance(exit, Fatal):
            return Ending(exit.error)
        return None if is_ending else self._was_up(slot, was, exit)

    def _was_up(self, slot: Slot, was: ChildState, exit: Exit) -> Ending | None:
        if slot.is_ordered_down:
            slot.is_ordered_down = False
            self._obeyed(slot)
        elif was is ChildState.STOPPING:
            self._stopped_in_round(slot)
        elif isinstance(exit, Renewed) and not slot.lives_once:
            slot.state = ChildState.WAITING
            self._rounds.restart_alone(slot, 0.0)
        elif slot.spec.restart.restarts_after(exit):
            return self._restart(slot, exit)
        else:
            return self._ended_by_itself(slot)
        return None

    def _restart(self, slot: Slot, exit: Exit) -> Ending | None:
        problem = self._restarts.restart(slot, exit)
        return None if problem is None else Ending(problem)

    def _obeyed(self, slot: Slot) -> None:
        """It is down by request: for good, or to be started anew."""
        token, slot.comes_back_for = slot.comes_back_for, None
        if token is None:
            self._leave_down(slot)
        else:
            slot.starter = token
            self._rounds.start_soon(slot)

    def _leave_down(self, slot: Slot) -> None:
        if not self._children.keeps(slot):
            self._children.forget(slot)

    def _stopped_in_round(self, slot: Slot) -> None:
        if slot.spec.restart is RestartPolicy.TEMPORARY:
            # A bystander: OTP does not bring it back either.
            reason = "it was stopped along with another child before it was up"
            self._refuse_start(slot, ChildStartError(self._children.path, slot.spec.id, None, reason))
        else:
            slot.restarts += 1
            slot.state = ChildState.WAITING

    def _ended_by_itself(self, slot: Slot) -> Ending | None:
        """It is not started again, and nobody had asked it to end."""
        children = self._children
        self._leave_down(slot)
        if not slot.spec.significant or children.options.auto_shutdown is AutoShutdown.NEVER:
            return None
        if children.options.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT and _any_counts(children.slots):
            return None
        children.tell(SupervisorFinished(**children.record(slot)))
        return Ending(None)

    # ── it never was up ──

    def _never_up(self, slot: Slot, exit: Exit) -> Ending | None:
        if isinstance(exit, Declined):
            self._declined(slot, exit)
            return None
        if isinstance(exit, Finished) and slot.spec.restart is not RestartPolicy.PERMANENT:
            # It had nothing to do, which only a permanent child may not say.
            self._tell_declined(slot)
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
            return Ending(problem)
        crash = exit if isinstance(exit, Suspended) else Crashed(failure, error=error)
        # As if it had been up: its policy decides, which may have been changed since its last start.
        return self._was_up(slot, ChildState.RUNNING, crash)

    def _declined(self, slot: Slot, exit: Declined) -> None:
        """Left down, as in OTP; a restart of its group asks it again. It has not lived, so it has not ended."""
        self._tell_declined(slot)
        tell_exit(self._children, slot, exit)
        self._leave_down(slot)

    def _tell_declined(self, slot: Slot) -> None:
        self._children.answer(slot.starter, DECLINED)
        slot.starter = None

    def _refuse_start(self, slot: Slot, problem: ChildStartError) -> None:
        self._children.refuse(slot.starter, problem)
        slot.starter = None
        if slot.is_new or not self._children.keeps(slot):
            self._children.forget(slot)


def _any_counts(slots: dict[str, Slot]) -> bool:
    # From both ends: thousands that end in the order of their start, or in reverse, would be passed over each time.
    both_ways = zip(slots.values(), reversed(slots.values()), strict=True)
    return any(_counts(first) or _counts(last) for first, last in both_ways)


def _counts(slot: Slot) -> bool:
    return slot.spec.significant and (slot.is_alive or slot.is_awaited)
