"""A watchdog over a real loop, blocked for real: what it tells, when, and when it keeps quiet."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio.testing

from tests.supervisors.stalling import BLOCKING_LINE, THRESHOLD, block, run_child, spin, watched
from tests.virtual_time import backend_options
from tocsin_supervisors import _watchdog
from tocsin_supervisors._stacks import UNKNOWN
from tocsin_supervisors._stalls import Stall
from tocsin_supervisors._watchdog import Watchdog

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

BOTH = pytest.mark.parametrize("backend", ["asyncio", "trio"])
HAS_FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
INTERRUPTED = pytest.RaisesGroup(KeyboardInterrupt, allow_unwrapped=True)


class Collected(logging.Handler):
    """Collects what is logged while it is in use."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        """The lines, as they are read."""
        return [record.getMessage() for record in self.records]


@contextmanager
def handled_by(handler: logging.Handler) -> Generator[None]:
    """Have *handler* handle the log of the supervisors, and nobody else."""
    logger = logging.getLogger("tocsin_supervisors")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


@pytest.fixture
def log() -> Iterator[Collected]:
    """What the supervisors log during the test."""
    collected = Collected()
    with handled_by(collected):
        yield collected


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Check after each test that the thread of its watchdog is gone."""
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "tocsin watchdog"] == []


async def block_in_a_coroutine() -> None:
    block()


# ── who and where ──


async def blocks() -> None:
    await run_child(block_in_a_coroutine, "leaf")


async def blocks_deep_in_a_tree() -> None:
    await run_child(block_in_a_coroutine, "branch", "leaf")


async def blocks_in_a_task_that_it_started() -> None:
    async def child() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(block_in_a_coroutine)
            await anyio.sleep(0.01)

    await run_child(child, "leaf")


async def blocks_outside_of_any_child() -> None:
    await run_child(anyio.lowlevel.checkpoint, "leaf")
    block()


@pytest.mark.parametrize(
    ("scene", "child"),
    [
        (blocks, "root/leaf"),
        (blocks_deep_in_a_tree, "root/branch/leaf"),
        (blocks_in_a_task_that_it_started, "root/leaf"),
        (blocks_outside_of_any_child, None),
    ],
)
async def test_who_blocks_the_loop_is_named_and_the_line(
    scene: Callable[[], Awaitable[None]], child: str | None, log: Collected
) -> None:
    async with watched() as stalls:
        await scene()
    (stall,) = stalls
    assert (stall.child, stall.line) == (child, BLOCKING_LINE)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_callback_that_blocks_is_its_childs(anyio_backend: object, log: Collected) -> None:
    async def child() -> None:
        asyncio.get_running_loop().call_soon(block)
        await anyio.sleep(0.01)

    async with watched() as stalls:
        await run_child(child, "leaf")
    assert [(stall.child, stall.line) for stall in stalls] == [("root/leaf", BLOCKING_LINE)]


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_a_callback_of_trio_belongs_to_no_child_but_has_its_line(anyio_backend: object, log: Collected) -> None:
    async def child() -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(block)
        await anyio.sleep(0.01)

    async with watched() as stalls:
        await run_child(child, "leaf")
    assert [(stall.child, stall.line) for stall in stalls] == [(None, BLOCKING_LINE)]


async def test_a_busy_loop_is_found_at_one_of_its_lines(log: Collected) -> None:
    async with watched() as stalls:
        spin()
    (stall,) = stalls
    first = spin.__code__.co_firstlineno
    assert re.fullmatch(rf".*stalling\.py:({first + 3}|{first + 4}) spin", stall.line)


def range_of(seconds: float) -> range:
    """Give a range that takes about so much processor time to be summed up."""
    started = time.process_time()
    sum(range(500_000))
    return range(int(500_000 * seconds / (time.process_time() - started)))


async def test_a_function_of_c_that_lets_no_thread_run_is_found_at_its_line(log: Collected) -> None:
    numbers = range_of(0.3)

    def add_up() -> None:
        sum(numbers)

    async with watched() as stalls:
        add_up()
    (stall,) = stalls
    assert stall.line == f"{__file__}:{add_up.__code__.co_firstlineno + 1} {add_up.__qualname__}"


async def test_a_wait_in_a_selector_of_ones_own_blocks_the_loop(log: Collected) -> None:
    def wait() -> None:
        subprocess.run(["sleep", "0.25"], capture_output=True)  # it waits for the output in a selector

    async with watched() as stalls:
        wait()
    (stall,) = stalls
    assert stall.line == f"{__file__}:{wait.__code__.co_firstlineno + 1} {wait.__qualname__}"


# ── when, how often ──


async def test_a_stall_has_the_seconds_that_the_loop_did_not_turn(log: Collected) -> None:
    started = time.monotonic()
    async with watched() as stalls:
        before = time.monotonic()
        block()
        blocked = time.monotonic() - before
    (stall,) = stalls
    assert blocked <= stall.seconds <= time.monotonic() - started


