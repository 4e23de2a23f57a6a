"""How an attempt ends: what the handler gave back or raised, and what that means for its delivery and its actor."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, assert_never

import anyio

from tocsin_supervisors import Failure, safe_repr

from ._aftermath import attempt_failed, bad_result
from ._judgement import Deadly, Failed, Interrupted, judge
from .exceptions import FinishActor

if TYPE_CHECKING:
    from ._actor import Actor
    from ._delivery import AnyDelivery

_NEVER_RUN = (Awaitable, Generator, AsyncGenerator)  # results that stand for work which nobody would do


def returned_normally(actor: Actor, delivery: AnyDelivery, answer: Any) -> None:
    """The handler gave back *answer*."""
    if actor.may_be_cut and _is_cut(actor):
        # It swallowed our cancellation: too late to count, the delivery was being taken back.
        actor.interrupted(delivery)
    elif answer is not None and issubclass(type(answer), _NEVER_RUN):
        _refuse_result(actor, delivery, answer)
    else:
        actor.handled(delivery, answer)


def _refuse_result(actor: Actor, delivery: AnyDelivery, answer: Any) -> None:
    """The handler gave back something that was never run: it did nothing yet, so it cannot count as handled."""
    shown = safe_repr(answer)
    if isinstance(answer, Coroutine | Generator):
        answer.close()
    error = TypeError(
        f"the handler of {actor.name!r} returned {shown}, which nobody would run: await it, or return a value"
    )
    bad_result(actor, delivery, error)


def raised(actor: Actor, delivery: AnyDelivery, error: BaseException, *, overdue: bool) -> None:
    """The handler raised *error*, or was cancelled; raise again what is not ours to keep."""
    if issubclass(type(error), FinishActor):  # not isinstance: it may lie about its class
        actor.handled(delivery, None)
        actor.end_incarnation(error)
        return
    stopping = actor.may_be_cut
    cut = stopping and _is_cut(actor)
    judgement = judge(error, actor.run.cancelled, stopping=stopping, cut=cut, overdue=overdue)
    match judgement:
        case Interrupted(error=late):
            actor.interrupted(delivery)
            if late is not None:
                actor.run.log.stop_error(actor, Failure.of(late))
            # Else a group, in which the schedule decides whether a cancellation is: the run may miss that branch.
            if issubclass(type(error), actor.run.cancelled):  # pragma: no branch
                raise error
        case Failed():
            attempt_failed(actor, delivery, judgement)
        case Deadly(error=deadly):
            actor.interrupted(delivery)
            actor.end_incarnation(deadly)
            raise deadly
        case _:
            assert_never(judgement)


def _is_cut(actor: Actor) -> bool:
    """Say whether the supervisor has cancelled what runs: its task, wherever that is told of it."""
    return actor.was_cut or anyio.current_effective_deadline() == -math.inf
