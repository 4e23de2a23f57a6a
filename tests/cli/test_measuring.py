"""A bus that is run by the command measures how long handling takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.cli import main
from tocsin.cli._exit_codes import ExitCode

WriteModule = Callable[[str, str], Path]

DECLARED = """
    from tocsin import EventBus, handles
    bus = EventBus("shop")

    @bus.subscriber(int, name="ship")
    async def ship(number: int) -> None:
        bus.request_stop()

    @bus.actor(name="work")
    class Work:
        async def started(self) -> None:
            await bus.publish(7)

        @handles(str)
        async def work(self, event: str) -> None: ...
"""


@pytest.mark.real_time
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_bus_that_is_run_measures_how_long_handling_takes(write_module: WriteModule, backend: str) -> None:
    name = f"written_measured_{backend}"
    folder = write_module(name, DECLARED)
    assert main(["run", f"{name}:bus", "--app-dir", str(folder), "--backend", backend]) == ExitCode.IN_ORDER
    its = sys.modules[name].bus.statistics().subscriptions["ship"]
    assert its.measured == 1
    assert 0 <= its.p50 <= its.p99 < 60
