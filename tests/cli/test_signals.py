"""What a signal asks for."""

from __future__ import annotations

from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tocsin.cli._signals import TOGETHER, CutShort, Drain, EndAtOnce, Ignore, ReadAgain, SignalDesk, signals_to_hear


def test_a_daemon_hears_three_signals_and_no_interrupts_where_it_was_started_to_ignore_them() -> None:
    assert set(signals_to_hear(interrupts_are_ignored=False)) == {SIGTERM, SIGINT, SIGHUP}
    assert set(signals_to_hear(interrupts_are_ignored=True)) == {SIGTERM, SIGHUP}


ENDS = pytest.mark.parametrize("number", [SIGINT, SIGTERM])


@ENDS
def test_the_first_drains_the_second_cuts_short_and_the_third_ends(number: Signals) -> None:
    desk = SignalDesk()
    assert [desk.see(number, now) for now in (0.0, 1.0, 2.0, 3.0)] == [
        Drain(number),
        CutShort(number),
        EndAtOnce(number),
        EndAtOnce(number),
    ]


def test_sigint_and_sigterm_count_together() -> None:
    desk = SignalDesk()
    assert [desk.see(SIGTERM, 0.0), desk.see(SIGINT, 1.0)] == [Drain(SIGTERM), CutShort(SIGINT)]
    assert (desk.first, desk.second) == (SIGTERM, SIGINT)


def test_sighup_reads_again_and_counts_for_nothing_else() -> None:
    desk = SignalDesk()
    assert desk.see(SIGHUP, 0.0) == ReadAgain()
    assert desk.see(SIGTERM, 0.0) == Drain(SIGTERM)
    assert desk.see(SIGHUP, 0.0) == ReadAgain()
    assert desk.second is None


def test_sighup_of_a_terminal_that_is_gone_asks_for_the_end() -> None:
    desk = SignalDesk()
    assert desk.see(SIGHUP, 0.0, terminal_is_gone=True) == Drain(SIGHUP)


@ENDS
def test_other_signals_mean_the_same_without_a_terminal(number: Signals) -> None:
    assert SignalDesk().see(number, 0.0, terminal_is_gone=True) == Drain(number)


@pytest.mark.parametrize("second", [SIGINT, SIGTERM])
def test_two_at_once_are_one_that_was_sent_twice(second: Signals) -> None:
    desk = SignalDesk()
    assert [desk.see(SIGTERM, 0.0), desk.see(second, TOGETHER / 2), desk.see(second, TOGETHER)] == [
        Drain(SIGTERM),
        Ignore(),
        CutShort(second),
    ]


def test_reading_again_is_not_held_back_by_the_end() -> None:
    desk = SignalDesk()
    desk.see(SIGTERM, 0.0)
    assert desk.see(SIGHUP, 0.0) == ReadAgain()
