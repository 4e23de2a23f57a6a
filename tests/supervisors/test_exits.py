"""How an incarnation ended, told from what it raised; and which policy restarts after it."""

from __future__ import annotations

import pytest

from tocsin_supervisors import (
    Crashed,
    Exit,
    Failure,
    Fatal,
    Finished,
    ForeignCancellation,
    RenewChild,
    Renewed,
    RestartPolicy,
    Stopped,
    SuspendChild,
    Suspended,
)
from tocsin_supervisors._exits import exit_of


class Cancelled(BaseException):
    """Stands for the cancellation of a backend."""


class Odd(BaseException):
    """Neither an Exception nor a cancellation."""


def judged(error: BaseException | None, *, stop_requested: bool = False) -> Exit:
    return exit_of(error, cancelled=Cancelled, stop_requested=stop_requested)


def test_a_child_that_returned_has_finished_unless_it_was_to_stop() -> None:
    assert judged(None) == Finished()
    assert judged(None, stop_requested=True) == Stopped()


def test_a_crash_carries_a_snapshot_and_the_exception() -> None:
    error = ValueError("broken")
    exit = judged(error)
    assert isinstance(exit, Crashed)
    assert exit.failure.type == "builtins.ValueError"
    assert exit.error is error
    assert not exit.foreign_cancel


@pytest.mark.parametrize("error", [Cancelled(), BaseExceptionGroup("both", [Cancelled(), Cancelled()])])
def test_a_cancellation_that_nobody_asked_for_is_a_crash(error: BaseException) -> None:
    exit = judged(error)
    assert isinstance(exit, Crashed)
    assert exit.foreign_cancel
    assert isinstance(exit.error, ForeignCancellation)


@pytest.mark.parametrize("error", [Cancelled(), BaseExceptionGroup("both", [Cancelled(), Cancelled()])])
def test_a_cancellation_that_was_asked_for_is_a_clean_stop(error: BaseException) -> None:
    assert judged(error, stop_requested=True) == Stopped()


@pytest.mark.parametrize("error", [ValueError(), BaseExceptionGroup("mixed", [ValueError(), Cancelled()])])
def test_an_error_while_stopping_is_kept_in_the_stop(error: BaseException) -> None:
    exit = judged(error, stop_requested=True)
    assert isinstance(exit, Stopped)
    assert isinstance(exit.failure, Failure)


def test_a_group_of_an_error_and_cancellations_is_a_plain_crash() -> None:
    exit = judged(BaseExceptionGroup("mixed", [ValueError(), Cancelled()]))
    assert isinstance(exit, Crashed)
    assert not exit.foreign_cancel


@pytest.mark.parametrize("stop_requested", [False, True])
@pytest.mark.parametrize("fatal", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), Odd()])
def test_what_ends_programs_is_fatal_always(fatal: BaseException, stop_requested: bool) -> None:
    exit = judged(fatal, stop_requested=stop_requested)
    assert isinstance(exit, Fatal)
    assert exit.error is fatal


def test_a_fatal_leaf_wins_over_the_others() -> None:
    fatal = SystemExit(3)
    exit = judged(BaseExceptionGroup("mixed", [ValueError(), BaseExceptionGroup("inner", [Cancelled(), fatal])]))
    assert isinstance(exit, Fatal)
    assert exit.error is fatal


def test_a_generator_exit_in_a_group_is_a_crash() -> None:
    assert isinstance(judged(BaseExceptionGroup("group", [GeneratorExit()])), Crashed)


def test_requests_are_recognised_in_groups_and_a_crash_beside_them_wins() -> None:
    assert isinstance(judged(RenewChild()), Renewed)
    assert isinstance(judged(SuspendChild()), Suspended)
    assert isinstance(judged(BaseExceptionGroup("group", [RenewChild(), Cancelled()])), Renewed)
    assert isinstance(judged(ExceptionGroup("group", [RenewChild(), SuspendChild()])), Suspended)
    assert isinstance(judged(ExceptionGroup("group", [RenewChild(), ValueError()])), Crashed)


@pytest.mark.parametrize("request_", [RenewChild(), SuspendChild()])
def test_a_request_while_stopping_is_a_clean_stop(request_: Exception) -> None:
    assert judged(request_, stop_requested=True) == Stopped()


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception:
        return error


def chained(length: int) -> Exception:
    error: Exception = ValueError("innermost")
    for number in range(length):
        error, inner = KeyError(number), error
        error.__cause__ = inner
    return error


def renewal(error: Exception, *, after: Failure | None) -> RenewChild:
    request = RenewChild("its state may be damaged", after=after)
    request.__cause__ = error
    return request


@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        ValueError(),
        ValueError("x" * 5000),
        raised(ValueError("with a place")),
        ExceptionGroup("both", [ValueError("a"), KeyError("b")]),
        *map(chained, (1, 8, 9, 10, 11, 12)),
    ],
    ids=lambda error: repr(error)[:30],
)
def test_a_renewal_after_a_failure_says_what_it_would_say_if_that_were_told_anew(error: Exception) -> None:
    known = judged(renewal(error, after=Failure.of(error)))
    assert known == judged(renewal(error, after=None))


def test_a_renewal_that_was_raised_has_a_place_of_its_own() -> None:
    error = ValueError("broken")
    exit = judged(raised(renewal(error, after=Failure.of(error))))
    assert isinstance(exit, Renewed)
    assert "in raised" in exit.failure.traceback


FAILURE = Failure.of(ValueError())
RESTARTED = {
    RestartPolicy.PERMANENT: (True, True, True),
    RestartPolicy.TRANSIENT: (False, True, True),
    RestartPolicy.TEMPORARY: (False, False, False),
}


@pytest.mark.parametrize("policy", RestartPolicy)
def test_each_policy_restarts_after_its_exits(policy: RestartPolicy) -> None:
    exits = (Finished(), Crashed(FAILURE), Suspended(FAILURE))
    assert tuple(policy.restarts_after(each) for each in exits) == RESTARTED[policy]
