"""The table of verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random
from typing import Any

import pytest

from tocsin_supervisors import DECODING_ERRORS, Backoff, Bury, DeadLetterReason, Retry, RetryPolicy, Verdict, decide

STEADY = Backoff(initial=1.0, maximum=8.0, jitter=0)
POLICY = RetryPolicy(max_attempts=3, backoff=STEADY)
POISONED = Bury(DeadLetterReason.HANDLER_ERROR)
HOPELESS = Bury(DeadLetterReason.NON_RETRYABLE)
LATE = Bury(DeadLetterReason.TIMEOUT)


def verdict(error: Exception, policy: RetryPolicy = POLICY, *, attempt: int = 1, timed_out: bool = False) -> Verdict:
    return decide(policy, attempt, error, timed_out=timed_out, random=Random(0))


def nested(error: Exception, depth: int) -> Exception:
    for _ in range(depth):
        error = ExceptionGroup("deeper", [error])
    return error


def test_an_error_is_retried_with_growing_delays_until_the_attempts_are_used_up() -> None:
    verdicts = [verdict(ValueError(), attempt=attempt) for attempt in (1, 2, 3)]
    assert verdicts == [Retry(1.0), Retry(2.0), POISONED]


def test_the_first_attempt_counts_so_one_attempt_never_retries() -> None:
    assert verdict(ValueError(), RetryPolicy(max_attempts=1)) == POISONED


def test_an_error_that_is_not_listed_is_not_retried() -> None:
    assert verdict(ValueError(), RetryPolicy(retry_on=(ConnectionError,))) == HOPELESS


def test_a_listed_error_is_retried_subclasses_included() -> None:
    assert isinstance(verdict(ConnectionResetError(), RetryPolicy(retry_on=(ConnectionError,))), Retry)


def test_never_wins_over_on() -> None:
    assert verdict(KeyError(), RetryPolicy(retry_on=(KeyError,), never_retry=(LookupError,))) == HOPELESS


def test_a_hopeless_error_of_the_last_attempt_is_called_hopeless() -> None:
    assert verdict(UnicodeError(), attempt=3) == HOPELESS


@pytest.mark.parametrize(
    "error",
    [json.JSONDecodeError("x", "y", 0), UnicodeDecodeError("utf-8", b"", 0, 1, "x")],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_decoded_is_buried_at_once(error: Exception) -> None:
    assert verdict(error) == HOPELESS


def test_the_validation_errors_of_libraries_are_known_by_name() -> None:
    pretended = type("ValidationError", (ValueError,), {"__module__": "pydantic_core._pydantic_core"})
    assert verdict(pretended()) == HOPELESS


def test_naming_the_errors_of_libraries_imports_none_of_them() -> None:
    libraries = {"cattrs", "google", "jsonschema", "marshmallow", "msgspec", "pydantic", "pydantic_core"}
    code = f"import sys, tocsin_supervisors; print({libraries} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


def test_a_group_is_retried_unless_all_its_leaves_forbid_it() -> None:
    mixed = ExceptionGroup("g", [UnicodeError(), ExceptionGroup("h", [OSError()])])
    hopeless = ExceptionGroup("g", [UnicodeError(), ExceptionGroup("h", [UnicodeError()])])
    assert isinstance(verdict(mixed), Retry)
    assert verdict(hopeless) == HOPELESS


def test_a_group_is_retried_for_one_leaf_that_is_listed() -> None:
    policy = RetryPolicy(retry_on=(ConnectionError,))
    assert isinstance(verdict(ExceptionGroup("g", [KeyError(), ConnectionError()]), policy), Retry)
    assert verdict(ExceptionGroup("g", [KeyError()]), policy) == HOPELESS


def test_a_group_that_is_itself_forbidden_is_not_judged_by_its_leaves() -> None:
    validation = type("BaseValidationError", (ExceptionGroup,), {"__module__": "cattrs.errors"})
    assert verdict(validation("g", [KeyError()])) == HOPELESS
    assert verdict(ExceptionGroup("outer", [validation("g", [KeyError()])])) == HOPELESS


def test_a_group_too_deep_to_be_judged_is_retried() -> None:
    assert isinstance(verdict(nested(UnicodeError(), 2_000)), Retry)


def test_a_timeout_is_retried_even_when_it_is_not_listed() -> None:
    policy = RetryPolicy(retry_on=(ConnectionError,), backoff=STEADY)
    assert verdict(TimeoutError(), policy, timed_out=True) == Retry(1.0)


def test_a_timeout_of_the_last_attempt_is_buried_as_such() -> None:
    assert verdict(TimeoutError(), attempt=3, timed_out=True) == LATE


@pytest.mark.parametrize("never", [(TimeoutError,), ("builtins.TimeoutError",), (OSError,)])
def test_a_timeout_that_is_never_retried_is_buried_at_once(never: Any) -> None:
    assert verdict(TimeoutError(), RetryPolicy(never_retry=never), timed_out=True) == LATE


def test_what_a_handler_raised_when_it_ran_out_of_time_may_forbid_the_retry() -> None:
    assert verdict(UnicodeError(), timed_out=True) == LATE


def test_a_timeout_error_of_the_handlers_own_is_an_ordinary_error() -> None:
    assert verdict(TimeoutError(), attempt=3) == POISONED


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="attempt=0 must be at least 1"):
        verdict(ValueError(), attempt=0)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_attempts": 0}, ValueError, "max_attempts=0 must be at least 1"),
        ({"max_attempts": True}, TypeError, "max_attempts=True"),
        ({"backoff": 1.0}, TypeError, "backoff"),
        ({"retry_on": ValueError}, TypeError, "must be a tuple, also for one class"),
        ({"never_retry": [ValueError]}, TypeError, "must be a tuple"),
        ({"retry_on": (int,)}, TypeError, "which is not an exception class"),
        ({"retry_on": (ValueError(),)}, TypeError, "exception classes or their qualified names are allowed"),
        ({"never_retry": ("ValueError",)}, ValueError, 'such as "builtins.ValueError"'),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RetryPolicy(**options)


def test_the_list_of_decoding_errors_can_be_extended() -> None:
    policy = RetryPolicy(never_retry=(*DECODING_ERRORS, KeyError))
    assert verdict(KeyError(), policy) == HOPELESS