async def test_stalls_one_after_the_other_are_told_one_by_one(log: Collected) -> None:
    async with watched() as stalls:
        for _ in range(3):
            block()
            await anyio.sleep(THRESHOLD * 0.75)  # until it has beaten
    assert len(stalls) == len(log.lines) == 3


async def test_a_stall_is_logged_while_it_lasts(log: Collected) -> None:
    def block_until_it_is_logged() -> None:
        deadline = time.monotonic() + 5.0
        while not log.records and time.monotonic() < deadline:
            block(0.01)

    async def child() -> None:
        block_until_it_is_logged()
        assert len(log.records) == 1

    async with watched():
        await run_child(child, "leaf")
    (record,) = log.records
    assert record.levelname == "CRITICAL"
    expected = (
        rf"the event loop has not turned for 0\.\d\d s: child 'root/leaf' blocks it at {re.escape(BLOCKING_LINE)}"
    )
    assert re.fullmatch(expected, record.getMessage())


async def test_the_record_of_a_stall_has_the_child_and_the_stack(log: Collected) -> None:
    async with watched() as stalls:
        await run_child(block_in_a_coroutine, "leaf")
    (record,) = log.records
    assert vars(record)["child"] == "root/leaf"
    assert vars(record)["stack"] == stalls[0].stack


async def test_a_stall_of_nobody_is_logged_as_such(log: Collected) -> None:
    async with watched():
        block()
    (line,) = log.lines
    assert line.endswith(f" s: code of no known child blocks it at {BLOCKING_LINE}")


async def test_what_the_loop_ends_with_is_told_too(log: Collected) -> None:
    async with watched() as stalls:
        await run_child(block_in_a_coroutine, "leaf")
    assert len(stalls) == 1


# ── when it keeps quiet ──


async def test_an_idle_loop_does_not_stall(log: Collected) -> None:
    async with watched() as stalls:
        await anyio.sleep(0.35)
    assert (stalls, log.lines) == ([], [])


async def test_a_loop_that_is_busy_with_short_steps_does_not_stall(log: Collected) -> None:
    async with watched(threshold=0.3) as stalls:
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            await anyio.lowlevel.checkpoint()
    assert (stalls, log.lines) == ([], [])


def test_a_loop_whose_clock_stands_still_does_not_stall(log: Collected) -> None:
    async def main() -> list[Stall]:
        async with watched() as stalls:
            await anyio.to_thread.run_sync(time.sleep, 0.3)
        return stalls

    clock = trio.testing.MockClock()
    assert anyio.run(main, backend="trio", backend_options={"clock": clock}) == []
    assert log.lines == []


SUSPENDED = """
import sys, time, anyio, anyio.lowlevel
from tocsin_supervisors._watchdog import Watchdog

async def main(is_busy):
    stalls = []
    async with anyio.create_task_group() as group:
        group.start_soon(Watchdog(0.1, stalls.append).run)
        end = time.monotonic() + 0.45
        await anyio.sleep(0.01)
        print("ready", flush=True)
        while time.monotonic() < end:
            await (anyio.lowlevel.checkpoint() if is_busy else anyio.sleep(0.01))
        group.cancel_scope.cancel()
    print(stalls)

anyio.run(main, sys.argv[1] == "busy", backend=sys.argv[2])
"""


@BOTH
@pytest.mark.parametrize("what", ["idle", "busy"])
def test_a_process_that_was_suspended_has_not_stalled(what: str, backend: str) -> None:
    command = [sys.executable, "-c", SUSPENDED, what, backend]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["PYTHONDEVMODE"] = ""  # asyncio would say on stderr that a callback took long
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)  # it stands still for longer than the threshold
        process.send_signal(signal.SIGCONT)
        assert process.communicate() == ("[]\n", "")


# ── nothing that goes wrong hurts ──


@BOTH
def test_an_interrupt_reaches_a_stalled_loop(backend: str, log: Collected) -> None:
    async def main() -> None:
        async with watched():
            press = threading.Timer(0.15, signal.raise_signal, [signal.SIGINT])
            press.start()
            block()
            await anyio.sleep(5)

    started = time.monotonic()
    with INTERRUPTED:
        anyio.run(main, backend=backend)
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
async def test_what_those_who_are_told_raise_is_logged_and_changes_nothing(
    error: BaseException, log: Collected
) -> None:
    stalls: list[Stall] = []

    def tell(stall: Stall) -> None:
        stalls.append(stall)
        raise error

    async with anyio.create_task_group() as group:
        group.start_soon(Watchdog(THRESHOLD, tell).run)
        await anyio.sleep(0.01)
        while len(stalls) < 2:  # on a crowded machine a stall may pass for time in which nobody could run
            block()
            await anyio.sleep(THRESHOLD * 0.75)
        group.cancel_scope.cancel()
    raised = [line for line in log.lines if "raised" in line]
    assert raised == ["whoever is told of stalls of the event loop raised"] * len(stalls)


