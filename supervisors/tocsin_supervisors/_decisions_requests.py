"""What a supervisor that runs does about requests: start, terminate, restart, delete a child.

| the child is      | start           | terminate          | restart    | delete     |
|-------------------|-----------------|--------------------|------------|------------|
| unknown           | added, started  | not found          | not found  | not found  |
| up, or stopping   | already started | stopped            | running    | running    |
| starting, waiting | already present | stopped, not again | restarting | restarting |
| down              | already present | nothing to do      | started    | forgotten  |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ._children import ChildState
from ._directives import DeleteAsked, RestartAsked, StartAsked, TerminateAsked, Withdrawn
from ._policies import RestartPolicy
from ._slots import Alarm
from .exceptions import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartError,
)

if TYPE_CHECKING:
    from ._decisions_children import Children
    from ._directives import Request
    from ._rounds import Round
    from ._slots import Slot


def on_request(children: Children, round: Round | None, request: Request) -> None:
    """Carry out *request*, or refuse it with the typed error that says why."""
    match request:
        case StartAsked():
            _start(children, round, request)
        case TerminateAsked():
            _terminate(children, round, request)
        case RestartAsked():
            _restart(children, round, request)
        case DeleteAsked():
            _delete(children, request)
        case Withdrawn():
            _withdraw(children, round, request)
        case _:
            assert_never(request)


def _start(children: Children, round: Round | None, request: StartAsked) -> None:
    id = request.spec.id
    slot = children.slots.get(id)
    if slot is None:
        slot = children.add(request.spec)
        slot.is_new = True
        _start_for(children, round, slot, request.token)
    elif slot.state in (ChildState.RUNNING, ChildState.STOPPING):
        children.refuse(request.token, ChildAlreadyStarted(children.path, id))
    else:
        children.refuse(request.token, ChildAlreadyPresent(children.path, id))


def _restart(children: Children, round: Round | None, request: RestartAsked) -> None:
    slot = children.slots.get(request.child)
    error = _why_not_down(children, slot, request.child)
    if slot is None or error is not None:
        children.refuse(request.token, error or ChildNotFound(children.path, request.child))
        return
    slot.history.clear()  # somebody has looked at it: it gets all its chances again
    slot.suspensions = 0
    slot.is_new = False
    _start_for(children, round, slot, request.token)


def _delete(children: Children, request: DeleteAsked) -> None:
    slot = children.slots.get(request.child)
    error = _why_not_down(children, slot, request.child)
    if slot is None or error is not None:
        children.refuse(request.token, error or ChildNotFound(children.path, request.child))
        return
    children.forget(slot)
    children.answer(request.token)


def _why_not_down(children: Children, slot: Slot | None, id: str) -> ChildRunning | ChildRestarting | None:
    if slot is None:
        return None
    if slot.state in (ChildState.RUNNING, ChildState.STOPPING):
        return ChildRunning(children.path, id)
    if slot.state is ChildState.STARTING or slot.is_awaited:
        return ChildRestarting(children.path, id)
    return None


def _start_for(children: Children, round: Round | None, slot: Slot, token: int) -> None:
    slot.starter = slot.asked_by = token
    if round is None:
        children.start(slot)
    else:
        # Others are being started or stopped in order: it takes its turn, which is the last.
        slot.state = ChildState.WAITING
        round.leave(slot.spec.id)
        round.add(slot.spec.id)


def _terminate(children: Children, round: Round | None, request: TerminateAsked) -> None:
    slot = children.slots.get(request.child)
    if slot is None:
        children.refuse(request.token, ChildNotFound(children.path, request.child))
        return
    if slot.is_alive:
        slot.terminators.append(request.token)
    else:
        children.answer(request.token)
    _bring_down(children, round, slot)


def _withdraw(children: Children, round: Round | None, request: Withdrawn) -> None:
    slot = children.slots.get(request.child)
    if slot is None or slot.asked_by != request.token:
        return
    slot.starter = None
    slot.is_unwanted = slot.is_new
    _bring_down(children, round, slot)


def _bring_down(children: Children, round: Round | None, slot: Slot) -> None:
    """Have it down for good: whatever was about to start it is called off."""
    if round is not None:
        round.leave(slot.spec.id)
    error = ChildStartError(children.path, slot.spec.id, None, "it was terminated before it was up")
    children.refuse(slot.starter, error)
    slot.starter = None
    children.alarms.clear((slot.spec.id, Alarm.RESTART))
    if slot.is_alive:
        slot.is_ordered_down = True
        children.stop(slot)
        return
    slot.state = ChildState.STOPPED
    if slot.is_unwanted or slot.spec.restart is RestartPolicy.TEMPORARY:
        children.forget(slot)
