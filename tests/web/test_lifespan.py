"""`lifespan`: how a bus begins and ends with an application, and what its own end does to that."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.web.lives import MakeBus, mortal_bus, takes_nothing, until_dead
from tocsin import BusNotRunning, ChildStartError, EventBus, RestartIntensityExceeded, handles
from tocsin.testing import Simulation, cancelled_at_every_step
from tocsin.web import get_bus, lifespan

ON_FATAL = ["terminate", "continue", print]


@pytest.fixture(autouse=True)
def terminations() -> Iterator[list[int]]:
    """Note each SIGTERM instead of ending by it, also in tests that expect none."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def phase(bus: EventBus) -> str:
    return bus.statistics().phase


@asynccontextmanager
async def ending_by(
    bus: EventBus, kind: type[BaseException], words: str = "", **options: Any
) -> AsyncGenerator[list[BaseException]]:
    """Have *bus* live for the time of the block, after which *kind* with *words* is to be raised; give what was."""
    raised: list[BaseException] = []
    try:
        async with lifespan(bus, **options)(None):
            yield raised
    except kind as error:
        raised.append(error)
    assert [words in str(error) for error in raised] == [True]


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


# ── an end of its own ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("on_fatal", ON_FATAL)
async def test_a_bus_that_gives_up_leaves_the_application_alone_until_its_end(
    make_bus: MakeBus, terminations: list[int], on_fatal: Any
) -> None:
    bus, has_gone_on = mortal_bus(make_bus), False
    async with ending_by(bus, RestartIntensityExceeded, on_fatal=on_fatal):
        await until_dead(bus)
        await anyio.sleep(60)
        assert await takes_nothing(bus)
        has_gone_on = True
    assert has_gone_on
    assert len(terminations) == (on_fatal == "terminate")


async def test_its_end_is_one_critical_line_that_says_why_and_what_follows(
    make_bus: MakeBus, terminations: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bus = mortal_bus(make_bus)
    async with ending_by(bus, RestartIntensityExceeded):
        await until_dead(bus)
    (line,) = (each for each in caplog.records if each.name == "tocsin.web")
    assert (line.levelno, getattr(line, "bus")) == (logging.CRITICAL, "test")  # noqa: B009
    assert "RestartIntensityExceeded: supervisor 'test' gave up on child 'fail'" in line.getMessage()
    assert "; SIGTERM to this process" in line.getMessage()


@pytest.mark.real_time
async def test_in_a_thread_beside_a_program_that_does_not_handle_it_no_sigterm_is_sent(
    make_bus: MakeBus,
    anyio_backend_name: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = mortal_bus(make_bus)

    async def serve() -> None:
        is_told = anyio.Event()

        def note(record: logging.LogRecord) -> bool:
            is_told.set()
            return True

        monkeypatch.setattr(logging.getLogger("tocsin.web"), "filters", [note])
        async with lifespan(bus)(None):
            await bus.publish(1)
            with anyio.fail_after(30):
                await is_told.wait()

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(RestartIntensityExceeded):
        await anyio.to_thread.run_sync(lambda: anyio.run(serve, backend=anyio_backend_name))
    assert "no SIGTERM is sent" in caplog.text


async def test_a_function_is_called_once_with_the_error(make_bus: MakeBus) -> None:
    bus, errors = mortal_bus(make_bus), list[BaseException]()
    async with ending_by(bus, RestartIntensityExceeded, on_fatal=errors.append) as raised:
        await until_dead(bus)
        assert len(errors) == 1
    assert errors == raised


async def test_a_function_that_fails_is_told_of_and_harms_nobody(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy(error: BaseException) -> None:
        raise LookupError("no pager")

    bus = mortal_bus(make_bus)
    async with ending_by(bus, RestartIntensityExceeded, on_fatal=clumsy):
        await until_dead(bus)
        await anyio.sleep(1)
    assert "on_fatal has failed" in caplog.text
    assert "LookupError: no pager" in caplog.text


async def test_a_log_that_fails_keeps_nobody_from_terminating(
    make_bus: MakeBus, terminations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise OSError("no space left")

    monkeypatch.setattr(logging.getLogger("tocsin.web"), "filters", [Broken()])
    bus = mortal_bus(make_bus)
    async with ending_by(bus, RestartIntensityExceeded):
        await until_dead(bus)
    assert terminations == [signal.SIGTERM]


async def test_a_stop_that_somebody_asked_for_is_no_failure(
    make_bus: MakeBus, terminations: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    async with lifespan(bus)(None):
        await bus.stop()
        assert await takes_nothing(bus)
    assert (terminations, caplog.records) == ([], [])


async def test_a_bus_that_gives_up_in_its_drain_terminates_nobody_and_is_told_of(
    make_bus: MakeBus, terminations: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bus = mortal_bus(make_bus)
    async with ending_by(bus, RestartIntensityExceeded):
        await bus.publish(1)
    assert terminations == []
    assert "the application is shutting down" in caplog.text


async def test_an_error_of_the_block_counts_more_than_the_end_of_the_bus(
    make_bus: MakeBus, terminations: list[int]
) -> None:
    bus = mortal_bus(make_bus)
    async with ending_by(bus, LookupError, "mine"):
        await until_dead(bus)
        raise LookupError("mine")
    assert len(terminations) == 1


async def test_a_handler_that_exits_ends_the_bus_and_not_the_loop_under_the_application(
    make_bus: MakeBus, terminations: list[int]
) -> None:
    bus = make_bus()

    @bus.subscriber(int)
    async def leave(number: int) -> None:
        raise SystemExit(42)

    async with ending_by(bus, SystemExit) as raised:
        await until_dead(bus)
        await anyio.sleep(60)
    assert [getattr(each, "code") for each in raised] == [42]  # noqa: B009
    assert len(terminations) == 1


async def test_on_asyncio_a_stranger_that_cancels_its_task_ends_it_as_an_error_would(
    make_bus: MakeBus, terminations: list[int], anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        return  # nobody can
    bus = make_bus()
    async with ending_by(bus, RuntimeError, "bus 'test' was cancelled by a stranger"):
        (task,) = (each for each in asyncio.all_tasks() if each.get_name() == "test: embedded")
        task.cancel()
        await bus.wait_stopped()
        await anyio.sleep(1)
    assert len(terminations) == 1


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
