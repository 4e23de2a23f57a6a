"""The phases of a run: their order, and who may publish in which."""

from __future__ import annotations

import itertools

import pytest

from tocsin._lifecycle import Phase, forward, is_over, may_publish


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(Phase, Phase)))
def test_a_run_never_goes_back_to_an_earlier_phase(current: Phase, wanted: Phase) -> None:
    order = list(Phase)
    assert order.index(forward(current, wanted)) == max(order.index(current), order.index(wanted))


def test_strangers_may_publish_while_the_bus_runs_only() -> None:
    assert [phase for phase in Phase if may_publish(phase, from_handler=False)] == [Phase.RUNNING]


def test_handlers_may_publish_from_the_start_to_the_end_of_the_drain() -> None:
    allowed = [phase for phase in Phase if may_publish(phase, from_handler=True)]
    assert allowed == [Phase.STARTING, Phase.RUNNING, Phase.DRAINING]


def test_a_run_is_over_when_it_has_stopped_or_was_left_with_the_parent_process() -> None:
    assert [phase for phase in Phase if is_over(phase)] == [Phase.NEW, Phase.STOPPED, Phase.FORKED]


def test_a_phase_is_told_in_a_word() -> None:
    assert [str(phase) for phase in Phase] == [
        "new",
        "starting",
        "running",
        "draining",
        "stopping",
        "stopped",
        "forked",
    ]
