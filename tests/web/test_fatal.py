"""What follows when an embedded bus has ended by itself: decided without one."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.web._fatal import Call, GoOn, Reaction, Terminate, announcement, check_on_fatal, reaction


def notify(error: BaseException) -> None: ...


@pytest.mark.parametrize("on_fatal", ["terminate", "continue", notify])
def test_these_may_follow(on_fatal: Any) -> None:
    assert check_on_fatal(on_fatal) is on_fatal


@pytest.mark.parametrize("on_fatal", ["ignore", None, 70, ["terminate"]])
def test_what_cannot_follow_is_refused_with_what_can(on_fatal: Any) -> None:
    with pytest.raises(ValueError, match=r'on_fatal=.*: must be "terminate" .*, "continue", or a function'):
        check_on_fatal(on_fatal)


def test_terminate_is_sigterm() -> None:
    assert reaction("terminate", is_ending=False, may_signal=True) == Terminate()


def test_where_the_loop_is_a_guest_terminate_sends_no_signal() -> None:
    what = reaction("terminate", is_ending=False, may_signal=False)
    assert isinstance(what, GoOn)
    assert "no SIGTERM is sent" in what.why


def test_continue_goes_on() -> None:
    assert isinstance(reaction("continue", is_ending=False, may_signal=True), GoOn)


def test_a_function_is_called_wherever_the_loop_is() -> None:
    assert reaction(notify, is_ending=False, may_signal=False) == Call(notify)


@pytest.mark.parametrize("on_fatal", ["terminate", "continue", notify])
def test_nothing_follows_when_the_application_is_shutting_down_anyway(on_fatal: Any) -> None:
    assert reaction(on_fatal, is_ending=True, may_signal=True) == GoOn("the application is shutting down")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (Terminate(), "; SIGTERM to this process, so that"),
        (GoOn("the reason"), "; the reason"),
        (Call(notify), "; <function notify at "),
    ],
)
def test_the_log_says_what_has_ended_the_bus_and_what_follows(what: Reaction, said: str) -> None:
    text = announcement(ConnectionError("no\x1b[31m line\nof mine"), what)
    assert text.startswith(r"the bus has ended by itself, and takes no more events: ConnectionError: no\x1b[31m line")
    assert said in text
    assert text.isprintable()
