"""How a run has ended: from what was raised to the exit code and the text."""

from __future__ import annotations

import secrets
import time
from signal import SIGINT, SIGTERM
from typing import Any

import anyio
import pytest

from tocsin import ChildStartError, Envelope, Failure, RestartIntensityExceeded, ReturnedDelivery, StopReport
from tocsin._envelope import IdSource
from tocsin.cli._endings import (
    Ended,
    Ending,
    Exited,
    GaveUp,
    NoStore,
    NotStarted,
    account,
    ending_of,
    exit_code,
    summary,
)
from tocsin.cli._exit_codes import ExitCode
from tocsin.durable import StoreCorrupt, StoreUnavailable
from tocsin_supervisors import Unstopped
from tocsin_supervisors._intensity import Exceeded

HANGING = StopReport(unstopped=(Unstopped("shop/confirm", "/srv/shop.py:7 confirm"),))


def gave_up(failure: Failure | None = None, *, of_supervisor: bool = False) -> RestartIntensityExceeded:
    return RestartIntensityExceeded(
        "shop", "confirm", Exceeded("window", 2, 1, 60.0), failure, of_supervisor=of_supervisor
    )


def failure_of(error: Exception) -> Failure:
    try:
        raise error from OSError("cause")
    except type(error) as raised:
        return Failure.of(raised)


def with_returned(*, are_durable: tuple[bool, ...] = (False,)) -> StopReport:
    envelope = Envelope[Any](object(), IdSource(time.time, secrets.randbits))
    facts: dict[str, Any] = {"envelope": envelope, "subscription": "confirm", "attempts": 0, "was_in_flight": False}
    return StopReport(returned=tuple(ReturnedDelivery(**facts, is_durable=each) for each in are_durable))


# ── from what was raised ──


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (SystemExit(), Exited(0)),
        (SystemExit(3), Exited(3)),
        (SystemExit("bye"), Exited(1, "bye")),
        (KeyboardInterrupt(), Exited(130)),
    ],
)
def test_what_a_handler_ends_the_process_with_is_kept(error: BaseException, ending: Ending) -> None:
    assert ending_of(error) == ending


def test_a_tree_that_gave_up_and_an_actor_that_did_not_start_are_told_apart() -> None:
    given_up, not_started = gave_up(), ChildStartError("shop", "confirm", None)
    assert ending_of(given_up) == GaveUp(given_up)
    assert ending_of(not_started) == NotStarted(not_started)


@pytest.mark.parametrize("error", [ValueError("a bug"), anyio.EndOfStream()])
def test_an_error_that_is_no_ending_is_none(error: Exception) -> None:
    assert ending_of(error) is None


def test_of_several_the_handlers_exit_counts_most_then_why_the_tree_ended() -> None:
    given_up, not_started = gave_up(), ChildStartError("shop", "confirm", None)
    group = BaseExceptionGroup("both", [not_started, BaseExceptionGroup("inner", [given_up, ValueError()])])
    assert ending_of(group) == GaveUp(given_up)
    assert ending_of(BaseExceptionGroup("all", [group, SystemExit(4)])) == Exited(4)


# ── exit codes ──


@pytest.mark.parametrize(
    ("ending", "second", "code"),
    [
        (Ended(None), None, ExitCode.IN_ORDER),
        (Ended(StopReport()), None, ExitCode.IN_ORDER),
        (Ended(with_returned()), None, ExitCode.LEFT_OVER),
        (Ended(with_returned(are_durable=(True, True))), None, ExitCode.IN_ORDER),
        (Ended(with_returned(are_durable=(True, False))), None, ExitCode.LEFT_OVER),
        (Ended(StopReport(unpublished=("event",))), None, ExitCode.LEFT_OVER),
        (Ended(StopReport()), SIGINT, 130),
        (Ended(with_returned()), SIGTERM, 143),
        (Ended(HANGING), SIGTERM, ExitCode.GAVE_UP),
        (GaveUp(gave_up()), SIGTERM, ExitCode.GAVE_UP),
        (NotStarted(ChildStartError("shop", "confirm", None)), None, ExitCode.NOT_STARTED),
        (NoStore(StoreUnavailable("shop.db", "is in use")), None, ExitCode.NOT_STARTED),
        (NoStore(StoreCorrupt("shop.db", "is no store")), None, ExitCode.DAMAGED),
        (Exited(7), SIGTERM, 7),
    ],
)
def test_the_exit_code_says_how_it_ended(ending: Ending, second: Any, code: int) -> None:
    assert exit_code(ending, second) == code


