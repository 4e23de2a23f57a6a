"""What surrounds a bus: signals, flags of the interpreter, loops of other kinds, and what runs out."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import frozen

from tests.tables import BACKENDS, ROOT
from tocsin import EventBus, Handled

pytestmark = [pytest.mark.real_time, pytest.mark.slow]  # a process each
backends = pytest.mark.parametrize("backend", BACKENDS)

# What each of these programs begins with: a bus, and what may be done with it.
BEGINNING = """
import atexit, os, resource, signal, sys, threading, time
import anyio
from attrs import frozen
from tocsin import EventBus, Handled, Phase, TocsinError

@frozen
class Work:
    number: int

def say(*words):
    print(*words, flush=True)

bus = EventBus("program")

@bus.subscriber(Work, grace_period=2.0)
async def handle(work):
    if work.number < 0:
        say("handling")
        try:
            await anyio.sleep(-work.number / 10)
        finally:
            say("handled" if not anyio.get_cancelled_exc_class() in sys.exc_info()[:1] else "cut")
"""


class Program:
    """A process of its own."""

    def __init__(self, backend: str, text: str, *flags: str) -> None:
        code = BEGINNING.replace("Phase, ", "") + textwrap.dedent(text).replace("BACKEND", repr(backend))
        paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "supervisors"), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            # A shell that starts the tests in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def wait_for(self, line: str) -> None:
        assert self.process.stdout is not None
        for each in self.process.stdout:
            if each.strip() == line:
                return
        pytest.fail(f"it ended without {line!r}: {self.process.communicate()[1]}")

    def end(self) -> tuple[int, list[str], str]:
        out, errors = self.process.communicate(timeout=60.0)
        return self.process.returncode, out.splitlines(), errors


# ── signals ──

UNTIL_STOPPED = """
async def main():
    async with bus.running():
        await bus.publish(Work(-5))
        await bus.wait_stopped()
    say(bus.ledger())
anyio.run(main, backend=BACKEND)
"""


@backends
def test_fault_G8_ctrl_c_stops_in_order_and_ends_the_program_as_an_interrupt(backend: str) -> None:
    program = Program(backend, UNTIL_STOPPED)
    program.wait_for("handling")
    program.process.send_signal(signal.SIGINT)
    code, lines, errors = program.end()
    assert code == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    # Wherever the interrupt strikes, the handler has its grace period, or is the one that is struck.
    assert lines in (["handled"], ["cut"], [])


@backends
def test_fault_G9_a_second_ctrl_c_does_not_wait(backend: str) -> None:
    program = Program(backend, UNTIL_STOPPED.replace("-5", "-600"))
    program.wait_for("handling")
    for _ in range(2):
        program.process.send_signal(signal.SIGINT)
    code, _, errors = program.end()
    # Both strike wherever the program happens to be: it may end with a group of two interrupts, which is an error.
    assert code in (-signal.SIGINT, 1)
    assert "KeyboardInterrupt" in errors


WITH_A_RECEIVER = """
async def receive(*, task_status):
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            say("told")
            bus.request_stop(drain_timeout=LIMITS.pop(0))

LIMITS = [600.0, 0.0]

async def main():
    async with bus.running(), anyio.create_task_group() as group:
        await group.start(receive)
        await bus.publish(Work(-600))
        await bus.publish(Work(1))
        report = await bus.wait_stopped()
        group.cancel_scope.cancel()
    say(len(report.returned), "returned")
    sys.exit(128 + signal.SIGTERM)
anyio.run(main, backend=BACKEND)
"""


@backends
def test_fault_G10_the_first_sigterm_drains_and_the_second_one_cuts_it_short(backend: str) -> None:
    program = Program(backend, WITH_A_RECEIVER)
    program.wait_for("handling")
    program.process.send_signal(signal.SIGTERM)
    program.wait_for("told")  # two at once may be one
    program.process.send_signal(signal.SIGTERM)
    code, lines, errors = program.end()
    assert (code, errors) == (128 + signal.SIGTERM, "")
    assert lines == ["told", "cut", "2 returned"]


# ── what runs out ──

OUT_OF_FILES = """
async def main():
    async with bus.running():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        files = []
        try:
            while True:
                files.append(open(os.devnull))
        except OSError as error:
            say(error.strerror)
        for number in range(100):
            receipt = await bus.publish(Work(number))
        say(*(type(outcome).__name__ for outcome in (await receipt.settled()).values()))
        for each in files:
            each.close()
