"""A bus that watches the event loop: the actor that blocks it is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.supervisors.stalling import BLOCKING_LINE, THRESHOLD, block
from tocsin import EventBus, LoopStalled

MakeBus = Callable[..., EventBus]


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.parametrize("context", ["actor", "delivery"])
async def test_fault_C1_a_handler_that_blocks_the_event_loop_is_named(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture, context: Any
) -> None:
    stalls: list[LoopStalled] = []

    async def observe(report: object) -> None:
        if isinstance(report, LoopStalled):
            stalls.append(report)

    bus = make_bus("shop", observer=observe, stall_threshold=THRESHOLD)

    async def slow(number: int) -> None:
        block()

    bus.group("inner").subscribe(slow, int, context=context)
    with caplog.at_level(logging.ERROR):
        async with bus.running():
            await (await bus.publish(1)).settled()
    (stall,) = stalls
    assert stall.child == "shop/inner/slow"
    assert stall.line == BLOCKING_LINE
    own, above = sorted(caplog.records, key=lambda record: record.name)
    assert own.name == "tocsin"
    assert "shop/inner/slow blocked it at" in own.getMessage()
    assert above.name == "tocsin_supervisors"


@pytest.mark.parametrize("threshold", [0, True, "1"])
def test_a_threshold_that_makes_no_sense_is_refused_when_the_bus_is_made(make_bus: MakeBus, threshold: object) -> None:
    with pytest.raises((TypeError, ValueError), match="stall_threshold="):
        make_bus(stall_threshold=threshold)
