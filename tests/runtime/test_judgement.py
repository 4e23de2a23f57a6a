"""What an attempt that raised means, told from its leaves and from what the runtime had asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.runtime.failing import MakeBus, run_until_it_ends
from tocsin._judgement import AttemptTimedOut, Deadly, Failed, Interrupted, Judgement, judge
from tocsin_supervisors import ForeignCancellation

CANCELLED = asyncio.CancelledError


def judged(error: BaseException, *, stopping: bool = False, cut: bool = False, overdue: bool = False) -> Judgement:
    return judge(error, CANCELLED, stopping=stopping, cut=cut, overdue=overdue)


def deep_group(depth: int, leaf: Exception) -> Exception:
    for _ in range(depth):
        leaf = ExceptionGroup("", [leaf])
    return leaf


def test_an_exception_fails_the_attempt() -> None:
    error = ValueError("no")
    assert judged(error) == Failed(error)


def test_an_exception_in_time_is_not_a_timeout_even_if_it_is_a_timeout_error() -> None:
    error = TimeoutError("the handler's own")
    assert judged(error) == Failed(error, timed_out=False)


def test_an_exception_after_the_time_limit_is_a_timeout() -> None:
    error = ValueError("raised while it cleaned up")
    assert judged(error, overdue=True) == Failed(error, timed_out=True)


def test_a_group_is_kept_whole() -> None:
    error = ExceptionGroup("two", [ValueError("a"), KeyError("b")])
    assert judged(error) == Failed(error)


@pytest.mark.parametrize("depth", [1_500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_group_too_deep_to_be_split_fails_the_attempt(depth: int) -> None:
    judgement = judged(deep_group(depth, ValueError("at the bottom")))
    assert isinstance(judgement, Failed)
    assert not judgement.foreign


def test_a_cancellation_that_nobody_asked_for_is_foreign() -> None:
    judgement = judged(CANCELLED())
    assert isinstance(judgement, Failed)
    assert judgement.foreign
    assert isinstance(judgement.error, ForeignCancellation)


def test_a_group_of_nothing_but_cancellations_is_foreign() -> None:
    judgement = judged(BaseExceptionGroup("", [CANCELLED(), CANCELLED()]))
    assert isinstance(judgement, Failed)
    assert judgement.foreign


def test_a_foreign_cancellation_found_by_the_server_is_foreign() -> None:
    error = ForeignCancellation("somebody cancelled its scope")
    assert judged(error) == Failed(error, foreign=True)


def test_a_cancellation_by_the_time_limit_is_a_timeout() -> None:
    judgement = judged(CANCELLED(), overdue=True)
    assert isinstance(judgement, Failed)
    assert judgement.timed_out
    assert isinstance(judgement.error, AttemptTimedOut)


def test_one_error_among_cancellations_is_taken_out_of_its_group() -> None:
    error = ValueError("no")
    assert judged(BaseExceptionGroup("mixed", [error, CANCELLED(), CANCELLED()])) == Failed(error)


def test_several_errors_among_cancellations_stay_a_group() -> None:
    first, second = ValueError("a"), KeyError("b")
    judgement = judged(BaseExceptionGroup("mixed", [first, CANCELLED(), second]))
    assert isinstance(judgement, Failed)
    group: Any = judgement.error
    assert type(group) is ExceptionGroup
    assert group.exceptions == (first, second)
    assert group.message == "mixed"


def test_a_cancellation_while_stopping_interrupts() -> None:
    assert judged(CANCELLED(), stopping=True) == Interrupted()


def test_an_error_in_the_cleanup_of_a_cut_attempt_interrupts_and_is_kept() -> None:
    error = ValueError("while cleaning up")
    assert judged(error, stopping=True, cut=True) == Interrupted(error)


def test_an_error_beside_the_cancellation_of_a_cut_attempt_interrupts_and_is_kept() -> None:
    error = ValueError("while cleaning up")
    assert judged(BaseExceptionGroup("", [CANCELLED(), error]), stopping=True, cut=True) == Interrupted(error)


def test_an_error_within_the_grace_period_is_a_failure_like_any_other() -> None:
    error = ValueError("no")
    assert judged(error, stopping=True) == Failed(error)


def test_an_error_with_cancelled_siblings_within_the_grace_period_is_a_failure() -> None:
    error = ValueError("no")
    assert judged(BaseExceptionGroup("", [error, CANCELLED()]), stopping=True) == Failed(error)


@pytest.mark.parametrize("fatal", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), BaseException("own")])
@pytest.mark.parametrize("stopping", [False, True])
def test_what_ends_programs_goes_through(fatal: BaseException, *, stopping: bool) -> None:
    assert judged(fatal, stopping=stopping, cut=stopping) == Deadly(fatal)


def test_what_ends_programs_wins_over_everything_else_in_a_group_and_says_where_it_was() -> None:
    fatal = SystemExit(3)
    judgement = judged(BaseExceptionGroup("", [ValueError("no"), CANCELLED(), fatal]), stopping=True, overdue=True)
    assert judgement == Deadly(fatal)
    assert fatal.__notes__ == ["it was raised inside of an exception group"]


def test_a_generator_exit_in_a_group_is_a_failure() -> None:
    inner = GeneratorExit()
    judgement = judged(BaseExceptionGroup("a generator held a task group", [inner]))
    assert isinstance(judgement, Failed)
    assert judgement.error.__cause__ is inner


async def test_a_bus_raises_the_deadly_one_of_a_group_and_not_the_group(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(str)
    async def subject(text: str) -> None:
        raise BaseExceptionGroup("both", [ValueError("no"), SystemExit(3)])

    with pytest.raises(SystemExit) as caught:
        await run_until_it_ends(bus, "text")
    assert caught.value.code == 3
    assert len(bus.dead_letters) == 0
