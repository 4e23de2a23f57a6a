"""What a supervisor that runs does about requests: start, terminate, restart, delete a child.

| the child is      | start           | terminate          | restart    | delete     |
|-------------------|-----------------|--------------------|------------|------------|
| unknown           | added, started  | not found          | not found  | not found  |
| up, or stopping   | already started | stopped            | running    | running    |
| starting, waiting | already present | stopped, not again | restarting | restarting |
| down              | already present | nothing to do      | started    | forgotten  |

A restart may be asked for even if the child is up. Then one that lives is stopped, and started as soon as it is down;
that of which the start is awaited, waits no longer. Only where somebody else waits for its start, or it has let go of
what it is started with, it is as in the table. Whoever terminates it meanwhile wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ._children import ChildState
from ._options import refusal_of
from ._requests import Added, DeleteAsked, ReconfigureAsked, RestartAsked, StartAsked, TerminateAsked, Withdrawn
from ._rounds import start_for
from .exceptions import (
    BadCombination,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartError,
    TooManyChildren,
)

if TYPE_CHECKING:
    from ._children import ChildSpec
    from ._decisions_children import Children
    from ._requests import Request
    from ._rounds import Round
    from ._slots import Slot


def on_request(children: Children, round: Round | None, request: Request) -> None:
    """Carry out *request*, or refuse it with the typed error that says why."""
    match request:
        case StartAsked():
            _start(children, round, request)
        case Added():
            _add(children, round, request)
        case TerminateAsked():
            _terminate(children, round, request)
        case RestartAsked():
            _restart(children, round, request)
        case DeleteAsked():
            _delete(children, request)
        case Withdrawn():
            _withdraw(children, round, request)
        case ReconfigureAsked():
            _reconfigure(children, request)
        case _:
            assert_never(request)


def _start(children: Children, round: Round | None, request: StartAsked) -> None:
    id = request.spec.id
    slot = children.slots.get(id)
    if slot is None:
        error = _why_not_start(children, request.spec)
        if error is not None:
            children.refuse(request.token, error)
            return
        slot = children.add(request.spec)
        slot.is_new, slot.is_kept = True, request.keep
        start_for(children, round, slot, request.token)
    elif slot.state in (ChildState.RUNNING, ChildState.STOPPING):
        children.refuse(request.token, ChildAlreadyStarted(children.path, id))
    else:
        children.refuse(request.token, ChildAlreadyPresent(children.path, id))


def _add(children: Children, round: Round | None, request: Added) -> None:
    if request.spec.id not in children.slots:  # else somebody had one of this id started first
        start_for(children, round, children.add(request.spec), None)


def _why_not_start(children: Children, spec: ChildSpec) -> BadCombination | TooManyChildren | None:
    limit = children.options.max_children
    if limit is not None and len(children.slots) >= limit:
        return TooManyChildren(children.path, spec.id, limit)
    return refusal_of(spec, children.options, children.path)


def _restart(children: Children, round: Round | None, request: RestartAsked) -> None:
    slot = children.slots.get(request.child)
    error = _why_not_down(children, slot, request.child)
    if slot is not None and request.even_if_up and not slot.is_being_started and not slot.lives_once:
        _call_off(children, round, slot)
        error = None
    if slot is None or error is not None:
        children.refuse(request.token, error or ChildNotFound(children.path, request.child))
        return
    slot.absolve()
    slot.is_new = False
    if slot.is_alive:
        slot.is_ordered_down = True
        slot.comes_back_for = slot.asked_by = request.token
        children.stop(slot)
    else:
        start_for(children, round, slot, request.token)


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
    if slot.comes_back_for is not None:
        return ChildRestarting(children.path, id)
    if slot.state in (ChildState.RUNNING, ChildState.STOPPING):
        return ChildRunning(children.path, id)
    if slot.state is ChildState.STARTING or slot.is_awaited:
        return ChildRestarting(children.path, id)
    return None


def _terminate(children: Children, round: Round | None, request: TerminateAsked) -> None:
    slot = children.slots.get(request.child)
    if slot is None:
        children.refuse(request.token, ChildNotFound(children.path, request.child))
        return
    if slot.is_alive:
        slot.terminators += (request.token,)
    else:
        children.answer(request.token)
    _bring_down(children, round, slot)


def _withdraw(children: Children, round: Round | None, request: Withdrawn) -> None:
    slot = children.slots.get(request.child)
    if slot is None or slot.asked_by != request.token:
        return
    slot.starter = slot.comes_back_for = None
    slot.is_unwanted = slot.is_new
    _bring_down(children, round, slot)


def _bring_down(children: Children, round: Round | None, slot: Slot) -> None:
    """Have it down for good."""
    _call_off(children, round, slot)
    if slot.is_alive:
        slot.is_ordered_down = True
        children.stop(slot)
        return
    slot.state = ChildState.STOPPED
    if not children.keeps(slot):
        children.forget(slot)


def _call_off(children: Children, round: Round | None, slot: Slot) -> None:
    """Whatever was about to start it does not, and whoever waits for that is told."""
    if round is not None:
        round.leave(slot.spec.id)
    for token in (slot.starter, slot.comes_back_for):
        error = ChildStartError(children.path, slot.spec.id, None, "it was terminated before it was up")
        children.refuse(token, error)
    slot.starter = slot.comes_back_for = None
    slot.disarm(children.alarms)


def _reconfigure(children: Children, request: ReconfigureAsked) -> None:
    """Go on under other options: what is in progress goes on as it began, every later decision follows these."""
    children.options = request.options
    for spec in request.specs:
        slot = children.slots.get(spec.id)
        if slot is None:
            # Not started by itself, as in OTP: restart_child() starts it, in the order that the caller wants.
            children.add(spec).state = ChildState.STOPPED
        else:
            slot.spec = spec
    children.answer(request.token)