# ── texts ──


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (Ended(None), "stopped before it had begun"),
        (Ended(StopReport()), "stopped"),
        (Ended(with_returned()), "stopped, 1 deliveries handed back"),
        (Ended(with_returned(are_durable=(True, True))), "stopped, 2 deliveries are in the store for the next run"),
        (
            Ended(with_returned(are_durable=(True, False))),
            "stopped, 1 deliveries handed back, 1 deliveries are in the store for the next run",
        ),
        (Ended(StopReport(unpublished=("event",))), "stopped, 1 posted events not published"),
        (Ended(HANGING), "stopped, 1 actors did not stop"),
        (Exited(3), "a handler ended the process with 3"),
        (Exited(1, "bye"), "a handler ended the process with 1: bye"),
        (NotStarted(ChildStartError("shop", "confirm", None)), "confirm of shop did not start"),
        (NoStore(StoreUnavailable("shop.db", "is in use")), "the store cannot be used: shop.db"),
    ],
)
def test_the_summary_is_one_line(ending: Ending, text: str) -> None:
    assert summary(ending) == text


def test_the_account_of_a_group_names_what_is_in_it() -> None:
    group = ExceptionGroup("unhandled", [OSError("port 80 is taken"), ValueError("and more")])
    lines = account(GaveUp(gave_up(failure_of(group)))).splitlines()
    assert [line[16:] for line in lines if "one of them" in line] == [
        "builtins.OSError: port 80 is taken",
        "builtins.ValueError: and more",
    ]


def test_the_account_of_a_store_says_what_is_wrong_with_it() -> None:
    told = account(NoStore(StoreUnavailable("shop.db", "is in use by another process")))
    assert "reason        store 'shop.db': is in use by another process" in told


def test_the_account_of_a_tree_that_gave_up_names_child_restarts_cause_and_place() -> None:
    lines = account(GaveUp(gave_up(failure_of(ConnectionError("postgres://shop:hunter2@db is down"))))).splitlines()
    told = {line[2:15].strip(): line[16:] for line in lines[1:]}
    assert lines[0].startswith("the supervision gave up: shop on confirm, 2 restarts within 60 s")
    assert told["child"] == "confirm"
    assert told["restarts"].startswith("2, the child's limit is 1")
    assert told["last failure"] == "builtins.ConnectionError: postgres://shop:***@db is down"
    assert told["caused by"] == "builtins.OSError: cause"
    assert told["at"].startswith("test_endings.py:failure_of:")


def test_the_account_says_whose_limit_it_was() -> None:
    assert "the supervisor's limit" in account(GaveUp(gave_up(of_supervisor=True)))


def test_the_account_of_an_actor_that_did_not_start_says_why() -> None:
    failure = failure_of(OSError("no such host"))
    assert "builtins.OSError: no such host" in account(NotStarted(ChildStartError("shop", "confirm", failure)))
    assert "too slow" in account(NotStarted(ChildStartError("shop", "confirm", None, "too slow")))


def test_a_failure_without_a_place_is_told_without_one() -> None:
    assert "  at " not in account(NotStarted(ChildStartError("shop", "confirm", Failure("builtins.OSError", "gone"))))


def test_the_account_of_a_stop_names_what_has_not_stopped_and_where() -> None:
    assert "shop/confirm, at /srv/shop.py:7 confirm" in account(Ended(HANGING))


@pytest.mark.parametrize("ending", [Ended(None), Exited(0)])
def test_there_is_no_more_to_say_of_other_ends(ending: Ending) -> None:
    assert account(ending) == summary(ending)
