"""The promises about lives, stops and what is kept, each with a trace in which it is broken."""

from __future__ import annotations

import pytest

from tests.testing.scripted_traces import Script
from tocsin import (
    ChildFinished,
    ChildRemoved,
    ChildRenewed,
    ChildStopped,
    DeadLettered,
    DeadLetterReason,
    DeliveryDeadLettered,
    Failure,
    Returned,
    StopFailed,
    StopTimedOut,
)

FAILURE = Failure.of(ValueError())


# ── lives ──


def test_lives_that_follow_one_another_break_nothing() -> None:
    assert Script().up("s").crash("s").up("s", 2).stopping().down("s", 2).broken() == []


def test_a_stop_that_failed_ends_a_life_like_any_other() -> None:
    script = Script().up("s").down("s", 1, StopFailed, failure=FAILURE)
    assert script.report(ChildRemoved, supervisor="bus", child="s").up("s", 2).broken() == []


def test_incarnations_are_to_be_numbered_upwards() -> None:
    assert Script().up("s", 2).crash("s", 2).up("s", 1).broken() == ["I8: incarnation 1 of s was up after 2"]


def test_there_is_to_be_one_incarnation_at_a_time() -> None:
    assert Script().up("s").up("s", 2).broken() == ["I8: incarnation 2 of s was up beside 1"]


def test_no_other_incarnation_is_to_end_than_the_one_that_is_up() -> None:
    assert Script().up("s", 2).crash("s", 1).broken() == ["I8: incarnation 1 of s ended while 2 was up"]


def test_an_incarnation_is_to_handle_nothing_after_its_end() -> None:
    tree = Script().up("s").crash("s")
    assert tree.publish(0).handle(0).broken() == ["I8: step 7: event 0 for s began in incarnation 1, which had ended"]


def test_an_incarnation_is_not_to_end_while_it_handles() -> None:
    tree = Script().up("s")
    tree.publish(0).start(0)
    assert tree.crash("s").end(0).settle(0).broken() == [
        "I8: step 6: event 0 for s went on when its incarnation 1 had ended"
    ]


def test_two_incarnations_are_not_to_handle_at_the_same_time() -> None:
    script = Script(concurrency=2).publish(0).publish(1).start(0).start(1, incarnation=2)
    script.end(0).end(1, incarnation=2).settle(0).settle(1)
    assert script.broken() == ["I8: step 10: event 1 for s began in incarnation 2 while another one was handling"]


# ── the stop ──


def test_actors_are_to_be_stopped_in_reverse() -> None:
    tree = Script().up("a").up("b").up("c").stopping()
    assert tree.down("c").down("a").down("b").broken() == ["I15: b was stopped after a, which was started before it"]
    assert Script().up("a").up("b").stopping().down("b").down("a").broken() == []


def test_one_that_does_not_stop_in_time_is_passed() -> None:
    tree = Script().up("a").up("b").stopping()
    tree.report(StopTimedOut, supervisor="bus", child="b", incarnation=1, line="here")
    assert tree.down("a").down("b").broken() == []


def test_when_the_time_is_over_the_order_is_any() -> None:
    tree = Script().up("a").up("b").stopping()
    tree.trace.shutdown_deadline = 1.0
    assert tree.down("a", kind=ChildStopped, at=9.0).down("b", kind=ChildStopped, at=9.0).broken() == []


def test_what_ends_by_itself_is_in_no_order() -> None:
    tree = Script().up("a").up("b").stopping()
    assert tree.down("a", kind=ChildFinished).down("b").broken() == []
    assert Script().up("a").down("a", kind=ChildRenewed, failure=FAILURE).broken() == []


def test_nothing_is_to_be_taken_while_the_bus_stops() -> None:
    script = Script().phase("stopping")
    assert "I15: step 4: event 0 was taken by s while the bus was stopping" in script.publish(0).handle(0).broken()


def test_nothing_is_to_be_handled_after_the_end_of_the_bus() -> None:
    script = Script().publish(0).start(0).phase("stopped")
    assert script.end(0).settle(0).broken() == ["I15: step 7: s was at work on event 0 after the end of the bus"]


def test_what_a_stop_returns_breaks_nothing() -> None:
    assert Script().publish(0).phase("stopping").settle(0, Returned()).broken() == []


def test_what_the_end_of_its_subscription_returns_breaks_nothing() -> None:
    script = Script().publish(0).settle(0, Returned())
    assert script.report(ChildRemoved, supervisor="bus", child="s").broken() == []


def test_nothing_is_to_be_returned_while_all_goes_on() -> None:
    script = Script().publish(0).settle(0, Returned())
    assert script.broken() == ["I16: step 5: event 0 was returned by s, which had not ended"]


def test_nothing_is_to_be_returned_that_was_not_taken() -> None:
    script = Script().ask(0).phase("stopping").settle(0, Returned()).told(0)
    assert script.broken() == ["I16: step 4: event 0 was returned by s, which never had it"]


# ── what is kept ──


def test_no_more_is_to_wait_than_there_is_room_for() -> None:
    script = Script(mailbox=1).publish(0).publish(1).handle(0).handle(1)
    assert "I18: step 7: 2 wait for s, there is room for less" in script.broken()


@pytest.mark.parametrize("letters", [(), (2,)])
def test_every_dead_letter_is_to_be_found(letters: tuple[int, ...]) -> None:
    script = Script().publish(0).start(0).end(0, how="raised")
    for letter in letters:
        script.report(
            DeliveryDeadLettered,
            subscription="s",
            event_id="e",
            reason=DeadLetterReason.HANDLER_ERROR,
            attempts=1,
            letter=letter,
            failure=FAILURE,
        )
    script.settle(0, DeadLettered(DeadLetterReason.HANDLER_ERROR, 1))
    assert script.broken() == ["I21: event 0 for s is dead letter 1, which there is not"]