@BOTH
def test_an_interrupt_of_those_who_are_told_is_raised(backend: str, log: Collected) -> None:
    def tell(stall: Stall) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(Watchdog(THRESHOLD, tell).run)
            await anyio.sleep(0.01)
            block()
            await anyio.sleep(5)

    with INTERRUPTED:
        anyio.run(main, backend=backend)


class Broken(logging.Handler):
    """A handler that fails, as those of users do."""

    def handle(self, record: logging.LogRecord) -> bool:
        raise OSError("disk full")


async def test_a_broken_handler_of_the_log_harms_nobody() -> None:
    with handled_by(Broken()):
        async with watched() as stalls:
            for _ in range(2):
                block()
                await anyio.sleep(THRESHOLD * 0.75)
    assert len(stalls) == 2


class Hanging(logging.Handler):
    """A handler that hangs until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.released.wait()


async def test_a_handler_of_the_log_that_hangs_does_not_keep_the_loop_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_watchdog, "PATIENCE", 0.1)
    hanging = Hanging()
    with handled_by(hanging):
        async with watched() as stalls:
            block()
        assert len(stalls) == 1
        hanging.released.set()
        for thread in threading.enumerate():
            if thread.name == "tocsin watchdog":
                thread.join()


async def test_where_no_thread_can_be_started_work_that_blocks_is_told_without_its_line(
    log: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    async with watched() as stalls:
        spin()
    (stall,) = stalls
    assert stall == Stall(stall.seconds, None, UNKNOWN)
    assert stall.seconds >= 0.25
    assert log.lines == [
        "the event loop is not watched for stalls: can't start new thread",
        f"the event loop has not turned for {stall.seconds:.2f} s: it could not be seen why",
    ]


async def test_a_stall_that_is_over_before_anybody_looked_is_told_without_its_line(
    log: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    current_frames = sys._current_frames  # pyright: ignore[reportPrivateUsage]
    has_beaten = threading.Event()

    def too_late() -> Any:
        has_beaten.wait(5.0)
        return current_frames()

    monkeypatch.setattr(sys, "_current_frames", too_late)
    async with watched() as stalls:
        spin()
        await anyio.sleep(THRESHOLD * 0.75)
        has_beaten.set()
        block(0.04)  # what is seen now has nothing to do with it
    # On a crowded machine there may be more.
    assert stalls[0].line == UNKNOWN
    assert log.lines[0].endswith(" s: it could not be seen why")


# ── its end ──


def fork() -> int:
    """Fork, and give what `os.fork` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a thread is about: the child does not need it
        return os.fork()


async def succeeds(child: int) -> bool:
    """Wait for the forked *child*, and tell whether it exited with 0."""
    _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(status) == 0


# On asyncio no loop runs in a forked child any more, so it ends there without a word.
@HAS_FORKS
def test_in_a_forked_child_in_which_the_loop_goes_on_it_ends(log: Collected) -> None:
    async def main() -> None:
        stalls: list[Stall] = []
        has_ended = anyio.Event()

        async def watch() -> None:
            await Watchdog(THRESHOLD, stalls.append).run()
            has_ended.set()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await anyio.sleep(0.01)
            child = fork()
            if not child:
                code = 1
                try:
                    spin()
                    await has_ended.wait()
                    code = len(stalls) + len(log.records)
                finally:
                    os._exit(code)
            assert await succeeds(child)
            group.cancel_scope.cancel()

    anyio.run(main, backend="trio")


# On trio no other run can begin in a forked child.
@HAS_FORKS
def test_in_a_forked_child_a_loop_of_its_own_can_be_watched(log: Collected) -> None:
    async def main() -> None:
        async with watched():
            child = fork()
            if not child:
                code = 1
                try:
                    code = asyncio.run(stalls_of_a_spin()) - 1  # anyio believes that a loop runs here
                finally:
                    os._exit(code)
            assert await succeeds(child)

    async def stalls_of_a_spin() -> int:
        async with watched() as stalls:
            spin()
        return len(stalls)

    anyio.run(main)


@BOTH
def test_where_time_is_not_real_it_ends_by_itself(backend: str, log: Collected) -> None:
    async def main() -> None:
        await Watchdog(60.0, print).run()

    started = time.monotonic()
    anyio.run(main, backend=backend, backend_options=backend_options(backend, real_time=False))
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize("threshold", [0.0, 0.049, -1.0, 3601.0, float("nan"), True, "1"])
def test_a_threshold_that_makes_no_sense_is_refused(threshold: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="threshold="):
        Watchdog(threshold, print)
