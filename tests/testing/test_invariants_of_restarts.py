"""The promises about restarts and retries, each with a trace in which it is broken."""

from __future__ import annotations

import pytest

from tests.testing.scripted_traces import FAILURE, Script
from tocsin import (
    ChildFinished,
    ChildRemoved,
    ChildStopped,
    DeliveryRetried,
    RestartPolicy,
    RestartRequested,
    StopFailed,
    Strategy,
    SupervisorGaveUp,
)
from tocsin_supervisors import Exceeded


def restarts(*times: float) -> list[str]:
    script = Script()
    for at in times:
        script.restart("s", at)
    return script.broken()


def test_restarts_are_counted_within_the_period() -> None:
    assert restarts(0.0, 1.0, 5.0) == []
    assert restarts(0.0, 1.0, 4.9) == ["I11: s was restarted 3 times within 5.0 s, 2 are allowed"]


def test_restarts_of_supervisors_are_their_own_affair() -> None:
    script = Script()
    for _ in range(9):
        script.restart("group")
    assert script.broken() == []


def gives_up(script: Script, supervisor: str) -> Script:
    exceeded = Exceeded("window", 3, 2, 5.0)
    script.report(
        SupervisorGaveUp, supervisor=supervisor, child="s", exceeded=exceeded, of_supervisor=True, failure=FAILURE
    )
    return script


def test_a_supervisor_that_has_given_up_is_to_start_nothing() -> None:
    assert gives_up(Script(), "bus").up("s").broken() == ["I14: s was started by bus, which was ending"]


def test_a_start_that_had_begun_may_come_up_during_the_stop() -> None:
    assert Script().stopping().up("s").down("s").broken() == []


def test_a_supervisor_that_was_restarted_may_start_again() -> None:
    assert gives_up(Script(), "bus/group").crash("group").up("s", 2, "bus/group").up("group", 2).broken() == []


# ── strategies ──


def three(strategy: Strategy) -> Script:
    script = Script().up("a").up("b").up("c")
    script.trace.strategies = {"bus": strategy}
    return script


@pytest.mark.parametrize(
    ("strategy", "others"),
    [(Strategy.ONE_FOR_ONE, ""), (Strategy.ONE_FOR_ALL, "ac"), (Strategy.REST_FOR_ONE, "c")],
)
def test_a_crash_restarts_those_that_the_strategy_says(strategy: Strategy, others: str) -> None:
    script = three(strategy).crash("b").restart("b")
    for other in reversed(others):
        script.down(other)
    for child in sorted(others + "b"):
        script.up(child, 2)
    assert script.broken() == []


@pytest.mark.parametrize(
    ("strategy", "other"), [(Strategy.ONE_FOR_ONE, "a"), (Strategy.ONE_FOR_ONE, "c"), (Strategy.REST_FOR_ONE, "a")]
)
@pytest.mark.parametrize("is_in_order", [True, False])
def test_nobody_else_is_to_be_stopped_and_started_again(strategy: Strategy, other: str, is_in_order: bool) -> None:
    script = three(strategy).crash("b").restart("b")
    if is_in_order:
        script.down(other)
    else:
        script.down(other, kind=StopFailed, failure=FAILURE)
    if strategy is Strategy.REST_FOR_ONE:
        script.down("c")
    assert script.up("b", 2).up(other, 2).broken() == [
        f"I13: {other} was stopped and started again, and {strategy.value} gives no reason for that"
    ]


def test_whoever_an_operator_has_restarted_may_come_back_once() -> None:
    script = Script().up("s").report(RestartRequested, subscription="s").down("s").up("s", 2)
    assert script.broken() == []
    assert script.down("s", 2).up("s", 3).broken() == [
        "I13: s was stopped and started again, and one_for_one gives no reason for that"
    ]


def test_what_was_removed_may_come_back() -> None:
    script = three(Strategy.ONE_FOR_ONE).down("a").report(ChildRemoved, supervisor="bus", child="a")
    assert script.up("a", 2).broken() == []


def test_what_comes_back_under_its_name_is_the_last_in_the_order() -> None:
    script = three(Strategy.REST_FOR_ONE).down("a").report(ChildRemoved, supervisor="bus", child="a").up("a", 2)
    script.crash("b").restart("b").down("a", 2).down("c")
    assert script.up("b", 2).up("c", 2).up("a", 3).broken() == []


def test_the_order_is_known_from_the_declaration_when_a_trace_was_cut() -> None:
    script = Script().crash("b").restart("b").down("c").up("b", 2).up("c", 2)
    script.trace.strategies = {"bus": Strategy.REST_FOR_ONE}
    script.trace.places = {"bus": {"a": 0, "b": 1, "c": 2}}
    assert script.broken() == []


def test_a_supervisor_that_ended_may_start_all_again() -> None:
    script = Script().up("a", supervisor="bus/group").up("group").stopping("bus/group")
    script.report(ChildStopped, supervisor="bus/group", child="a", incarnation=1)
    script.crash("group").restart("group").up("a", 2, "bus/group").up("group", 2)
    assert script.broken() == []


@pytest.mark.parametrize(("strategy", "other"), [(Strategy.ONE_FOR_ALL, "a"), (Strategy.REST_FOR_ONE, "c")])
def test_those_that_are_restarted_with_it_are_to_be_down_first(strategy: Strategy, other: str) -> None:
    script = three(strategy).crash("b").restart("b")
    if strategy is Strategy.ONE_FOR_ALL:
        script.down("c")
    assert script.up("b", 2).broken() == [
        f"I13: b was started again after its crash, and {other} had been up all the time"
    ]


def test_a_temporary_actor_is_not_to_be_restarted() -> None:
    script = Script(restart=RestartPolicy.TEMPORARY).up("s").crash("s").restart("s")
    assert script.broken() == ["I13: s is temporary, and was to be restarted"]


def test_a_transient_actor_is_to_be_restarted_after_a_crash_alone() -> None:
    script = Script(restart=RestartPolicy.TRANSIENT).up("s").crash("s").restart("s").up("s", 2)
    assert script.broken() == []
    assert script.down("s", 2, ChildFinished).restart("s").broken() == ["I13: s is transient, and was to be restarted"]


# ── retries ──


def retried(script: Script, delay: float) -> Script:
    script.publish(0).start(0).end(0, how="raised")
    return script.report(DeliveryRetried, subscription="s", event_id="e", attempt=1, delay=delay, failure=FAILURE)


def test_a_retry_may_begin_when_its_delay_is_over() -> None:
    assert retried(Script(), 1.0).start(0, 2).end(0, 2).settle(0).broken() == []


def test_a_retry_is_not_to_begin_too_early() -> None:
    assert retried(Script(), 2.5).start(0, 2).end(0, 2).settle(0).broken() == [
        "I9: step 8: event 0 for s began 1.5 s too early"
    ]


def test_a_retry_of_what_nobody_saw_is_passed() -> None:
    script = Script().report(DeliveryRetried, subscription="s", event_id="e", attempt=1, delay=9.0, failure=FAILURE)
    assert script.broken() == []
