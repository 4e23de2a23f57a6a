"""The promises about lives, stops and what is kept, each with a trace in which it is broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.scripted_traces import Script
from tocsin import (
    ChildCrashed,
    ChildFinished,
    ChildRenewed,
    ChildStarted,
    ChildStopped,
    DeadLettered,
    DeadLetterReason,
    DeliveryDeadLettered,
    Failure,
    PhaseChanged,
    RestartScheduled,
    StopFailed,
    StopTimedOut,
    SupervisorGaveUp,
    SupervisorStopping,
)
from tocsin_supervisors import Exceeded

FAILURE = Failure.of(ValueError())


class Tree(Script):
    """Reports of the children of one supervisor."""

    def up(self, child: str, incarnation: int = 1, supervisor: str = "bus") -> Tree:
        self.report(ChildStarted, supervisor=supervisor, child=child, incarnation=incarnation)
        return self

    def down(self, child: str, incarnation: int = 1, kind: Any = ChildStopped, **fields: Any) -> Tree:
        self.report(kind, supervisor="bus", child=child, incarnation=incarnation, **fields)
        return self

    def stopping(self, supervisor: str = "bus") -> Tree:
        self.report(SupervisorStopping, supervisor=supervisor)
        return self


def crash(tree: Tree, child: str, incarnation: int = 1) -> Tree:
    return tree.down(child, incarnation, ChildCrashed, failure=FAILURE)


# ── lives ──


def test_lives_that_follow_one_another_break_nothing() -> None:
    assert crash(Tree().up("s"), "s").up("s", 2).stopping().down("s", 2).broken() == []


def test_a_stop_that_failed_ends_a_life_like_any_other() -> None:
    assert Tree().up("s").down("s", 1, StopFailed, failure=FAILURE).up("s", 2).broken() == []


def test_incarnations_are_to_be_numbered_upwards() -> None:
    assert crash(Tree().up("s", 2), "s", 2).up("s", 1).broken() == ["I8: incarnation 1 of s was up after 2"]


def test_there_is_to_be_one_incarnation_at_a_time() -> None:
    assert Tree().up("s").up("s", 2).broken() == ["I8: incarnation 2 of s was up beside 1"]


def test_no_other_incarnation_is_to_end_than_the_one_that_is_up() -> None:
    assert crash(Tree().up("s", 2), "s", 1).broken() == ["I8: incarnation 1 of s ended while 2 was up"]


def test_an_incarnation_is_to_handle_nothing_after_its_end() -> None:
    tree = crash(Tree().up("s"), "s")
    assert tree.publish(0).handle(0).broken() == ["I8: step 7: event 0 for s began in incarnation 1, which had ended"]


def test_an_incarnation_is_not_to_end_while_it_handles() -> None:
    tree = Tree().up("s")
    tree.publish(0).start(0)
    assert crash(tree, "s").end(0).settle(0).broken() == [
        "I8: step 6: event 0 for s went on when its incarnation 1 had ended"
    ]


def test_two_incarnations_are_not_to_handle_at_the_same_time() -> None:
    script = Script(concurrency=2).publish(0).publish(1).start(0).start(1, incarnation=2)
    script.end(0).end(1, incarnation=2).settle(0).settle(1)
    assert script.broken() == ["I8: step 10: event 1 for s began in incarnation 2 while another one was handling"]


# ── restarts ──


def restarts(*times: float) -> list[str]:
    tree = Tree()
    for at in times:
        tree.report(RestartScheduled, supervisor="bus", child="s", at=at, delay=0.0, restarts=1)
    return tree.broken()


def test_restarts_are_counted_within_the_period() -> None:
    assert restarts(0.0, 1.0, 5.0) == []
    assert restarts(0.0, 1.0, 4.9) == ["I11: s was restarted 3 times within 5.0 s, 2 are allowed"]


def test_restarts_of_supervisors_are_their_own_affair() -> None:
    tree = Tree()
    for _ in range(9):
        tree.report(RestartScheduled, supervisor="bus", child="group", delay=0.0, restarts=1)
    assert tree.broken() == []


def gives_up(tree: Tree, supervisor: str) -> Tree:
    exceeded = Exceeded("window", 3, 2, 5.0)
    tree.report(
        SupervisorGaveUp, supervisor=supervisor, child="s", exceeded=exceeded, of_supervisor=True, failure=FAILURE
    )
    return tree


def test_a_supervisor_that_has_given_up_is_to_start_nothing() -> None:
    assert gives_up(Tree(), "bus").up("s").broken() == ["I14: s was started by bus, which was ending"]


def test_a_start_that_had_begun_may_come_up_during_the_stop() -> None:
    assert Tree().stopping().up("s").down("s").broken() == []


def test_a_supervisor_that_was_restarted_may_start_again() -> None:
    assert gives_up(Tree(), "bus/group").up("group", 2).up("s", 1, "bus/group").broken() == []


# ── the stop ──


def test_actors_are_to_be_stopped_in_reverse() -> None:
    tree = Tree().up("a").up("b").up("c").stopping()
    assert tree.down("c").down("a").down("b").broken() == ["I15: b was stopped after a, which was started before it"]
    assert Tree().up("a").up("b").stopping().down("b").down("a").broken() == []


def test_one_that_does_not_stop_in_time_is_passed() -> None:
    tree = Tree().up("a").up("b").stopping()
    tree.report(StopTimedOut, supervisor="bus", child="b", incarnation=1, line="here")
    assert tree.down("a").down("b").broken() == []


def test_when_the_time_is_over_the_order_is_any() -> None:
    tree = Tree().up("a").up("b").stopping()
    tree.trace.shutdown_deadline = 1.0
    assert tree.down("a", kind=ChildStopped, at=9.0).down("b", kind=ChildStopped, at=9.0).broken() == []


def test_what_ends_by_itself_is_in_no_order() -> None:
    tree = Tree().up("a").up("b").stopping()
    assert tree.down("a", kind=ChildFinished).down("b").broken() == []
    assert Tree().up("a").down("a", kind=ChildRenewed, failure=FAILURE).broken() == []


def phase(script: Script, name: str) -> Script:
    return script.report(PhaseChanged, bus="bus", phase=name)


def test_nothing_is_to_be_taken_while_the_bus_stops() -> None:
    script = phase(Script(), "stopping")
    assert "I15: step 4: event 0 was taken by s while the bus was stopping" in script.publish(0).handle(0).broken()


def test_nothing_is_to_be_handled_after_the_end_of_the_bus() -> None:
    script = phase(Script().publish(0).start(0), "stopped")
    assert script.end(0).settle(0).broken() == ["I15: step 7: s was at work on event 0 after the end of the bus"]


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
