"""Which message is due when."""

from __future__ import annotations

import pytest

from tests.cli.snapshots import actor, snapshot
from tocsin.cli._herald import EXTENSION, STATUS_EVERY, Herald

UP = snapshot()
PET, EXTEND = "WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={int(EXTENSION * 1e6)}"


def test_readiness_carries_a_status() -> None:
    assert Herald().ready(0.0, UP) == "READY=1\nSTATUS=running: 0 queued, 0.0 handled a second"


def test_after_readiness_the_next_status_has_time() -> None:
    herald = Herald()
    herald.ready(0.0, UP)
    assert list(herald.due(0.1, UP)) == []
    assert herald.next_due() == STATUS_EVERY


def test_the_watchdog_is_petted_at_each_interval_and_not_before() -> None:
    herald = Herald(0.5)
    herald.ready(0.0, UP)
    told = {now: list(herald.due(now, UP)) for now in (0.0, 0.4, 0.5, 0.9, 1.0)}
    assert [now for now, messages in told.items() if messages == [PET]] == [0.0, 0.5, 1.0]
    assert herald.next_due() == 1.5


def test_a_bus_that_does_not_live_is_not_petted_for_until_it_lives_again() -> None:
    herald = Herald(0.5)
    herald.ready(0.0, UP)
    assert list(herald.due(0.0, snapshot(root="stopped"))) == []
    assert herald.trouble is not None
    assert list(herald.due(0.5, UP)) == [PET]
    assert herald.trouble is None


def test_whoever_was_told_nothing_yet_is_told_the_status_at_once_and_every_five_seconds() -> None:
    herald = Herald()
    told = {now: list(herald.due(now, snapshot(handled=9))) for now in (0.5, 5.4, 5.5)}
    assert told == {0.5: ["STATUS=running: 0 queued, 0.0 handled a second"], 5.4: [], 5.5: told[5.5]}
    assert told[5.5] == told[0.5]  # the first one has nothing to compare with, the second one nothing new


def test_the_rate_is_of_what_came_since_the_status_before() -> None:
    herald = Herald()
    herald.ready(0.0, snapshot(handled=10))
    first = list(herald.due(5.0, snapshot(handled=17)))
    second = list(herald.due(10.0, snapshot(handled=18)))
    assert first == ["STATUS=running: 0 queued, 1.4 handled a second"]
    assert second == ["STATUS=running: 0 queued, 0.2 handled a second"]


def test_a_word_half_a_second_after_the_last_one_has_a_rate() -> None:
    herald = Herald()
    herald.ready(0.0, UP)
    assert herald.ready(0.5, snapshot(handled=2)).endswith(" 4.0 handled a second")


def test_the_status_has_what_was_handled_a_second_since_the_last_one() -> None:
    herald = Herald()
    herald.ready(0.0, UP)
    (status,) = herald.due(5.0, snapshot(actor(depth=3), handled=50))
    assert status == "STATUS=running: 3 queued, 10.0 handled a second"


def test_the_end_is_told_with_its_reason() -> None:
    assert Herald().stopping(0.0, 60.0, "SIGTERM: draining") == "STOPPING=1\nSTATUS=SIGTERM: draining"


def test_while_it_stops_it_asks_for_more_time_each_second_until_its_own_limit() -> None:
    herald = Herald()
    herald.ready(0.0, UP)
    herald.stopping(1.0, 2.5, "stopping")
    draining = snapshot(phase="draining")
    told = {now: list(herald.due(now, draining)) for now in (1.0, 1.5, 2.0, 3.0, 4.0)}
    assert EXTEND == "EXTEND_TIMEOUT_USEC=10000000"
    assert [now for now, messages in told.items() if EXTEND in messages] == [1.0, 2.0, 3.0]
    assert told[1.5] == []
    assert len(told[4.0]) == 1  # a status, and no wish any more


def test_two_words_at_the_same_instant_make_no_rate() -> None:
    herald = Herald()
    herald.ready(1.0, UP)
    assert herald.ready(1.0, snapshot(handled=9)).endswith("0.0 handled a second")


@pytest.mark.parametrize("watchdog", [None, 0.5])
def test_there_is_always_a_next_time(watchdog: float | None) -> None:
    herald = Herald(watchdog)
    list(herald.due(10.0, UP))
    assert herald.next_due() > 10.0
