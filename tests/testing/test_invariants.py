"""The promises as predicates: a trace in which everything is right, and for each promise one in which it is broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.scripted_traces import Script
from tocsin import Dropped, DropReason, Ledger, Rejected, RejectReason, Returned
from tocsin.testing import Accepted, Broken


def test_a_run_in_which_all_is_right_breaks_nothing() -> None:
    assert Script().publish(0).publish(1).handle(0).handle(1).broken() == []


def test_what_was_seen_between_two_steps_counts() -> None:
    assert Script().add(Broken, invariant="I1", text="the ledger does not balance").broken() == [
        "I1: the ledger does not balance"
    ]


def test_a_delivery_that_does_not_end_is_lost() -> None:
    assert Script().publish(0).broken() == ["I1: the delivery of event 0 to s has ended 0 times"]


def test_a_delivery_that_ends_twice_is_found() -> None:
    assert "I1: the delivery of event 0 to s has ended 2 times" in Script().publish(0).handle(0).settle(0).broken()


def test_what_is_left_in_the_ledger_is_found() -> None:
    script = Script()
    script.trace.ledger = Ledger(matched=1, queued=1)
    (text,) = script.broken()
    assert text.startswith("I1: at the end there is something left: matched 1")


def test_what_did_not_match_is_not_to_be_handled() -> None:
    script = Script().come(0).accept(0)
    assert "I2: step 3: event 0 for s is handled and did not match" in script.start(0).end(0).broken()


def test_what_was_not_accepted_is_not_to_be_handled() -> None:
    script = Script().ask(0).handle(0)
    assert script.broken() == ["I2: step 3: event 0 for s is handled and was not accepted"]


def test_what_has_ended_is_not_to_be_handled() -> None:
    script = Script().publish(0).handle(0).start(0, 2).end(0, 2)
    assert script.broken() == ["I2: step 8: event 0 for s is handled after its end"]


def test_a_publisher_is_not_to_be_through_before_all_is_known() -> None:
    script = Script().ask(0).told(0)
    assert script.settle(0, Dropped(DropReason.NEWEST)).broken() == [
        "I3: the publisher of event 0 is through, and nobody knows about ['s']"
    ]


def test_nobody_is_to_take_an_event_whose_publisher_is_through() -> None:
    script = Script().ask(0).told(0, "cancelled").accept(0).handle(0)
    assert "I3: step 4: event 0 for s was taken after its publisher was through" in script.broken()


def test_events_of_one_publisher_are_to_be_taken_in_order() -> None:
    script = Script().come(0).come(1).match(0).match(1).accept(1).accept(0).told(0).told(1).handle(0).handle(1)
    assert script.broken() == ["I4: step 6: event 0 for s was taken after event 1 of the same publisher"]


def test_events_of_two_publishers_may_be_taken_in_any_order() -> None:
    script = Script().come(0).come(1, publisher=2).match(0).match(1).accept(1).accept(0).told(0).told(1)
    assert script.handle(1).handle(0).broken() == []


def test_events_of_one_publisher_are_to_be_begun_in_order() -> None:
    script = Script().publish(0).publish(1).handle(1).handle(0)
    assert script.broken() == ["I4: step 12: event 0 for s began after event 1 of the same publisher"]


def test_an_attempt_that_was_interrupted_may_begin_again_after_others() -> None:
    script = Script().publish(0).publish(1).start(0).end(0, how="cancelled").handle(1).handle(0)
    assert script.broken() == []


@pytest.mark.parametrize("terms", [{"is_keyed": True}, {"coalesces": True}])
def test_with_keys_the_order_is_that_of_each_key(terms: dict[str, Any]) -> None:
    script = Script(**terms).publish(0).publish(1).handle(1, key="b").handle(0, key="a")
    assert script.broken() == []


def test_in_strict_order_nothing_begins_between_two_attempts_of_another() -> None:
    script = Script(is_strict=True).publish(0).publish(1).start(0).end(0, how="raised").handle(1)
    script.start(0, 2).end(0, 2).settle(0)
    assert script.broken() == [
        "I4: step 11: event 1 for s began while event 0, which is before it, had not ended",
    ]


def test_in_strict_order_of_keys_others_may_begin() -> None:
    script = Script(is_strict=True, is_keyed=True).publish(0).publish(1).start(0, key="a").end(0, how="raised")
    script.handle(1, key="b").start(0, 2, key="a").end(0, 2).settle(0)
    assert script.broken() == []


def test_the_most_urgent_of_what_waits_is_to_begin() -> None:
    script = Script().publish(0).publish(1, priority=0).handle(0).handle(1)
    assert script.broken() == ["I5: step 9: event 0 for s began while event 1, which is more urgent, waited"]


def test_what_comes_in_the_same_step_may_come_too_late_to_be_first() -> None:
    script = Script().publish(0).ask(1, priority=0)
    script.accept(1).told(1)
    script.step -= 3
    assert script.handle(0).handle(1).broken() == []


def test_who_waits_for_room_is_not_to_be_overtaken() -> None:
    script = Script().ask(0).ask(1, publisher=2).accept(1).accept(0).told(0).told(1).handle(1).handle(0)
    assert script.broken() == ["I6: step 5: event 1 for s got past event 0, whose publisher waited before it came"]


def test_no_more_is_to_be_handled_at_a_time_than_allowed() -> None:
    script = Script().publish(0).publish(1).start(0).start(1).end(0).end(1).settle(0).settle(1)
    assert script.broken() == ["I7: s handles 2 at a time, at most 1 are allowed"]


def test_of_one_key_one_is_to_be_handled_at_a_time() -> None:
    script = Script(concurrency=2, is_keyed=True).publish(0).publish(1)
    script.start(0, key="a").start(1, key="a").end(0).end(1).settle(0).settle(1)
    assert script.broken() == ["I7: s handles two of the key 'a' at a time"]


def test_nothing_is_to_be_handled_after_the_end() -> None:
    script = Script().publish(0).start(0).phase("stopping").settle(0, Returned())
    assert script.broken() == ["I7: s had not ended with event 0 at the end"]


def test_attempts_are_to_be_counted_without_a_gap() -> None:
    script = Script(max_attempts=3).publish(0).start(0).end(0, how="raised").start(0, 3).end(0, 3).settle(0)
    assert script.broken() == ["I9: the attempts of event 0 for s are [1, 3]"]


def test_there_are_to_be_no_more_attempts_than_allowed() -> None:
    script = Script(max_attempts=1).publish(0).start(0).end(0, how="raised").start(0, 2).end(0, 2).settle(0)
    assert script.broken() == ["I9: event 0 was attempted 2 times for s, 1 are allowed"]


@pytest.mark.parametrize("how", ["raised", "cancelled"])
def test_what_did_not_return_is_not_to_count_as_handled(how: str) -> None:
    script = Script().publish(0).start(0).end(0, how=how).settle(0)
    assert script.broken() == [f"I10: step 7: event 0 for s counts as handled, and its last attempt {how}"]


def test_what_never_began_is_not_to_count_as_handled() -> None:
    assert Script().publish(0).settle(0).broken() == [
        "I10: step 5: event 0 for s counts as handled, and its last attempt never began"
    ]


def test_the_ledger_is_to_say_what_has_happened() -> None:
    script = Script().publish(0).handle(0)
    script.trace.ledger = Ledger()
    (text,) = script.broken()
    assert text.startswith("I22: 1 deliveries were handled, and the ledger says")


def test_each_way_to_end_is_counted_by_its_own_name() -> None:
    script = Script().ask(0).settle(0, Rejected(RejectReason.FULL)).told(0)
    script.ask(1).settle(1, Dropped(DropReason.NEWEST)).told(1)
    script.publish(2).phase("stopping").settle(2, Returned())
    script.trace.ledger = Ledger(matched=3, rejected=1, dropped=1, returned=1)
    assert script.broken() == []


def test_a_trace_gives_its_facts_by_kind() -> None:
    trace = Script().publish(0).publish(1).trace
    assert [fact.number for fact in trace.of(Accepted)] == [0, 1]
