"""Which of several errors is raised, and without the group that a task group put around it."""

from __future__ import annotations

import anyio

from ._exits import ForeignCancellation
from ._failures import sort_leaves
from .exceptions import SupervisorNotRunning


def to_raise(
    held: BaseException | None, ended: BaseException | None, own: BaseException | None
) -> BaseException | None:
    """Choose what to raise of what the body raised, what ended the host group, and the supervisor's *own* error."""
    cancelled = anyio.get_cancelled_exc_class()
    if ended is not None and not isinstance(ended, cancelled):
        ended = gravest(ended)
    if isinstance(own, ForeignCancellation) and (held is not None or ended is not None):
        own = None  # who cancels every task there is means this one too, and the other one says it as well
    errors = [each for each in (held, ended, own) if each is not None and not _is_cancellation(each, cancelled)]
    if len(errors) > 1:
        return BaseExceptionGroup("the body and the supervisor failed at the same time", errors)
    # An error says more than the cancellation that came with it.
    return errors[0] if errors else held or ended


def only_says_that_it_ends(error: BaseException, supervisor: str) -> bool:
    """Tell whether *error* is nothing but the refusal of requests to *supervisor* because it ends or has ended."""
    leaves = sort_leaves(error, anyio.get_cancelled_exc_class())
    refusals = [each for each in leaves.ordinary if isinstance(each, SupervisorNotRunning)]
    others = len(leaves.ordinary) - len(refusals) + len(leaves.fatal)
    return bool(refusals) and not others and all(each.supervisor == supervisor for each in refusals)


def _is_cancellation(error: BaseException, cancelled: type[BaseException]) -> bool:
    leaves = sort_leaves(error, cancelled)
    return not leaves.ordinary and not leaves.fatal


def gravest(error: BaseException) -> BaseException:
    """Take the error that matters out of the group that a task group made of it."""
    leaves = sort_leaves(error, anyio.get_cancelled_exc_class())
    return next(iter((*leaves.fatal, *leaves.ordinary)), error)


def is_part_of(problem: BaseException | None, error: BaseException) -> bool:
    """Tell whether whoever is raised *problem* gets to see *error*: it is that, or its cause."""
    return problem is not None and (problem is error or problem.__cause__ is error)
