"""What a signal asks for."""

from __future__ import annotations

from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tocsin.cli._signals import CutShort, Drain, EndAtOnce, ReadAgain, SignalDesk

ENDS = pytest.mark.parametrize("number", [SIGINT, SIGTERM])


@ENDS
def test_the_first_drains_the_second_cuts_short_and_the_third_ends(number: Signals) -> None:
    desk = SignalDesk()
    assert [desk.see(number) for _ in range(4)] == [
        Drain(number),
        CutShort(number),
        EndAtOnce(number),
        EndAtOnce(number),
    ]


def test_sigint_and_sigterm_count_together() -> None:
    desk = SignalDesk()
    assert [desk.see(SIGTERM), desk.see(SIGINT)] == [Drain(SIGTERM), CutShort(SIGINT)]
    assert (desk.first, desk.second) == (SIGTERM, SIGINT)


def test_sighup_reads_again_and_counts_for_nothing_else() -> None:
    desk = SignalDesk()
    assert desk.see(SIGHUP) == ReadAgain()
    assert desk.see(SIGTERM) == Drain(SIGTERM)
    assert desk.see(SIGHUP) == ReadAgain()
    assert desk.second is None


def test_sighup_of_a_terminal_that_is_gone_asks_for_the_end() -> None:
    desk = SignalDesk()
    assert desk.see(SIGHUP, terminal_is_gone=True) == Drain(SIGHUP)


@ENDS
def test_other_signals_mean_the_same_without_a_terminal(number: Signals) -> None:
    assert SignalDesk().see(number, terminal_is_gone=True) == Drain(number)