anyio.run(main, backend=BACKEND)
"""


@backends
def test_fault_G13_a_bus_goes_on_when_no_file_can_be_opened(backend: str) -> None:
    code, lines, errors = Program(backend, OUT_OF_FILES).end()
    assert (code, errors) == (0, "")
    assert lines == ["Too many open files", "Handled"]


OUT_OF_MEMORY = """
import _testcapi, gc, logging
logging.disable(logging.CRITICAL)

async def main():
    async with bus.running():
        for number in range(20):
            await bus.publish(Work(number))
        _testcapi.set_nomemory(AT, AT + 1)
        try:
            for number in range(20):
                await bus.publish(Work(number))
        finally:
            _testcapi.remove_mem_hooks()
try:
    anyio.run(main, backend=BACKEND)
except BaseException as error:
    _testcapi.remove_mem_hooks()
say("ended")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python is without _testcapi, which takes memory away"
)
@backends
@pytest.mark.parametrize("at", [1, 7, 31, 120, 400, 900])
def test_fault_G12_a_program_whose_memory_runs_out_ends_and_does_not_hang(backend: str, at: int) -> None:
    _, lines, errors = Program(backend, OUT_OF_MEMORY.replace("AT", str(at))).end()
    assert "Segmentation" not in errors
    assert lines in (["ended"], [])  # printing takes memory, too


# ── flags and loops ──

A_DAY = """
async def main():
    async with bus.running():
        receipts = [await bus.publish(Work(number)) for number in range(200)]
        try:
            bus.publish_nowait(Work(1), priority=9)
        except TocsinError as error:
            say(type(error).__name__)
    say(bus.ledger())
anyio.run(main, backend=BACKEND)
"""
BALANCED = (
    "matched 200 = handled 200 + dead-lettered 0 + dropped 0 + rejected 0 + returned 0 + queued 0 + in flight 0"
    " + waiting for retry 0 + blocked 0"
)


@backends
@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-W", "error"), ("-X", "dev", "-W", "error")], ids=" ".join)
def test_fault_G16_a_bus_runs_under_any_flag_of_the_interpreter(backend: str, flags: tuple[str, ...]) -> None:
    code, lines, errors = Program(backend, A_DAY, *flags).end()
    # The debug mode of asyncio tells of steps that take long, on a slow machine.
    assert (code, [line for line in errors.splitlines() if not line.startswith("Executing <")]) == (0, [])
    assert lines == ["InvalidPriority", BALANCED]


AT_EXIT = """
@atexit.register
def publish():
    try:
        bus.publish_nowait(Work(1))
    except TocsinError as error:
        say(type(error).__name__)

async def main():
    async with bus.running():
        await bus.publish(Work(1))
anyio.run(main, backend=BACKEND)
"""


@backends
def test_fault_G17_a_publish_at_the_exit_of_the_interpreter_is_refused(backend: str) -> None:
    assert Program(backend, AT_EXIT).end() == (0, ["BusClosed"], "")


@frozen
class Work:
    number: int


async def a_day() -> None:
    bus = EventBus("a day")
    failed: list[int] = []

    @bus.subscriber(Work, name="s")
    async def handle(work: Work) -> None:
        await anyio.lowlevel.checkpoint()
        if work.number == 3 and not failed:
            failed.append(3)
            raise ConnectionError

    async with bus.running():
        receipts = [await bus.publish(Work(number)) for number in range(100)]
        outcomes = [(await receipt.settled())["s"] for receipt in receipts]
    assert outcomes.count(Handled()) == 100
    assert bus.ledger().balanced


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009  # from Python 3.12 on
    return loop


LOOPS: dict[str, dict[str, Any]] = {
    "the debug mode of asyncio": {"debug": True},
    "an eager task factory": {"loop_factory": eager_loop},
    "uvloop": {"use_uvloop": True},
}


@pytest.mark.parametrize("kind", LOOPS)
def test_fault_G15_a_bus_runs_on_any_loop_of_asyncio(kind: str) -> None:
    if kind == "an eager task factory" and sys.version_info < (3, 12):
        pytest.skip("tasks can be started eagerly from Python 3.12 on")
    if kind == "uvloop" and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed")
    anyio.run(a_day, backend="asyncio", backend_options=LOOPS[kind])
