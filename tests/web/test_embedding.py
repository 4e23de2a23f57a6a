"""A bus that ends by itself inside of an application: what that does to the application, and to the process."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import anyio
import pytest

from tests.web.lives import MakeBus, ending_by, mortal_bus, takes_nothing, until_dead
from tocsin import RestartIntensityExceeded
from tocsin.web import lifespan

pytestmark = pytest.mark.usefixtures("terminations")
ON_FATAL = ["terminate", "continue", print]


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
