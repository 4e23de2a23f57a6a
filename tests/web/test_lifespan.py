"""`lifespan` and `get_bus`: how a bus begins and ends with an application, and how that gets at it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.web.lives import MakeBus, ending_by
from tocsin import BusNotRunning, ChildStartError, EventBus, handles
from tocsin.testing import Simulation, cancelled_at_every_step
from tocsin.web import get_bus, lifespan

pytestmark = pytest.mark.usefixtures("terminations")


def phase(bus: EventBus) -> str:
    return bus.statistics().phase


# ── a life in order ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_bus_runs_for_as_long_as_the_block_lasts(make_bus: MakeBus) -> None:
    bus = make_bus()
    async with lifespan(bus)(None):
        assert phase(bus) == "running"
    assert phase(bus) == "stopped"


async def test_the_same_lifespan_may_be_used_again(make_bus: MakeBus) -> None:
    bus, app = make_bus(), SimpleNamespace()
    life = lifespan(bus)
    for _ in range(2):
        async with life(app):
            assert phase(bus) == "running"


async def test_it_gives_the_bus_to_requests_and_to_the_application(make_bus: MakeBus) -> None:
    bus, app = make_bus(), SimpleNamespace(state=SimpleNamespace())
    async with lifespan(bus)(app) as state:
        assert state == {"bus": bus}
        assert app.state.bus is bus
    assert not hasattr(app.state, "bus")


async def test_what_was_accepted_is_handled_before_the_block_is_over(make_bus: MakeBus) -> None:
    bus, handled = make_bus(), list[int]()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)
        handled.append(number)

    async with lifespan(bus)(None):
        await bus.publish_many(range(20))
    assert handled == list(range(20))


async def test_the_drain_takes_as_long_as_it_was_given(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)

    async with lifespan(bus, drain_timeout=4.5)(None):
        await bus.publish_many(range(20))
        before = anyio.current_time()
    assert bus.stop_report is not None
    assert len(bus.stop_report.returned) > 10
    assert 4 < anyio.current_time() - before < 10


async def test_an_error_of_the_block_comes_out_as_itself_and_stops_without_a_drain(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)

    async with ending_by(bus, LookupError, "mine"):
        await bus.publish_many(range(20))
        raise LookupError("mine")
    assert phase(bus) == "stopped"
    assert bus.stop_report is not None
    assert len(bus.stop_report.returned) > 10


async def test_a_cancellation_of_the_block_stops_the_bus_in_order(
    make_bus: MakeBus, terminations: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    with anyio.CancelScope() as scope:
        async with lifespan(bus)(None):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert phase(bus) == "stopped"
    assert (terminations, caplog.records) == ([], [])


async def test_cancelled_in_its_drain_it_stops_at_once(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)

    with anyio.move_on_after(2.5) as scope:
        async with lifespan(bus)(None):
            await bus.publish_many(range(20))
    assert scope.cancelled_caught
    assert phase(bus) == "stopped"


@pytest.mark.slow
@cancelled_at_every_step(targets=("run", "block", "task"))
async def test_wherever_the_host_is_cancelled_the_bus_is_left_in_order(simulation: Simulation) -> None:
    bus = EventBus("bank")

    @bus.subscriber(int)
    async def slowly(number: int) -> None:
        await anyio.sleep(1)

    def is_left() -> None:
        assert phase(bus) in ("new", "stopped")

    simulation.watch(bus)
    simulation.at_end(is_left)
    simulation.offer_task("task")
    with simulation.cancellable("block"):
        async with lifespan(bus)(None):
            await bus.publish(1)
            await simulation.settle(bus)


async def test_an_actor_that_does_not_start_keeps_the_application_from_starting(make_bus: MakeBus) -> None:
    bus = make_bus()

    @bus.actor(name="work")
    class Work:
        async def started(self) -> None:
            raise ConnectionError("no database")

        @handles(int)
        async def work(self, number: int) -> None: ...

    with pytest.raises(ChildStartError, match="no database"):
        await lifespan(bus)(None).__aenter__()


@pytest.mark.parametrize(
    "options", [{"on_fatal": "ignore"}, {"drain_timeout": -1}, {"shutdown_deadline": "soon"}], ids=str
)
def test_options_that_can_be_none_are_refused_at_once(make_bus: MakeBus, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(options))}=.*must be"):
        lifespan(make_bus(), **options)


# ── who asks for it ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bus_of_a_request_is_that_of_the_lifespan_s_state(make_bus: MakeBus) -> None:
    bus, other = make_bus(), make_bus("other")
    request: Any = SimpleNamespace(
        scope={"state": {"bus": bus}, "app": SimpleNamespace(state=SimpleNamespace(bus=other))}
    )
    assert get_bus(request) is bus


def test_without_such_a_state_it_is_that_of_the_application(make_bus: MakeBus) -> None:
    bus = make_bus()
    scopes: list[dict[str, Any]] = [{}, {"state": {}}]
    for scope in scopes:
        request: Any = SimpleNamespace(scope={**scope, "app": SimpleNamespace(state=SimpleNamespace(bus=bus))})
        assert get_bus(request) is bus


@pytest.mark.parametrize(
    "scope", [{}, {"app": None}, {"app": SimpleNamespace(state=SimpleNamespace())}, {"state": {"db": 1}}], ids=str
)
def test_where_no_lifespan_has_run_it_is_said_what_to_do(scope: dict[str, Any]) -> None:
    request: Any = SimpleNamespace(scope=scope)
    with pytest.raises(BusNotRunning, match=r"the lifespan of the application has not run\. Give it lifespan\(bus\)"):
        get_bus(request)
